"""Which hosts a name of a certificate stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.certificates.names import matches, readable


@pytest.mark.parametrize(
    ("name", "host", "same"),
    [
        ("studio.lab", "studio.lab", True),
        ("Studio.LAB.", "studio.lab", True),
        ("studio.lab", "other.lab", False),
        ("*.site.lab", "studio.site.lab", True),
        ("*.site.lab", "a.studio.site.lab", False),
        ("*.lab", "studio.lab", False),
        ("*.site.lab", "site.lab", False),
        ("*.site.lab", ".site.lab", False),
        ("*", "lab", False),
        ("s*.site.lab", "studio.site.lab", False),
        ("studio.*", "studio.lab", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.01", False),
        ("*.0.2.1", "192.0.2.1", False),
        ("2001:db8::1", "[2001:DB8:0::1]", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("xn--bcher-kva.lab", "b\u00fccher.lab", True),
        ("*.site.lab", "b\u00fccher.site.lab", True),
        ("xn--bcher-kva.lab", "XN--BCHER-KVA.lab", True),
        ("", "studio.lab", False),
        ("", "", False),
    ],
)
def test_matches(name: str, host: str, same: bool) -> None:
    assert matches(name, host) is same


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_names(name: str, host: str) -> None:
    assert matches(name, host) in (True, False)
    assert isinstance(readable(name), str) and readable(name).startswith(name)


def test_readable() -> None:
    assert readable("xn--bcher-kva.lab") == "xn--bcher-kva.lab (b\u00fccher.lab)"
    assert readable("xn--\u0000.lab") == "xn--\u0000.lab" and readable("studio.lab") == "studio.lab"
