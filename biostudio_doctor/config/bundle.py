"""`biostudio-doctor bundle`: [bundle], and what is redacted."""

from typing import Annotated

from msgspec import Meta, field

from biostudio_doctor.config.values import Settings, check


class RedactionConfig(Settings, frozen=True, kw_only=True):
    """What is taken out of a support bundle besides what always is, and what stays."""

    rules: Annotated[
        dict[Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$")], str],
        Meta(
            description="Regular expressions (RE2) by the word that names what they find; of one "
            "with a group, the group is the secret."
        ),
    ] = field(default_factory=dict)
    exempt: Annotated[
        tuple[str, ...],
        Meta(description="Regular expressions (RE2) of what stays, though it looks like a secret."),
    ] = ()

    def __post_init__(self) -> None:
        if self.rules or self.exempt:
            from biostudio_doctor.redaction import engine

            for kind, rule in self.rules.items():
                check(f"rules.{kind}", engine.check, rule)
            check("exempt", engine.check, *self.exempt)


class BundleConfig(Settings, frozen=True, kw_only=True):
    """`biostudio-doctor bundle`."""

    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=3600)],
        Meta(description="Seconds that gathering may take; what is not there then is told."),
    ] = 120
    size_limit: Annotated[
        Annotated[int, Meta(ge=1, le=2048)],
        Meta(description="MiB of all files together, before they are compressed."),
    ] = 256
    recipients: Annotated[
        tuple[str, ...],
        Meta(
            description="Whom to encrypt to: age recipients, SSH public keys, or files of them; "
            "`--recipient` names others for one bundle."
        ),
    ] = ()
    process_arguments: Annotated[
        bool, Meta(description="Processes are listed with their arguments.")
    ] = False
    redaction: RedactionConfig = field(default_factory=RedactionConfig)
