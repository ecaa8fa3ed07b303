"""A report with facts of every kind that is drawn: of this machine, and of a lab where it must be.

Real are: all checks of this machine that need no network, certificates in files, the ways to three
peers on the loopback interface. Made are: GPUs (most machines have none), larger storage, and ways
that need minutes or an internet to come about.
"""

import asyncio
import json
from pathlib import Path

import msgspec
from msgspec import structs

from biostudio_doctor.checks.egress_hosts import EgressHosts
from biostudio_doctor.checks.gpu_devices import GpuDevices
from biostudio_doctor.checks.storage_capacity import StorageCapacity
from biostudio_doctor.host.gpus import GpuFacts
from biostudio_doctor.host.mounts import Mount
from biostudio_doctor.host.nvml import Gpu, Nvml
from biostudio_doctor.host.pci import PciDevice
from biostudio_doctor.host.places import Place, Room
from biostudio_doctor.model import Report, Result, Status, Table, worst
from biostudio_doctor.probes import path
from biostudio_doctor.probes import results as probed
from biostudio_doctor.tiers import StorageFacts
from tests.conftest import context
from tests.lab import paths
from tests.lab.certificates import make
from tests.lab.metrics import checked, pem
from tests.lab.network import free_port
from tests.lab.peers import Peer, reset, server_context
from tests.lab.web import https


def full(directory: Path) -> Report:
    """The whole of it; it takes some seconds to make."""
    root = make("Lab Root", ca=True, days=(-900, 2000))
    above = make("Lab Issuing Authority", issuer=root, ca=True, days=(-300, 300))
    files = [
        pem(directory, "studio.crt", make("studio.lab", issuer=above, days=(-60, 12)), above),
        pem(directory, "old.crt", make("old.lab", days=(-500, -30))),
        pem(directory, "early.crt", make("early.lab", days=(20, 400))),
    ]
    real = checked(directory, f"certificates = {json.dumps(list(map(str, files)))}\n", "--offline")
    found = {result.id: result for result in real.results}
    egress = paths.facts(*ways(directory), other_proxies=())
    egress = structs.replace(
        egress,
        download=probed.Download(host="conda.lab", connections=4, length=90 << 20, seconds=3.1),
    )
    asked = paths.asked_for(*(paths.endpoint(one.host, one.port) for one in egress.paths))
    for check, facts in (
        (EgressHosts(asked), egress),
        (GpuDevices(context()), _GPUS),
        (StorageCapacity(context(storage={"app": "/data/app", "user": "/data/user"})), _STORAGE),
    ):
        findings = tuple(check.judge(facts, check.context.requirements))
        found[check.id] = structs.replace(
            found[check.id],
            title=check.title(),
            findings=findings,
            status=worst(one.status for one in findings),
            observation=msgspec.json.decode(msgspec.json.encode(facts)),
            duration_seconds=1.25,
        )
    found["ports.peers"] = structs.replace(found["ports.peers"], tables=(_TABLE,))
    return _summed(real, tuple(found.values()))


def _summed(report: Report, results: tuple[Result, ...]) -> Report:
    statuses = [finding.status for result in results for finding in result.findings]
    return structs.replace(
        report,
        results=results,
        status=worst(statuses),
        summary={status: statuses.count(status) for status in Status},
    )


def ways(directory: Path) -> list[probed.Path]:
    """Three that were gone, and others as they are measured elsewhere."""
    authority = make("Lab Root", ca=True)
    file = pem(directory, "ca.pem", authority)
    own = make("localhost", issuer=authority, names=("localhost", "127.0.0.1"))
    around = path.Surroundings({}, (), str(file))

    def go(port: int) -> probed.Path:
        return asyncio.run(path.probe(path.Target(host="localhost", port=port), around, timeout=5))

    with Peer(https(server_context(directory, own))) as good, Peer(reset) as cut:
        gone = [go(good.port), go(cut.port), go(free_port())]
    slow = {"resolve": 0.031, "connect": 0.022, "tls": 0.061, "request": 0.148, "transfer": 0.044}
    proxy = {"resolve": 0.002, "connect": 0.001, "proxy": 0.093, "tls": 0.05, "request": 0.07}
    made = [
        paths.reached("conda.lab", paths.hop("conda.lab", 302), paths.hop("cdn.lab")),
        paths.reached("packages.lab"),
        paths.untrusted("intercepted.lab", 20),
        paths.unresolved("nowhere.lab", "nxdomain"),
        paths.unconnected("blocked.lab"),
        paths.proxied("far.lab", "proxy-auth", 407, ("Basic",)),
    ]
    seconds = [
        slow,
        {phase: 0.4 * spent for phase, spent in slow.items()},
        {"resolve": 0.012, "connect": 0.034, "tls": 0.055},
        {"resolve": 6.0},
        {"resolve": 0.01, "connect": 5.0},
        {"resolve": 0.002, "connect": 0.001, "proxy": 0.02},
    ]
    through = structs.replace(
        paths.reached("github.lab"),
        seconds=proxy,
        route=probed.Route(
            variable="https_proxy", proxy=probed.Proxy(scheme="http", host="proxy.lab", port=3128)
        ),
    )
    timed = [structs.replace(one, seconds=of) for one, of in zip(made, seconds, strict=True)]
    return [*gone, *timed, through]


def _place(at: str, device: str, size: float, used: float, kind: str = "ext4") -> Place:
    room = Room(
        size=int(size), used=int(used), available=int(size * 0.95 - used),
        inodes=int(size / 16384), inodes_free=int(size / 16384 * (1 - used / size)),
    )  # fmt: skip
    mount = Mount(mount_id=1, device=device, root="/", target=at, options=("rw",), type=kind,
                  source="/dev/sda1", super_options=())  # fmt: skip
    return Place(path=at, existing=at, exists=True, mount=mount, device=device, room=room)


_DATA = _place("/data", "8:1", 600e9, 90e9, "xfs")
_STORAGE = StorageFacts(
    places={
        "APP": structs.replace(_DATA, path="/data/app"),
        "USER": structs.replace(_DATA, path="/data/user"),
    },
    candidates=(_place("/", "8:2", 250e9, 71e9),),
)
_GPUS = GpuFacts(
    devices=tuple(
        PciDevice(slot=f"0000:0{n}:00.0", vendor=0x10DE, device=0x2330, device_class=0x030200,
                  driver="nvidia") for n in (1, 2)
    ),
    loaded_driver="580.95.05",
    nvml=Nvml(
        driver="580.95.05",
        gpus=(
            Gpu(index=0, name="NVIDIA H100 80GB HBM3", memory=85_520_809_984, capability=9.0,
                temperature=41, slot="0000:01:00.0"),
            Gpu(index=1, problem="gpu-is-lost"),
        ),
    ),
)  # fmt: skip
_TABLE = Table(
    "Which node reaches which other, on each port",
    ("from", "studio-1:1883", "studio-1:9001", "studio-2:1883", "studio-2:9001"),
    (
        ("studio-1", "-", "-", "open", "refused"),
        ("studio-2", "open", "open", "-", "-"),
    ),
)
