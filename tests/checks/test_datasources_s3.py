"""S3 against moto, and against answers made by hand where moto has none (see tests/lab/storage)."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor import scratch
from biostudio_doctor.checks.datasources_s3 import DatasourcesS3
from biostudio_doctor.errors import ConfigError
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from tests.conftest import context, judge
from tests.lab import storage
from tests.lab.certificates import make
from tests.lab.peers import Peer, reset, saying, server_context, silent, tls
from tests.lab.storage import DOMAIN, Keys, Storage, error, forward, front, reply
from tests.lab.timing import wait_until, within

names = storage.names


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with storage.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


def found(*sources: dict[str, Any], timeout: float | None = None) -> dict[str, Finding]:
    config = {"timeout": timeout} if timeout else {}
    check = DatasourcesS3(context(datasources={"s3": list(sources)}, **config))
    return judge(check, check.observe(Host()))


def source(s3: Storage, keys: Keys | None = None, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"bucket": "data", "endpoint": s3.endpoint, **more}
    return {**asked, **keys.config} if keys else asked


def test_nothing_configured_imports_nothing() -> None:
    code = (
        "import sys; from tests.conftest import context; from biostudio_doctor.host import Host\n"
        "from biostudio_doctor.checks.datasources_s3 import DatasourcesS3\n"
        "check = DatasourcesS3(context()); facts = check.observe(Host())\n"
        "(finding,) = check.judge(facts, check.context.requirements)\n"
        "print(finding.status, {'botocore', 'httpx', 'ssl', 'anyio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "skip set()\n"


def test_an_account_with_every_right(s3: Storage) -> None:
    findings = found(source(s3, s3.admin, write=True))
    assert findings["s3 data"].status is Status.PASS
    assert "in the host name it does not work: the endpoint is an IP" in findings["s3 data"].summary
    assert findings["s3 data: writing"].status is Status.PASS
    assert s3.everything("data") == []


def test_without_write_nothing_is_written(s3: Storage) -> None:
    (finding,) = found(source(s3, s3.admin)).values()
    assert finding.status is Status.PASS and "write = false" in finding.summary


@pytest.mark.usefixtures("names")
def test_both_styles_are_tried(s3: Storage) -> None:
    """moto takes the first label of a name for the bucket, and so knows only the second style."""
    endpoint = f"http://{DOMAIN}:{s3.port}"
    both = found(source(s3, s3.admin, endpoint=endpoint, write=True))
    assert (
        "Its name must stand in the host name; in the path it does not" in both["s3 data"].summary
    )
    assert both["s3 data: writing"].status is Status.PASS and s3.everything("data") == []
    (path, *_) = found(source(s3, s3.admin, endpoint=endpoint, style="path")).values()
    assert path.status is Status.FAIL and path.cause == "datasource.no-bucket"


def test_names_with_dots_do_not_go_with_tls() -> None:
    endpoint = "https://storage.invalid"
    (finding,) = found({"bucket": "a.b", "endpoint": endpoint, "style": "virtual"}).values()
    assert finding.status is Status.FAIL and "certificate's * stands for one" in finding.summary


def test_versions_are_removed_as_well(s3: Storage) -> None:
    findings = found(source(s3, s3.admin, bucket="versioned", prefix="a ü/+", write=True))
    assert findings["s3 versioned: writing"].status is Status.PASS
    assert s3.everything("versioned") == []


def test_a_version_whose_making_was_not_answered_is_removed_as_well(s3: Storage) -> None:
    def cut_at_put(handler: BaseHTTPRequestHandler) -> None:
        if handler.command != "PUT":
            forward(handler, s3.port)
            return
        name, body = (
            handler.path.rpartition("/")[2],
            handler.rfile.read(int(handler.headers["Content-Length"])),
        )
        s3.client("s3").put_object(Bucket="versioned", Key=name, Body=body)
        handler.connection.shutdown(socket.SHUT_RDWR)

    with front(cut_at_put) as port:
        asked = source(s3, s3.admin, bucket="versioned", style="path", write=True)
        findings = found({**asked, "endpoint": f"http://127.0.0.1:{port}"})
    assert findings["s3 versioned: writing"].status is Status.ERROR
    assert "Nothing is left of it" in findings["s3 versioned: writing"].summary
    assert s3.everything("versioned") == []


def test_a_version_that_may_not_be_deleted_stays_where_the_next_run_finds_it(s3: Storage) -> None:
    asked = source(s3, s3.hider, bucket="versioned", prefix="hidden/", write=True)
    assert found(asked)["s3 versioned: writing"].cause == "datasource.left-behind"
    assert len(s3.everything("versioned")) == 1, "no delete marker hides it"
    for version in s3.client("s3").list_object_versions(Bucket="versioned")["Versions"]:
        s3.client("s3").delete_object(
            Bucket="versioned", Key=version["Key"], VersionId=version["VersionId"]
        )
    ended = f"hidden/{structs.replace(scratch.owner(Host()), boot='0' * 8).new_name()}"
    body = scratch.content(ended.removeprefix("hidden/"))
    s3.client("s3").put_object(Bucket="versioned", Key=ended, Body=body)
    for _ in range(2):
        assert found(asked)["s3 versioned: writing"].cause == "datasource.left-behind"
        assert s3.everything("versioned") == [ended]
    for version in s3.client("s3").list_object_versions(Bucket="versioned")["Versions"]:
        s3.client("s3").delete_object(
            Bucket="versioned", Key=version["Key"], VersionId=version["VersionId"]
        )


def test_a_read_only_account_gets_a_true_and_useful_answer(s3: Storage) -> None:
    findings = found(source(s3, s3.reader, write=True))
    assert findings["s3 data"].status is Status.PASS
    writing = findings["s3 data: writing"]
    assert writing.status is Status.WARN and writing.cause == "datasource.read-only"
    assert "fine for data that is only read" in writing.summary
    assert found(source(s3, s3.reader))["s3 data"].status is Status.PASS


def test_an_account_that_may_not_delete_leaves_one_object_and_no_more(s3: Storage) -> None:
    for _ in range(2):
        writing = found(source(s3, s3.keeper, prefix="kept/", write=True))["s3 data: writing"]
        assert writing.status is Status.WARN and writing.cause == "datasource.left-behind"
        (key,) = s3.everything("data")
        assert writing.remedy and key in writing.remedy.commands[0]
        # Only an ended run's object is in question, and this process has not ended.
        ended = structs.replace(scratch.owner(Host()), boot="0" * 8).new_name()
        s3.client("s3").delete_object(Bucket="data", Key=key)
        s3.client("s3").put_object(Bucket="data", Key=f"kept/{ended}", Body=scratch.content(ended))
    s3.client("s3").delete_object(Bucket="data", Key=s3.everything("data")[0])


def test_only_whole_objects_of_ended_runs_of_this_host_are_removed(s3: Storage) -> None:
    mine = scratch.owner(Host())
    gone, other = (structs.replace(mine, boot="0" * 8).new_name() for _ in range(2))
    alive, theirs = mine.new_name(), structs.replace(mine, host="0" * 16, boot="0" * 8).new_name()
    client = s3.client("s3")
    for name in (gone, alive, theirs):
        client.put_object(Bucket="data", Key=f"p/{name}", Body=scratch.content(name))
    client.put_object(Bucket="data", Key=f"p/{other}", Body=scratch.content(other) + b"and mine")
    writing = found(source(s3, s3.admin, prefix="p/", write=True))["s3 data: writing"]
    assert "1 object of a run that was cut off deleted" in writing.summary
    assert set(s3.everything("data")) == {f"p/{name}" for name in (alive, theirs, other)}
    for name in (alive, theirs, other):
        client.delete_object(Bucket="data", Key=f"p/{name}")


def test_an_account_that_may_not_list_is_not_tried_by_writing(s3: Storage) -> None:
    (finding,) = found(source(s3, s3.writer, write=True)).values()
    assert finding.status is Status.FAIL and finding.cause == "datasource.denied"
    assert "so what is in it cannot be browsed" in finding.summary
    assert finding.remedy and "s3:ListBucket" in finding.remedy.text
    assert "`prefix`" in finding.remedy.text  # rights often begin below one
    assert s3.everything("data") == []


@pytest.mark.parametrize(
    ("keys", "bucket", "status", "cause", "said"),
    [
        ("other", "data", Status.FAIL, "password-wrong", "knows no such access key"),
        ("wrong", "data", Status.FAIL, "password-wrong", "secret key does not belong"),
        ("admin", "absent", Status.FAIL, "no-bucket", "no bucket of that name"),
    ],
)
def test_errors_are_told_apart(
    s3: Storage, keys: str, bucket: str, status: Status, cause: str, said: str
) -> None:
    (finding,) = found(source(s3, getattr(s3, keys), bucket=bucket)).values()
    assert (finding.status, finding.cause) == (status, f"datasource.{cause}")
    assert said in finding.summary and finding.remedy


def xml(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: reply(handler, status, body, Content_Type="application/xml", **headers)


@pytest.mark.parametrize(
    ("answer", "cause", "said"),
    [
        (lambda handler: xml(403, error("RequestTimeTooSkewed"),
                             Date=formatdate(time.time() + 4000))(handler),
         "clock", "clock is too far"),
        (xml(400, error("AuthorizationHeaderMalformed", Region="eu-west-1")),
         "region", "it wants eu-west-1"),
        (xml(301, error("PermanentRedirect"), x_amz_bucket_region="eu-west-1"),
         "region", "in another region than us-east-1"),
        (xml(403, error("AccessDenied", Message="x")), "password-needed", "without keys"),
        (xml(503, error("SlowDown")), "unwell", "cannot serve just now"),
        (xml(502, b"<html>Bad Gateway</html>"), "unwell", "HTTP 502"),
        (xml(418, error("Odd-Code!")), "foreign", "HTTP 418"),
        (lambda handler: reply(handler, 200, b"<!DOCTYPE html><html><body>Hi</body></html>",
                               Content_Type="text/html", Server="nginx"), "foreign", "answers"),
        (lambda handler: reply(handler, 404, b"<html>Not found</html>", Content_Type="text/html",
                               Server="nginx/1.22"), "foreign", "(nginx/1.22) that answers with a"),
        (lambda handler: reply(handler, 200, b"{}", Content_Type="application/json"),
         "foreign", "answers"),
    ],
    ids=["skew", "malformed", "redirect", "denied", "slow", "502", "odd", "html", "404", "json"],
)  # fmt: skip
def test_answers_made_by_hand(
    answer: Callable[[BaseHTTPRequestHandler], None], cause: str, said: str
) -> None:
    with front(answer) as port:
        (finding,) = found({"bucket": "data", "endpoint": f"http://127.0.0.1:{port}"}).values()
    assert finding.cause == f"datasource.{cause}" and said in finding.summary, finding
    assert finding.remedy
    if cause == "clock":
        assert re.search("it is (39|40)[0-9]{2} s behind", finding.remedy.text)
    if cause == "region":
        assert 'region = "eu-west-1"' in finding.remedy.text


def test_a_clock_and_a_region_that_still_work_are_warned_of(s3: Storage) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = b"<ListBucketResult><Name>data</Name><IsTruncated>false</IsTruncated>"
        reply(handler, 200, body + b"</ListBucketResult>", x_amz_bucket_region="eu-west-1",
              Date=formatdate(time.time() - 600))  # fmt: skip

    with front(answer) as port:
        asked = {"bucket": "data", "endpoint": f"http://127.0.0.1:{port}", "region": "us-west-2"}
        findings = found(asked)
    assert findings["s3 data"].status is Status.PASS
    assert findings["s3 data: region"].status is Status.WARN
    assert findings["s3 data: clock"].status is Status.WARN
    assert "behind this host's" in findings["s3 data: clock"].summary


def flood(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n")
    while True:
        connection.sendall(b"<a>" * 20000)


def trickle(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (flood, "it answers without end"),
        (trickle, "does not answer in time"),
        (silent, "does not answer in time"),
        (reset, "and cuts it"),
        (saying(b""), "hangs up without an answer"),
        (saying(b"SSH-2.0-x\r\n", first=True), "an SSH server (x)"),
    ],
    ids=["flood", "trickle", "silent", "reset", "closed", "ssh"],
)
def test_hostile_peers_cost_the_timeout_at_most(
    behaviour: Callable[[socket.socket], object], said: str
) -> None:
    timeout = 4 if "in time" in said else 20
    with Peer(behaviour) as peer:
        source = {"bucket": "data", "endpoint": f"http://127.0.0.1:{peer.port}"}
        with within(timeout):
            (finding,) = found(source, timeout=timeout).values()
    assert finding.status in (Status.FAIL, Status.ERROR)
    assert said in finding.summary, finding


def test_nobody_listens_and_plain_where_tls_was_expected(s3: Storage) -> None:
    (finding,) = found({"bucket": "data", "endpoint": "http://127.0.0.1:9"}).values()
    assert finding.cause == "datasource.unreachable" and "nothing listens" in finding.summary
    asked = {"bucket": "data", "endpoint": f"https://127.0.0.1:{s3.port}"}
    (finding,) = found(asked).values()
    assert finding.cause == "datasource.foreign" and "http://" in finding.summary


@pytest.mark.parametrize("region", [None, "no region!"])
@pytest.mark.parametrize("url", ["http://u:PASS@ho st:99999/", "http://", "https://[x"])
def test_an_endpoint_that_is_none_is_told_without_its_password(url: str, region: str) -> None:
    canary = secrets.token_hex(8)
    asked = {"bucket": "data", "endpoint": url.replace("PASS", canary), "region": region}
    (finding,) = found(asked).values()
    assert finding.status in (Status.ERROR, Status.FAIL) and finding.remedy
    assert canary not in str(finding)


def test_a_storage_that_hangs_midway_is_cleared_up_all_the_same(s3: Storage) -> None:
    def hang_at_get(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "GET" and scratch.PREFIX in handler.path.partition("?")[0]:
            time.sleep(5)
        else:
            forward(handler, s3.port)

    with front(hang_at_get) as port:
        endpoint = f"http://127.0.0.1:{port}"
        findings = found(source(s3, s3.admin, endpoint=endpoint, write=True), timeout=4)
    writing = findings["s3 data: writing"]
    assert writing.status is Status.ERROR and "get failed (timeout)" in writing.summary
    assert "Nothing is left of it" in writing.summary and s3.everything("data") == []


def test_a_missing_key_and_a_missing_library(
    s3: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = {"file": str(tmp_path / "absent")}
    asked = {**source(s3, s3.admin), "secret_key": absent}
    (finding,) = found(asked).values()
    assert finding.status is Status.ERROR and finding.cause == "datasource.no-secret"
    half = {**source(s3), "access_key": s3.admin.config["access_key"]}
    (finding,) = found(half).values()
    assert "belong together" in finding.summary
    monkeypatch.setitem(sys.modules, "botocore.credentials", None)
    (finding,) = found(source(s3)).values()
    assert finding.cause == "datasource.unasked" and "botocore" in finding.summary
    assert finding.remedy and "[datasources]" in finding.remedy.commands[0]


def test_ambient_accounts_are_not_used(
    s3: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither keys of the environment nor those of ~/.aws, nor a region or endpoint of theirs."""
    (tmp_path / "config").write_text("[default]\nregion = mars-1\n[profile x]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "absent")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.admin.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.admin.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    seen: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert handler.headers["Accept-Encoding"] == "identity"
        seen.append(handler.headers.get("Authorization") or "")
        reply(handler, 403, error("AccessDenied"))

    with front(answer) as port:
        (finding,) = found({"bucket": "data", "endpoint": f"http://127.0.0.1:{port}"}).values()
    assert seen == [""] and finding.cause == "datasource.password-needed"


def test_a_proxy_of_the_environment_is_used(s3: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def proxy(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.path)
        reply(handler, 407, b"")

    with front(proxy) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        (finding,) = found(
            {"bucket": "data", "endpoint": "http://storage.invalid", "style": "path"}
        ).values()
    assert seen[0].startswith("http://storage.invalid/data?") and "proxy" in finding.cause
    assert "wants a user name" in finding.summary


def test_an_untrusted_certificate_and_its_authority(tmp_path: Path) -> None:
    authority = make("lab authority", ca=True)
    made = make("storage", issuer=authority, names=("localhost",))

    with Peer(tls(server_context(tmp_path, made))) as peer:
        asked = {"bucket": "data", "endpoint": f"https://localhost:{peer.port}", "style": "path"}
        (finding,) = found(asked).values()
        assert finding.cause == "datasource.untrusted" and "not trusted" in finding.summary
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        (finding,) = found({**asked, "ca_file": str(tmp_path / "ca.pem")}).values()
        assert finding.cause != "datasource.untrusted"
        (finding,) = found({**asked, "ca_file": str(tmp_path / "none.pem")}).values()
        assert finding.status is Status.ERROR
        assert f"{tmp_path / 'none.pem'}: No such file" in finding.summary


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(status: int) -> None:
    """As from http:// to https://. botocore asks where the bucket is after each, without end."""
    asked: list[str] = []

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.command)
        reply(handler, status, b"", Location="https://who:hush@safe.lab.test/data?key=hush")

    with front(elsewhere) as port:
        endpoint = f"http://127.0.0.1:{port}"
        (finding,) = found({"bucket": "data", "endpoint": endpoint, "style": "path"}).values()
    assert finding.status is Status.FAIL and finding.cause == "datasource.foreign"
    assert f"redirects to https://safe.lab.test (HTTP {status})" in finding.summary
    assert len(asked) <= 2 and "hush" not in repr(finding)


@pytest.mark.parametrize(
    ("status", "inside"),
    [
        (200, b"<KeyCount>HOSTILE words</KeyCount>"),
        (200, b"<KeyCount>" + b"9" * 5000 + b"</KeyCount>"),
        (200, b"<Contents><Key>k</Key><LastModified>HOSTILE</LastModified></Contents>"),
        (403, b"<Code>X</Code>" + b"<a>" * 100_000 + b"</a>" * 100_000),
    ],
)
def test_answers_that_botocore_stumbles_over(status: int, inside: bytes) -> None:
    root = b"ListBucketResult" if status == 200 else b"Error"
    body = b"<%b><Name>data</Name>%b</%b>" % (root, inside, root)
    with front(lambda handler: reply(handler, status, body)) as port:
        endpoint = f"http://127.0.0.1:{port}"
        (finding,) = found({"bucket": "data", "endpoint": endpoint, "style": "path"}).values()
    assert finding.status is Status.FAIL and finding.cause == "datasource.foreign"
    assert "HOSTILE" not in repr(finding)


def test_entities_are_not_multiplied() -> None:
    entities = b"".join(b"<!ENTITY e%d '%b'>" % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 9))
    head = b"<!DOCTYPE l [<!ENTITY e0 '%b'>%b]>" % (b"A" * 100_000, entities)
    body = head + b"<ListBucketResult><Name>&e8;</Name></ListBucketResult>"
    with front(lambda handler: reply(handler, 200, body)) as port:
        endpoint = f"http://127.0.0.1:{port}"
        (finding,) = found({"bucket": "data", "endpoint": endpoint, "style": "path"}).values()
    assert finding.cause == "datasource.foreign"


def test_a_proxy_of_socks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5h://who:hush@192.0.2.1:1080")
    monkeypatch.delenv("NO_PROXY", raising=False)
    (finding,) = found({"bucket": "data", "endpoint": "http://storage.lab.test"}).values()
    assert finding.cause == "datasource.proxy" and "SOCKS" in finding.summary
    assert "hush" not in repr(finding)


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1:99999", "https://a:b/c@127.0.0.1:9"])
def test_an_endpoint_that_cannot_be_one_is_not_taken_for_an_answer(endpoint: str) -> None:
    (finding,) = found({"bucket": "data", "endpoint": endpoint}).values()
    assert finding.status is Status.ERROR and "its endpoint is no URL" in finding.summary


@pytest.mark.parametrize("endpoint", ["minio.local:9000", "ftp://minio.local"])
def test_an_endpoint_without_http_is_a_fault_of_the_configuration(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"endpoint: expected a text starting with http://"):
        found({"bucket": "data", "endpoint": endpoint})


def test_no_secret_is_told(s3: Storage, tmp_path: Path) -> None:
    """Keys that are wrong, right, and sent to a server that repeats everything it was told."""

    def echo(handler: BaseHTTPRequestHandler) -> None:
        told = str(handler.headers)
        reply(handler, 403, error("SignatureDoesNotMatch", Message=told, StringToSign=told))

    in_url = secrets.token_hex(8)
    with front(echo) as port:
        lines = []
        for keys, endpoint in (
            (s3.admin, s3.endpoint), (s3.wrong, s3.endpoint), (s3.admin, f"http://127.0.0.1:{port}"),
            (s3.admin, f"http://user:{in_url}@127.0.0.1:{port}"),
            (s3.admin, f"http://user:{in_url}//1@127.0.0.1:{port}"),
            (s3.admin, f"http://user:1/{in_url}@127.0.0.1:{port}"),
        ):  # fmt: skip
            lines += [
                "[[datasources.s3]]", 'bucket = "data"', f'endpoint = "{endpoint}"', "write = true",
                *(f'{name} = {{ file = "{at["file"]}" }}' for name, at in keys.config.items()),
            ]  # fmt: skip
        config = tmp_path / "config.toml"
        config.write_text("\n".join(lines))
        for output in ("json", "table"):
            done = run(config, "--output", output)
            everything = done.stdout + done.stderr
            assert "SignatureDoesNotMatch" in everything and "Traceback" not in everything
            assert not any(
                word in everything
                for word in (
                    s3.admin.secret,
                    s3.wrong.secret,
                    s3.admin.access,
                    in_url,
                    "Credential=",
                )
            )


COMMAND = [sys.executable, "-m", "biostudio_doctor", "check", "datasources.s3"]


def run(config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--config", str(config), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_after_a_kill_the_next_run_removes_its_own_object_and_no_other(
    s3: Storage, tmp_path: Path
) -> None:
    hung = []

    def hang_at_get(handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        if handler.command == "GET" and scratch.PREFIX in path and text not in path:
            hung.append(handler.path)
            time.sleep(30)
        else:
            forward(handler, s3.port)

    mine = scratch.owner(Host())
    foreign = [
        structs.replace(mine, host="0" * 16, boot="0" * 8).new_name(),  # another host's
        mine.new_name(),  # of a run that is alive: this one
        f"{mine.prefix}notes.txt",
    ]
    text = structs.replace(mine, boot="0" * 8).new_name()  # an ended run's name, and other content
    for name in foreign:
        s3.client("s3").put_object(Bucket="versioned", Key=name, Body=scratch.content(name))
    s3.client("s3").put_object(Bucket="versioned", Key=text, Body=b"results of a year")
    config = tmp_path / "config.toml"
    keys = "\n".join(f'{k} = {{ file = "{v["file"]}" }}' for k, v in s3.admin.config.items())
    asked = f'[[datasources.s3]]\nbucket = "versioned"\nwrite = true\n{keys}\nendpoint = '
    with front(hang_at_get) as port:
        config.write_text(f'{asked}"http://127.0.0.1:{port}"\n')
        child = subprocess.Popen(
            [*COMMAND, "--config", str(config)], start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: hung or child.poll() is not None, "a request that hangs")
        assert child.poll() is None
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(5)
    left = set(s3.everything("versioned")) - {*foreign, text}
    assert len(left) == 1, left
    config.write_text(f'{asked}"{s3.endpoint}"\n')
    (result,) = json.loads(run(config, "--output", "json").stdout)["results"]
    writing = next(one for one in result["findings"] if one["subject"].endswith("writing"))
    assert (
        writing["status"] == "pass" and "1 object of a run that was cut off" in writing["summary"]
    )
    assert set(s3.everything("versioned")) == {*foreign, text}
