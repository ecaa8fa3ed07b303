"""The host view: nothing is read outside the root, and nothing waits on what is no file."""

import os
from pathlib import Path

import pytest

from biostudio_doctor.host import Host
from tests.conftest import MakeHost


@pytest.mark.parametrize(
    ("link", "read"),
    [
        ("-> /etc/real", "inside"),
        ("-> ../../../../../../etc/real", "inside"),
        ("-> /../../etc/./real", "inside"),
        ("-> hop", "inside"),
    ],
)
def test_links_stay_below_the_root(make_host: MakeHost, link: str, read: str) -> None:
    host = make_host({"/etc/real": "inside", "/etc/hop": "-> real", "/etc/file": link})
    assert host.read("/etc/file") == read


def test_links_of_directories_are_followed_too(make_host: MakeHost) -> None:
    host = make_host({"/usr/lib/os-release": "ID=x", "/lib": "-> /usr/lib"})
    assert host.read("/lib/os-release") == "ID=x"
    assert host.listdir("/lib") == ["os-release"]


def test_a_loop_is_an_error_and_not_a_hang(make_host: MakeHost) -> None:
    host = make_host({"/a": "-> /b", "/b": "-> /a"})
    with pytest.raises(OSError, match="symbolic links"):
        host.read("/a")
    assert host.read_if_any("/a") is None and not host.exists("/a")


def test_the_real_file_of_that_name_is_never_read(make_host: MakeHost) -> None:
    host = make_host({"/etc": None})
    assert host.read_if_any("/etc/os-release") is None


def test_a_pipe_is_not_waited_for(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host({"/etc": None})
    os.mkfifo(tmp_path / "root/etc/pipe")
    with pytest.raises(OSError, match="not a regular file"):
        host.read("/etc/pipe")


def test_reading_is_bounded(make_host: MakeHost) -> None:
    assert make_host({"/big": b"x" * 3_000_000}).read_bytes("/big") == b"x" * (1 << 20)


def test_what_is_no_file_is_named_by_its_path(make_host: MakeHost) -> None:
    with pytest.raises(IsADirectoryError) as raised:
        make_host({"/there/x": ""}).read("/there")
    assert str(raised.value.filename).endswith("/there")


def test_bytes_that_are_no_text_are_read(make_host: MakeHost) -> None:
    assert make_host({"/file": b"a\xff\xfeb"}).read("/file") == "a\ufffd\ufffdb"


def test_programs_of_another_root_are_not_run(make_host: MakeHost) -> None:
    with pytest.raises(OSError, match="another root"):
        make_host({}).run(["true"])


def test_a_program_answers_in_the_c_locale_or_is_killed() -> None:
    host = Host()
    assert host.run(["sh", "-c", "echo $LC_ALL; exit 3"])[:2] == (3, "C\n")
    with pytest.raises(TimeoutError, match=r"sleep did not answer within 0\.1 s"):
        host.run(["sleep", "60"], timeout=0.1)
    with pytest.raises(FileNotFoundError):
        host.run(["no-such-program"])


def test_what_is_being_done_is_told(make_host: MakeHost) -> None:
    told: list[str] = []
    host = Host(make_host({"/file": "x"}).root, told.append)
    host.read("/file")
    assert told == ["read /file", ""]
