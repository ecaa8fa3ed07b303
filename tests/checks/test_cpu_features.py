"""cpu.features, on the real processor and on /proc/cpuinfo that is made after real ones."""

import platform

import pytest
from msgspec import structs

from biostudio_doctor.checks.cpu_features import LEVELS, CpuFeatures, CpuFeaturesFacts
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from tests.conftest import MakeHost, Tree, context, judge

V1, V2, V3, V4 = LEVELS.values()
IVY_BRIDGE = (*V1, *V2, "avx", "f16c", "xsave")  # has AVX, but no AVX2
MODERN = CpuFeaturesFacts(
    architecture="x86_64",
    model="AMD EPYC",
    flags=" ".join((*V1, *V2, *V3, *V4, "hypervisor")),
    hypervisor="KVM",
)


def found(**changes: str) -> dict[str, Finding]:
    return judge(CpuFeatures(context()), structs.replace(MODERN, **changes))


def cpuinfo(*flags: str) -> str:
    processor = "processor\t: {}\nmodel name\t: Common KVM processor\nflags\t\t: {}\n\n"
    return "".join(processor.format(number, " ".join(flags)) for number in range(400))


@pytest.mark.parametrize(
    ("flags", "level", "status"),
    [
        ((*V1, *V2, *V3, *V4), "x86-64-v4", Status.PASS),
        ((*V1, *V2, *V3, "avx512f"), "x86-64-v3", Status.PASS),
        (IVY_BRIDGE, "x86-64-v2", Status.WARN),
        ((*V1, *V2), "x86-64-v2", Status.WARN),
        ((*V1, "pni", "cx16"), "x86-64-v1", Status.WARN),  # kvm64
        (V1[:-1], "", Status.WARN),
        ((*V1, *V2[1:], *V3, *V4), "x86-64-v1", Status.WARN),  # a masked flag of a low level
    ],
)
def test_the_levels(flags: tuple[str, ...], level: str, status: Status) -> None:
    finding = found(flags=" ".join(flags))["instruction set"]
    assert (finding.observed, finding.status) == (level, status)
    assert (finding.remedy is not None) == (status is Status.WARN)


def test_what_lacks_is_named() -> None:
    summary = found(flags=" ".join(IVY_BRIDGE))["instruction set"].summary
    assert "no more than x86-64-v2" in summary and "lacks AVX2, BMI1, BMI2, FMA, ABM" in summary
    assert "F16C" not in summary


@pytest.mark.parametrize(
    ("hypervisor", "said"),
    [("KVM", "host-passthrough"), ("VMware", "EVC"), ("Hyper-V", "Migrate"), ("", "instance type")],
)
def test_a_virtual_machine_is_told_how_to_show_the_real_processor(
    hypervisor: str, said: str
) -> None:
    finding = found(flags=" ".join((*V1, "hypervisor")), hypervisor=hypervisor)["instruction set"]
    assert finding.remedy and said in finding.remedy.text


def test_a_physical_machine_is_not_told_of_hypervisors() -> None:
    findings = found(flags=" ".join(V1), hypervisor="")
    remedy = findings["instruction set"].remedy
    assert remedy and "virtual" not in remedy.text
    assert "physical" in findings["virtualisation"].summary


def test_another_architecture_has_no_levels() -> None:
    findings = found(architecture="aarch64", flags="")
    assert {finding.status for finding in findings.values()} == {Status.SKIP}
    assert "no images of BioStudio are known" in findings["instruction set"].summary


def test_flags_that_are_hidden_are_an_error() -> None:
    findings = found(flags="")
    assert findings["instruction set"].status is Status.ERROR
    assert findings["virtualisation"].status is Status.SKIP


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        ({"/sys/class/dmi/id/sys_vendor": "QEMU\n"}, "KVM"),
        ({"/sys/class/dmi/id/product_name": "VMware7,1\n"}, "VMware"),
        (
            {
                "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
                "/sys/class/dmi/id/product_name": "Virtual Machine\n",
            },
            "Hyper-V",
        ),
        ({"/sys/class/dmi/id/sys_vendor": "Amazon EC2\n"}, "Amazon EC2"),
        ({"/sys/hypervisor/type": "xen\n"}, "Xen"),
        (
            {
                "/sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc "
                "kvm-clock \n"
            },
            "KVM",
        ),
        ({}, "of an unknown hypervisor"),
    ],
)
def test_the_hypervisor(make_host: MakeHost, tree: Tree, name: str) -> None:
    host = make_host({"/proc/cpuinfo": cpuinfo(*V1, "hypervisor"), **tree})
    check = CpuFeatures(context())
    finding = judge(check, check.observe(host))["virtualisation"]
    assert f"virtual machine ({name})" in finding.summary


def test_this_machine() -> None:
    check = CpuFeatures(context())
    facts = check.observe(Host())
    if platform.machine() != "x86_64":
        pytest.skip("needs an x86_64 processor")
    assert facts.architecture == "x86_64"
    assert facts.flags in Host().read("/proc/cpuinfo")
    assert f"({facts.model})" in judge(check, facts)["instruction set"].summary
