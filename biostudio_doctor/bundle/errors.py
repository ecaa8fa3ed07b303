"""A bundle that is refused, in one line."""

from biostudio_doctor.bundle import harmless
from biostudio_doctor.errors import DoctorError


class BundleError(DoctorError):
    """A bundle that cannot be read, or is not what it must be.

    Args:
        problem: what is wrong, in our words.
        place: the entry of the archive, whose name may be hostile.
    """

    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(": ".join(part for part in (harmless.line(place), problem) if part))
