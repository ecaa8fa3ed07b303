"""One module per way out. They import the engine; the engine names none of them."""
