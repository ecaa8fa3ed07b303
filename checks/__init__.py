"""One module per question, called as its check is: os.time is in os_time.

What a check is too long for stands beside it in modules with its name and one word more, and what
several share in one with the name of their family. They import the engine; the engine names none
of them.
"""
