"""Which host this is: os-release whole, old, broken and missing."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host.machine import (
    parse_debian_version,
    parse_lsb_release,
    parse_os_release,
    parse_redhat_release,
)
from tests.conftest import MakeHost, Tree
from tests.lab import systems

TEXTS = st.text() | st.text(alphabet="ID=_VERSION\"'\\$` \n\r#\0.7")


@given(TEXTS)
def test_any_text_is_read_as_names_and_words(text: str) -> None:
    values = parse_os_release(text)
    assert all(name.isascii() and name.isidentifier() for name in values)
    assert all("\n" not in value for value in values.values())


@given(TEXTS)
def test_any_text_of_old_files_names_a_distribution_or_none(text: str) -> None:
    for parse in (parse_redhat_release, parse_lsb_release, parse_debian_version):
        found = parse(text)
        assert found == {} or (found["ID"] and "\n" not in found["PRETTY_NAME"])


@given(st.text(st.characters(codec="utf-8", exclude_characters='\n\r"\\')))
def test_what_stands_in_quotes_is_read_back(value: str) -> None:
    assert parse_os_release(f'A="{value}"\n')["A"] == value


@pytest.mark.parametrize(
    ("tree", "known"),
    [
        (systems.DEBIAN_12, ("debian", "12", "bookworm", "/etc/os-release")),
        (systems.DEBIAN_TESTING, ("debian", "", "forky", "/etc/os-release")),
        (systems.UBUNTU_24, ("ubuntu", "24.04", "noble", "/etc/os-release")),
        (systems.MINT_21, ("linuxmint", "21.3", "jammy", "/etc/os-release")),
        (systems.CENTOS_6, ("centos", "6.5", "", "/etc/redhat-release")),
        (systems.CENTOS_7, ("centos", "7.9.2009", "", "/etc/os-release")),
        (systems.STREAM_9, ("centos", "9", "", "/etc/os-release")),
        (systems.ALPINE_3, ("alpine", "3.20.3", "", "/etc/os-release")),
    ],
)
def test_distributions(make_host: MakeHost, tree: Tree, known: tuple[str, ...]) -> None:
    machine = make_host(tree).machine
    assert (machine.os_id, machine.os_version, machine.os_codename, machine.os_source) == known


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({"/etc/debian_version": "7.11\n"}, ("debian", "7.11", "")),
        ({"/etc/debian_version": "squeeze/sid\n"}, ("debian", "", "squeeze")),
        (  # Ubuntu has debian_version too, with the Debian that it was made from
            {"/etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=14.04\n",
             "/etc/debian_version": "jessie/sid\n"},
            ("ubuntu", "14.04", ""),
        ),
        ({"/etc/lsb-release": "LSB_VERSION=base-4.0-amd64\n"}, ("", "", "")),
        (  # Oracle Linux keeps Red Hat's own file as it is
            {"/etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n",
             "/etc/oracle-release": "Oracle Linux Server release 6.10\n"},
            ("ol", "6.10", ""),
        ),
        ({"/etc/redhat-release": "Red Hat Enterprise Linux Server release 5.11 (Tikanga)\n"},
         ("rhel", "5.11", "")),
        ({"/etc/redhat-release": "release of something else\n"}, ("", "", "")),
        ({}, ("", "", "")),
    ],
)  # fmt: skip
def test_systems_without_os_release(
    make_host: MakeHost, files: Tree, known: tuple[str, ...]
) -> None:
    machine = make_host({"/etc": None, **files}).machine
    assert (machine.os_id, machine.os_version, machine.os_codename) == known


def test_windows_subsystem(make_host: MakeHost) -> None:
    assert make_host(systems.WSL2).machine.wsl
    assert not make_host(systems.UBUNTU_24).machine.wsl


def test_a_root_beside_ours_is_no_container_whatever_lies_in_it(make_host: MakeHost) -> None:
    tree = {**systems.DEBIAN_12, "/.dockerenv": "", "/proc/1/environ": "container=docker\0"}
    assert make_host(tree).machine.container == ""


MARKED = {**os.environ, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
ASK = [
    sys.executable,
    "-c",
    "from biostudio_doctor.host import Host; print(Host().machine.container)",
]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make namespaces")
def test_in_namespaces_of_its_own_it_is_a_container() -> None:
    unshare = ["unshare", "--fork", "--pid", "--uts", "--ipc", "--mount-proc"]
    asked = subprocess.run([*unshare, *ASK], env=MARKED, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() in ("kubernetes", "docker", "podman")


def test_in_the_system_that_booted_marks_of_a_container_are_left_overs() -> None:
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
        pytest.skip("the tests run in a container")
    asked = subprocess.run(ASK, env=MARKED, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == ""
