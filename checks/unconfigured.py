"""What a check says that concerns something which the configuration does not name."""

from biostudio_doctor.model import NOT_CONFIGURED, Finding, Remedy, Requirement, Status


def not_configured(
    subject: str, said: str, remedy: str, requirement: Requirement | None = None
) -> Finding:
    """The one finding of such a check; `remedy` tells how to have it asked."""
    return Finding(
        Status.SKIP, subject, said,
        remedy=Remedy(remedy), requirement=requirement, cause=NOT_CONFIGURED,
    )  # fmt: skip
