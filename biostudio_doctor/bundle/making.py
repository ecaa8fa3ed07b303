"""A bundle made: gathered, written, read back and searched, encrypted, and only then named."""

import contextlib
import hashlib
import hmac
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from biostudio_doctor import registry
from biostudio_doctor.bundle import archive, known, pseudonyms, verifying
from biostudio_doctor.bundle.contents import About, compose
from biostudio_doctor.bundle.destination import Destination, place
from biostudio_doctor.bundle.encryption import Encryption
from biostudio_doctor.bundle.entries import plain
from biostudio_doctor.bundle.gather import Gathered, Gathering, Progress
from biostudio_doctor.bundle.manifest import Manifest
from biostudio_doctor.bundle.reporting import NAME as REPORT
from biostudio_doctor.bundle.reporting import ReportCollector
from biostudio_doctor.bundle.window import fixed_moment
from biostudio_doctor.bundle.worker import Load
from biostudio_doctor.collector import MIB, Collector, Surroundings, Window
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.host import Host
from biostudio_doctor.plan import Plan
from biostudio_doctor.redaction.redactor import Redactor

_CONCURRENCY = 3  # processes that are at work, beside those of the checks; each takes memory
_KEY_LABEL = b"biostudio-doctor: the key of reproducible bundles"


class Wanted(Struct, frozen=True, kw_only=True):
    """What was asked for."""

    plan: Plan  # of the checks
    collectors: Sequence[str]  # by id; `report` is the report
    window: Window
    output: str | None = None
    seconds: float | None = None  # instead of the configured ones
    obfuscate: tuple[str, ...] = ()
    encryption: Encryption | None = None
    allowed: tuple[str, ...] = ()
    reproducible: bool = False


class Made(Struct, frozen=True, kw_only=True):
    """The bundle that was made."""

    path: Path
    size: int
    sha256: str
    manifest: Manifest
    unread: tuple[str, ...]  # secrets of the configuration that could not be read
    names: Path | None  # the map of the names that were replaced


class FoundError(Exception):
    """Verification found what must not leave, so that no bundle was kept."""

    def __init__(self, found: Sequence[verifying.Found]) -> None:
        super().__init__("secrets were found in the bundle")
        self.found = found


def known_collectors() -> list[str]:
    """The ids of all collectors, the report first: it takes longest."""
    return [REPORT, *registry.find(registry.COLLECTORS)]


class Maker:
    """One bundle in the making."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._config = wanted.plan.config
        self._host = Host(wanted.plan.host_root)
        self._moment = fixed_moment() if wanted.reproducible else None
        self._known = known.secrets_of(self._config, self._host)
        key = self._key()
        self._obfuscator = pseudonyms.obfuscator(wanted.obfuscate, key, self._host, self._config)
        rules = self._config.bundle.redaction
        self._redactor = Redactor(
            key, self._known.literals, rules.rules, rules.exempt, self._obfuscator
        )

    def listed(self, progress: Progress | None = None) -> list[Gathered]:
        """What would be gathered, from where."""

        def nowhere() -> IO[bytes]:
            return open(os.devnull, "r+b", buffering=0)

        return self._gathering(nowhere, dry=True).run(self._seconds, progress)

    def make(
        self, progress: Progress | None = None, stage: Callable[[str], None] = lambda _: None
    ) -> Made:
        """Make it.

        Raises:
            FoundError: if a secret is left in it that nobody allowed.
            DoctorError: if it cannot be made; nothing of it is left then.
            OSError: if the disk is full.
        """
        encryption = self._wanted.encryption
        about = self._about()
        created = self._moment or datetime.now(UTC)
        top = f"biostudio-doctor-bundle-{plain(about.hostname)}-{created:%Y%m%dT%H%M%SZ}"
        suffix = f".tar.gz{encryption.suffix if encryption else ''}"
        path, named = place(self._wanted.output, f"{top}{suffix}")
        with contextlib.ExitStack() as stack:
            destination = stack.enter_context(contextlib.closing(Destination(path, named)))
            if self._obfuscator:
                names_file = stack.enter_context(
                    contextlib.closing(Destination(_beside(path), named))
                )
            gathered = self._gathering(destination.unnamed).run(self._seconds, progress)
            clear = destination.unnamed() if encryption else destination.file
            stage("verifying")
            made = self._written(clear, top, about, gathered)
            if encryption:
                stage("encrypting")
                encryption.encrypt(clear, destination.file)
            size, digest = _sum(destination.file)
            with _too_late_to_end():
                destination.keep()
                if self._obfuscator:
                    told = msgspec.json.encode(self._obfuscator.map())
                    names_file.path = _beside(destination.path)
                    try:
                        names_file.file.write(msgspec.json.format(told))
                        names_file.keep()
                    except BaseException:  # without it nobody could tell what support speaks of
                        destination.discard()
                        raise
        return Made(
            path=destination.path, size=size, sha256=digest, manifest=made,
            unread=self._known.unread, names=names_file.path if self._obfuscator else None,
        )  # fmt: skip

    @property
    def _seconds(self) -> float:
        return self._wanted.seconds or self._config.bundle.timeout

    def _key(self) -> bytes:
        if not self._wanted.reproducible:
            return os.urandom(32)
        identity = self._host.read_if_any(known.MACHINE_ID) or ""
        if not identity.strip():
            raise DoctorError(f"--reproducible needs {known.MACHINE_ID}, which is not there")
        return hmac.digest(identity.strip().encode(), _KEY_LABEL, "sha256")

    def _about(self) -> About:
        true = self._host.machine.hostname or "host"
        hostname = self._redactor.name(true)
        if "hosts" in self._wanted.obfuscate and hostname == true:
            hostname = "host"  # a name that is too short to be told from other words
        return About(
            hostname=hostname,
            moment=self._moment,
            window=self._wanted.window,
            obfuscated=self._wanted.obfuscate,
            unread=self._known.unread,
        )

    def _gathering(self, new_spool: Callable[[], IO[bytes]], dry: bool = False) -> Gathering:
        surroundings = Surroundings(
            host=self._host,
            machine=self._host.machine,
            config=self._config,
            window=self._wanted.window,
            offline=self._wanted.plan.scope.offline,
        )
        return Gathering(
            {self._id(name): self._load(name) for name in self._wanted.collectors},
            surroundings,
            self._redactor,
            obfuscator=self._obfuscator,
            new_spool=new_spool,
            most=self._config.bundle.size_limit * MIB,
            concurrency=_CONCURRENCY,
            dry=dry,
        )

    @staticmethod
    def _id(name: str) -> str:
        return ReportCollector.id if name == REPORT else name

    def _load(self, name: str) -> Load:
        if name == REPORT:
            return lambda surroundings: ReportCollector(
                surroundings, self._wanted.plan, self._moment
            )
        plugin = registry.find(registry.COLLECTORS)[name]
        return lambda surroundings: registry.load_class(plugin, Collector)(surroundings)

    def _written(
        self, file: IO[bytes], top: str, about: About, gathered: Sequence[Gathered]
    ) -> Manifest:
        """Write and search the archive; once more if something that was found is allowed."""
        allowed: tuple[str, ...] = ()
        moment = int((self._moment or datetime.now(UTC)).timestamp())
        while True:
            made, entries = compose(about, gathered, allowed, self._redactor)
            file.seek(0)
            file.truncate()
            archive.write(file, top, entries, moment)
            found = verifying.search(file.fileno(), made, self._redactor)
            bad = verifying.unallowed(found, self._wanted.allowed)
            if bad:
                raise FoundError(bad)
            told = tuple(map(str, found))
            if told == allowed:
                return made
            allowed = told


def _beside(path: Path) -> Path:
    """Where the map of a bundle's names is."""
    return path.with_name(f"{path.name}.names.json")


@contextlib.contextmanager
def _too_late_to_end() -> Iterator[None]:
    """Let no signal part what belongs together: the bundle, its map, and what is said of them."""
    ends = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {one: signal.signal(one, signal.SIG_IGN) for one in ends}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler or signal.SIG_DFL)


def _sum(file: IO[bytes]) -> tuple[int, str]:
    file.flush()
    file.seek(0)
    hashed = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
    return file.seek(0, os.SEEK_END), hashed.hexdigest()
