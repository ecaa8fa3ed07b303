"""What is advised to renew a certificate; commands are carried out."""

import shutil
import subprocess
from pathlib import Path

import pytest

from biostudio_doctor.certificates import read
from biostudio_doctor.renewal import chain_renewal, renewal, self_signed
from tests.lab.certificates import make


def carried_out(commands: tuple[str, ...], directory: Path) -> tuple[str, ...]:
    subprocess.run(
        ["sh", "-ec", "\n".join(commands)], cwd=directory, check=True, capture_output=True
    )
    (made,) = read((directory / "new-tls.crt").read_bytes())
    assert made.self_signed and 390 < made.lifetime.days < 398
    assert (directory / "new-tls.key").stat().st_mode & 0o77 == 0
    return made.dns_names + made.ip_addresses


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
def test_self_signed_commands_make_one_for_the_same_names(tmp_path: Path) -> None:
    names = ("studio.lab", "*.studio.lab", "192.0.2.1", "2001:db8::1")
    (facts,) = read(make(names=names).pem)
    remedy = renewal(facts)
    assert "Update SSL" in remedy.text and carried_out(remedy.commands, tmp_path) == names


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
def test_names_of_a_stranger_never_reach_a_command_line(tmp_path: Path) -> None:
    evil = ("a'; touch pwned; '", "%s%n", "$(touch pwned)", "-x\nb", "studio.lab")
    assert carried_out(self_signed(evil, ("192.0.2.1'",)), tmp_path) == ("studio.lab",)
    assert not (tmp_path / "pwned").exists()
    assert carried_out(self_signed((), ()), tmp_path) == ("studio.example.org",)


@pytest.mark.parametrize(
    ("organisation", "said"),
    [
        ("Let's Encrypt", "its port 80 reachable from the internet"),
        ("Sectigo Limited", "Renew it with its issuer (Sectigo Limited)"),
    ],
)
def test_the_other_two_ways(organisation: str, said: str) -> None:
    issuer = make("R11", organisation=organisation, ca=True)
    (facts,) = read(make(issuer=issuer).pem)
    remedy = renewal(facts)
    assert said in remedy.text and "Update SSL" in remedy.text and not remedy.commands
    assert organisation in chain_renewal(facts).text
