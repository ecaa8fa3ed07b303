"""gpu.devices"""

from collections.abc import Iterator
from datetime import timedelta

from biostudio_doctor import distribution, text, vendors
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.gpus import OTHER_MAKERS, GpuFacts, look
from biostudio_doctor.host.nvml import Gpu
from biostudio_doctor.model import Finding, Machine, Remedy, Requirement, Status
from biostudio_doctor.requirements import Driver, Feature, Quantity, Requirements

from .gpu_driver import KERNEL_LOG, judge_driver, judge_undriven


class GpuDevices(Check[GpuFacts]):
    """NVIDIA GPUs that containers can use.

    Looks at the PCI devices, at NVIDIA's driver through its management library (NVML), and at the
    NVIDIA Container Toolkit. A host without a GPU is skipped: BioStudio does not need one. What is
    wrong with a GPU is a warning, since BioStudio works without it. Below another root the driver
    is asked only where that root is of the running kernel.

    Why: deep learning takes minutes with a GPU and days without; the usual obstacles are a missing,
    old or half-updated driver, and an engine that cannot hand the GPU to containers.

    Mend: install NVIDIA's driver, reboot, install the NVIDIA Container Toolkit, restart the engine.
    """

    id = "gpu.devices"
    interval = timedelta(minutes=5)
    timeout = timedelta(seconds=20)  # a driver at rest initialises all GPUs first
    requirement_ids = ("gpu", "gpu.driver", "gpu.memory", "gpu.capability")

    def observe(self, host: Host) -> GpuFacts:
        return look(host)

    def judge(self, facts: GpuFacts, requirements: Requirements) -> Iterator[Finding]:
        optional = requirements.demand("gpu", Feature)
        lent = facts.wsl and facts.nvml is not None and bool(facts.nvml.gpus)
        if not facts.nvidia and not lent:
            yield _none(facts, optional)
            return
        for device in facts.nvidia:
            if device.driver != "nvidia":
                yield judge_undriven(device, facts, self.context.machine, optional)
        if not lent and not any(device.driver == "nvidia" for device in facts.nvidia):
            return
        yield judge_driver(facts, self.context.machine, requirements.demand("gpu.driver", Driver))
        gpus = facts.nvml.gpus if facts.nvml else ()
        for gpu in gpus:
            yield from self._gpu(gpu, requirements)
        yield from self._unlisted(facts, optional)
        yield from self._persistence(gpus, optional)
        yield self._toolkit(facts, optional)
        if facts.fabric_manager is not None:
            yield self._fabric_manager(facts.fabric_manager, optional)

    def _gpu(self, gpu: Gpu, requirements: Requirements) -> Iterator[Finding]:
        subject = f"GPU {gpu.index}"
        if gpu.problem:
            yield Finding(
                Status.WARN,
                subject,
                f"{subject} does not work: {gpu.problem.replace('-', ' ')}.",
                observed=gpu.problem,
                remedy=Remedy(
                    "See the kernel's log. A power cycle may bring it back; if it is lost again, "
                    "the card, its power or its slot is at fault.",
                    KERNEL_LOG,
                ),
                requirement=requirements.demand("gpu", Feature),
            )
            return
        yield _suitable(gpu, requirements)
        health = _health(gpu, requirements.demand("gpu", Feature))
        if health:
            yield health

    def _unlisted(self, facts: GpuFacts, wanted: Requirement) -> Iterator[Finding]:
        """GPUs on the bus that the driver does not know any more; a container is lent only some."""
        if facts.nvml is None or facts.nvml.problem or self.context.machine.container:
            return
        listed = {_slot(gpu.slot) for gpu in facts.nvml.gpus}
        if "" in listed:  # one that does not answer does not tell where it is either
            return
        for device in facts.nvidia:
            if device.driver == "nvidia" and _slot(device.slot) not in listed:
                yield Finding(
                    Status.WARN,
                    f"GPU at {device.slot}",
                    f"NVIDIA's driver is bound to the GPU at {device.slot}, but does not list it.",
                    remedy=Remedy(
                        "The kernel's log says why; a GPU that has fallen off the bus needs a "
                        "reboot or a power cycle.",
                        KERNEL_LOG,
                    ),
                    requirement=wanted,
                )

    def _persistence(self, gpus: tuple[Gpu, ...], wanted: Requirement) -> Iterator[Finding]:
        off = [str(gpu.index) for gpu in gpus if gpu.persistence is False]
        on = [str(gpu.index) for gpu in gpus if gpu.persistence]
        if off:
            yield Finding(
                Status.WARN,
                "persistence mode",
                f"The driver goes to sleep when GPU {text.listing(off)} is unused, so that each "
                "first job waits for it to wake up.",
                observed="off",
                expected="on",
                remedy=_stay_awake(self.context.machine),
                requirement=wanted,
            )
        elif on:
            said = "The driver stays awake when the GPUs are unused (persistence mode)."
            yield Finding(Status.PASS, "persistence mode", said, observed="on")

    def _toolkit(self, facts: GpuFacts, wanted: Requirement) -> Finding:
        toolkit, machine = facts.toolkit, self.context.machine
        on_docker = self.context.scope.platform == "docker"
        engine = "docker" if on_docker else "containerd"
        if not toolkit.program and machine.container:
            said = (
                "The NVIDIA Container Toolkit is the host's, and cannot be seen from inside here."
            )
            return Finding(Status.SKIP, "container toolkit", said)
        if not toolkit.program:
            error = ' (docker: could not select device driver "" with capabilities: [[gpu]])'
            return Finding(
                Status.WARN,
                "container toolkit",
                "The NVIDIA Container Toolkit is not installed, so containers get no GPU"
                f"{error if on_docker else ''}.",
                observed="missing",
                remedy=vendors.container_toolkit(machine, engine),
                requirement=wanted,
            )
        said = f"The NVIDIA Container Toolkit is installed ({toolkit.program})"
        if on_docker or toolkit.containerd or toolkit.cdi:
            known = toolkit.docker if on_docker else toolkit.containerd
            said += f", and {engine} knows it" if known else ""
            return Finding(Status.PASS, "container toolkit", f"{said}.", requirement=wanted)
        return Finding(
            Status.WARN,
            "container toolkit",
            f"{said}, but containerd does not know it, so pods get no GPU.",
            observed="not configured",
            remedy=Remedy(
                "Tell containerd of it; its restart does not stop pods.",
                vendors.configure_toolkit(machine, "containerd"),
            ),
            requirement=wanted,
        )

    def _fabric_manager(self, runs: bool, wanted: Requirement) -> Finding:
        subject = "fabric manager"
        if runs:
            said = "NVIDIA's fabric manager runs, as the NVSwitches of this machine need."
            return Finding(Status.PASS, subject, said)
        return Finding(
            Status.WARN,
            subject,
            "NVIDIA's fabric manager does not run; on a machine with NVSwitches no CUDA program "
            "starts without it (error 802, system not yet initialized).",
            observed="not running",
            remedy=Remedy(
                "Install nvidia-fabricmanager in the very version of the driver, and start it.",
                distribution.service(self.context.machine, "enable", "nvidia-fabricmanager"),
            ),
            requirement=wanted,
        )


def _stay_awake(machine: Machine) -> Remedy:
    now = ("nvidia-smi -pm 1",)
    if machine.systemd:
        return Remedy(
            "Switch persistence mode on; where the service nvidia-persistenced is installed, "
            "enable it, so that the mode survives a reboot.",
            (*now, *distribution.service(machine, "enable", "nvidia-persistenced")),
        )
    words = "Switch persistence mode on, and have the system start nvidia-persistenced or run this "
    return Remedy(f"{words}command at every boot: it does not survive one.", now)


def _none(facts: GpuFacts, wanted: Requirement) -> Finding:
    others = [device for device in facts.devices if device.vendor in OTHER_MAKERS]
    said = "No GPU was found; BioStudio does not need one."
    if others:
        makers = {OTHER_MAKERS[device.vendor] for device in others}
        said = (
            f"No NVIDIA GPU was found; graphics of {text.listing(sorted(makers))} are here, which "
            "BioStudio's image cannot use. It does not need a GPU."
        )
    return Finding(Status.SKIP, "GPU", said, observed="none", requirement=wanted)


def _suitable(gpu: Gpu, requirements: Requirements) -> Finding:
    """Can it be used as it is, and are its memory and generation what the profile demands?"""
    subject = f"GPU {gpu.index}"
    memory = f" with {text.both_sizes(gpu.memory)}" if gpu.memory else ""
    said = f"{subject} is {gpu.name or 'an unnamed GPU'}{memory}"
    if gpu.mig and not gpu.mig_instances:
        return Finding(
            Status.WARN,
            subject,
            f"{said}, set to be split (MIG) without any part made, so that no program can use it.",
            observed="MIG without instances",
            remedy=Remedy(
                "Make instances (`nvidia-smi mig -lgip` lists the sizes), or switch MIG off.",
                (f"nvidia-smi -i {gpu.index} -mig 0",),
            ),
            requirement=requirements.demand("gpu", Feature),
        )
    if gpu.mig:
        said += f", split into {text.number(gpu.mig_instances, 'part')} (MIG)"
    for requirement_id, amount in (("gpu.memory", gpu.memory), ("gpu.capability", gpu.capability)):
        wanted = requirements.get(requirement_id)
        if isinstance(wanted, Quantity) and amount is not None and amount < wanted.value:
            what = "memory" if requirement_id == "gpu.memory" else "generation"
            return Finding(
                wanted.shortfall(amount),
                subject,
                f"{said}; its {what} is below what is recommended.",
                observed=f"{amount:g} {wanted.unit}",
                expected=wanted.says,
                remedy=Remedy("BioStudio runs with it; large models do not. Use a larger GPU."),
                requirement=wanted,
            )
    return Finding(
        Status.PASS, subject, f"{said}.", gpu.name, requirement=requirements.demand("gpu", Feature)
    )


def _health(gpu: Gpu, wanted: Requirement) -> Finding | None:
    subject = f"GPU {gpu.index} health"
    ill = _illness(gpu)
    if ill:
        problem, remedy = ill
        said = f"GPU {gpu.index} {problem}."
        return Finding(Status.WARN, subject, said, remedy=remedy, requirement=wanted)
    signs = ["no memory errors"] if gpu.uncorrected_errors == 0 else []
    signs += [f"{gpu.temperature} °C"] if gpu.temperature is not None else []
    if not signs:
        return None
    return Finding(Status.PASS, subject, f"GPU {gpu.index} is well: {text.listing(signs)}.")


def _illness(gpu: Gpu) -> tuple[str, Remedy] | None:
    number = gpu.index
    if gpu.remap_failed:
        return "has run out of spare memory rows for broken ones", Remedy(
            "Replace it: NVIDIA takes such GPUs back (row remapping failure)."
        )
    if gpu.remap_pending:
        return "waits for a reset, to put broken memory out of use", Remedy(
            "Stop what uses it, then reset it, or reboot.", (f"nvidia-smi --gpu-reset -i {number}",)
        )
    if gpu.uncorrected_errors:
        errors = text.number(gpu.uncorrected_errors, "memory error")
        return f"had {errors} that could not be corrected", Remedy(
            "Reboot; if they come again, have the GPU tested (dcgmi diag) and replaced.",
            (f"nvidia-smi -q -d ECC,ROW_REMAPPER -i {number}",),
        )
    if gpu.slowed:
        heat = f" at {gpu.temperature} °C" if gpu.temperature is not None else ""
        return f"is slowed down by heat or lack of power{heat}", Remedy(
            "Look after the fans, the air and the power supply.",
            (f"nvidia-smi -q -d PERFORMANCE,TEMPERATURE -i {number}",),
        )
    return None


def _slot(slot: str) -> str:
    """A PCI address as sysfs has it; NVML's has a longer domain and capitals."""
    domain, colon, rest = slot.lower().partition(":")
    return f"{domain[-4:]}{colon}{rest}"
