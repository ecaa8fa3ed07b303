"""Which authorities conda, pip, curl and others would verify a server with, and why.

The rules were read in the programs' own sources and tried with a server whose authority is known
to one of two files only:

- requests, which conda and pip are built on, takes REQUESTS_CA_BUNDLE or else CURL_CA_BUNDLE, and
  only without them what the program itself was told: even `ssl_verify: false` gives way to them.
- conda goes by CONDA_SSL_VERIFY, then by the last condarc that has `ssl_verify`, and does not
  start if that names a file which does not exist.
- curl takes what its curlrc says, or else CURL_CA_BUNDLE, SSL_CERT_DIR or SSL_CERT_FILE, the first
  that is set (later versions the last two together).
- git takes GIT_SSL_CAINFO; any value of GIT_SSL_NO_VERIFY, even 0, switches verification off.
- Go, which engines are written in, takes SSL_CERT_FILE and SSL_CERT_DIR of the service, and besides
  its own usual places for the one that is not set (crypto/x509, root_unix.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor import ca_bundles
from biostudio_doctor.ca_bundles import Bundle, SystemStore
from biostudio_doctor.endpoints import without_user
from biostudio_doctor.host import dotfiles, programs, units
from biostudio_doctor.host.dotfiles import DotFile

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_CONDA = (
    "/opt/conda/bin", "/opt/miniconda3/bin", "/opt/anaconda3/bin", "/opt/miniforge3/bin",
    "/root/miniconda3/bin", "/root/anaconda3/bin", "/root/miniforge3/bin",
)  # fmt: skip
_OFF = ("false", "no", "off", "n")
_ON = ("true", "yes", "on", "y")
_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_CERTS_D = "/etc/docker/certs.d"


class Named(Struct, frozen=True, kw_only=True):
    """A bundle, and the setting that names it."""

    setting: str  # "REQUESTS_CA_BUNDLE", "ssl_verify in /root/.condarc"
    bundle: Bundle


class Program(Struct, frozen=True, kw_only=True):
    """What one program verifies servers with."""

    name: str
    installed: bool
    off: str = ""  # the setting that switches verification off
    system: str = ""  # the setting that chooses the system's authorities
    off_for: tuple[str, ...] = ()  # hosts for which it is off
    uses: tuple[Named, ...] = ()  # none: what it does by itself
    overridden: tuple[str, ...] = ()  # settings that are there and do not count
    unread: tuple[str, ...] = ()  # files that could not be read: "/root/.condarc: why"
    broken: tuple[str, ...] = ()  # files that the program itself cannot read


class TrustFacts(Struct, frozen=True, kw_only=True):
    """The system's authorities, and what each program makes of the settings around it."""

    observed_at: datetime  # by this host's clock
    environment_seen: bool  # False where another machine's file system was looked at
    store: SystemStore
    programs: tuple[Program, ...]


def look(host: Host, environ: Mapping[str, str], now: datetime | None = None) -> TrustFacts:
    """Read all that decides on trust; `environ` is that of whoever will run the programs."""
    now = now or datetime.now(UTC)
    store = ca_bundles.system_store(host, now)
    return TrustFacts(
        observed_at=now,
        environment_seen=host.is_local or bool(environ),
        store=store,
        programs=tuple(_Reader(host, environ, store, now).programs()),
    )


class _Reader:
    """One look at one host."""

    def __init__(
        self, host: Host, environ: Mapping[str, str], store: SystemStore, now: datetime
    ) -> None:
        self._host = host
        self._environ = {name: value for name, value in environ.items() if value}
        self._given = environ
        self._now = now
        self._seen = {store.bundle.path: store.bundle} if store.bundle else {}

    def programs(self) -> Iterator[Program]:
        yield self._curl()
        yield self._pip()
        yield self._conda()
        yield from self._engine()
        yield from self._others()

    def _named(self, setting: str, path: str) -> Named:
        if path not in self._seen:
            self._seen[path] = ca_bundles.look(self._host, path, self._now)
        return Named(setting=setting, bundle=self._seen[path])

    def _variable(self, *names: str) -> tuple[Named, ...]:
        """The first of some variables that is set; directories may be several."""
        for name in names:
            if name in self._environ:
                return tuple(self._named(name, path) for path in _paths(name, self._environ[name]))
        return ()

    def _set(self, *names: str) -> list[str]:
        return [name for name in names if name in self._environ]

    # --- curl -------------------------------------------------------------------------------------

    def _curl(self) -> Program:
        file = dotfiles.curlrc(self._host, self._environ)
        said = file.values if file else {}
        path = file.path if file else ""
        variables = self._set("CURL_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")
        uses = [
            self._named(f"{key} in {path}", said[key])
            for key in ("cacert", "capath")
            if key in said
        ]
        off = f"insecure in {path}" if "insecure" in said else ""
        if not uses and not off:
            # Older versions take the directory only; with the file, too, both must be good.
            uses = list(
                self._variable("CURL_CA_BUNDLE")
                or self._variable("SSL_CERT_DIR") + self._variable("SSL_CERT_FILE")
            )
        counting = {one.setting for one in uses}
        return Program(
            name="curl",
            installed=bool(programs.find(self._host, "curl")),
            off=off,
            uses=tuple(uses),
            overridden=tuple(name for name in variables if name not in counting),
            unread=_unread([file] if file else []),
        )

    # --- conda and pip ----------------------------------------------------------------------------

    def _pip(self) -> Program:
        files = dotfiles.pip_files(self._host, self._environ)
        named = self._last(files, "cert")
        if "PIP_CERT" in self._environ:
            named = ("PIP_CERT", self._environ["PIP_CERT"])
        trusted = self._last(files, "trusted-host")
        hosts = self._environ.get("PIP_TRUSTED_HOST", trusted[1] if trusted else "")
        uses = self._variable("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        overridden = [named[0]] if named and uses else []
        if named and not uses:
            uses = (self._named(*named),)
        return Program(
            name="pip",
            installed=bool(programs.find(self._host, "pip3", "pip")),
            off_for=tuple(dict.fromkeys(without_user(host) for host in hosts.split())),
            uses=uses,
            overridden=tuple(overridden),
            unread=_unread(files),
            broken=_broken(files),
        )

    def _conda(self) -> Program:
        program = self._environ.get("CONDA_EXE") or programs.find(self._host, "conda", also=_CONDA)
        root = program.rpartition("/bin/")[0]
        files = dotfiles.condarcs(self._host, self._environ, root)
        named = self._last(files, "ssl_verify")
        if "CONDA_SSL_VERIFY" in self._environ:
            named = ("CONDA_SSL_VERIFY", self._environ["CONDA_SSL_VERIFY"])
        setting, value = named or ("", "")
        word = value.lower()
        given = self._variable("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        uses = given
        # It must exist although something else is used: conda looks at its settings first.
        if value and word not in (*_OFF, *_ON, "truststore"):
            path = _expanded(value, self._environ)
            own = self._named(setting, path)
            uses = (*given, own) if not given or own.bundle.state == "missing" else given
        counts = not given or any(one.setting == setting for one in uses)
        return Program(
            name="conda",
            installed=bool(program),
            off=setting if word in _OFF and not given else "",
            system=setting if word == "truststore" and not given else "",
            uses=uses,
            overridden=() if counts or not setting else (f"{setting} ({_word(value)})",),
            unread=_unread(files),
        )

    def _last(self, files: list[DotFile], key: str) -> tuple[str, str] | None:
        """The setting that counts, and its value."""
        found = [
            (f"{key} in {file.path}", file.values[key]) for file in files if key in file.values
        ]
        return found[-1] if found else None

    # --- Engine -----------------------------------------------------------------------------------

    def _engine(self) -> Iterator[Program]:
        """dockerd, which brings a containerd of its own, or else containerd."""
        engine = units.engine(self._host)
        if not engine:
            return
        name, unit = engine
        found = units.environment(self._host, unit, _VARIABLES)
        uses = [
            self._named(f"{variable} of {unit}", path)
            for variable in _VARIABLES
            for path in _paths(variable, found.get(variable, ""))
        ]
        if name == "dockerd":
            uses += self._registries()
        hidden = units.unreadable(self._host, unit)
        yield Program(
            name=name,
            installed=True,
            uses=tuple(uses),
            unread=tuple(f"{path}: it cannot be read by this user" for path in hidden),
        )

    def _registries(self) -> Iterator[Named]:
        """The authorities of single registries (docs.docker.com, "certs.d")."""
        for registry in self._host.listdir_if_any(_CERTS_D):
            for file in self._host.listdir_if_any(f"{_CERTS_D}/{registry}"):
                if file.endswith(".crt"):
                    yield self._named(f"for {registry}", f"{_CERTS_D}/{registry}/{file}")

    # --- Others -----------------------------------------------------------------------------------

    def _others(self) -> Iterator[Program]:
        """Programs that are worth a word only where something is set for them."""
        if "GIT_SSL_NO_VERIFY" in self._given or "GIT_SSL_CAINFO" in self._environ:
            off = "GIT_SSL_NO_VERIFY" in self._given
            yield Program(
                name="git",
                installed=bool(programs.find(self._host, "git")),
                off="GIT_SSL_NO_VERIFY" if off else "",
                uses=() if off else self._variable("GIT_SSL_CAINFO"),
                overridden=("GIT_SSL_CAINFO",) if off and self._set("GIT_SSL_CAINFO") else (),
            )
        if "NODE_EXTRA_CA_CERTS" in self._environ or self._node_is_off():
            yield Program(
                name="node",
                installed=bool(programs.find(self._host, "node", "nodejs")),
                off="NODE_TLS_REJECT_UNAUTHORIZED" if self._node_is_off() else "",
                uses=self._variable("NODE_EXTRA_CA_CERTS"),
            )
        if self._environ.get("PYTHONHTTPSVERIFY") == "0":
            yield Program(
                name="Python 2",
                installed=bool(programs.find(self._host, "python2", "python2.7")),
                off="PYTHONHTTPSVERIFY",
            )

    def _node_is_off(self) -> bool:
        return self._environ.get("NODE_TLS_REJECT_UNAUTHORIZED") == "0"


def _paths(variable: str, value: str) -> list[str]:
    """SSL_CERT_DIR may name several directories."""
    paths = value.split(":") if variable == "SSL_CERT_DIR" else [value]
    return [path for path in paths if path]


def _expanded(value: str, environ: Mapping[str, str]) -> str:
    """$NAME and ${NAME} as conda expands them; what is not set stays as it is."""
    import string

    return string.Template(value).safe_substitute(environ)


def _word(value: str) -> str:
    """A value of ssl_verify, which is a word or a path."""
    return value if value.startswith("/") or value.isalpha() else "set"


def _unread(files: list[DotFile]) -> tuple[str, ...]:
    return tuple(
        f"{file.path}: {file.problem}" for file in files if file.problem and not file.broken
    )


def _broken(files: list[DotFile]) -> tuple[str, ...]:
    return tuple(f"{file.path}: {file.problem}" for file in files if file.broken)
