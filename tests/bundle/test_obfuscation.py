"""--obfuscate: the same other name everywhere in one bundle, and a private map beside it."""

import gzip
import json
import secrets
import stat
from pathlib import Path

import pytest

from biostudio_doctor.bundle.reader import reading
from tests.bundle.conftest import Command

LINE = "studio.example.org node7.example.org 172.30.5.7 172.30.5.8 correct\n"


def test_names_are_replaced_alike_and_told_to_nobody_else(bundle: Command, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.log").write_text(LINE)
    (logs / "b-node7.example.org.log").write_text(LINE * 2)
    config = tmp_path / "config.toml"
    config.write_text('domain = "studio.example.org"\nnodes = ["node7.example.org"]\n')
    done = bundle(
        "--only", "made.files", "--config", str(config), "--obfuscate", "hosts,ips",
        "--output", "b.tar.gz", MADE_LOGS=str(logs),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert bundle.left == ["b.tar.gz", "b.tar.gz.names.json"]
    path, names = (bundle.directory / name for name in bundle.left)
    assert stat.S_IMODE(names.stat().st_mode) == 0o600
    told = json.loads(names.read_text())
    assert set(told["hosts"]) >= {"studio.example.org", "node7.example.org"}
    assert set(told["ips"]) >= {"172.30.5.7", "172.30.5.8"} and "users" not in told
    with reading(path) as opened:
        found = {entry.file.path: b"".join(entry.pieces()).decode() for entry in opened.entries()}
        assert opened.manifest.obfuscated == ("hosts", "ips")
    text = found["made.files/logs/a.log"]
    expected = LINE
    for name, other in (*told["hosts"].items(), *told["ips"].items()):
        expected = expected.replace(name, other)
    assert text == expected and "correct" in text
    (other,) = [found[name] for name in found if "logs/" in name and not name.endswith("/a.log")]
    assert other == text * 2
    whole = gzip.decompress(path.read_bytes()).decode()
    assert "example.org" not in whole and "172.30.5" not in whole
    first, second = (told["ips"][f"172.30.5.{number}"].rpartition(".")[0] for number in (7, 8))
    assert first == second, "subnets are kept together"


def test_what_is_unknown(bundle: Command) -> None:
    done = bundle("--obfuscate", "hosts,names")
    assert done.returncode == 2 and "'names' is unknown; expected some of hosts" in done.stderr
    done = bundle("--obfuscate", "")  # as of a variable that is not set
    assert done.returncode == 2 and "'' is unknown" in done.stderr and bundle.left == []


def test_nothing_is_left_when_it_fails(bundle: Command) -> None:
    (bundle.directory / "b.tar.gz.names.json").mkdir()
    done = bundle("--only", "made.plain", "--obfuscate", "ips", "--output", "b.tar.gz")
    assert done.returncode == 2 and bundle.left == ["b.tar.gz.names.json"]


@pytest.mark.parametrize(
    "leak", ["at node7.example.org", "NODE7.Example.org:22", "172.30.5.7/24", "/home/{user}_old/x"]
)
def test_a_true_name_that_got_through_is_found(bundle: Command, tmp_path: Path, leak: str) -> None:
    user = f"u{secrets.token_hex(4)}"
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text(f"{user}:x:1001:1001::/home/{user}:/bin/sh\n")
    (root / "etc/hosts").write_text("172.30.5.7 node7.example.org\n")
    (root / "logs").mkdir()
    (root / "logs/a.log").write_text(f"{LINE}{user}\n")
    leaks = (
        "--only", "made.files", "--only", "made.leaks", "--host-root", str(root),
        "--obfuscate", "hosts,ips,users",
    )  # fmt: skip
    done = bundle(*leaks, MADE_LOGS="/logs", MADE_LEAK=leak.format(user=user))
    assert done.returncode == 1 and bundle.left == [] and done.stdout == ""
    assert "made.leaks/leak.txt:3:" in done.stderr
    assert "node7" not in done.stderr.lower() and user not in done.stderr


def test_kinds_in_any_order_are_the_same_wish(bundle: Command) -> None:
    wishes = ("users,ips,hosts", "hosts,ips,users,ips")
    for kinds in wishes:
        done = bundle(
            "--only", "made.plain", "--reproducible", "--obfuscate", kinds, "--output", kinds
        )
        assert done.returncode == 0, done.stderr
    one, other = ((bundle.directory / kinds).read_bytes() for kinds in wishes)
    assert one == other
