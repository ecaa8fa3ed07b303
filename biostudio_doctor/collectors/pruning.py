"""What may be told of the environments and commands of containers: values that are known to be
harmless. Of everything else only the name is taken, whatever the redaction would make of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biostudio_doctor.endpoints import without_user

LEFT_OUT = "(left out)"
#: Of BioStudio's images, of NVIDIA's, and of programs that take authorities or proxies from there.
_VARIABLES = frozenset({
    "APP_DOMAIN", "APP_DOMAIN_URL", "HOST", "PORT", "HTTP_SERVER_PORT", "HTTPS_SERVER_PORT",
    "ENABLE_HTTPS", "USE_LETSENCRYPT", "DEBUG_MODE", "MAX_CONNECTION", "COLAB_LIST_SERVER",
    "COLLABORATIVE_MODE", "TRAEFIK_PROXY_MODE", "TRACING_MODE", "USE_REDIS_CACHE", "REDIS_LIST",
    "REDIS_PORT", "MEMCACHED_LIST", "MEMCACHED_PORT", "MQTT_LIST_IPS", "HUB_LIST_IPS",
    "ARIA2C_LIST_IPS", "PG_HOST", "PG_PORT", "PG_DATABASE", "POSTGRESQL_DATABASE",
    "POSTGRESQL_PORT_NUMBER", "NFS_T1_PORT", "NFS_T2_PORT", "NFS_T3_PORT", "NFS_T4_PORT",
    "UPGRADE_RESOURCE_URL", "UPGRADE_SCHEDULE_SECOND", "MAX_UPLOAD_FILE_SIZE", "CRAN_URL",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "CUDA_VERSION", "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_DISABLE_REQUIRE", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "CUDA_VISIBLE_DEVICES", "PYTHONHTTPSVERIFY", "SSL_NO_VERIFY", "VERIFY_SSL_CERT",
    "GIT_SSL_NO_VERIFY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "PATH", "TZ", "LANG", "LC_ALL",
})  # fmt: skip


def variable(name: str, value: str) -> str:
    """The value, without a user in it, or that it was left out."""
    return without_user(value) if name.upper() in _VARIABLES else LEFT_OUT


def environment(entries: Sequence[Any]) -> list[str]:
    """Of entries as "NAME=value"."""
    pairs = (str(entry).partition("=") for entry in entries)
    return [f"{name}={variable(name, value)}" for name, _, value in pairs]


def command(words: Sequence[Any]) -> list[str]:
    """The program alone, and how many arguments it has."""
    first, others = [str(word) for word in words[:1]], len(words) - 1
    return [*first, f"({others} arguments left out)"] if others > 0 else first


def listed(containers: Sequence[Any]) -> list[Any]:
    """The reply to /containers/json, whose commands are one text each."""
    return [
        {**one, "Command": " ".join(command(str(one.get("Command", "")).split()))}
        for one in containers
        if isinstance(one, dict)
    ]


def container(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to /containers/ID/json."""
    reply = dict(inspected)
    config = reply.get("Config")
    config = dict(config) if isinstance(config, dict) else {}
    env = config.get("Env")
    config["Env"] = environment(env) if isinstance(env, list) else []
    for table in (reply, config):
        for key in ("Args", "Cmd", "Entrypoint"):
            if isinstance(table.get(key), list):
                table[key] = _arguments(key, table[key])
    health = config.get("Healthcheck")
    if isinstance(health, dict) and isinstance(health.get("Test"), list):
        config["Healthcheck"] = {**health, "Test": command(health["Test"])}
    return {**reply, "Config": config}


def _arguments(key: str, words: list[Any]) -> list[str]:
    if key == "Entrypoint":
        return command(words)
    return [f"({len(words)} arguments left out)"] if words else []


def kubernetes(thing: Any) -> Any:
    """An object of Kubernetes, or a list of them, at any depth."""
    if isinstance(thing, list):
        return [kubernetes(item) for item in thing]
    if not isinstance(thing, dict):
        return thing
    return {
        key: kubernetes(_harmless_field(key, value))
        for key, value in thing.items()
        if key != "managedFields"
    }


def _harmless_field(key: str, value: Any) -> Any:
    if key == "annotations" and isinstance(value, dict):
        # The whole object once more, as it was given, values of its environment included.
        return {
            name: LEFT_OUT if name.endswith("last-applied-configuration") else content
            for name, content in value.items()
        }
    if not isinstance(value, list):
        return value
    if key == "env":
        return [_variable(entry) for entry in value]
    if key == "command":
        return command(value)
    return _arguments(key, value) if key == "args" else value


def _variable(entry: Any) -> Any:
    if not isinstance(entry, dict) or "value" not in entry:
        return entry  # it is taken from a secret or a map, which it names
    name = str(entry.get("name", ""))
    return {**entry, "value": variable(name, str(entry["value"]))}
