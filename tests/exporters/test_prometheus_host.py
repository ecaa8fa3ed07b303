"""Metrics of the host and of certificates, from real facts, and made ones of what is not here."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.watched import Backend, Watched
from biostudio_doctor.host.clock import KernelClock, Tracking
from biostudio_doctor.host.gpus import GpuFacts
from biostudio_doctor.host.nvml import Gpu, Nvml
from biostudio_doctor.host.pci import PciDevice
from biostudio_doctor.model import Result, Status
from tests.conftest import report
from tests.lab.certificates import make
from tests.lab.metrics import (
    NOW,
    checked,
    named,
    of_facts,
    of_name,
    pem,
    series,
)
from tests.lab.peers import Peer, server_context
from tests.lab.web import https


def test_values_of_this_host(tmp_path: Path) -> None:
    made = checked(tmp_path, f'[storage]\nmetadata = "{tmp_path}"\n',
                   "cpu.*", "memory.*", "storage.capacity")  # fmt: skip
    found, room = series(made), os.statvfs(tmp_path)
    assert found[named("cpus_online")] == os.cpu_count()
    assert found[named("memory_total_bytes")] == pytest.approx(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), rel=0.01
    )
    assert 0 < found[named("memory_available_bytes")] < found[named("memory_total_bytes")]
    assert named("load1") in found and named("load15") in found
    (where,) = (one for one in of_name(found, "storage_size_bytes") if one["tier"] == "METADATA")
    assert where["path"] == str(tmp_path)
    assert found[named("storage_size_bytes", **where)] == room.f_blocks * room.f_frsize
    assert found[named("storage_available_bytes", **where)] == pytest.approx(
        room.f_bavail * room.f_frsize, rel=0.05
    )
    if room.f_files:
        assert found[named("storage_inodes", **where)] == room.f_files
    assert found[named("host_info", **of_name(found, "host_info")[0])] == 1
    assert not of_name(found, "gpus_present"), "what was not asked has no series"


def test_gpus() -> None:
    """Made facts: there is no GPU here."""
    bus = tuple(
        PciDevice(slot=f"0000:3{n}:00.0", vendor=0x10DE, device=0x20B0, device_class=0x030200)
        for n in range(3)
    )
    well = Gpu(index=0, name="A100", slot="00000000:30:00.0", memory=80 << 30, temperature=55,
               uncorrected_errors=2, slowed=True)  # fmt: skip
    nvml = Nvml(driver="535.1", gpus=(well, Gpu(index=1), Gpu(index=2, problem="lost")))
    found = of_facts("gpu.devices", GpuFacts(devices=bus, nvml=nvml))
    assert (found[named("gpus_present")], found[named("gpus_usable")]) == (3, 2)
    assert found[named("gpu_memory_bytes", gpu=0)] == 80 << 30
    assert found[named("gpu_temperature_celsius", gpu=0)] == 55
    assert found[named("gpu_uncorrected_ecc_errors_total", gpu=0)] == 2
    assert found[named("gpu_slowed", gpu=0)] == 1
    assert [found[named("gpu_up", gpu=n)] for n in range(3)] == [1, 1, 0]
    for name in ("memory_bytes", "temperature_celsius", "uncorrected_ecc_errors_total"):
        assert [one["gpu"] for one in of_name(found, f"gpu_{name}")] == ["0"]
    assert {one["gpu"] for one in of_name(found, "gpu_slowed")} == {"0", "1"}
    unasked = of_facts("gpu.devices", GpuFacts(devices=bus, nvml=Nvml(problem="driver missing")))
    assert found[named("gpus_present")] == 3 and not of_name(unasked, "gpus_usable")


def test_pressure_is_a_share() -> None:
    waits = {"cpu_pressure": {"some": 25.0, "full": 0.0}, "io_pressure": None}
    found = of_facts("cpu.load", {"load": [1, 2, 3], **waits})
    assert found[named("pressure_ratio", resource="cpu", tasks="some")] == 0.25
    assert len(of_name(found, "pressure_ratio")) == 2
    assert found[named("load5")] == 2


@pytest.mark.parametrize(
    "value",
    [None, "4", [], {}, float("nan"), float("inf"), 10**400],
    ids=lambda value: repr(value)[:9],
)
def test_what_is_no_number_is_unknown(value: object) -> None:
    odd = Result(id="cpu.count", title="", status=Status.PASS, findings=(),
                 observation={"online": value, "allowed": 4})  # fmt: skip
    found = series(report(results=(odd,)))
    assert found[named("cpus_allowed")] == 4 and named("cpus_online") not in found
    assert found[named("collector_errors", collector="cpus")] == 0


def test_where_a_tier_might_be_put_has_no_series() -> None:
    room = {"size": 9, "available": 5}
    found = of_facts(
        "storage.filesystem",
        {"storage": {
            "places": {}, "candidates": [{"path": "/backup", "room": room}],
            "others": {"/var/lib/docker": {"path": "/var/lib/docker", "room": room}},
        }},
    )  # fmt: skip
    (where,) = of_name(found, "storage_available_bytes")
    assert where == {"tier": "", "path": "/var/lib/docker", "mountpoint": ""}


def test_bytes_are_never_negative() -> None:
    place = {"path": "/x", "room": {"size": -1, "available": 5, "inodes": 0, "inodes_free": 0}}
    found = of_facts("storage.capacity", {"places": {"APP": place}})
    assert [key[0] for key in found if "storage" in key[0]] == ["biostudio_storage_available_bytes"]


def test_the_clock() -> None:
    unknown = of_facts(
        "os.time",
        {"kernel": KernelClock(synchronised=False, offset=0.0, error=16.0), "tracking": None},
    )
    assert unknown[named("clock_synchronised")] == 0
    assert named("clock_offset_seconds") not in unknown, "it is not 0 because nobody measures it"
    assert named("clock_error_seconds") not in unknown, "16 s is as far as the kernel counts"
    kernel = of_facts(
        "os.time", {"kernel": KernelClock(synchronised=True, offset=0.002, error=0.1)}
    )
    assert kernel[named("clock_offset_seconds")] == 0.002
    assert kernel[named("clock_error_seconds")] == 0.1
    tracking = Tracking(synchronised=True, reference="192.0.2.1", stratum=3, offset=-0.5)
    chrony = of_facts(
        "os.time",
        {"kernel": KernelClock(synchronised=True, offset=0.002, error=0.1), "tracking": tracking},
    )
    assert chrony[named("clock_offset_seconds")] == -0.5 and chrony[named("clock_stratum")] == 3


def test_certificates_of_files_and_of_endpoints_that_nobody_trusts(tmp_path: Path) -> None:
    root = make("Lab Root", ca=True, days=(-10, 1000))
    above = make("Lab Issuing", issuer=root, ca=True, days=(-10, 300))
    own = make("studio.lab", issuer=above, days=(-10, 42))
    served = make("served.lab", days=(-10, -1))
    file = pem(tmp_path, "tls.crt", own, above)
    with Peer(lambda _: None) as silent, Peer(https(server_context(tmp_path, served))) as peer:
        endpoint, dead = f"127.0.0.1:{peer.port}", f"127.0.0.1:{silent.port}"
        names = json.dumps([str(file), endpoint, dead])
        found = series(checked(tmp_path, f"certificates = {names}\n", "certificate.*"))

    def end(target: object, position: str, subject: str) -> float:
        of = {"target": target, "position": position, "subject": subject}
        return found[named("certificate_not_after_timestamp_seconds", **of)]

    for place, position, one in ((file, "leaf", own), (file, "chain", above),
                                 (endpoint, "leaf", served)):  # fmt: skip
        subject = {own: "studio.lab", above: "Lab Issuing", served: "served.lab"}[one]
        expires = one.certificate.not_valid_after_utc.timestamp()
        assert end(place, position, subject) == expires
    assert found[named("certificate_trusted", target=endpoint)] == 0
    assert found[named("certificate_read", target=endpoint)] == 1
    assert found[named("certificate_read", target=dead)] == 0
    positions = {(one["target"], one["position"])
                 for one in of_name(found, "certificate_not_after_timestamp_seconds")}  # fmt: skip
    assert not any(target == dead for target, _ in positions)


def one_of(name: str, days: float, ca: bool = False) -> CertificateFacts:
    return CertificateFacts(
        subject=f"CN={name}", issuer="", common_name=name, serial="1", sha256="", is_ca=ca,
        not_before=NOW, not_after=NOW + timedelta(days=days),
    )  # fmt: skip


def test_what_a_chain_does_not_need_is_left_out() -> None:
    chain = Chain(
        certificates=(one_of("leaf", 1), one_of("A", 20, True), one_of("A", 50, True),
                      one_of("old", -5, True)),
        issuers=((1, 2), (), (), ()), way=(0, 1, 2), anchor="Root",
        anchor_until=NOW + timedelta(days=900),
    )  # fmt: skip
    backwards = structs.replace(chain, certificates=chain.certificates[::-1], way=(3, 2, 1))
    backend = Backend(address="192.0.2.1", not_after=NOW)
    one = Watched(name="studio.lab:443", chain=chain, backends=(backend, Backend(address="x")))
    found = of_facts("certificate.expiry", {"watched": [one]})
    metric = "certificate_not_after_timestamp_seconds"
    ends = {
        (one["position"], one["subject"]): found[named(metric, **one)] - NOW.timestamp()
        for one in of_name(found, metric)
    }
    days = {key: seconds / 86400 for key, seconds in ends.items()}
    assert days == {("leaf", "leaf"): 1, ("chain", "A"): 20, ("anchor", "Root"): 900}
    (backends,) = of_name(found, "certificate_backend_not_after_timestamp_seconds")
    assert backends["address"] == "192.0.2.1"
    again = of_facts("certificate.expiry", {"watched": [structs.replace(one, chain=backwards)]})
    assert again == found, "the server's own is known wherever it stands"
    saml = {
        "asked": [{"at": "idp.xml", "metadata": {"entity": {"certificates": [one_of("S", 3)]}}}]
    }
    (signing,) = of_name(of_facts("sso.saml", saml), metric)
    assert signing == {"target": "idp.xml", "position": "signing", "subject": "S"}
