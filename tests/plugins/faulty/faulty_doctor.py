"""Checks that do everything a check must not do."""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta

from biostudio_doctor.check import Check
from biostudio_doctor.model import Finding, Status

_LEAKED = []


class _Faulty(Check):
    """A check that misbehaves."""

    timeout = timedelta(seconds=1)

    def judge(self, facts, requirements):
        yield Finding(Status.PASS, "faulty", "It was observed.")


class Raises(_Faulty):
    id = "faulty.raises"

    def observe(self, host):
        raise ValueError("no such thing\nas this")


class JudgeRaises(_Faulty):
    id = "faulty.judge"

    def observe(self, host):
        return {}

    def judge(self, facts, requirements):
        yield Finding(Status.PASS, "first", "This came before.")
        raise KeyError("second")


class Misplaced(_Faulty):
    """Listed among those of the phase running, and asked in both."""

    id = "faulty.misplaced"


class Exits(_Faulty):
    id = "faulty.exits"

    def observe(self, host):
        sys.exit(5)


class Sleeps(_Faulty):
    id = "faulty.sleeps"

    async def observe(self, host):
        await asyncio.sleep(3600)


class Blocks(_Faulty):
    """Blocks in a system call, in a coroutine, where no cancellation can reach it."""

    id = "faulty.blocks"

    async def observe(self, host):
        reader, _writer = os.pipe()
        with host.doing("read a pipe that nobody writes to"):
            os.read(reader, 1)


class Waits(_Faulty):
    id = "faulty.waits"

    async def observe(self, host):
        await asyncio.sleep(0.05)
        return {"waited": True}


class Spins(_Faulty):
    id = "faulty.spins"

    def observe(self, host):
        while True:
            pass


class Dies(_Faulty):
    id = "faulty.dies"

    def observe(self, host):
        os.abort()


class Stuck(_Faulty):
    """Asks a file system that never answers: not even SIGKILL ends this."""

    id = "faulty.stuck"

    def observe(self, host):
        host.statvfs(os.environ["STUCK_MOUNT"])


class Asks(_Faulty):
    """Asks a program that does not answer, and waits for longer than a check may take."""

    id = "faulty.asks"

    def observe(self, host):
        host.run(["sleep", os.environ["NAP"]], timeout=60)


class Leaves(_Faulty):
    """Leaves a program behind."""

    id = "faulty.leaves"

    def observe(self, host):
        subprocess.Popen(["sleep", os.environ["NAP"]])
        return {}


class Silent(_Faulty):
    id = "faulty.silent"

    def observe(self, host):
        return {}

    def judge(self, facts, requirements):
        return []


class Unserialisable(_Faulty):
    id = "faulty.unserialisable"

    def observe(self, host):
        return object()


class Surrogates(_Faulty):
    id = "faulty.surrogates"

    def observe(self, host):
        return {"name": "\udcff"}


class Unspeakable(_Faulty):
    """Cannot read a file whose name is no UTF-8."""

    id = "faulty.unspeakable"

    def observe(self, host):
        raise PermissionError(13, "Permission denied", "/srv/caf\udce9")


class Prints(_Faulty):
    id = "faulty.prints"

    def observe(self, host):
        print("noise")
        os.write(1, b"noise")
        os.write(2, b"noise")
        return {}


class Leaks(_Faulty):
    id = "faulty.leaks"

    def observe(self, host):
        _LEAKED.append(b"x" * (100 << 20))
        return {"bytes": sum(map(len, _LEAKED))}


class Obeys(_Faulty):
    """Does from run to run what a file names: what another of these does, or nothing bad."""

    id = "faulty.obeys"

    def observe(self, host):
        with open(os.environ["FAULT"]) as file:
            fault = file.read()
        others = {check.id: check for check in _Faulty.__subclasses__()}
        return others[fault].observe(self, host) if fault else {}


class NoCheck:
    id = "faulty.nocheck"
