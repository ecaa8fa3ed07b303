"""A plug-in whose import ends the program."""

import sys

sys.exit(7)
