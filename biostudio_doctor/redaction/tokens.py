"""What stands where a secret stood: <redacted:KIND:HEX>, equal for equal secrets of one bundle."""

import hashlib
import hmac
import re

#: A token, as `Tokens.of` makes them.
TOKEN = re.compile(rb"<redacted:[a-z0-9-]{1,40}:[0-9a-f]{8}>")
_IN_A_NAME = re.compile(rb"redacted-([a-z0-9-]{1,40})-([0-9a-f]{8})(?![0-9a-f])")


class Tokens:
    """Makes tokens. Who does not have the key can neither make nor try them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: str, secret: bytes) -> bytes:
        """The token of a secret: the first 32 bits of HMAC-SHA256(key, secret)."""
        digest = hmac.new(self._key, secret, hashlib.sha256).hexdigest()
        return b"<redacted:%b:%b>" % (kind.encode(), digest[:8].encode())


def in_a_name(text: bytes) -> bytes:
    """Tokens as they stand in the names of files, where <, : and > are not welcome everywhere."""
    return TOKEN.sub(lambda found: found[0][1:-1].replace(b":", b"-"), text)


def out_of_a_name(text: bytes) -> bytes:
    """The same as they stand in texts, so that `Redactor.scan` knows them for tokens."""
    return _IN_A_NAME.sub(rb"<redacted:\1:\2>", text)
