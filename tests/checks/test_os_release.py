"""os.release, on what distributions ship and on what is left of it after accidents."""

import pytest
from msgspec import structs

from biostudio_doctor.checks.os_release import OsRelease, ReleaseFacts
from biostudio_doctor.model import Finding, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge
from tests.lab import systems


def found(
    make_host: MakeHost, tree: Tree, profile: str = "published", **scope: str
) -> dict[str, Finding]:
    host = make_host(tree)
    check = OsRelease(context(host.machine, profile=profile, **scope))
    return judge(check, check.observe(host))


@pytest.mark.parametrize(
    ("tree", "status", "said"),
    [
        (systems.DEBIAN_12, Status.PASS, "This is Debian GNU/Linux 12 (bookworm); Debian 10 or"),
        (systems.DEBIAN_10, Status.PASS, "This is Debian GNU/Linux 10 (buster); Debian 10 or"),
        (systems.DEBIAN_9, Status.WARN, "This is Debian GNU/Linux 9 (stretch); Debian 10 or"),
        (systems.DEBIAN_TESTING, Status.PASS, "This is Debian GNU/Linux forky/sid; Debian 10 or"),
        (systems.UBUNTU_18, Status.PASS, "This is Ubuntu 18.04.6 LTS; Ubuntu 18.04 or later"),
        (systems.UBUNTU_24, Status.PASS, "This is Ubuntu 24.04.1 LTS; Ubuntu 18.04 or later"),
        (systems.CENTOS_6, Status.PASS, "This is CentOS release 6.5 (Final); CentOS 6.5 or later"),
        (systems.CENTOS_7, Status.PASS, "This is CentOS Linux 7 (Core); CentOS 6.5 or later"),
        (systems.STREAM_9, Status.PASS, "This is CentOS Stream 9; CentOS 6.5 or later"),
        (systems.RHEL_9, Status.PASS, "This is Red Hat Enterprise Linux 9.5 (Plow); any version"),
    ],
)
def test_named_systems(make_host: MakeHost, tree: Tree, status: Status, said: str) -> None:
    finding = found(make_host, tree)["distribution"]
    assert finding.status is status and finding.summary.startswith(said)
    assert finding.requirement and bool(finding.remedy) is (status is not Status.PASS)


@pytest.mark.parametrize(
    ("tree", "status", "said"),
    [
        (systems.ROCKY_9, Status.PASS, "says that it is like Red Hat Enterprise Linux, which is;"),
        (systems.MINT_21, Status.PASS, "says that it is like Ubuntu 22.04, which is; Ubuntu 18.04"),
        (
            {"/etc/os-release": 'ID=linuxmint\nID_LIKE=ubuntu\nPRETTY_NAME="Linux Mint 17"\n'
                                "VERSION_ID=17\nUBUNTU_CODENAME=trusty\n"},
            Status.WARN, "is like Ubuntu 14.04, which is; Ubuntu 18.04 or later is recommended.",
        ),
        (
            {"/etc/os-release": 'ID=kali\nID_LIKE=debian\nPRETTY_NAME="Kali"\nVERSION_ID=2025.1\n'},
            Status.WARN, "which is, in a version that cannot be compared; Debian 10 or later",
        ),
        (systems.AMAZON_2023, Status.WARN, "is none of the systems that the document names"),
        (systems.LEAP_15, Status.WARN, "CentOS, Red Hat Enterprise Linux, Debian or Ubuntu."),
        (systems.ALPINE_3, Status.WARN, "Alpine Linux v3.20 is none of the systems"),
    ],
    ids=["Rocky", "Mint", "old Mint", "Kali", "Amazon", "openSUSE", "Alpine"],
)  # fmt: skip
def test_other_systems(make_host: MakeHost, tree: Tree, status: Status, said: str) -> None:
    finding = found(make_host, tree)["distribution"]
    assert finding.status is status and said in finding.summary
    assert bool(finding.remedy) is (status is not Status.PASS)


def test_the_vendors_later_line_for_ubuntu(make_host: MakeHost) -> None:
    finding = found(make_host, systems.UBUNTU_18, profile="vendor-installer")["distribution"]
    assert finding.status is Status.WARN and "Ubuntu 20.04 or later" in finding.summary


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n\n\n",
        "# ID=debian\n",
        "ID=\n",
        "ID=''\n",
        'ID="\n',
        "ID\n",
        "ID:debian\n",
        "1ID=debian\n",
        "ID=de bian\n",
        'ID="../../etc"\n',
        "NAME=Debian\nVERSION_ID=12\n",
        b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)) * 4,
        b"\xff\xfeI\x00D\x00=\x00d\x00e\x00b\x00\n\x00",
        "ID=" + "x" * 100_000 + "\n",
        "<html><body>404 Not Found</body></html>\n",
        "-> /etc/os-release",
        None,
    ],
    ids=lambda content: repr(content)[:20],
)
def test_malformed_os_release_is_one_clear_error(
    make_host: MakeHost, content: str | bytes | None
) -> None:
    finding = found(make_host, {"/etc/os-release": content})["distribution"]
    assert finding.status is Status.ERROR and finding.remedy
    assert finding.summary.startswith("Which distribution this is cannot be told: ")
    assert len(finding.summary) < 150


def test_no_file_at_all_says_so(make_host: MakeHost) -> None:
    finding = found(make_host, {"/etc": None})["distribution"]
    assert finding.status is Status.ERROR and "/etc/os-release is missing" in finding.summary


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffID=debian\r\nVERSION_ID=12\r\n",
        "garbage\nID=debian\nVERSION_ID='12\n",
        b"ID=debian\nVERSION_ID=12\nNAME=\xff\xfe\n",
    ],
    ids=["byte order mark and CRLF", "open quotation", "no UTF-8"],
)
def test_what_can_be_read_of_a_damaged_file_counts(
    make_host: MakeHost, content: str | bytes
) -> None:
    finding = found(make_host, {"/etc/os-release": content})["distribution"]
    assert finding.status is Status.PASS


FACTS = ReleaseFacts(
    os_id="alpine", os_like=(), name="Alpine Linux v3.20", version="3.20.3", codename="",
    source="/etc/os-release", present=("/etc/os-release",), lsb_release=False, container="docker",
    wsl=False,
)  # fmt: skip


@pytest.mark.parametrize("container", ["docker", "podman", "kubernetes"])
def test_the_image_of_a_container_is_not_the_host(container: str) -> None:
    findings = judge(OsRelease(context()), structs.replace(FACTS, container=container))
    finding = findings["distribution"]
    assert len(findings) == 1 and finding.status is Status.SKIP and container in finding.summary
    assert finding.remedy and "--host-root /host" in finding.remedy.commands[0]


def test_a_container_with_a_whole_system_is_judged() -> None:
    findings = judge(OsRelease(context()), structs.replace(FACTS, container="lxc"))
    assert findings["distribution"].status is Status.WARN


def test_windows_subsystem_is_told(make_host: MakeHost) -> None:
    findings = found(make_host, systems.WSL2)
    assert findings["distribution"].status is Status.PASS
    assert findings["WSL"].status is Status.WARN and findings["WSL"].remedy


@pytest.mark.parametrize(
    ("tree", "scope", "warned"),
    [
        (systems.DEBIAN_12, {}, True),
        (systems.UBUNTU_24, {}, False),
        (systems.ROCKY_9, {}, False),
        (systems.DEBIAN_12, {"platform": "kubernetes"}, False),
        (systems.DEBIAN_12, {"phase": "running"}, False),
    ],
)
def test_the_vendors_script_takes_debian_for_red_hat(
    make_host: MakeHost, tree: Tree, scope: dict[str, str], warned: bool
) -> None:
    finding = found(make_host, tree, **scope).get("installer")
    assert (finding is not None and finding.status is Status.WARN) is warned


def test_an_unreadable_root_is_not_blamed_on_a_package() -> None:
    facts = structs.replace(FACTS, source="", present=(), container="")
    check = OsRelease(context(structs.replace(DEBIAN, host_root="/host")))
    remedy = judge(check, facts)["distribution"].remedy
    assert remedy and "/host" in remedy.text and not remedy.commands
