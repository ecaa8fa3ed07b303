"""TLS and logins, as the exporters of Prometheus have them in web-config.yml.

The format is that of Prometheus's exporter-toolkit (its docs/web-configuration.md); paths are
relative to the file's directory. What Python's ssl cannot do is refused, never left out in silence.
"""

import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from biostudio_doctor import config as configuration
from biostudio_doctor.config import Settings
from biostudio_doctor.errors import ConfigError

_SIZE_LIMIT = 1 << 20
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_FILES = ("cert_file", "key_file", "client_ca_file")

_Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1, "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3,
}  # fmt: skip
_CURVES = {
    "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1",
    "X25519": "X25519",
}  # fmt: skip
_KEY_EXCHANGES = {"ECDHE_ECDSA": "ECDHE-ECDSA-", "ECDHE_RSA": "ECDHE-RSA-", "RSA": ""}
_CIPHERS = {
    "AES_128_CBC_SHA": "AES128-SHA", "AES_256_CBC_SHA": "AES256-SHA",
    "AES_128_CBC_SHA256": "AES128-SHA256", "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384", "CHACHA20_POLY1305": "CHACHA20-POLY1305",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
}  # fmt: skip
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


class TlsConfig(Settings, frozen=True, kw_only=True):
    """tls_server_config."""

    cert_file: Annotated[str, Meta(min_length=1)]
    key_file: Annotated[str, Meta(min_length=1)]
    client_auth_type: str = "NoClientCert"
    client_ca_file: str = ""
    client_allowed_sans: tuple[str, ...] = ()
    min_version: _Version = "TLS12"
    max_version: _Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
        if self.client_auth_type not in known:
            raise ValueError(f"client_auth_type: expected {', '.join(known)}")
        if self.client_ca_file and self.client_auth_type == "NoClientCert":
            raise ValueError("client_ca_file is given, but client_auth_type is NoClientCert")
        if not self.client_ca_file and self.client_auth_type != "NoClientCert":
            raise ValueError(f"{self.client_auth_type} needs a client_ca_file")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs RequireAndVerifyClientCert")
        if len(self.curve_preferences) > 1 or not set(self.curve_preferences) <= set(_CURVES):
            raise ValueError(f"curve_preferences: expected one of {', '.join(_CURVES)}")
        for name in self.cipher_suites:
            openssl_name(name)

    def ciphers(self) -> str:
        """Of TLS 1.2 and before, as OpenSSL calls them; '' for its own choice."""
        return ":".join(filter(None, map(openssl_name, self.cipher_suites)))


class Headers(
    Settings,
    frozen=True,
    kw_only=True,
    rename={
        "content_security_policy": "Content-Security-Policy",
        "x_frame_options": "X-Frame-Options",
        "x_content_type_options": "X-Content-Type-Options",
        "x_xss_protection": "X-XSS-Protection",
        "strict_transport_security": "Strict-Transport-Security",
    },
):
    """http_server_config.headers; the values are put in as they are."""

    content_security_policy: str = ""
    x_frame_options: Literal["", "deny", "sameorigin"] = ""
    x_content_type_options: Literal["", "nosniff"] = ""
    x_xss_protection: str = ""
    strict_transport_security: str = ""

    def __post_init__(self) -> None:
        for name, value in self.named().items():
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"{name}: expected one line of ASCII characters")

    def named(self) -> dict[str, str]:
        """Those that are set, by their names."""
        names = (item.encode_name for item in _fields(type(self)))
        values = (getattr(self, item.name) for item in _fields(type(self)))
        return {name: value for name, value in zip(names, values, strict=True) if value}


class HttpConfig(Settings, frozen=True, kw_only=True):
    """http_server_config. HTTP/2 may be allowed; we speak HTTP/1.1 in any case."""

    http2: bool = True
    headers: Headers = field(default_factory=Headers)


class WebConfig(Settings, frozen=True, kw_only=True):
    """The whole file."""

    tls_server_config: TlsConfig | None = None
    http_server_config: HttpConfig = field(default_factory=HttpConfig)
    basic_auth_users: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for user, hashed in self.basic_auth_users.items():
            if not _BCRYPT.fullmatch(hashed):
                raise ValueError(
                    f"basic_auth_users.{user}: expected the bcrypt hash of a password; "
                    f"`htpasswd -nBC 10 {user}` makes one"
                )


def load(path: str | None) -> WebConfig:
    """Read the file and whatever it names, or the defaults where none is configured.

    Raises:
        ConfigError: one line with the file, the key and what was expected there.
    """
    if path is None:
        return WebConfig()
    data = _parse(_read(Path(path), path), path)
    if data is None:  # perhaps it is just being written: that must not open what was closed
        raise ConfigError(path, "", "is empty; {} stands for neither TLS nor logins")
    settings = configuration.convert(data, WebConfig, path)
    context(settings, path)
    return settings


def context(settings: WebConfig, path: str | None) -> ssl.SSLContext | None:
    """How to speak TLS; None where it is not configured.

    Raises:
        ConfigError: one line with the file, the key and what is wrong with it.
    """
    tls = settings.tls_server_config
    if tls is None or path is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = _VERSIONS[tls.min_version]
    made.maximum_version = _VERSIONS[tls.max_version]
    if tls.prefer_server_cipher_suites:
        made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    certificate, private_key, *authorities = watched(settings, path)
    for key, file in zip(_FILES, watched(settings, path), strict=False):
        _read(Path(file), path, f"tls_server_config.{key}")  # since OpenSSL names no file
    key = "cert_file"
    try:
        made.load_cert_chain(certificate, private_key, _no_password)
        key = "client_ca_file"
        for file in authorities:
            made.load_verify_locations(file)
        key = "cipher_suites"
        if tls.ciphers():
            made.set_ciphers(tls.ciphers())
        key = "curve_preferences"
        for curve in tls.curve_preferences:
            made.set_ecdh_curve(_CURVES[curve])
    except OSError as error:  # of which ssl.SSLError is one
        # OpenSSL's own words name no value of the files.
        problem = getattr(error, "reason", None) or error.strerror or "cannot be used"
        where = f"tls_server_config.{key}"
        raise ConfigError(path, where, f"cannot be used: {_in_words(problem)}") from None
    made.verify_mode = {
        "NoClientCert": ssl.CERT_NONE,
        "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    }.get(tls.client_auth_type, ssl.CERT_REQUIRED)
    return made


def watched(settings: WebConfig, path: str) -> list[str]:
    """The files that TLS is made of, by whole paths: certificate, key and authorities."""
    tls = settings.tls_server_config
    names = (getattr(tls, key) for key in _FILES) if tls else ()
    return [str(Path(path).parent / name) for name in names if name]


def allows(certificate: dict[str, Any] | None, allowed: tuple[str, ...]) -> bool:
    """Whether one of a client certificate's alternative names is allowed, letter by letter."""
    names = (certificate or {}).get("subjectAltName", ())
    return not allowed or any(value in allowed for _, value in names)


def openssl_name(suite: str) -> str:
    """The cipher suite that the standard calls TLS_..., as OpenSSL calls it.

    '' for those of TLS 1.3, which are always there.

    Raises:
        ValueError: if it is not known.
    """
    if suite in _TLS13:
        return ""
    exchange, separator, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    if not separator or exchange not in _KEY_EXCHANGES or cipher not in _CIPHERS:
        raise ValueError(f"cipher_suites: {suite[:60]!r} is not known here")
    return _KEY_EXCHANGES[exchange] + _CIPHERS[cipher]


def _no_password() -> bytes:
    return b""  # or OpenSSL would ask for it on the terminal


def _in_words(problem: str) -> str:
    return problem.replace("_", " ").lower() if problem.isupper() else problem


def _read(file: Path, source: str, key: str = "") -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        problem = getattr(error, "strerror", None) or str(error)
        raise ConfigError(source, key, f"cannot be read: {problem}") from None
    if len(content) > _SIZE_LIMIT:
        raise ConfigError(source, key, "is larger than 1 MiB")
    return content


def _parse(content: bytes, path: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            path, "", "cannot be read without PyYAML: pip install 'biostudio-doctor[daemon]'"
        ) from None
    try:
        return yaml.safe_load(content)
    except RecursionError:
        raise ConfigError(path, "", "is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(path, "", f"is no valid YAML: {line}{error.problem}") from None
    except (yaml.YAMLError, ValueError):  # bytes that are no text, a date that is none
        raise ConfigError(path, "", "is no valid YAML") from None


def _fields(settings: type[Settings]) -> tuple[Any, ...]:
    from msgspec import structs

    return structs.fields(settings)
