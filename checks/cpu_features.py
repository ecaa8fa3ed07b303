"""cpu.features"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.cpus import first_processor
from biostudio_doctor.host.hypervisor import hypervisor
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements

#: What each microarchitecture level adds (x86-64 psABI, section "Micro-Architecture Levels"), by
#: the names of /proc/cpuinfo: pni is SSE3, cx16 CMPXCHG16B, abm LZCNT, lm the 64-bit mode.
LEVELS = {
    "x86-64-v1": ("lm", "cmov", "cx8", "fpu", "fxsr", "mmx", "syscall", "sse", "sse2"),
    "x86-64-v2": ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"),
    "x86-64-v3": ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"),
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
#: The level of AVX2. The document demands none, so less is a warning.
ADVISED = "x86-64-v3"

_MEND_VM = {
    "KVM": "Give the virtual machine the processor model of its host (Proxmox VE: processor type "
    "'host'; libvirt: <cpu mode='host-passthrough'/>)",
    "VMware": "Raise the EVC mode of the cluster, or of the virtual machine, to Intel 'Haswell' or "
    "AMD 'Zen' or later, and the virtual machine's hardware version to 11 or later",
    "Hyper-V": "Clear 'Migrate to a physical computer with a different processor version' in the "
    "virtual machine's processor settings",
}


class CpuFeaturesFacts(Struct, frozen=True, kw_only=True):
    """What the processor is, as the kernel shows it."""

    architecture: str
    model: str  # '' where /proc/cpuinfo does not name it
    flags: str  # as /proc/cpuinfo lists them; '' where it lists none
    hypervisor: str  # its name, '' where none shows itself


class CpuFeatures(Check[CpuFeaturesFacts]):
    """Processor: instruction set and virtualisation.

    Looks at the x86-64 microarchitecture level (v1 to v4) that the flags in /proc/cpuinfo add up
    to, and at the hypervisor, if there is one. Whether the architecture is the right one at all,
    `os.kernel` says.

    Why: no generation of processors is demanded, but many scientific packages are built for AVX or
    AVX2 (TensorFlow since 1.6, for one); without these they are slow, or stop with "Illegal
    instruction". A virtual machine with a generic processor model lacks them even where the real
    processor has them.

    Mend: give the virtual machine the processor model of its host, or choose a newer machine.
    """

    id = "cpu.features"
    interval = timedelta(hours=24)
    requirement_ids = ("cpu.instructions",)

    def observe(self, host: Host) -> CpuFeaturesFacts:
        processor = first_processor(host)
        return CpuFeaturesFacts(
            architecture=host.machine.architecture,
            model=processor.get("model name", ""),
            flags=processor.get("flags", ""),
            hypervisor=hypervisor(host),
        )

    def judge(self, facts: CpuFeaturesFacts, requirements: Requirements) -> Iterator[Finding]:
        yield _instructions(facts, requirements)
        yield _virtualisation(facts)


def _instructions(facts: CpuFeaturesFacts, requirements: Requirements) -> Finding:
    subject = "instruction set"
    if facts.architecture != "x86_64":
        summary = (
            f"This is no x86_64 processor but {facts.architecture or 'an unknown one'}, for which "
            "no images of BioStudio are known; os.kernel says what that means."
        )
        return Finding(Status.SKIP, subject, summary, observed=facts.architecture)
    if not facts.flags:
        return Finding(
            Status.ERROR,
            subject,
            "Which instructions the processor has could not be read: /proc/cpuinfo lists no flags.",
            remedy=Remedy(
                "Ask the processor itself; /proc may be replaced in this container.",
                ("lscpu",),
                as_root=False,
            ),
        )
    level, lacking = _level(facts.flags)
    enough = level >= ADVISED
    return Finding(
        Status.PASS if enough else Status.WARN,
        subject,
        _said(facts.model, level, lacking, enough),
        observed=level,
        expected=f"{ADVISED} advised, none demanded",
        remedy=None if enough else _remedy(facts),
        requirement=requirements.get("cpu.instructions"),
    )


def _level(flags: str) -> tuple[str, list[str]]:
    """The highest level that is whole, '' for none, and what the advised one needs besides."""
    present = set(flags.split())
    reached, lacking = "", []
    whole = True
    for level, needed in LEVELS.items():
        absent = [flag for flag in needed if flag not in present]
        whole = whole and not absent
        reached = level if whole else reached
        lacking += absent if level <= ADVISED else []
    return reached, lacking


def _said(model: str, level: str, lacking: list[str], enough: bool) -> str:
    processor = f"The processor ({model})" if model else "The processor"
    if enough:
        beyond = "AVX, AVX2 and AVX-512" if level > ADVISED else "AVX and AVX2, not all of AVX-512"
        return f"{processor} has the instructions of {level}, with {beyond}."
    has = f"no more than {level}" if level else "less than x86-64-v1"
    names = text.listing(flag.upper() for flag in lacking)
    return (
        f"{processor} shows the instructions of {has} and lacks {names}; packages that are built "
        'for them stop with "Illegal instruction".'
    )


def _remedy(facts: CpuFeaturesFacts) -> Remedy:
    if "hypervisor" in facts.flags.split():
        mend = _MEND_VM.get(
            facts.hypervisor,
            "Give the virtual machine the processor model of its host, or choose an instance type "
            "with newer processors",
        )
        return Remedy(
            f"{mend}, and stop and start it. The real processor may well have them: Intel since "
            "2013, AMD since 2015. BioStudio itself can be installed as it is."
        )
    return Remedy(
        "Choose a newer machine (Intel since 2013, AMD since 2015) if colleagues need such "
        "packages; BioStudio itself can be installed as it is."
    )


def _virtualisation(facts: CpuFeaturesFacts) -> Finding:
    subject = "virtualisation"
    if not facts.flags or facts.architecture != "x86_64":
        return Finding(Status.SKIP, subject, "The processor does not tell whether it is virtual.")
    if "hypervisor" not in facts.flags.split():
        summary = "No hypervisor shows itself: this seems to be a physical machine."
        return Finding(Status.PASS, subject, summary, observed="none")
    name = facts.hypervisor or "of an unknown hypervisor"
    summary = f"This is a virtual machine ({name}); BioStudio runs on it as on a physical one."
    return Finding(Status.PASS, subject, summary, observed=facts.hypervisor or "unknown")
