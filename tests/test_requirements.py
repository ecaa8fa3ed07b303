"""The data file says what the published document says, and profiles replace only what they name."""

from pathlib import Path

import pytest

from biostudio_doctor import requirements
from biostudio_doctor.errors import ConfigError
from biostudio_doctor.model import Status, Strength
from biostudio_doctor.requirements import Feature, Limit, Quantity, Requirements, Version
from biostudio_doctor.versions import at_least

PUBLISHED = requirements.load()
VENDOR = requirements.load("vendor-installer")


def test_the_published_values() -> None:
    assert {system.os_id: system.minimum for system in PUBLISHED.systems} == {
        "centos": "6.5",
        "rhel": "",
        "debian": "10",
        "ubuntu": "18.04",
    }
    amounts = {
        name: PUBLISHED.demand(name, Quantity).value
        for name in (
            "cpu.cores", "memory.total", "storage.app", "storage.metadata", "storage.user",
        )
    }  # fmt: skip
    assert list(amounts.values()) == [16, 32e9, 40e9, 50e9, 500e9]
    assert PUBLISHED.demand("gpu", Feature).strength is Strength.OPTIONAL
    assert PUBLISHED.demand("runtime.engine", Feature).strength is Strength.REQUIRED


def test_the_published_ports() -> None:
    ports = {
        port.service: (port.port, port.image, port.reach) for port in PUBLISHED.ports("all-in-one")
    }
    assert ports == {
        "http": (80, "bioproxy", "public"),
        "https": (443, "bioproxy", "public"),
        "memcached": (11121, "bioproxy", "lan"),
        "redis": (6379, "bioproxy", "lan"),
        "postgresql": (5432, "bioproxy", "lan"),
        "workspace": (18000, "biostudio", "lan"),
        "app": (11123, "biostudio", "lan"),
        "mqtt-websocket": (9001, "biostudio", "lan"),
        "mqtt-tcp": (1883, "biostudio", "lan"),
        "job": (11300, "biostudio", "lan"),
    }
    assert {port.service for port in PUBLISHED.ports("bioproxy") if port.changeable} == {
        "http", "https",
    }  # fmt: skip
    assert len(PUBLISHED.ports("biostudio")) == 5


def test_every_published_domain_has_a_concrete_host() -> None:
    required = [host for host in PUBLISHED.hosts if host.strength is Strength.REQUIRED]
    assert {host.domain for host in required} == {
        "*.bioturing.com", "*.anaconda.org", "*repo.anaconda.com", "Amazon S3",
    }  # fmt: skip
    assert not any("*" in host.host for host in PUBLISHED.hosts)


def test_hosts_that_no_document_publishes_are_only_wished_for() -> None:
    """A blocked one of these is a warning, and says whose word it is."""
    named = {host.host: host for host in PUBLISHED.hosts if host.domain == host.host}
    assert set(named) == {"github.com", "cloud.r-project.org", "download.docker.com"}
    for host in named.values():
        assert host.strength is Strength.OPTIONAL
        assert host.source == "the vendor's installation material"


def test_every_requirement_names_its_place() -> None:
    for requirement in (*PUBLISHED, *VENDOR):
        assert requirement.source and requirement.section and requirement.says


@pytest.mark.parametrize(
    ("requirement", "amount", "status"),
    [
        (
            PUBLISHED.demand("memory.total", Quantity),
            31 * 2**30,
            None,
        ),  # what 32 GiB of modules report
        (PUBLISHED.demand("memory.total", Quantity), 16e9, Status.WARN),
        (PUBLISHED.demand("memory.total", Quantity), 4e9, Status.FAIL),
        (VENDOR.demand("memory.total", Quantity), 62 * 2**30, None),  # what a 64 GB machine reports
        (VENDOR.demand("memory.total", Quantity), 60 * 2**30, None),  # the least it accepts
        (VENDOR.demand("memory.total", Quantity), 60 * 2**30 - 1, Status.FAIL),  # it stops
    ],
)
def test_the_lines_are_fair_to_real_machines(
    requirement: Quantity, amount: float, status: Status | None
) -> None:
    assert (None if amount >= requirement.value else requirement.shortfall(amount)) is status


@pytest.mark.parametrize("profile", [PUBLISHED, VENDOR], ids=lambda found: found.profile)
def test_what_fails_is_worse_than_what_warns(profile: Requirements) -> None:
    """A floor above its value would let pass what cannot work; a ceiling below its, too."""
    quantities = [entry for entry in profile if isinstance(entry, Quantity)]
    limits = [entry for entry in profile if isinstance(entry, Limit)]
    versions = [entry for entry in profile if isinstance(entry, Version)]
    assert quantities and limits and versions
    assert [entry.id for entry in quantities if not entry.floor <= entry.value] == []
    assert [entry.id for entry in limits if not entry.value <= entry.ceiling] == []
    assert [entry.id for entry in versions if not at_least(entry.value, entry.floor)] == []


def test_a_demand_is_of_its_kind_or_a_key_error() -> None:
    for requirement_id in ("memory.total", "memory.everything"):
        with pytest.raises(KeyError, match=requirement_id):
            PUBLISHED.demand(requirement_id, Version)


def test_a_profile_replaces_only_what_it_names() -> None:
    assert VENDOR.demand("storage.app", Quantity).value == 100e9
    assert VENDOR.demand("storage.user", Quantity) == PUBLISHED.demand("storage.user", Quantity)
    assert (
        VENDOR.demand("storage.app", Quantity).source
        != PUBLISHED.demand("storage.app", Quantity).source
    )


def test_an_unknown_profile_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match="'mine' is unknown; known: published, vendor-installer"):
        requirements.load("mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "Expected"),
        (
            "[document]\ntitle='x'\n[profiles.published]\ntitle='y'\n[[ports]]\nid='port.x'",
            "ports.port.x",
        ),
    ],
)
def test_a_broken_data_file_names_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "requirements.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        requirements.load(data_file=file)
    assert str(file) in str(caught.value)
