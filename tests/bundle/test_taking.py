"""Files: no link, pipe or device is taken for one, wherever others may have laid it."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor.bundle.gather import Gathered
from biostudio_doctor.bundle.manifest import BundledFile, Outcome
from biostudio_doctor.collector import Take
from tests.bundle.conftest import NOW, collector, content, files, gather
from tests.conftest import MakeHost
from tests.lab.timing import within

SHADOW = "root:secret-of-the-shadow-file"


def take(host: Any, path: str, **options: Any) -> Gathered:
    items = [Take(path=path, **options)]
    (one,) = gather(collector(lambda self: iter(items)), host=host)
    return one


def text(one: Gathered) -> str:
    return "".join(content(one, name).decode() for name, file in files(one).items() if file.sha256)


def only(one: Gathered) -> BundledFile:
    (file,) = one.files
    return file


def test_a_glob(make_host: MakeHost) -> None:
    tree = {f"/var/log/app/{name}": f"{name}\n" for name in ("a.log", "b.log", ".c.log", "d.txt")}
    one = take(make_host({**tree, "/var/log/app/e.log": None}), "/var/log/*/*.log")
    assert list(files(one)) == ["var/log/app/a.log", "var/log/app/b.log"]
    assert text(one) == "a.log\nb.log\n"


def test_a_name_for_them(make_host: MakeHost) -> None:
    host = make_host({"/v/x/1.log.gz": b"", "/v/x/2.log": "2"})
    assert sorted(files(take(host, "/v/*/*", name="logs"))) == ["logs/x/1.log", "logs/x/2.log"]
    assert list(files(take(host, "/v/x/2.log", name="two.txt"))) == ["two.txt"]


def test_all_below(make_host: MakeHost) -> None:
    host = make_host({"/v/a": "a", "/v/b/c": "c", "/v/b/d/e": "e"})
    assert list(files(take(host, "/v/**"))) == ["v/a", "v/b/c", "v/b/d/e"]


def test_the_newest_and_those_of_the_window(make_host: MakeHost) -> None:
    host = make_host({f"/v/{number}": str(number) for number in range(5)})
    for number in range(5):
        moment = NOW.timestamp() - number * 43200
        os.utime(f"{host.root}/v/{number}", (moment, moment))
    one = take(host, "/v/*", newest=2)
    assert text(one) == "01"
    assert files(one)["v/_"].reason == "3 older files left out: 2 are taken"
    assert text(take(host, "/v/*", within=True)) == "012"


def test_links_are_told_and_not_followed(make_host: MakeHost) -> None:
    host = make_host({
        "/etc/shadow": SHADOW, "/etc/d/x.log": SHADOW,
        "/var/log/link.log": "-> /etc/shadow", "/var/log/deep": "-> /etc/d",
        "/var/log/real.log": "real\n",
    })  # fmt: skip
    for path in ("/var/log/*", "/var/log/**", "/var/log/*/*.log", "/var/log/link.log"):
        one = take(host, path)
        assert "secret" not in text(one), path
        links = [file for file in one.files if "a link, which is not followed" in file.reason]
        assert links and all(file.outcome is Outcome.SKIPPED for file in links), path


def test_a_link_to_what_is_taken_anyhow_is_no_loss(make_host: MakeHost) -> None:
    host = make_host({
        "/etc/sysctl.conf": "a = 1\n", "/etc/other.conf": "b = 2\n", "/etc/d/own.conf": "c = 3\n",
        "/etc/d/99-sysctl.conf": "-> ../sysctl.conf", "/etc/d/1.conf": "-> /etc/d/own.conf",
        "/etc/d/x.conf": "-> ../other.conf",
    })  # fmt: skip
    items = [Take(path="/etc/sysctl.conf"), Take(path="/etc/d/*.conf")]
    (one,) = gather(collector(lambda self: iter(items)), host=host)
    told = {name: str(file.outcome) for name, file in files(one).items()}
    assert told == {
        "etc/sysctl.conf": "whole", "etc/d/own.conf": "whole", "etc/d/x.conf": "skipped",
    }  # fmt: skip


def test_a_base_behind_a_link_is_followed_knowingly(make_host: MakeHost) -> None:
    host = make_host({"/data/log/a.log": "a\n", "/var/log": "-> /data/log"})
    assert text(take(host, "/var/log/*.log")) == "a\n"
    assert text(take(host, "/var/log/a.log")) == "a\n"


def test_but_not_beyond_what_others_can_write(make_host: MakeHost) -> None:
    host = make_host({"/etc/d/a.log": SHADOW, "/volume/logs": "-> /etc/d"})
    for path in ("/volume/logs/a.log", "/volume/logs/*.log"):
        one = take(host, path, below="/volume")
        assert not text(one) and "a link" in only(one).reason


def test_links_out_of_another_root_stay_in_it(make_host: MakeHost, tmp_path: Path) -> None:
    (tmp_path / "outside.log").write_text(SHADOW)
    host = make_host({"/var/log": f"-> {tmp_path}", "/var/x": None})
    assert not text(take(host, "/var/log/*.log"))
    assert not text(take(host, "/var/x/../../../outside.log"))


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "directory"])
def test_what_is_no_file(make_host: MakeHost, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host({"/v": None})
    path = f"{host.root}/v/x.log"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            monkeypatch.chdir(f"{host.root}/v")  # names of sockets must be short
            server.bind("x.log")
    elif kind == "directory":
        os.mkdir(path)
    elif os.geteuid():
        pytest.skip("only root makes devices")
    else:
        os.mknod(path, 0o20600, os.makedev(1, 5))  # /dev/zero, without end
    with within(1):
        one = take(host, "/v/x.log")
    assert only(one).reason == f"it is a {kind}" and only(one).outcome is Outcome.FAILED


def test_one_that_is_exchanged_for_a_link_meanwhile(make_host: MakeHost) -> None:
    from biostudio_doctor.bundle.taking import Matches

    host = make_host({"/etc/shadow": SHADOW, "/v/d/x.log": "x"})
    matches = Matches(host, Take(path="/v/*/*.log"))
    (match,) = matches.find()
    os.unlink(f"{host.root}/v/d/x.log")
    os.symlink("../../etc/shadow", f"{host.root}/v/d/x.log")
    with pytest.raises(OSError, match="a link, which is not followed"):
        matches.open(match)
    os.rename(f"{host.root}/v/d", f"{host.root}/v/e")
    os.symlink("e", f"{host.root}/v/d")
    with pytest.raises(OSError, match="Not a directory"):
        matches.open(match)


def test_what_is_not_there(make_host: MakeHost) -> None:
    host = make_host({"/v": None})
    assert only(take(host, "/v/x.log")).reason == "it does not exist"
    assert only(take(host, "/w/x.log")).reason == "it does not exist"
    assert only(take(host, "/v/*.log")).reason == "nothing is there"
    assert only(take(host, "/v/*.log")).outcome is Outcome.SKIPPED


def test_files_of_the_kernel_say_that_they_are_empty() -> None:
    assert "MemTotal" in text(take(None, "/proc/meminfo"))


def test_bytes_that_are_no_text_and_names_that_are_none(make_host: MakeHost) -> None:
    host = make_host({"/v": None})
    with open(os.fsencode(f"{host.root}/v/") + b"\xff\xfe.log", "wb") as file:
        file.write(b"\x00\xff\xfe\x80binary")
    one = take(host, "/v/*")
    assert content(one, "v/\ufffd\ufffd.log") == b"\x00\xff\xfe\x80binary"


def test_a_long_log_is_cut(make_host: MakeHost) -> None:
    host = make_host({"/v/a.log": "a line\n" * 10_000})
    one = take(host, "/v/a.log", limit=1000)
    assert only(one).outcome is Outcome.CUT and only(one).left_out > 68_000
    assert only(one).reason.endswith("in the middle are left out")
