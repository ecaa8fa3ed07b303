"""What gpu.devices says of NVIDIA's driver."""

from biostudio_doctor import text, vendors
from biostudio_doctor.host.gpus import GpuFacts
from biostudio_doctor.host.nvml import Gpu
from biostudio_doctor.host.pci import PciDevice
from biostudio_doctor.model import Finding, Machine, Remedy, Requirement, Status
from biostudio_doctor.requirements import Driver
from biostudio_doctor.versions import at_least, numbers

KERNEL_LOG = ("dmesg | grep -E 'NVRM|Xid' | tail -n 20",)


def judge_undriven(
    device: PciDevice, facts: GpuFacts, machine: Machine, wanted: Requirement
) -> Finding:
    """A GPU that NVIDIA's driver is not bound to."""
    subject = f"GPU at {device.slot}"
    if device.driver.startswith("vfio"):
        said = f"The NVIDIA GPU at {device.slot} is passed through to a virtual machine."
        return Finding(Status.SKIP, subject, said, observed=device.driver)
    said, remedy = _why_undriven(device, facts, machine)
    return Finding(
        Status.WARN,
        subject,
        f"The NVIDIA GPU at {device.slot} cannot be used: {said}.",
        observed=device.driver or "no driver",
        expected="NVIDIA's driver",
        remedy=remedy,
        requirement=wanted,
    )


def _why_undriven(device: PciDevice, facts: GpuFacts, machine: Machine) -> tuple[str, Remedy]:
    kernels = facts.module_kernels
    signed = " Secure Boot is on: the module must be signed with an enrolled key."
    hint = signed if facts.secure_boot else ""
    if facts.loaded_driver:
        return "NVIDIA's driver is loaded, but does not drive it", Remedy(
            "The kernel's log says why; the usual reason is a GPU too new or too old for the "
            "driver.",
            KERNEL_LOG,
        )
    if machine.kernel in kernels:
        by = f", but {device.driver} has the device" if device.driver else ", but not loaded"
        load = ("modprobe nvidia", *KERNEL_LOG) if not device.driver else ("reboot",)
        lead = "Reboot, so that it is taken from nouveau." if device.driver else "Load it."
        return f"NVIDIA's driver is installed{by}", Remedy(f"{lead}{hint}", load)
    if kernels:
        return (
            f"NVIDIA's driver is installed for the kernel {text.listing(kernels)}, but not for "
            f"the running {machine.kernel}"
        ), vendors.nvidia_driver(machine, f"Install the driver again for the running kernel.{hint}")
    lead = "Install NVIDIA's driver; its package also keeps nouveau away."
    driver = "the free driver nouveau has it, which knows no CUDA"
    if device.driver != "nouveau":
        driver = f"{device.driver or 'no driver'} is bound to it"
        lead = "Install NVIDIA's driver."
    return driver, vendors.nvidia_driver(machine, f"{lead}{hint}")


def judge_driver(facts: GpuFacts, machine: Machine, wanted: Driver) -> Finding:
    """Does the driver answer, and is it new enough for BioStudio's image?"""
    problem = facts.nvml.problem if facts.nvml else ""
    if problem:
        return _unanswered(problem, facts, machine, wanted)
    version = (facts.nvml.driver if facts.nvml else "") or facts.loaded_driver
    gpus = facts.nvml.gpus if facts.nvml else ()
    good = _new_enough(version, gpus, wanted)
    if good is None:
        said = "Which version NVIDIA's driver has could not be seen."
        remedy = Remedy("See what the driver says.", ("nvidia-smi",), as_root=False)
        return Finding(Status.ERROR, "driver", said, remedy=remedy, requirement=wanted)
    if good:
        said = f"NVIDIA's driver {version} is loaded, and new enough for BioStudio's image."
        said += "" if facts.nvml else " The GPUs themselves cannot be asked from here."
        return Finding(Status.PASS, "driver", said, observed=version, requirement=wanted)
    return Finding(
        Status.WARN,
        "driver",
        f"NVIDIA's driver {version} is too old for BioStudio's image: {wanted.value} or later "
        "is needed for its CUDA, or containers with a GPU do not start.",
        observed=version,
        expected=f"{wanted.value} or later",
        remedy=vendors.nvidia_driver(machine, "Install a newer driver."),
        requirement=wanted,
    )


def _unanswered(problem: str, facts: GpuFacts, machine: Machine, wanted: Requirement) -> Finding:
    """What NVML says instead of an answer; some of it is only true of the container we are in."""
    driver = f"NVIDIA's driver {facts.loaded_driver}".strip()
    inside = bool(machine.container) or machine.host_root != "/"
    cause = (_cause_inside(problem, driver) if inside else None) or _cause(problem, driver, machine)
    status, said, remedy = cause
    return Finding(status, "driver", said, observed=problem, remedy=remedy, requirement=wanted)


def _cause_inside(problem: str, driver: str) -> tuple[Status, str, Remedy] | None:
    if problem == "unknown-error":
        return (
            Status.WARN,
            f"{driver} has stopped answering in this container (unknown error).",
            Remedy(
                "`systemctl daemon-reload` on the host takes GPUs from running containers: restart "
                "the container."
            ),
        )
    if problem in ("library-not-found", "driver-not-loaded", "no-permission"):
        return (
            Status.ERROR,
            f"{driver} could not be asked: it is not lent to this container.",
            Remedy(
                "Run biostudio-doctor on the host itself, or start the container with --gpus all."
            ),
        )
    return None


def _cause(problem: str, driver: str, machine: Machine) -> tuple[Status, str, Remedy]:
    if problem == "version-mismatch":
        return (
            Status.WARN,
            f"{driver} is still running, but a newer one is installed: until a reboot no program "
            "can use a GPU.",
            Remedy("Reboot, which loads the new driver.", ("reboot",)),
        )
    if problem == "library-not-found":
        lead = "Install the libraries of the same version, with nvidia-smi."
        return (
            Status.WARN,
            f"{driver} is loaded, but its library libnvidia-ml.so.1, which containers need too, is "
            "missing.",
            vendors.nvidia_driver(machine, lead),
        )
    if problem == "driver-not-loaded":
        remedy = Remedy("Make its device files.", ("nvidia-modprobe -u -c=0", *KERNEL_LOG))
        return Status.WARN, f"{driver} does not answer its library.", remedy
    if problem == "no-permission":
        remedy = Remedy("Run biostudio-doctor as root, or let this user open /dev/nvidia*.")
        return Status.ERROR, f"{driver} may not be asked by this user.", remedy
    said = f"{driver} does not work: {problem.replace('-', ' ')}."
    return Status.WARN, said, Remedy("The kernel's log says why.", KERNEL_LOG)


def _new_enough(version: str, gpus: tuple[Gpu, ...], wanted: Driver) -> bool | None:
    """The image takes a minimum, and some older branches, one of them with certain GPUs only."""
    enough = at_least(version, wanted.value)
    if enough is not False:
        return enough
    branch = numbers(version)[0]
    data_center = bool(gpus) and all(gpu.data_center for gpu in gpus)
    return branch in wanted.branches or (data_center and branch in wanted.data_center_branches)
