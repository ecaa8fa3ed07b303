"""The configuration as a bundle tells it: config.json, by which `bundle judge` judges."""

import re
from typing import Any

import msgspec

from biostudio_doctor import config as configuration
from biostudio_doctor import endpoints
from biostudio_doctor.config import Config

#: What is a URL, or an endpoint with a user; others, such as SSH keys, may have an @ too.
_WITH_USER = re.compile(r"://|^\s*(?://|[\w.+%\\-]*:\S*@)")


def told(config: Config) -> bytes:
    """As JSON. Secrets stand in it as their places only; URLs lose user and password."""
    return msgspec.json.format(msgspec.json.encode(_public(msgspec.to_builtins(config))))


def understood(data: Any) -> Config:
    """The configuration that was told.

    Raises:
        ConfigError: if this version does not understand it.
    """
    return configuration.convert(data, Config, "the configuration in the bundle")


def _public(data: Any) -> Any:
    """The same without user and password of URLs, and without what has no value."""
    if isinstance(data, str):
        return endpoints.without_user(data) if _WITH_USER.search(data) else data
    if isinstance(data, dict):
        return {key: _public(value) for key, value in data.items() if value is not None}
    return [_public(item) for item in data] if isinstance(data, list | tuple) else data
