"""`python -m biostudio_doctor`."""

import sys
from importlib.util import find_spec

from biostudio_doctor.cli import main

if not find_spec("biostudio_doctor.checks"):
    sys.exit(
        "biostudio-doctor: the sources in this directory hide the installed package: call "
        "biostudio-doctor by its own path, or leave this directory"
    )
main()
