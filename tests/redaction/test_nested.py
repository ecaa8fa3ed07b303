"""Names that tell little by themselves: a key below what has keys, codes of a second factor."""

import pytest

from .material import CHANCE, pick
from .test_general import LETTERS, redact

NESTED = {
    "YAML": "encryption:\n  mode: gcm\n\n  key: {}\n",
    "YAML, quoted": 'api:\n    "key": "{}"\n',
    "JSON": '{{"encryption": {{"mode": "gcm", "key": "{}"}}}}',
    "JSON on lines": '{{"signing": {{\n  "mode": "x",\n  "key": "{}"\n}}}}',
    "TOML": '[studio.encryption]\nmode = "x"\nkey = "{}"\n',
    "INI": "[encryption]\nkey = {}\n",
}
STAY = (
    "encryption:\n  key: /etc/studio/some_key.pem\n",
    'encryption:\n  key: "automatic"\n',
    "encryption:\n  key: ${{ENCRYPTION}}\n",
    "encryption:\n  mode: x\nother:\n  key: {}\n",
    "data:\n  encryption:\n    mode: x\n  key: {}\n",
    '{{"encryption": {{"mode": "x"}}, "key": "{}"}}',
    "otp: required\ntwo_factor: enabled\n2fa: totp\notp_ttl: 300000\notp: 30\nmfa: true\n",
)


def words() -> str:
    """Of words, as keys that a person made up are."""
    return "_".join(pick(CHANCE, LETTERS, 7) for _ in range(4))


@pytest.mark.parametrize("shape", NESTED)
def test_a_key_below_what_has_keys(shape: str) -> None:
    value = words()
    assert value not in redact(NESTED[shape].format(value))


@pytest.mark.parametrize("name", ["otp", "two_factor", "2fa", "mfa_code", "recovery_code"])
@pytest.mark.parametrize("shape", ["{}: {}\n", '"{}": "{}"', "{}={} accepted\n"])
def test_codes_of_a_second_factor(name: str, shape: str) -> None:
    code = pick(CHANCE, "0123456789", 6)
    assert code not in redact(shape.format(name, code))


@pytest.mark.parametrize("text", STAY)
def test_their_like_stays(text: str) -> None:
    plain = text.format(words())
    assert redact(plain) == plain
