"""The redactor: bytes in, the same bytes without secrets out."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct


class Place(Struct, frozen=True, kw_only=True):
    """Where something was found that should not be there. Never what it is."""

    kind: str  # such as "password" or "private-key"
    line: int  # from 1
    column: int  # bytes, from 1


class Redactor:
    """Takes secrets out of texts. One key for a bundle: equal secrets become equal tokens.

    Args:
        key: 32 bytes that nobody outside can guess. Tokens are cut from its HMAC of the secret.
        literals: known secrets, removed wherever they stand, in any usual encoding.
        rules: more patterns, by kind.
        exempt: patterns whose matches stay, though a rule finds them.
    """

    def __init__(
        self,
        key: bytes,
        literals: Iterable[str] = (),
        rules: Mapping[str, str] | None = None,
        exempt: Iterable[str] = (),
    ) -> None:
        raise NotImplementedError

    def stream(self, pieces: Iterable[bytes], counts: dict[str, int]) -> Iterator[bytes]:
        """The same text redacted, in bounded memory; what was redacted is counted by kind."""
        raise NotImplementedError

    def name(self, name: str) -> str:
        """A file's name redacted."""
        raise NotImplementedError

    def scan(self, pieces: Iterable[bytes]) -> Iterator[Place]:
        """What is still to be found in a text that should be clean; tokens are clean."""
        raise NotImplementedError
