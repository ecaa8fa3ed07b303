"""biostudio-doctor: is this server fit for BioStudio, and if not, what must be done?"""

__version__ = "0.1.0"
