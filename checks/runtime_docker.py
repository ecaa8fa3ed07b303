"""What runtime.engine says of how Docker is set up, once it answers."""

import os
from collections.abc import Iterator
from ipaddress import IPv4Network
from shlex import quote

from biostudio_doctor import text, vendors
from biostudio_doctor.check import Context
from biostudio_doctor.distribution import service, sysctl
from biostudio_doctor.host.docker import Daemon, Info
from biostudio_doctor.host.engines import EngineFacts
from biostudio_doctor.host.routes import Route
from biostudio_doctor.model import Finding, Machine, Remedy, Requirement, Status
from biostudio_doctor.requirements import Choice, Feature

#: Where Docker of the snap package may mount directories from (its interfaces home and
#: removable-media; canonical/docker-snap issue 188).
_SNAP_REACHES = ("/home/", "/mnt/", "/media/")


def judge_set_up(facts: EngineFacts, context: Context) -> Iterator[Finding]:
    """Can BioStudio's containers work with it, and go on working?"""
    engine, daemon, machine = facts.docker, facts.daemon, context.machine
    if daemon and daemon.config == "broken":
        yield _broken_file(daemon)
    if facts.snap and (engine is None or engine.system):
        yield _snap(context)
    if engine is None or engine.podman or engine.info is None:
        return
    requirements, info = context.requirements, engine.info
    yield _privileged(info, context, requirements.demand("runtime.privileged", Feature))
    yield _storage_driver(info, machine, requirements.demand("runtime.storage-driver", Choice))
    yield _log_rotation(info, daemon, machine)
    if engine.system and facts.at_boot is not None:
        yield _at_boot(facts, machine)
    yield from _warnings(info, machine)
    yield from _overlap(facts.routes)


def enable_docker(machine: Machine, *, snap: bool = False) -> tuple[str, ...]:
    """Start it, now and at every boot."""
    return ("snap start --enable docker",) if snap else service(machine, "enable", "docker")


def _broken_file(daemon: Daemon) -> Finding:
    return Finding(
        Status.FAIL,
        "daemon.json",
        f"Docker cannot start with {daemon.config_file}: {daemon.problem}.",
        remedy=Remedy("Mend the file.", (f"python3 -m json.tool {quote(daemon.config_file)}",)),
    )


def _snap(context: Context) -> Finding:
    storage = context.config.storage
    tiers = [path for path in (storage.app, storage.metadata, storage.user) if path]
    outside = [path for path in tiers if not path.startswith(_SNAP_REACHES)]
    here = text.listing(outside) if outside else "such as /biocolab"
    return Finding(
        Status.FAIL if outside else Status.WARN,
        "snap package",
        "Docker is the snap package, which gives containers no directories outside /home, /mnt "
        f"and /media ({here}), nor, as a rule, NVIDIA GPUs.",
        observed="snap",
        expected="a package of the distribution or of Docker",
        remedy=Remedy(
            "Install Docker from a package instead. Removing the snap removes its containers and "
            "images: save what you need first.",
            ("snap remove docker", *vendors.docker_engine(context.machine).commands),
        ),
    )


def _privileged(info: Info, context: Context, wanted: Requirement) -> Finding:
    subject = "privileged containers"
    if not (info.rootless or info.userns_remap):
        said = "Docker can run privileged containers, as bioproxy is one."
        return Finding(Status.PASS, subject, said, requirement=wanted)
    how = "is rootless" if info.rootless else "maps users (userns-remap)"
    if context.scope.role == "biostudio":
        said = f"Docker {how}; that only stands against bioproxy, which is on another machine."
        return Finding(Status.SKIP, subject, said)
    remedy = Remedy(
        'Remove "userns-remap" from /etc/docker/daemon.json and from the command line of dockerd, '
        "then restart Docker; images must be pulled again.",
        service(context.machine, "restart", "docker"),
    )
    if info.rootless:
        remedy = Remedy(
            "Run BioStudio on Docker's system service, beside the rootless one or instead of it.",
            enable_docker(context.machine),
        )
    return Finding(
        Status.FAIL,
        subject,
        f"Docker {how} and cannot run privileged containers, as bioproxy is one.",
        observed=how,
        remedy=remedy,
        requirement=wanted,
    )


def _storage_driver(info: Info, machine: Machine, wanted: Choice) -> Finding:
    driver, backing = info.storage_driver, info.backing_filesystem
    good = text.listing(wanted.accepted, "or")
    if info.d_type is False:
        said = f"Docker's data is on {backing or 'a file system'} without d_type, as {driver} needs"
        remedy = Remedy(
            f"Put Docker's data ({info.data_root}) on ext4, or on XFS that was made with "
            "`mkfs.xfs -n ftype=1`."
        )
    elif driver in wanted.accepted:
        said = f"Docker stores images with {driver}{f' on {backing}' if backing else ''}."
        return Finding(Status.PASS, "storage driver", said, driver, good, requirement=wanted)
    else:
        copies = "copies every layer whole: slow, and many times the disk space"
        said = f"Docker stores images with {driver}, which "
        said += copies if driver == "vfs" else f"is not {good}"
        remedy = Remedy(
            'Set "storage-driver": "overlay2" in /etc/docker/daemon.json and restart Docker; '
            "images and containers of the present driver are not taken over.",
            service(machine, "restart", "docker"),
        )
    return Finding(Status.WARN, "storage driver", f"{said}.", driver, good, remedy, wanted)


def _log_rotation(info: Info, daemon: Daemon | None, machine: Machine) -> Finding:
    subject, driver = "log rotation", info.logging_driver
    if driver != "json-file":
        said = f"Container logs go to Docker's driver {driver}, which keeps no endless file."
        return Finding(Status.PASS, subject, said, driver)
    if daemon is None or daemon.log_options is None or daemon.config == "broken":
        file = daemon.config_file if daemon else "the configuration"
        said = f"Whether Docker limits the logs of containers is unknown: {file} was not read."
        return Finding(Status.SKIP, subject, said, driver)
    if "max-size" in daemon.log_options:
        said = "Docker limits the logs of containers (json-file with max-size)."
        return Finding(Status.PASS, subject, said, driver)
    return Finding(
        Status.WARN,
        subject,
        f"Docker lets the logs of containers grow without end, until {info.data_root} is full.",
        observed=driver,
        expected="json-file with max-size, or local",
        remedy=_limit_logs(daemon, machine),
    )


def _limit_logs(daemon: Daemon, machine: Machine) -> Remedy:
    options = '"log-opts": {"max-size": "50m", "max-file": "3"}'
    restart = service(machine, "restart", "docker")
    late = "it holds for containers that are created afterwards"
    if daemon.config != "absent":
        return Remedy(f"Add {options} to {daemon.config_file} and restart Docker; {late}.", restart)
    return Remedy(
        f"Give the logs a limit and restart Docker; {late}.",
        (
            f"mkdir -p {quote(os.path.dirname(daemon.config_file))}",
            f"echo '{{{options}}}' > {quote(daemon.config_file)}",
            *restart,
        ),
    )


def _at_boot(facts: EngineFacts, machine: Machine) -> Finding:
    if facts.at_boot:
        return Finding(Status.PASS, "start at boot", "Docker starts when the host boots.")
    return Finding(
        Status.WARN,
        "start at boot",
        "Docker runs, but neither it nor BioStudio's containers start when the host boots.",
        remedy=Remedy("Enable its service.", enable_docker(machine, snap=facts.snap)),
    )


def _warnings(info: Info, machine: Machine) -> Iterator[Finding]:
    """What the engine itself warns of, as far as it touches BioStudio."""
    said = "\n".join(info.warnings)
    if "IPv4 forwarding is disabled" in said:
        yield Finding(
            Status.WARN,
            "IP forwarding",
            "IP forwarding is switched off on this host, so containers reach no network.",
            remedy=Remedy("Switch it on.", sysctl({"net.ipv4.ip_forward": 1})),
        )
    if "API is accessible" in said:
        yield Finding(
            Status.WARN,
            "Docker API",
            "Docker takes commands over the network without a key: whoever reaches its port is "
            "root on this host.",
            remedy=Remedy(
                "Remove the tcp:// address from the command line of dockerd (-H) and from "
                '"hosts" in /etc/docker/daemon.json, then restart Docker.',
                service(machine, "restart", "docker"),
            ),
        )
    if "No memory limit support" in said:
        yield Finding(
            Status.WARN,
            "memory limits",
            "The kernel does not let Docker limit the memory of containers.",
            remedy=Remedy(
                "Boot the kernel with cgroup_enable=memory (GRUB_CMDLINE_LINUX in "
                "/etc/default/grub; then rebuild GRUB's configuration and reboot)."
            ),
        )


def _overlap(routes: tuple[Route, ...]) -> Iterator[Finding]:
    """Whether an address that the engine calls its own is a machine elsewhere."""
    own = [route for route in routes if route.of_engine]
    networks = text.listing(f"{route.network} of {route.interface}" for route in own)
    pairs = [
        f"{mine.network} of {mine.interface} with {other.network} of {other.interface}"
        for mine in own
        for other in routes
        if not other.of_engine and IPv4Network(mine.network).overlaps(IPv4Network(other.network))
    ]
    if pairs:
        yield Finding(
            Status.WARN,
            "container networks",
            "Networks of containers overlap networks of this host, whose machines containers "
            f"cannot reach then: {text.listing(pairs)}.",
            observed=networks,
            remedy=Remedy(
                'Give Docker ranges that your network does not use, with "bip" and '
                '"default-address-pools" in /etc/docker/daemon.json, and restart it; networks '
                "that exist must be made anew."
            ),
        )
    elif own:
        said = f"The networks of containers ({networks}) overlap none that this host routes."
        yield Finding(Status.PASS, "container networks", said, networks)
