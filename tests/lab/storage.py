"""S3 storage: moto's server in a process of its own, and answers made by hand where it has none.

moto checks keys, signatures and policies once accounts were made. It knows no skewed clocks and no
regions, and never hangs: those answers are made here, as Amazon's documentation words them.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.lab.network import free_port

DOMAIN = "storage.lab.test"  # bucket.storage.lab.test is resolved by `names`


class Keys:
    """A pair of keys, in files, as the configuration names them."""

    def __init__(self, directory: Path, access: str, secret: str) -> None:
        self.access, self.secret = access, secret
        name = secrets.token_hex(4)
        self.files = directory / f"{name}.access", directory / f"{name}.secret"
        for file, value in zip(self.files, (access, secret), strict=True):
            file.write_text(value + "\n")

    @property
    def config(self) -> dict[str, dict[str, str]]:
        return {
            name: {"file": str(file)}
            for name, file in zip(("access_key", "secret_key"), self.files, strict=True)
        }


class Storage:
    """moto's server, with buckets and accounts."""

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self.directory = directory
        self.endpoint = f"http://127.0.0.1:{port}"
        self._first = Keys(directory, secrets.token_hex(8), secrets.token_hex(16))
        self.admin = self._account("admin", ["s3:*"])
        self.reader = self._account("reader", ["s3:ListBucket", "s3:GetObject"])
        self.keeper = self._account("keeper", ["s3:ListBucket", "s3:GetObject", "s3:PutObject"])
        self.hider = self._account(  # may not delete versions
            "hider", ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        )
        self.writer = self._account("writer", ["s3:PutObject", "s3:DeleteObject"])
        self.other = Keys(directory, secrets.token_hex(8), secrets.token_hex(16))
        self.wrong = Keys(directory, self.admin.access, secrets.token_hex(16))
        for bucket in ("data", "versioned", "dotted.name"):
            self.client("s3").create_bucket(Bucket=bucket)
        self.client("s3").put_bucket_versioning(
            Bucket="versioned", VersioningConfiguration={"Status": "Enabled"}
        )
        url = f"{self.endpoint}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        switch = urllib.request.Request(url, data=b"0", headers=plain)
        urllib.request.urlopen(switch, timeout=5).close()

    def client(self, service: str) -> Any:
        """boto3's client, with every right."""
        import boto3

        keys = getattr(self, "admin", self._first)
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id=keys.access, aws_secret_access_key=keys.secret,
        )  # fmt: skip

    def everything(self, bucket: str) -> list[str]:
        """All keys of a bucket, with those that only old versions and delete markers have."""
        found = self.client("s3").list_object_versions(Bucket=bucket)
        return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in found.get(kind, [])]

    def _account(self, name: str, actions: list[str]) -> Keys:
        iam = self.client("iam") if not hasattr(self, "admin") else self._iam
        self._iam = iam
        iam.create_user(UserName=name)
        policy = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        iam.put_user_policy(
            UserName=name, PolicyName=name,
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
        )  # fmt: skip
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(self.directory, key["AccessKeyId"], key["SecretAccessKey"])


@contextmanager
def moto(directory: Path) -> Iterator[Storage]:
    """Start it, and end it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (directory / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "moto did not start"
                time.sleep(0.05)
        yield Storage(port, directory)
    finally:
        process.terminate()
        process.wait(5)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name below lab.test is this machine; the test makes no name server for it."""
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name and name.endswith(".lab.test") else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def front(answer: Answer) -> Iterator[int]:
    """An HTTP server on loopback that answers every request by a function; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            self.close_connection = True
            answer(self)

        do_GET = do_PUT = do_DELETE = do_HEAD = _any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """A whole answer; of headers, _ stands for -."""
    handler.send_response_only(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def error(code: str, **more: str) -> bytes:
    """S3's XML for an error."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    return f"<?xml version='1.0'?><Error><Code>{code}</Code>{inner}</Error>".encode()


def forward(handler: BaseHTTPRequestHandler, port: int) -> None:
    """Hand a request on as it is, and its answer back."""
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    way = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    way.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
    for name, value in handler.headers.items():
        way.putheader(name, value)
    way.endheaders(body)
    answer = way.getresponse()
    kept = {
        name.replace("-", "_"): value
        for name, value in answer.getheaders()
        if name.lower() not in ("content-length", "transfer-encoding", "connection")
    }
    reply(handler, answer.status, answer.read(), **kept)
    way.close()
