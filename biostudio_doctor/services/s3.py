"""S3: what a bucket says to listing, and to a scratch object, by one style of address or both.

botocore signs requests and understands answers. It is kept away from the profile, the credentials
and the metadata services of whoever runs this: only what the configuration names is used. The
requests themselves are sent by `Courier`, which bounds time and size and notes what came back.

Of an error only its code is told: its other fields repeat key ids, signatures and what was signed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, structs

from biostudio_doctor import scratch
from biostudio_doctor.endpoints import is_address, split_url
from biostudio_doctor.host import Host
from biostudio_doctor.probes.failures import ProbeError, one_line
from biostudio_doctor.services.courier import Courier
from biostudio_doctor.services.s3_facts import (
    DEFAULT_REGION,
    Addressed,
    Operation,
    S3Facts,
    Style,
    Told,
    Written,
)

_IDENTIFY_SECONDS, _IDENTIFY_SHARE = 2.0, 0.25
_SWEPT = 50  # objects of ended runs that are looked at
_CODE_LIMIT = 80  # characters of an error code
_NO_ENDPOINT = "its endpoint is no URL, or its region no region"
_NO_VERSION = (None, "", "null")  # of a bucket that keeps none


class Keys(Struct, frozen=True):
    """Who asks. Never serialised nor shown."""

    access: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(***)"


class Bucket(Struct, frozen=True, kw_only=True):
    """Where and how to ask. `seconds` are for everything."""

    name: str
    endpoint: str | None = None
    region: str | None = None
    prefix: str = ""
    ca_file: str | None = None
    keys: Keys | None = None  # None asks anonymously
    seconds: float = 20.0


def ask(bucket: Bucket, styles: Sequence[Style], host: Host, *, write: bool) -> S3Facts:
    """List by each style, and write by the first that works.

    Raises:
        ModuleNotFoundError: without botocore.
        OSError: if `ca_file` cannot be used.
        ValueError: if the endpoint is no URL, or the bucket's name cannot be one.
    """
    _check_endpoint(bucket.endpoint or "")
    courier = Courier(bucket.ca_file, bucket.seconds * (1 - _IDENTIFY_SHARE))
    session = _session()
    addressed = []
    working: Any = None
    for style in styles:
        client = _client(session, bucket, style, courier)
        found = _address(client, bucket, style, courier)
        addressed.append(found)
        if working is None and found.told and found.told.ok:
            working = client
    if working is None:
        addressed[:1] = [_recognised(one, bucket, courier) for one in addressed[:1]]
    written = (
        _Writing(working, bucket, scratch.owner(host), courier).all() if write and working else None
    )
    return S3Facts(
        addressed=tuple(addressed),
        region=one_line(courier.region, _CODE_LIMIT),
        clock=courier.clock,
        through_proxy=courier.through_proxy,
        written=written,
    )


def _check_endpoint(url: str) -> None:
    """botocore takes a port that there cannot be, and then fails as if something had answered.

    Raises:
        ValueError: if there is none such.
    """
    try:
        split_url(url)
    except ValueError:
        raise ValueError(_NO_ENDPOINT) from None


def _session() -> Any:
    """A session that knows nothing of this user's and this machine's accounts at Amazon."""
    from botocore.credentials import CredentialResolver
    from botocore.session import Session

    nothing = (None, None, None, None)
    empty = (None, None, os.devnull, None)
    session = Session(
        session_vars={"profile": nothing, "config_file": empty, "credentials_file": empty}
    )
    session.register_component("credential_provider", CredentialResolver(providers=[]))
    return session


def _client(session: Any, bucket: Bucket, style: Style, courier: Courier) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        s3={"addressing_style": style, "us_east_1_regional_endpoint": "regional"},
        signature_version="s3v4" if bucket.keys else UNSIGNED,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",  # older storages know no others
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        use_dualstack_endpoint=False,
        use_fips_endpoint=False,
    )
    try:
        client = session.create_client(
            "s3",
            region_name=bucket.region or DEFAULT_REGION,
            endpoint_url=bucket.endpoint,
            aws_access_key_id=bucket.keys.access if bucket.keys else None,
            aws_secret_access_key=bucket.keys.secret if bucket.keys else None,
            config=config,
        )
    except (ValueError, BotoCoreError):  # whose words repeat a password in the URL
        raise ValueError(_NO_ENDPOINT) from None
    client.meta.events.register("before-send.s3", courier.send)
    return client


def _address(client: Any, bucket: Bucket, style: Style, courier: Courier) -> Addressed:
    found: dict[str, Any] = {}
    if style == "virtual" and is_address(urlsplit(bucket.endpoint or "").hostname or ""):
        return Addressed(style=style)
    courier.host = ""
    # botocore replaces a style that cannot be had by the other one: for names with dots over TLS.
    courier.only_host = f"{bucket.name}." if style == "virtual" else ""
    told = _request(client, "list", found, Bucket=bucket.name, Prefix=bucket.prefix, MaxKeys=1)
    refused = courier.refused_style
    courier.only_host, courier.refused_style = "", False
    if refused:
        return Addressed(style=style)
    if told.foreign:
        told = structs.replace(told, status=courier.status)
    empty = not found.get("Contents") if told.ok else None
    return Addressed(style=style, host=courier.host, told=told, empty=empty)


def _recognised(one: Addressed, bucket: Bucket, courier: Courier) -> Addressed:
    """What takes connections and does not talk HTTP: another service, by its name if it has one."""
    problem = one.told.failure if one.told else None
    place = urlsplit(bucket.endpoint or "")
    if not problem or problem.phase != "request" or courier.through_proxy or not place.hostname:
        return one
    import anyio

    from biostudio_doctor.probes.direct import Dialler
    from biostudio_doctor.services.identify import Spoken, identify

    port = place.port or (443 if place.scheme == "https" else 80)
    seconds = min(_IDENTIFY_SECONDS, bucket.seconds * _IDENTIFY_SHARE)
    name = place.hostname

    async def look() -> Spoken | None:
        with anyio.move_on_after(seconds):
            return await identify(Dialler(name, port, timeout=seconds), name, timeout=seconds)
        return None

    found = anyio.run(look)
    if not found or found.kind in ("silent", "closed", "http"):
        return one
    return structs.replace(one, told=Told(operation="list", foreign=found.words))


_CALLS: Mapping[Operation, str] = {
    "list": "list_objects_v2",
    "put": "put_object",
    "get": "get_object",
    "delete": "delete_object",
}


def _request(client: Any, operation: Operation, found: dict[str, Any], **what: Any) -> Told:
    """Make a request; what S3 answers goes to `found`."""
    from botocore.exceptions import (
        ClientError,
        ParamValidationError,
        UnsupportedS3ConfigurationError,
    )

    try:
        found.update(getattr(client, _CALLS[operation])(**what))
    except ClientError as error:
        return _refusal(operation, error.response)
    except ProbeError as error:
        return Told(operation=operation, failure=error.failure)
    except (ParamValidationError, UnsupportedS3ConfigurationError):
        raise ValueError("the name of the bucket, or its endpoint, cannot be one") from None
    except Exception:  # botocore takes what came back for what it should be, and would quote it
        return Told(operation=operation, foreign="something that is no S3 storage")
    status = found.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if operation == "list" and "IsTruncated" not in found and "Name" not in found:
        return Told(operation=operation, status=status, foreign=_server(found))
    return Told(operation=operation, status=status)


def _refusal(operation: Operation, response: Mapping[str, Any]) -> Told:
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = one_line(str(error.get("Code") or ""), _CODE_LIMIT)
    if code.isdecimal() or not code.isalnum():  # there was no error of S3's in the body
        return Told(operation=operation, status=status, foreign=_server(response))
    region = one_line(str(error.get("Region") or ""), _CODE_LIMIT)
    return Told(operation=operation, code=code, status=status, expected_region=region)


def _server(response: Mapping[str, Any]) -> str:
    """What answers, by its headers; of where it redirects to, what cannot hold a secret."""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    name = one_line(str(headers.get("server") or ""), _CODE_LIMIT)
    kind = " with a web page" if "html" in str(headers.get("content-type") or "") else ""
    said = f"answers{kind or ' as no S3 does'}"
    elsewhere = re.match(r"https?://(?:[^/?#]*@)?([^/?#@]+)", str(headers.get("location") or ""))
    if elsewhere:
        scheme = elsewhere[0].partition(":")[0]
        said = f"redirects to {one_line(f'{scheme}://{elsewhere[1]}', _CODE_LIMIT)}"
    return f"an HTTP server{f' ({name})' if name else ''} that {said}"


class _Writing:
    """One scratch object's life, after those of ended runs were removed."""

    def __init__(self, client: Any, bucket: Bucket, us: scratch.Owner, courier: Courier) -> None:
        self._courier = courier
        self._client = client
        self._bucket = bucket
        self._us = us
        self._steps: list[Told] = []

    def all(self) -> Written:
        """Sweep, put, get, delete. Deleting is tried whatever came of the put."""
        removed, stuck = self._sweep()
        if stuck or not self._steps[-1].ok:
            return Written(steps=tuple(self._steps), removed_earlier=removed, stuck=stuck)
        name = self._us.new_name()
        key = self._bucket.prefix + name
        data = scratch.content(name)
        made = self._do("put", key, Body=data, ContentType="text/plain")
        if self._steps[-1].code:  # it was told that nothing was made
            return Written(steps=tuple(self._steps), key=key, removed_earlier=removed)
        version = made.get("VersionId")
        if self._steps[-1].ok:
            got = self._get(key, len(data))
            if self._steps[-1].ok and got != data:
                self._steps[-1] = Told(operation="get", code="OtherContent")
        else:  # it may have been made all the same, and then the version is to be known
            version = self._do("get", key).get("VersionId")
        gone = self._delete(key, version)
        return Written(steps=tuple(self._steps), key=key, left=not gone, removed_earlier=removed)

    def _sweep(self) -> tuple[int, str]:
        """Remove what ended runs of this host left; how many, and a key that would not go."""
        prefix = self._bucket.prefix
        found: dict[str, Any] = {}
        listed = _request(
            self._client, "list", found,
            Bucket=self._bucket.name, Prefix=prefix + self._us.prefix, MaxKeys=_SWEPT,
        )  # fmt: skip
        self._steps.append(listed)
        keys = [str(entry.get("Key") or "") for entry in found.get("Contents", [])]
        removed = 0
        for name in self._us.abandoned(key.removeprefix(prefix) for key in keys):
            expected = scratch.content(name)
            answer: dict[str, Any] = {}
            told = _request(
                self._client, "get", answer, Bucket=self._bucket.name, Key=prefix + name
            )
            if not told.ok or answer["Body"].read(len(expected) + 1) != expected:
                continue
            if not self._delete(prefix + name, answer.get("VersionId")):
                return removed, prefix + name
            removed += 1
        return removed, ""

    def _get(self, key: str, size: int) -> bytes:
        found = self._do("get", key)
        return found["Body"].read(size + 1) if "Body" in found else b""

    def _delete(self, key: str, version: str | None) -> bool:
        """Remove an object; of a bucket that keeps versions this one, so that nothing stays.

        A version that may not be removed is not hidden by a delete marker: the next run would not
        find it, and leave one more.
        """
        self._courier.allow(self._bucket.seconds * _IDENTIFY_SHARE)
        what = {} if version in _NO_VERSION else {"VersionId": version}
        self._do("delete", key, **what)
        return self._steps[-1].ok

    def _do(self, operation: Operation, key: str, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        told = _request(self._client, operation, found, Bucket=self._bucket.name, Key=key, **more)
        self._steps.append(told)
        return found
