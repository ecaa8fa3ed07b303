"""The errors a user can cause. Each is one clear line and ends the program with exit code 2."""


class DoctorError(Exception):
    """Wrong usage or configuration, told in one line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class ConfigError(DoctorError):
    """A configuration file that cannot be read or says something it may not."""

    def __init__(self, source: str, key: str, problem: str) -> None:
        super().__init__(": ".join(part for part in (source, key, problem) if part))
