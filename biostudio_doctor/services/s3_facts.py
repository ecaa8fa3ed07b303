"""What a bucket answered: plain facts, for which no library of S3 is needed."""

from typing import Literal

from msgspec import Struct

from biostudio_doctor.probes import Failure

Style = Literal["path", "virtual"]
Operation = Literal["list", "put", "get", "delete"]

DEFAULT_REGION = "us-east-1"


class Told(Struct, frozen=True, kw_only=True):
    """What came of one request."""

    operation: Operation
    code: str = ""  # S3's error code, such as AccessDenied; '' if it did what was asked
    status: int = 0  # of HTTP
    failure: Failure | None = None  # of the network
    foreign: str = ""  # what answered, where that was no S3
    expected_region: str = ""  # what the error says that should have been signed for

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return not (self.code or self.failure or self.foreign)


class Addressed(Struct, frozen=True, kw_only=True):
    """The bucket, listed by one style of address."""

    style: Style
    host: str = ""
    told: Told | None = None  # None where this style cannot be had for this bucket and endpoint
    empty: bool | None = None  # there is nothing below the prefix


class Written(Struct, frozen=True, kw_only=True):
    """What became of the scratch object."""

    steps: tuple[Told, ...] = ()
    key: str = ""
    left: bool = False  # it, or a version of it, is still there
    removed_earlier: int = 0  # objects that ended runs had left
    stuck: str = ""  # the key of such an object that may not be removed; none was made then


class S3Facts(Struct, frozen=True, kw_only=True):
    """How a bucket answered."""

    addressed: tuple[Addressed, ...] = ()
    region: str = ""  # where the bucket says that it is
    clock: float | None = None  # seconds by which the server's clock is ahead of ours
    through_proxy: bool = False
    written: Written | None = None  # None if it was not tried
