"""One module per question asked of a host. They import the engine; the engine names none of them."""
