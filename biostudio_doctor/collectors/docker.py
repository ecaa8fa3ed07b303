"""Docker Engine and its containers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

import msgspec

from biostudio_doctor.collector import Collector, Item, Say
from biostudio_doctor.collectors import pruning
from biostudio_doctor.collectors.docker_api import Engine
from biostudio_doctor.collectors.shared import files, refused
from biostudio_doctor.host import programs
from biostudio_doctor.host.containers import Container

_LINES = 20_000  # the last ones of a container
_EVENT_KEYS = ("name", "image", "exitCode", "signal", "container", "driver", "type")


class DockerCollector(Collector):
    """Docker: the engine, its containers and their logs.

    From the engine's API, by GET only: /info, /version, /containers/json with those that have
    ended, for each of at most 60 (BioStudio's first) /containers/ID/json and the last 20,000 lines
    of its log within the time that was asked for, /events of that time, /images/json, /networks,
    /volumes, /system/df. From /etc/docker/daemon.json.

    Leaves out: of each container's environment all values but those that are known to be harmless,
    such as HOST or NVIDIA_VISIBLE_DEVICES; arguments of its commands; the login to registries
    (config.json of any user) and the engine's keys.
    """

    id = "docker"
    timeout = timedelta(seconds=40)

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self.surroundings)

    def why_not(self) -> str | None:
        """Without an engine and traces of one."""
        there = programs.find(self.host, "dockerd") or self.host.exists("/etc/docker/daemon.json")
        return None if there or self._engine.found else "no Docker Engine is here"

    def items(self) -> Iterator[Item]:
        """What the engine is first, then its containers, then what may take long."""
        yield from files(
            self.host,
            "/etc/docker/daemon.json",
            "/var/snap/docker/current/config/daemon.json",
            "/etc/default/docker",
            "/etc/sysconfig/docker",
        )
        if self._engine.problem:
            yield refused(self._engine.refusal(), "state.txt", self._engine.source)
            return
        yield self._data("/info", "info.json")
        yield self._data("/version", "version.json")
        yield self._say(self._containers, "containers.json", "/containers/json?all=1")
        try:
            containers = self._engine.containers()
        except OSError:  # as containers.json tells
            containers = []
        for one in containers:
            name = f"containers/{one.name or one.id[:12]}"
            route = f"/containers/{one.id}/json"
            yield self._say(partial(self._inspect, route), f"{name}.json", route)
            yield self._log(one, f"{name}.log")
        yield self._say(self._events, "events.jsonl", "/events")
        yield self._data("/networks", "networks.json")
        yield self._data("/volumes", "volumes.json")
        yield self._data("/images/json", "images.json")
        yield self._say(self._disk_usage, "disk-usage.json", "/system/df")

    def _say(self, tell: Callable[[], Any], name: str, route: str) -> Say:
        return Say(tell=tell, name=name, source=f"{self._engine.source}: {route}")

    def _data(self, route: str, name: str) -> Say:
        return self._say(partial(self._engine.data, route), name, route)

    def _log(self, one: Container, name: str) -> Say:
        route = f"/containers/{one.id}/logs"
        window = self.surroundings.window
        return self._say(partial(self._engine.logs, one.id, window, _LINES), name, route)

    def _containers(self) -> Any:
        return pruning.listed(self._engine.data("/containers/json?all=1"))

    def _disk_usage(self) -> Any:
        """It lists the containers once more."""
        usage = self._engine.data("/system/df", 8)
        return {**usage, "Containers": pruning.listed(usage.get("Containers") or ())}

    def _inspect(self, route: str) -> Any:
        return pruning.container(self._engine.data(route))

    def _events(self) -> Iterator[bytes]:
        window = self.surroundings.window
        # Of a time that is yet to come the engine would wait for the events.
        until = f"{min(window.until.timestamp(), time.time()):.6f}"
        since = int(window.since.timestamp())
        rest = b""
        for piece in self._engine.stream("/events", since=since, until=until):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    yield msgspec.json.encode(_event(msgspec.json.decode(line))) + b"\n"


def _event(event: dict[str, Any]) -> dict[str, Any]:
    """Without the commands that were run in containers, which stand in the name of the action."""
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    return {
        "time": event.get("time"),
        "type": event.get("Type"),
        "action": str(event.get("Action", "")).partition(":")[0]
        if str(event.get("Action", "")).startswith("exec_")
        else event.get("Action"),
        "id": actor.get("ID"),
        "attributes": {key: attributes[key] for key in _EVENT_KEYS if key in attributes},
    }
