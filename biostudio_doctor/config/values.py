"""What the tables of the configuration have in common: their base, and kinds of values."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\x00]*$")]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
CaFile = Annotated[
    AbsolutePath | None, Meta(description="Authorities (PEM) to trust besides the system's.")
]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration. A check's own settings derive from it."""


class Secret(Settings, frozen=True, kw_only=True):
    """Where a password or key is kept; it never stands in the configuration itself."""

    file: Annotated[AbsolutePath | None, Meta(description="A file that holds nothing else.")] = None
    env: Annotated[str | None, Meta(description="An environment variable.")] = None

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.env):
            raise ValueError('expected one of { file = "/path" } and { env = "NAME" }')


SecretPlace = Annotated[
    Secret | None, Meta(description='Where it is: { file = "/path" } or { env = "NAME" }.')
]


def check(key: str, understand: Callable[[str], object], *values: str | None) -> None:
    """Have values understood by whoever uses them; a ValueError then names their key, too."""
    for value in values:
        try:
            if value is not None:
                understand(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
