"""os.limits

What is said of control groups, swap, SELinux and AppArmor is in the module beside this one,
os_limits_containers.
"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import distribution, text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.confinement import Confinement, confinement
from biostudio_doctor.host.limits import FileLimit, open_files, service_default
from biostudio_doctor.host.machine import SYSTEM_CONTAINERS
from biostudio_doctor.host.memory import meminfo, shared_memory, swap_size
from biostudio_doctor.host.numbers import whole
from biostudio_doctor.host.processes import named
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Quantity, Requirements

from .os_limits_containers import apparmor, cgroups, kubelet_swap, selinux, unseen

#: Whose limits containers inherit; containerd starts those of Docker too.
_ENGINES = ("containerd", "crio", "dockerd")
_SYSCTLS = {
    "limits.nr-open": ("fs.nr_open", "One process may ask for {} open files"),
    "limits.file-max": ("fs.file-max", "All processes together may open {} files"),
    "limits.inotify-watches": ("fs.inotify.max_user_watches", "A user may watch {} files"),
    "limits.inotify-instances": (
        "fs.inotify.max_user_instances",
        "A user may have {} inotify instances",
    ),
    "limits.pid-max": ("kernel.pid_max", "At most {} processes and threads can run"),
}
_NO_LIMIT = 1 << 62
_STORAGE = "/biocolab"  # where the vendor's guide puts the volumes


class LimitsFacts(Struct, frozen=True, kw_only=True):
    """What the system sets limits to. Sizes in bytes."""

    process: FileLimit | None = None
    service: FileLimit | None = None
    service_of: str = ""  # the engine whose limit that is; '' for systemd's default
    sysctls: dict[str, int | None] = {}
    shm: int | None = None  # 0 where nothing is mounted there
    memory: int = 0
    cgroup: str = ""  # v1, v2, hybrid, none; '' where the mounts cannot be read
    swap: int | None = None
    confinement: Confinement = Confinement()
    container: str = ""


class OsLimits(Check[LimitsFacts]):
    """The system's limits leave room for a shared notebook server.

    Looks at the limits of open files, of this process and of services (of the container engine if
    it runs, else systemd's default), at the kernel's limits of files, inotify watches and
    processes, at shared memory, at the version of control groups, at SELinux and AppArmor, and on
    Kubernetes at swap, which the kubelet refuses. A container shares the kernel and its limits with
    the host.

    The published document is silent on all of these: the numbers are this project's own, except
    that of shared memory in the profile vendor-installer.

    Why: at a limit, programs fail with messages that lead astray: "too many open files" and "no
    space left on device" where disks are empty, "cannot allocate memory" where memory is free.

    Mend: raise the limit by the commands given. They hold after a reboot too.
    """

    id = "os.limits"
    interval = timedelta(hours=1)
    requirement_ids = ("limits.nofile", *_SYSCTLS, "limits.shm", "memory.shm")

    def observe(self, host: Host) -> LimitsFacts:
        service_of, service = _service(host)
        return LimitsFacts(
            process=open_files(host, host.process) if host.is_local else None,
            service=service,
            service_of=service_of,
            sysctls={name: _sysctl(host, name) for name, _ in _SYSCTLS.values()},
            shm=shared_memory(host),
            memory=meminfo(host).get("MemTotal", 0) if host.exists("/proc/meminfo") else 0,
            cgroup=_cgroup_version(host),
            swap=swap_size(host),
            confinement=confinement(host),
            container=host.machine.container,
        )

    def judge(self, facts: LimitsFacts, requirements: Requirements) -> Iterator[Finding]:
        machine, platform = self.context.machine, self.context.scope.platform
        files = requirements.demand("limits.nofile", Quantity)
        if facts.process:
            yield _process(facts.process, files)
        yield _services(facts, files, machine)
        yield from _parameters(facts, requirements, machine)
        yield _shm(facts, requirements, machine)
        yield cgroups(facts.cgroup, platform, machine)
        if platform == "kubernetes":
            yield kubelet_swap(facts.swap, machine)
        yield selinux(facts.confinement, self._directories())
        yield apparmor(facts.confinement, machine, in_image=_in_image(facts))

    def _directories(self) -> list[str]:
        storage = self.context.config.storage
        given = (storage.app, storage.metadata, storage.user)
        paths = [path.rstrip("/") for path in given if path]
        return [path for path in paths if path] or [_STORAGE]


def _service(host: Host) -> tuple[str, FileLimit | None]:
    running = {name: pid for pid, name in named(host, _ENGINES).items()}
    for name in _ENGINES:
        limit = open_files(host, f"/proc/{running[name]}") if name in running else None
        if limit:
            return name, limit
    return "", service_default(host) if host.machine.systemd else None


def _sysctl(host: Host, name: str) -> int | None:
    return whole(host.read_if_any(f"/proc/sys/{name.replace('.', '/')}") or "")


def _in_image(facts: LimitsFacts) -> bool:
    """Whether what is seen is a container's image and mounts, and not the host's."""
    return bool(facts.container) and facts.container not in SYSTEM_CONTAINERS


def _cgroup_version(host: Host) -> str:
    try:
        return host.cgroups.version
    except OSError:
        return ""


def _process(limit: FileLimit, wanted: Quantity) -> Finding:
    enough = limit.hard is None or limit.hard >= wanted.floor
    return Finding(
        Status.PASS if enough else Status.WARN,
        "open files of this process",
        f"This process may open {_files(limit)}; services have limits of their own.",
        observed=_files(limit),
        expected=f"at least {wanted.floor:.0f}",
        remedy=None if enough else Remedy("Raise the limit of this shell:", ("ulimit -n 1024",)),
    )


def _files(limit: FileLimit) -> str:
    soft, hard = (
        "any number of" if number is None else f"{number:,}" for number in (limit.soft, limit.hard)
    )
    return f"{soft} files" if soft == hard else f"{soft} files, and {hard} if it asks"


def _services(facts: LimitsFacts, wanted: Quantity, machine: Machine) -> Finding:
    subject = "open files of services"
    if not facts.service:
        said = "How many files services may open is not known: no container engine or systemd runs."
        return Finding(Status.SKIP, subject, said)
    hard = facts.service.hard
    enough = hard is None or hard >= wanted.value
    whose = facts.service_of or "A service of systemd"
    heirs = ", and so may its containers" if facts.service_of else ""
    return Finding(
        Status.PASS if enough else wanted.shortfall(hard or 0),
        subject,
        f"{whose} may open {_files(facts.service)}{heirs}; {wanted.value:,.0f} are advised.",
        observed=_files(facts.service),
        expected=f"{wanted.value:.0f} or more",
        remedy=None if enough else _more_files(facts.service_of, machine),
        requirement=wanted,
    )


def _more_files(engine: str, machine: Machine) -> Remedy:
    """A drop-in for the engine's unit, or for all services where none runs yet."""
    unit = {"dockerd": "docker"}.get(engine, engine)
    if not machine.systemd:
        return Remedy(
            f"Raise the limit (ulimit -n 524288) in what starts {unit}: its start script, or the "
            f"settings that it reads, such as /etc/conf.d/{unit} of OpenRC, /etc/default/{unit} or "
            f"/etc/sysconfig/{unit}. Then restart it when its containers may stop."
        )
    directory = f"/etc/systemd/system/{unit}.service.d" if engine else "/etc/systemd/system.conf.d"
    setting = "[Service]\\nLimitNOFILE" if engine else "[Manager]\\nDefaultLimitNOFILE"
    apply = "daemon-reload" if engine else "daemon-reexec"
    then = f" Restart {unit} when its containers may stop." if engine else ""
    return Remedy(
        f"Raise the limit by a drop-in file for systemd.{then}",
        (
            f"mkdir -p {directory}",
            f"printf '{setting}=1024:524288\\n' > {directory}/90-biostudio.conf",
            f"systemctl {apply}",
        ),
    )


def _parameters(
    facts: LimitsFacts, requirements: Requirements, machine: Machine
) -> Iterator[Finding]:
    """Judge each kernel parameter under its name; one remedy raises all that are too low."""
    judged = [
        (name, words, facts.sysctls.get(name), requirements.demand(requirement_id, Quantity))
        for requirement_id, (name, words) in _SYSCTLS.items()
    ]
    low = {
        name: int(wanted.value)
        for name, _, value, wanted in judged
        if value is not None and value < wanted.value
    }
    where = ", on the host and not in this container" if facts.container else ""
    raised = Remedy(
        f"Raise the kernel parameters{where}; this holds after a reboot too.",
        distribution.sysctl(low),
    )
    for name, words, value, wanted in judged:
        if value is None:
            yield unseen(name, f"The kernel parameter {name}", machine)
            continue
        count = "any number of" if value >= _NO_LIMIT else f"{value:,}"
        yield Finding(
            wanted.shortfall(value) if name in low else Status.PASS,
            name,
            f"{words.format(count)} ({name}); {wanted.value:,.0f} are advised.",
            observed=str(value),
            expected=f"{wanted.value:.0f} or more",
            remedy=raised if name in low else None,
            requirement=wanted,
        )


def _shm(facts: LimitsFacts, requirements: Requirements, machine: Machine) -> Finding:
    if facts.shm is None:
        return unseen("shared memory", "The size of /dev/shm", machine)
    wanted = requirements.demand("limits.shm", Quantity)
    least, share = wanted.value, requirements.get("memory.shm")
    if isinstance(share, Quantity) and facts.memory:
        wanted, least = share, share.value * facts.memory
    enough = facts.shm >= 0.99 * least  # half of the memory is counted before its last share
    said = f"There are {text.both_sizes(facts.shm)} of shared memory (/dev/shm)"
    if not facts.shm:
        said = "Nothing is mounted at /dev/shm"
    note = "containers get 64 MB of their own unless they are started with --shm-size"
    if _in_image(facts):
        note = "in a container that is set by --shm-size"
    return Finding(
        Status.PASS if enough else wanted.shortfall(facts.shm),
        "shared memory",
        f"{said}; {text.size(least)} or more is advised, and {note}.",
        observed=text.size(facts.shm),
        expected=f"{text.size(least)} or more",
        remedy=None if enough else _more_shm(facts, least),
        requirement=wanted,
    )


def _more_shm(facts: LimitsFacts, least: float) -> Remedy:
    size = f"{-(-int(least) // 10**6)}M"
    if _in_image(facts):
        return Remedy(f"Start this container anew with --shm-size={size}.")
    line = f"tmpfs /dev/shm tmpfs defaults,size={size} 0 0"
    how = "mount /dev/shm" if not facts.shm else f"mount -o remount,size={size} /dev/shm"
    return Remedy(
        "Make it larger, now and after a reboot (if /etc/fstab has a line for /dev/shm already, "
        f"change that one), and start the containers with --shm-size={size}.",
        (f"echo '{line}' >> /etc/fstab", how),
    )
