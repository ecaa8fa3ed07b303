"""From a fault to whom it is told.

A real Prometheus scrapes the real daemon, by TLS and with a login; an alert of ours goes through a
real Alertmanager to a webhook, and is taken back.
"""

from __future__ import annotations

import json
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.lab import certificates, servers
from tests.lab.network import free_port
from tests.lab.timing import PATIENCE

ROOT = Path(__file__).parents[2]
RULES = ROOT / "packaging/monitoring/biostudio-doctor.rules.yml"


class Webhook:
    """What Alertmanager told, alert by alert, oldest first."""

    def __init__(self) -> None:
        told: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                told.extend(json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.told = told
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def named(self, alert: str, status: str) -> list[dict[str, Any]]:
        return [
            one
            for one in self.told
            if one["labels"]["alertname"] == alert and one["status"] == status
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def until(true: Callable[[], Any], what: str, why_not: Callable[[], str] = str) -> Any:
    """Wait until something is so, and give it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:g} s: {why_not()}"
        time.sleep(0.1)
    return found


class Site:
    """The daemon with one check, and a certificate file that it watches."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port = free_port()
        self.certificate = place / "watched.pem"
        self.authority = servers.Authority(place)
        self.password = secrets.token_hex(16)
        self.renew()
        (place / "state").mkdir()
        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()
        (place / "web-config.yml").write_text(f"""
tls_server_config:
  cert_file: {self.authority.certificate}
  key_file: {self.authority.key}
basic_auth_users:
  prometheus: {hashed}
""")
        (place / "config.toml").write_text(f"""
phase = "running"
skip = ["[!c]*", "cpu.*", "certificate.[!e]*"]
certificates = ["{self.certificate}"]

[daemon]
listen = "127.0.0.1:{self.port}"
web_config = "{place}/web-config.yml"
state = "{place}/state"
intervals = {{ "certificate.expiry" = 1 }}
""")

    def renew(self) -> None:
        self._write(certificates.make("studio.lab", days=(-10, 80)))

    def let_expire(self) -> None:
        self._write(certificates.make("studio.lab", days=(-90, -1)))

    def _write(self, made: certificates.Made) -> None:
        fresh = self.certificate.with_suffix(".new")
        fresh.write_bytes(made.pem)
        fresh.rename(self.certificate)

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.place / "daemon.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "biostudio_doctor", "daemon", "--config",
                 self.place / "config.toml"],
                stderr=log,
            )  # fmt: skip
        try:
            until(lambda: servers.listens(self.port), "the daemon listens")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0, (self.place / "daemon.log").read_text()


def rules(place: Path) -> Path:
    """Those that are delivered, but without patience."""
    file = place / "rules.yml"
    file.write_text(re.sub(r"(?m)^( +)for: \w+$", r"\1for: 0s", RULES.read_text()))
    return file


@contextmanager
def alertmanager(place: Path, webhook: Webhook) -> Iterator[int]:
    config, port = place / "alertmanager.yml", free_port()
    config.write_text(f"""
route: {{receiver: test, group_by: [alertname], group_wait: 0s, group_interval: 1s}}
receivers:
  - name: test
    webhook_configs: [{{url: '{webhook.url}', send_resolved: true}}]
""")
    command = [
        servers.program("prometheus-alertmanager"), f"--config.file={config}",
        f"--storage.path={place}/alerts", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with servers.running(command, port, log=place / "alertmanager.log"):
        yield port


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port

    def value(self, query: str) -> Any:
        """The series of an instant query."""
        return self._get(f"query?{urllib.parse.urlencode({'query': query})}")["result"]

    def problem(self) -> str:
        """Why the daemon could not be scraped."""
        return str(self._get("targets")["activeTargets"][0]["lastError"])

    def _get(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(place: Path, site: Site, alerts: int) -> Iterator[Prometheus]:
    config, port, password = place / "prometheus.yml", free_port(), place / "password"
    password.write_text(site.password)
    password.chmod(0o600)
    servers.give(password)
    config.write_text(f"""
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: [{rules(place)}]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alerts}']}}]}}]
scrape_configs:
  - job_name: biostudio-doctor
    scheme: https
    tls_config: {{ca_file: {site.authority.ca_file}}}
    basic_auth: {{username: prometheus, password_file: {password}}}
    static_configs: [{{targets: ['127.0.0.1:{site.port}']}}]
""")
    command = [
        servers.program("prometheus"), f"--config.file={config}",
        f"--storage.tsdb.path={place}/series", f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",
    ]  # fmt: skip
    with servers.running(command, port, log=place / "prometheus.log"):
        yield Prometheus(port)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    one = Webhook()
    yield one
    one.close()


@pytest.mark.timeout(90)
def test_a_fault_is_told_and_taken_back(webhook: Webhook) -> None:
    with servers.directory() as place:
        site = Site(place)
        with (
            alertmanager(place, webhook) as alerts,
            prometheus(place, site, alerts) as metrics,
        ):
            with site.daemon():
                up = 'up{job="biostudio-doctor"} == 1'
                until(lambda: metrics.value(up), "Prometheus scrapes the daemon", metrics.problem)
                passed = 'biostudio_check_status{check="certificate.expiry",status="pass"} == 1'
                until(lambda: metrics.value(passed), "the certificate is good")
                assert not webhook.named("BiostudioCertificateExpired", "firing")

                site.let_expire()
                (fired, *_) = until(
                    lambda: webhook.named("BiostudioCertificateExpired", "firing"), "it is told"
                )
                assert fired["labels"]["severity"] == "critical"
                assert fired["labels"]["target"] == str(site.certificate)
                said = fired["annotations"]
                assert said["summary"] == f"The certificate of {site.certificate} has expired."
                assert (ROOT / said["runbook_url"]).is_file()
                until(lambda: webhook.named("BiostudioCheckFailed", "firing"), "its check fails")

                site.renew()
                until(
                    lambda: webhook.named("BiostudioCertificateExpired", "resolved"),
                    "it is taken back",
                )
            until(lambda: webhook.named("BiostudioDoctorDown", "firing"), "the daemon is missed")
