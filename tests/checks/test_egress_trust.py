"""egress.trust, on facts, on made file trees and on this host's own environment."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest
from msgspec import structs

from biostudio_doctor.ca_bundles import SYSTEM_BUNDLES, WELL_KNOWN, Added, Bundle, SystemStore
from biostudio_doctor.checks.egress_trust import EgressTrust
from biostudio_doctor.host import Host, trust
from biostudio_doctor.host.trust import Named, Program, TrustFacts
from biostudio_doctor.model import Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge
from tests.lab.certificates import make

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SYSTEM = SYSTEM_BUNDLES[0]
GOOD = Bundle(path=SYSTEM, state="good", count=140, well_known=tuple(set(WELL_KNOWN.values())))
SITE = Bundle(path="/site.pem", state="good", count=1)
ROCKY = structs.replace(DEBIAN, os_id="rocky", os_like=("rhel", "fedora"), os_version="9.4")
CENTOS7 = structs.replace(DEBIAN, os_id="centos", os_like=("rhel",), os_version="7")
AUTHORITY, EXPIRED = make("Site CA", ca=True), make("Old CA", ca=True, days=(-90, -1))
MOZILLA = Path(certifi.where()).read_bytes()


def judged(
    *programs: Program,
    bundle: Bundle | None = GOOD,
    added: tuple[Added, ...] = (),
    machine: Machine = DEBIAN,
    seen: bool = True,
) -> dict[str, Finding]:
    facts = TrustFacts(
        observed_at=NOW,
        environment_seen=seen,
        store=SystemStore(bundle=bundle, added=added),
        programs=programs,
    )
    return judge(EgressTrust(context(machine)), facts)


def found(make_host: MakeHost, tree: Tree, **environ: str) -> dict[str, Finding]:
    programs = dict.fromkeys([f"/usr/bin/{name}" for name in ("curl", "pip3", "git", "node")], "")
    host = make_host({SYSTEM: MOZILLA, **programs, **tree})
    return judge(EgressTrust(context()), trust.look(host, environ))


# --- The system's bundle --------------------------------------------------------------------------


def test_a_current_bundle() -> None:
    finding = judged()["system CA bundle"]
    assert finding.status is Status.PASS and "holds 140 authorities" in finding.summary
    expired = judged(bundle=structs.replace(GOOD, expired=4))["system CA bundle"]
    assert expired.status is Status.PASS and "4 of them expired" in expired.summary


@pytest.mark.parametrize(
    ("machine", "command"),
    [(DEBIAN, "apt-get install -y ca-certificates"), (ROCKY, "dnf update -y ca-certificates"),
     (CENTOS7, "yum update -y ca-certificates")],
)  # fmt: skip
def test_an_old_bundle(machine: Machine, command: str) -> None:
    known = tuple(name for name in GOOD.well_known if name != "ISRG Root X1")
    finding = judged(bundle=structs.replace(GOOD, well_known=known), machine=machine)[
        "system CA bundle"
    ]
    assert (finding.status, finding.cause) == (Status.WARN, "trust.old-bundle")
    assert "but not ISRG Root X1:" in finding.summary
    assert finding.remedy and finding.remedy.commands[-1] == command


@pytest.mark.parametrize(
    ("bundle", "cause", "said"),
    [
        (None, "trust.missing-file", "has no bundle"),
        (Bundle(path=SYSTEM, state="bad", problem="it is empty"), "trust.bad-file", "it is empty"),
        (Bundle(path=SYSTEM, state="denied", problem="this user may not read it"),
         "trust.bad-file", "may not read it"),
        (structs.replace(GOOD, count=2, expired=2), "trust.bad-file",
         "all its certificates have expired"),
    ],
)  # fmt: skip
def test_no_good_bundle(bundle: Bundle | None, cause: str, said: str) -> None:
    finding = judged(bundle=bundle)["system CA bundle"]
    assert (finding.status, finding.cause) == (Status.FAIL, cause)
    assert said in finding.summary and finding.remedy and finding.remedy.commands


def test_this_hosts_own_bundle_is_read_without_the_heavy_module() -> None:
    if not any(Path(path).exists() for path in SYSTEM_BUNDLES):
        pytest.skip("this system has no bundle of authorities")
    code = (
        "import sys; from biostudio_doctor.host import Host, trust; "
        "facts = trust.look(Host(), {}); assert facts.store.bundle.count > 50; "
        "print('cryptography' in sys.modules)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- Added authorities ----------------------------------------------------------------------------


def test_added_and_taken() -> None:
    added = tuple(Added(path=f"/added/{name}.crt", in_bundle=True) for name in "abcde")
    finding = judged(added=added)["added authorities"]
    assert finding.status is Status.PASS and finding.observed == "5"
    assert "/added/a.crt, /added/b.crt, /added/c.crt and 2 more" in finding.summary
    assert finding.remedy and "REQUESTS_CA_BUNDLE=/site-ca.crt" in finding.remedy.commands[0]
    assert f"--volume {SYSTEM}:/site-ca.crt:ro" in finding.remedy.commands[0]


@pytest.mark.parametrize(
    ("one", "cause", "said", "last"),
    [
        (Added(path="/a.crt"), "trust.not-updated", "never taken into", "update-ca-certificates"),
        (Added(path="/a.pem", ignored=True), "trust.not-updated", "end in .crt",
         "update-ca-certificates"),
        (Added(path="/a.crt", expired=True, in_bundle=True), "trust.bad-file", "has expired",
         "update-ca-certificates"),
        (Added(path="/a.crt", problem="it is empty"), "trust.bad-file", "it is empty",
         "update-ca-certificates"),
    ],
)  # fmt: skip
def test_added_and_no_good(one: Added, cause: str, said: str, last: str) -> None:
    findings = judged(added=(one,))
    finding = findings[one.path]
    assert (finding.status, finding.cause) == (Status.WARN, cause) and said in finding.summary
    assert finding.remedy and finding.remedy.commands[-1] == last
    assert "added authorities" not in findings
    if one.ignored:
        assert finding.remedy.commands[0] == "mv /a.pem /a.crt"


# --- Programs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "subject", "said"),
    [
        ({}, "curl", "curl uses the system CA bundle, "),
        ({}, "pip", "Nothing is set for pip"),
        ({"CURL_CA_BUNDLE": SYSTEM, "SSL_CERT_FILE": "/x"}, "curl",
         f"({SYSTEM}), by CURL_CA_BUNDLE; SSL_CERT_FILE does not count."),
        ({"PIP_CERT": "/site.pem"}, "pip",
         "/site.pem (1 authority, none of them a well-known one), by PIP_CERT"),
        ({"CURL_CA_BUNDLE": "/site.pem", "PIP_CERT": "/none"}, "pip", "PIP_CERT does not count"),
        ({"REQUESTS_CA_BUNDLE": "/site.pem"}, "conda", "is not installed here, and would use"),
        ({"GIT_SSL_CAINFO": "/site.pem"}, "git", "by GIT_SSL_CAINFO"),
        ({"NODE_EXTRA_CA_CERTS": "/site.pem"}, "node", "besides its own"),
    ],
)  # fmt: skip
def test_what_is_used(
    make_host: MakeHost, environ: dict[str, str], subject: str, said: str
) -> None:
    finding = found(make_host, {"/site.pem": AUTHORITY.pem}, **environ)[subject]
    assert finding.status is Status.PASS and said in finding.summary


def test_what_is_not_there_is_skipped(make_host: MakeHost) -> None:
    findings = found(make_host, {})
    assert findings["conda"].status is findings["engine"].status is Status.SKIP
    assert findings["environment"].status is Status.SKIP
    assert "git" not in findings and "node" not in findings


BAD = [("/none.pem", "trust.missing-file", "does not exist"),
       ("/empty.pem", "trust.bad-file", "it is empty"),
       ("/key.pem", "trust.bad-file", "private key"),
       ("/old.pem", "trust.bad-file", "its certificate has expired")]  # fmt: skip
FILES: Tree = {
    "/empty.pem": "",
    "/key.pem": AUTHORITY.key_pem,
    "/old.pem": EXPIRED.pem,
    "/opt/conda/bin/conda": "",
}


@pytest.mark.parametrize(("path", "cause", "said"), BAD)
@pytest.mark.parametrize(
    ("variable", "subject", "status"),
    [
        ("CURL_CA_BUNDLE", "curl", Status.FAIL),
        ("SSL_CERT_FILE", "curl", Status.FAIL),
        ("SSL_CERT_DIR", "curl", Status.WARN),
        ("REQUESTS_CA_BUNDLE", "pip", Status.FAIL),
        ("PIP_CERT", "pip", Status.FAIL),
        ("REQUESTS_CA_BUNDLE", "conda", Status.FAIL),
        ("CONDA_SSL_VERIFY", "conda", Status.FAIL),
        ("GIT_SSL_CAINFO", "git", Status.FAIL),
        ("NODE_EXTRA_CA_CERTS", "node", Status.WARN),
    ],
)
def test_bad_files(
    make_host: MakeHost,
    path: str,
    cause: str,
    said: str,
    variable: str,
    subject: str,
    status: Status,
) -> None:
    finding = found(make_host, FILES, **{variable: path})[subject]
    assert (finding.status, finding.cause) == (status, cause)
    assert variable in finding.summary and path in finding.summary and said in finding.summary
    assert finding.remedy and f"unset {variable}" in finding.remedy.commands


@pytest.mark.parametrize(
    ("tree", "subject", "said"),
    [
        (
            {"/root/.condarc": "ssl_verify: /none.pem"},
            "conda",
            "ssl_verify in /root/.condarc names",
        ),
        ({"/etc/pip.conf": "[global]\ncert=/none.pem"}, "pip", "cert in /etc/pip.conf names"),
        ({"/root/.curlrc": "cacert /none.pem"}, "curl", "cacert in /root/.curlrc names"),
        ({"/etc/pip.conf": "nonsense"}, "pip", "pip stops at /etc/pip.conf"),
    ],
)
def test_bad_settings_in_files(make_host: MakeHost, tree: Tree, subject: str, said: str) -> None:
    finding = found(make_host, {"/opt/conda/bin/conda": "", **tree})[subject]
    assert finding.status is Status.FAIL and finding.summary.startswith(said)
    assert finding.cause in ("trust.missing-file", "trust.bad-file") and finding.remedy


@pytest.mark.parametrize(
    ("tree", "environ", "subject"),
    [
        ({"/root/.curlrc": "insecure"}, {}, "curl"),
        ({"/root/.condarc": "ssl_verify: false"}, {}, "conda"),
        ({}, {"CONDA_SSL_VERIFY": "false"}, "conda"),
        ({}, {"GIT_SSL_NO_VERIFY": "0"}, "git"),
        ({}, {"NODE_TLS_REJECT_UNAUTHORIZED": "0"}, "node"),
        ({}, {"PYTHONHTTPSVERIFY": "0"}, "Python 2"),
        ({"/etc/pip.conf": "[global]\ntrusted-host = a.lab"}, {}, "pip"),
        ({}, {"PIP_TRUSTED_HOST": "a.lab b.lab"}, "pip"),
    ],
)
def test_verification_is_off(
    make_host: MakeHost, tree: Tree, environ: dict[str, str], subject: str
) -> None:
    finding = found(make_host, tree, **environ)[subject]
    assert (finding.status, finding.cause) == (Status.WARN, "trust.off")
    assert "does not verify" in finding.summary and finding.remedy and finding.remedy.commands
    assert all(f"unset {name}" in finding.remedy.text for name in environ if subject != "pip")


def test_a_bad_file_for_what_is_not_there_only_warns(make_host: MakeHost) -> None:
    finding = found(make_host, {}, CONDA_SSL_VERIFY="/none.pem")["conda"]
    assert (finding.status, finding.cause) == (Status.WARN, "trust.missing-file")


def test_a_path_stays_a_path_in_commands() -> None:
    path = "/a b;reboot.pem"
    added = Added(path=path, ignored=True)
    moved = judged(added=(added,))[path].remedy
    assert moved and shlex.split(moved.commands[0]) == ["mv", path, "/a b;reboot.crt"]
    curl = Program(name="curl", installed=True, broken=(f"{path}: is no text",))
    remedy = judged(curl)["curl"].remedy
    assert remedy and shlex.split(remedy.commands[0]) == ["cat", path]


def test_what_could_not_be_read_is_an_error(make_host: MakeHost) -> None:
    finding = found(make_host, {"/root/.condarc": "ssl_verify: |\n  x\n"})["conda"]
    assert finding.status is Status.ERROR and "/root/.condarc" in finding.summary


def test_engines(make_host: MakeHost) -> None:
    unit = "/lib/systemd/system/docker.service"
    plain = found(make_host, {unit: "[Service]\n"})["engine"]
    assert plain.status is Status.PASS and "dockerd uses the system CA bundle" in plain.summary
    registry = {"/etc/docker/certs.d/r.lab/ca.crt": AUTHORITY.pem}
    own = found(make_host, registry)["engine"]
    assert own.status is Status.PASS and "for r.lab the authorities in" in own.summary


@pytest.mark.parametrize(("path", "cause", "said"), BAD)
def test_an_engine_with_a_bad_file_goes_on(
    make_host: MakeHost, path: str, cause: str, said: str
) -> None:
    unit = "/lib/systemd/system/docker.service"
    tree = {**FILES, unit: f"[Service]\nEnvironment=SSL_CERT_FILE={path}\n"}
    finding = found(make_host, tree)["engine"]
    assert (finding.status, finding.cause) == (Status.WARN, cause) and said in finding.summary
    assert finding.remedy and "systemctl cat docker.service" in finding.remedy.commands


def test_what_only_root_may_read_of_an_engine_is_an_error() -> None:
    hidden = Bundle(path="/x", state="denied", problem="this user may not read it")
    named = Named(setting="SSL_CERT_FILE of docker.service", bundle=hidden)
    finding = judged(Program(name="dockerd", installed=True, uses=(named,)))["engine"]
    assert finding.status is Status.ERROR


def test_a_unit_that_is_not_readable_is_an_error(make_host: MakeHost) -> None:
    unit = "/etc/systemd/system/docker.service"
    finding = found(make_host, {unit: "[Service]\n", f"{unit}.d/p.conf": "-> p.conf"})["engine"]
    assert finding.status is Status.ERROR and "p.conf: it cannot be read" in finding.summary


def test_conda_with_the_systems_own() -> None:
    program = Program(name="conda", installed=True, system="CONDA_SSL_VERIFY")
    finding = judged(program)["conda"]
    assert finding.status is Status.PASS and "the system's authorities" in finding.summary


def test_lists_of_their_own_lack_what_was_added() -> None:
    added = (Added(path="/a.crt", in_bundle=True),)
    programs = [Program(name=name, installed=True) for name in ("conda", "pip")]
    findings = judged(*programs, added=added)
    assert "without the authorities that were added" in findings["conda"].summary
    assert "lacks the added authorities" in findings["pip"].summary


def test_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "site.pem").write_bytes(AUTHORITY.pem)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "site.pem"))
    monkeypatch.setenv("HOME", str(tmp_path))
    check = EgressTrust(context())
    findings = judge(check, check.observe(Host()))
    assert "site.pem (1 authority" in findings["curl"].summary and "environment" not in findings
