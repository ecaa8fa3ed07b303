"""One module per question. They import the engine; the engine names none of them."""
