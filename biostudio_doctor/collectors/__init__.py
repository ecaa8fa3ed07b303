"""The collectors that come with the tool, listed under `biostudio_doctor.collectors`."""
