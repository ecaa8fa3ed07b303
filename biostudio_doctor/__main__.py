"""`python -m biostudio_doctor`."""

from biostudio_doctor.cli import main

main()
