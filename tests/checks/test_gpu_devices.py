"""gpu.devices: PCI trees that are made, a stand-in for NVIDIA's library, and facts.

No GPU can be had where these tests run. The library below is therefore compiled from
tests/lab/nvml_stub.c, and the real pynvml asks it in a process of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor.checks.gpu_devices import GpuDevices
from biostudio_doctor.host.gpus import GpuFacts, Toolkit
from biostudio_doctor.host.nvml import Gpu, Nvml
from biostudio_doctor.host.pci import PciDevice, parse_number
from biostudio_doctor.model import Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ENABLED = b"\x06\x00\x00\x00\x01"  # the EFI variable SecureBoot, after a machine that has it on


def device(
    slot: str, vendor: str, number: str, device_class: str, driver: str = ""
) -> dict[str, str | bytes | None]:
    """A device of sysfs, as the kernel lays it out."""
    place = f"/sys/devices/pci0000:00/{slot}"
    tree: dict[str, str | bytes | None] = {
        f"/sys/bus/pci/devices/{slot}": f"-> ../../../devices/pci0000:00/{slot}",
        f"{place}/vendor": f"0x{vendor}\n",
        f"{place}/device": f"0x{number}\n",
        f"{place}/class": f"0x{device_class}\n",
    }
    if driver:
        tree[f"{place}/driver"] = f"-> ../../../bus/pci/drivers/{driver}"
    return tree


def a100(slot: str = "0000:3b:00.0", driver: str = "nvidia") -> dict[str, str | bytes | None]:
    return device(slot, "10de", "20f1", "030200", driver)


def found(make_host: MakeHost, tree: Tree, machine: Machine = DEBIAN) -> dict[str, Finding]:
    check = GpuDevices(context(machine))
    return judge(check, check.observe(make_host(tree)))


# --- What the bus says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({}, "No GPU was found"),
        (device("0000:00:02.0", "1a03", "2000", "030000", "ast"), "No GPU was found"),
        (device("0000:00:02.0", "8086", "3e98", "030000", "i915"), "graphics of Intel"),
        (device("0000:c1:00.0", "1002", "74a1", "120000", "amdgpu"), "graphics of AMD"),
        (device("0000:01:00.1", "10de", "228b", "040300", "snd_hda_intel"), "No GPU was found"),
        ({"/sys/bus/pci/devices/0000:01:00.0/vendor": "nonsense"}, "No GPU was found"),
    ],
    ids=["none", "management processor", "Intel", "AMD", "sound of a GPU", "broken"],
)
def test_no_gpu_of_nvidia_is_one_skip(make_host: MakeHost, tree: Tree, said: str) -> None:
    findings = found(make_host, tree)
    assert list(findings) == ["GPU"] and findings["GPU"].status is Status.SKIP
    assert said in findings["GPU"].summary and "not need" in findings["GPU"].summary


MODULES = "/lib/modules/{}/modules.dep"
INSTALLED = "updates/dkms/nvidia.ko.xz:\nupdates/dkms/nvidia-drm.ko.xz: updates/dkms/nvidia.ko.xz\n"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (a100(driver="nouveau"), "nouveau has it"),
        (a100(driver=""), "no driver is bound"),
        (
            {**a100(driver=""), MODULES.format(DEBIAN.kernel): INSTALLED},
            "is installed, but not loaded",
        ),
        (
            {
                **a100(driver=""),
                MODULES.format(DEBIAN.kernel): "kernel/drivers/gpu/drm/nouveau/nouveau.ko.xz:\n",
                MODULES.format("6.1.0-25-amd64"): "updates/dkms/nvidia-current.ko:\n",
            },
            "for the kernel 6.1.0-25-amd64, but not for the running 6.1.0-28-amd64",
        ),
        (
            {**a100(driver="nouveau"), MODULES.format(DEBIAN.kernel): INSTALLED},
            "but nouveau has the device",
        ),
        ({**a100(driver=""), "/sys/module/nvidia/version": "535.129.03\n"}, "does not drive it"),
    ],
)
def test_a_gpu_without_its_driver(make_host: MakeHost, tree: Tree, said: str) -> None:
    findings = found(make_host, tree)
    finding = findings["GPU at 0000:3b:00.0"]
    assert finding.status is Status.WARN and said in finding.summary and len(findings) == 1
    assert finding.remedy and finding.requirement and finding.requirement.id == "gpu"
    assert "Secure Boot" not in finding.remedy.text


def test_secure_boot_is_named_as_a_reason(make_host: MakeHost) -> None:
    variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    tree = {**a100(driver=""), variable: ENABLED, MODULES.format(DEBIAN.kernel): INSTALLED}
    remedy = found(make_host, tree)["GPU at 0000:3b:00.0"].remedy
    assert remedy and "Secure Boot" in remedy.text and remedy.commands[0] == "modprobe nvidia"


def test_a_gpu_of_a_virtual_machine_is_not_ours(make_host: MakeHost) -> None:
    findings = found(make_host, a100(driver="vfio-pci"))
    assert [finding.status for finding in findings.values()] == [Status.SKIP]


def test_another_machines_driver_is_not_asked(make_host: MakeHost) -> None:
    tree = {
        **a100(),
        "/sys/module/nvidia/version": "470.82.01\n",
        "/proc/sys/kernel/random/boot_id": "00000000-0000-4000-8000-000000000000\n",
    }
    findings = found(make_host, tree)
    assert findings["driver"].status is Status.PASS
    assert "cannot be asked from here" in findings["driver"].summary and "GPU 0" not in findings


def test_nvswitches_need_the_fabric_manager(make_host: MakeHost) -> None:
    tree = {
        **a100(),
        **device("0000:86:00.0", "10de", "1af1", "068000", "nvidia-nvswitch"),
        "/sys/module/nvidia/version": "535.129.03\n",
    }
    without = found(make_host, tree)["fabric manager"]
    assert without.status is Status.WARN and without.remedy
    running = found(make_host, {"/proc/4711/comm": "nv-fabricmanage\n"})["fabric manager"]
    assert running.status is Status.PASS


@given(st.text())
def test_any_text_is_a_number_of_sysfs_or_none(text: str) -> None:
    number = parse_number(text)
    assert number is None or number < 1 << 32


def test_numbers_of_sysfs() -> None:
    assert parse_number("0x10de\n") == 0x10DE and parse_number("10de") is None


# --- What NVIDIA's library says --------------------------------------------------------------

Ask = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("gcc"):
        pytest.skip("needs gcc to build the stand-in for NVIDIA's library")
    directory = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).parents[1] / "lab/nvml_stub.c"
    name = "libnvidia-ml.so.1"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", directory / name, source],
        check=True,
    )
    return directory


@pytest.fixture
def ask(library: Path, make_host: MakeHost) -> Ask:
    """Run the check in a process that finds the library, on a root of this very boot."""

    machine: Tree = {
        "/etc": None,
        **a100(),
        "/proc/sys/kernel/random/boot_id": BOOT_ID.read_text(),
        "/sys/module/nvidia/version": "535.129.03\n",
        "/usr/bin/nvidia-container-runtime": "",
    }
    root = make_host(machine).root
    command = [sys.executable, "-m", "biostudio_doctor", "check", "gpu.devices"]

    def run(*arguments: str, tree: Tree | None = None, **stub: object) -> dict[str, dict[str, Any]]:
        make_host(tree or {})
        done = subprocess.run(
            [*command, "--output", "json", "--host-root", root, *arguments],
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(library),
                **{f"STUB_{name.upper()}": str(value) for name, value in stub.items()},
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        (result,) = json.loads(done.stdout)["results"]
        return {finding["subject"]: finding for finding in result["findings"]}

    return run


def test_gpus_that_are_well(ask: Ask) -> None:
    second = a100("0000:3c:00.0")
    findings = ask(tree=second, count=2, ecc=0, temperature=41, persistence=1)
    assert {finding["status"] for finding in findings.values()} == {"pass"}
    assert findings["driver"]["observed"] == "535.129.03"
    assert findings["GPU 1"]["summary"] == ("GPU 1 is NVIDIA A100-PCIE-40GB with 42.9 GB (40 GiB).")
    assert findings["GPU 0 health"]["summary"] == "GPU 0 is well: no memory errors and 41 °C."
    assert set(findings) == {
        "driver", "GPU 0", "GPU 1", "GPU 0 health", "GPU 1 health", "persistence mode",
        "container toolkit",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stub", "subject", "said"),
    [
        ({"driver": "515.48.07"}, "", ""),
        ({"driver": "495.29.05"}, "driver", "too old"),
        ({"driver": "450.80.02", "brand": 5}, "driver", "too old"),
        ({"driver": "450.80.02", "brand": 2}, "", ""),
        ({"driver": "450.80.02", "brand": 14}, "", ""),
        ({"ecc": 3}, "GPU 0 health", "3 memory errors that could not be corrected"),
        ({"pending": 1}, "GPU 0 health", "waits for a reset"),
        ({"retiring": 1}, "GPU 0 health", "waits for a reset"),
        ({"failed": 1}, "GPU 0 health", "run out of spare memory rows"),
        ({"slowed": 0x40, "temperature": 96}, "GPU 0 health", "slowed down by heat"),
        ({"slowed": 0x4}, "", ""),  # by its power limit, as in any full load
        ({"persistence": 0}, "persistence mode", "GPU 0 is unused"),
        ({"mig": 1}, "GPU 0", "without any part made"),
        ({"mig": 1, "instances": 2}, "", ""),
        ({"count": 2, "lost": 1}, "GPU 1", "gpu is lost"),
        ({"count": 0}, "GPU at 0000:3b:00.0", "does not list it"),
        ({"init": 18}, "driver", "until a reboot"),
        ({"init": 9}, "driver", "not lent to this container"),
        ({"init": 999}, "driver", "restart the container"),
        ({"init": 17}, "driver", "operating system has blocked"),
    ],
)
def test_what_nvidias_library_says(
    ask: Ask, stub: dict[str, object], subject: str, said: str
) -> None:
    findings = ask(**stub)
    bad = {name: one for name, one in findings.items() if one["status"] not in ("pass", "skip")}
    assert set(bad) == ({subject} if subject else set()), bad
    if subject:
        summary = bad[subject]["summary"]
        remedy = bad[subject]["remedy"]
        assert said in summary or said in remedy["text"]


def test_a_driver_that_hangs_costs_its_timeout_only(ask: Ask) -> None:
    (finding,) = ask("--timeout", "1", hang=1).values()
    assert finding["status"] == "error" and "NVML" in finding["summary"]


@pytest.mark.parametrize(
    ("stub", "says"),
    [
        ({}, ""),
        ({"memory": 15_843_721_216, "capability": "7.5", "name": "Tesla T4"}, ""),
        ({"memory": 11_554_717_696, "name": "NVIDIA GeForce RTX 2080 Ti"}, "16 GB"),
        ({"memory": 34_089_730_048, "capability": "7.0", "name": "Tesla V100"}, "Turing"),
    ],
)
def test_the_vendors_later_demands(ask: Ask, stub: dict[str, object], says: str) -> None:
    later = ask("--profile", "vendor-installer", **stub)["GPU 0"]
    assert later["status"] == ("warn" if says else "pass")
    assert says in later["requirement"]["says"]
    assert ask(**stub)["GPU 0"]["status"] == "pass"  # the published document demands neither


# --- By facts --------------------------------------------------------------------------------

PRESENT = PciDevice(
    slot="0000:3b:00.0", vendor=0x10DE, device=0x20F1, device_class=0x030200, driver="nvidia"
)
WELL = GpuFacts(
    devices=(PRESENT,),
    loaded_driver="535.129.03",
    nvml=Nvml(driver="535.129.03", gpus=(Gpu(index=0, slot="00000000:3B:00.0"),)),
    toolkit=Toolkit(program="/usr/bin/nvidia-ctk"),
)


def judged(facts: GpuFacts, machine: Machine = DEBIAN, **config: Any) -> dict[str, Finding]:
    return judge(GpuDevices(context(machine, **config)), facts)


def test_a_real_h200() -> None:
    """What was observed on a machine with one H200 and driver 580.159.04, without the toolkit."""
    gpu = Gpu(
        index=0, name="NVIDIA H200", slot="00000000:00:06.0", memory=150754820096, capability=9.0,
        data_center=True, uncorrected_errors=0, persistence=True, temperature=31,
    )  # fmt: skip
    place = PciDevice(
        slot="0000:00:06.0", vendor=0x10DE, device=0x2335, device_class=0x030200, driver="nvidia"
    )
    facts = GpuFacts(
        devices=(place,),
        loaded_driver="580.159.04",
        nvml=Nvml(driver="580.159.04", gpus=(gpu,)),
        toolkit=Toolkit(),
    )
    findings = judged(facts)
    assert [one.status for one in findings.values()] == [Status.PASS] * 4 + [Status.WARN]
    assert "NVIDIA H200 with 150.8 GB (140.4 GiB)" in findings["GPU 0"].summary
    assert "Container Toolkit is not installed" in list(findings.values())[-1].summary


def test_problems_of_the_host_itself() -> None:
    """What a container hides behind `not lent` has its own cause outside one."""
    said = {
        "library-not-found": (Status.WARN, "libnvidia-ml.so.1"),
        "driver-not-loaded": (Status.WARN, "does not answer its library"),
        "no-permission": (Status.ERROR, "by this user"),
        "unknown-error": (Status.WARN, "unknown error"),
    }
    for problem, (status, words) in said.items():
        finding = judged(structs.replace(WELL, nvml=Nvml(problem=problem)))["driver"]
        assert finding.status is status and words in finding.summary and finding.remedy


@pytest.mark.parametrize("systemd", [True, False])
def test_persistence_is_switched_on_by_what_the_host_has(systemd: bool) -> None:
    gpu = Gpu(index=0, slot="00000000:3B:00.0", persistence=False)
    asleep = structs.replace(WELL, nvml=Nvml(driver="535.129.03", gpus=(gpu,)))
    machine = structs.replace(DEBIAN, systemd=systemd)
    remedy = judged(asleep, machine)["persistence mode"].remedy
    assert remedy and remedy.commands[0] == "nvidia-smi -pm 1"
    lasting = ("systemctl enable --now nvidia-persistenced",) if systemd else ()
    assert remedy.commands[1:] == lasting
    assert "nvidia-persistenced" in remedy.text


def test_a_windows_host_lends_its_gpu() -> None:
    wsl = structs.replace(WELL, devices=(), wsl=True)
    assert judged(wsl)["driver"].status is Status.PASS
    without = structs.replace(wsl, nvml=Nvml(problem="library-not-found"))
    assert judged(without)["GPU"].status is Status.SKIP


@pytest.mark.parametrize(
    ("toolkit", "platform", "status"),
    [
        (Toolkit(), "docker", Status.WARN),
        (Toolkit(), "kubernetes", Status.WARN),
        (Toolkit(program="/usr/bin/nvidia-ctk"), "docker", Status.PASS),
        (Toolkit(program="/usr/bin/nvidia-ctk"), "kubernetes", Status.WARN),
        (Toolkit(program="/usr/bin/nvidia-ctk", containerd=True), "kubernetes", Status.PASS),
        (Toolkit(program="/x", cdi=("/etc/cdi/nvidia.yaml",)), "kubernetes", Status.PASS),
    ],
)
def test_who_knows_the_toolkit(toolkit: Toolkit, platform: str, status: Status) -> None:
    finding = judged(structs.replace(WELL, toolkit=toolkit), platform=platform)["container toolkit"]
    assert finding.status is status
    engine = "docker" if platform == "docker" else "containerd"
    if status is Status.WARN:
        assert finding.remedy and finding.remedy.commands[-1] == f"systemctl restart {engine}"


def test_the_toolkit_is_not_looked_for_inside_a_container() -> None:
    inside = structs.replace(DEBIAN, container="docker")
    finding = judged(structs.replace(WELL, toolkit=Toolkit()), inside)["container toolkit"]
    assert finding.status is Status.SKIP


@pytest.mark.parametrize(
    "tree",
    [
        {"/usr/bin/nvidia-ctk": "", "/etc/docker/daemon.json": '{"runtimes": {"nvidia": {}}}'},
        {"/usr/local/nvidia/toolkit/nvidia-container-runtime": "", "/etc/docker/daemon.json": "{"},
    ],
)
def test_the_toolkit_is_found_where_it_is_installed(make_host: MakeHost, tree: Tree) -> None:
    driver: Tree = {"/sys/module/nvidia/version": "535.129.03"}
    finding = found(make_host, {**a100(), **driver, **tree})["container toolkit"]
    assert finding.status is Status.PASS
    assert ("docker knows it" in finding.summary) == ("runtimes" in str(tree))
