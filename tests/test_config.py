"""Bad configuration is one clear line that names the file, the key and what was expected."""

import re
from pathlib import Path
from secrets import token_hex

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor import config as configuration
from biostudio_doctor import plan
from biostudio_doctor.cli import cli
from biostudio_doctor.errors import DoctorError

MALFORMED = {
    "no TOML": ("role =", "is no valid TOML"),
    "half a string": ('role = "bio', "is no valid TOML"),
    "a key twice": ('role = "bioproxy"\nrole = "bioproxy"', "is no valid TOML"),
    "a table twice": ("[ports]\n[ports]", "is no valid TOML"),
    "JSON": ('{"role": "bioproxy"}', "is no valid TOML"),
    "YAML": ("role: bioproxy", "is no valid TOML"),
    "control characters": ("role = \x01", "is no valid TOML"),
    "nested without end": ("a = " + "[" * 100_000, "is no valid TOML"),
    "unknown key": ("rol = 'bioproxy'", "rol: unknown key; did you mean 'role'?"),
    "unknown key, nothing like it": ("xyzzy = 1", "xyzzy: unknown key; known here: role, phase"),
    "unknown key in a table": ("[storage]\nmeta = '/m'", "storage.meta: unknown key; did you mean"),
    "unknown role": ("role = 'proxy'", "role: expected 'all-in-one' or 'bioproxy' or 'biostudio'"),
    "unknown phase": ("phase = 'after'", "phase: expected 'preinstall' or 'running', not 'after'"),
    "unknown platform": ("platform = 'podman'", "platform: expected 'docker' or 'kubernetes'"),
    "unknown profile": ("profile = 'mine'", "profile: 'mine' is unknown; known: published"),
    "role is a number": ("role = 1", "role: expected a text, got a whole number"),
    "table is a text": ("storage = '/srv'", "storage: expected a table, got a text"),
    "relative path": (
        "[storage]\napp = 'srv'",
        "storage.app: expected a text starting with '/', without NUL bytes",
    ),
    "path is a number": (
        "[storage]\nuser = 5",
        "storage.user: expected a text, got a whole number",
    ),
    "path with a NUL": ('[storage]\napp = "/a\\u0000b"', "storage.app: expected a text starting"),
    "certificate without a name": ("certificates = ['']", "certificates: "),
    "certificate that is neither file nor endpoint": ("certificates = ['x']", "certificates: "),
    "port too large": ("[ports]\nhttp = 70000", "ports.http: expected a whole number <= 65535"),
    "port zero": ("[ports]\nhttps = 0", "ports.https: expected a whole number >= 1"),
    "port is a text": ("[ports]\nhttp = '80'", "ports.http: expected a whole number, got a text"),
    "negative timeout": ("timeout = -1", "timeout: expected a number > 0"),
    "timeout is no number": ("timeout = nan", "timeout: expected a number > 0"),
    "timeout without end": ("timeout = inf", "timeout: expected a number <= 86400"),
    "timeout is a text": ("timeout = 'long'", "timeout: expected a number, got a text"),
    "skip is no list": ("skip = 'gpu.*'", "skip: expected a list, got a text"),
    "skip matches nothing": ("skip = ['gpux.*']", "no check matches 'gpux.*'"),
    "certificates hold a number": ("certificates = [443]", "certificates[0]: expected a text"),
    "settings of no check": (
        "[checks.'os.nothing']\na = 1",
        "checks.os.nothing: no check is called",
    ),
    "settings are no table": ("checks = {'os.kernel' = 3}", "expected a table, got a whole number"),
    "unknown setting": ("[checks.'os.kernel']\nzzz = 1", "checks.os.kernel.zzz: unknown key"),
}


@pytest.mark.parametrize(("text", "said"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_configuration(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(DoctorError) as caught:
        plan.make(configuration.load(file), source=str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    if "profile" not in text:
        assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"role = '\xff\xfe'")
    with pytest.raises(DoctorError, match=r"config.toml: is no UTF-8 text \(byte 8\)"):
        configuration.load(file)


@pytest.mark.parametrize(
    ("name", "said"), [("missing.toml", "does not exist"), (".", "is no regular file")]
)
def test_a_file_that_is_none(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(DoctorError, match=said):
        configuration.load(tmp_path / name)


def test_without_a_file_the_defaults_hold() -> None:
    assert configuration.load(None) == configuration.Config()


def test_the_template_is_valid_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    assert CliRunner().invoke(cli, ["config", "init", str(file)]).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert configuration.load(file) == configuration.Config()
    # ... and so is every line of it that a user might uncomment
    # (tables that may be repeated need what has no default, and are tried below)
    lines = [line.removeprefix("# ") for line in file.read_text().splitlines()]
    lines = lines[: lines.index("[datasources]")]
    keys = [line for line in lines if re.match(r"\[|\w+ = (?!\.\.\.)", line)]
    configured = configuration.parse("\n".join(keys), "template")
    assert configured.ports == configuration.PortsConfig()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[services.redis]\npassword = 'canary-4711'", "services.redis.password: expected { file"),
        ("[services.redis]\npassword = {}", "services.redis.password: expected one of { file"),
        ("[services.redis.password]\nfile = '/a'\nenv = 'B'", "password: expected one of { file"),
        ("[services.redis.password]\nvalue = 'canary-4711'", "password.value: unknown key"),
        ("[services.redis]\nprot = 1", "services.redis.prot: unknown key; did you mean 'port'?"),
        ("[[datasources.nfs]]\nserver = 'a'", "datasources.nfs[0]: object missing required field"),
        ("[[datasources.s3]]\nbucket = 'a'\nstyle = 'x'", "s3[0].style: expected 'auto' or 'path'"),
        ("[[datasources.s3]]\nbucket = 'a'\nacces = 1", "s3[0].acces: unknown key; did you mean"),
        (
            "[[datasources.s3]]\nbucket='a'\nsecret_key = 'canary-4711'",
            "secret_key: expected { file",
        ),
        ("certificates = ['/a', {at = '/a', key = '/b'}]", "certificates: '/a' stands there twice"),
        ("bioproxy = ''", "bioproxy: expected a name or an IP address, not nothing"),
        ("bioproxy = 'http://a'", "bioproxy: 'http://a' is no name or IP address"),
        (
            "nodes = ['10.0.0.1', 'a:80']",
            "nodes: 'a:80' is no name or IP address; write it without",
        ),
        ("[services]\naddress = '[::1]'", "address: '[::1]' is no name or IP address; write it"),
        ("[[datasources.nfs]]\nserver = 'a b'\nexport = '/e'", "server: 'a b' is no name or IP"),
        ("[[datasources.ecosystem]]\nurl = 'a'", "url: expected a text starting with http://"),
    ],
)
def test_services_and_data_sources_are_named_in_errors(text: str, said: str) -> None:
    with pytest.raises(DoctorError) as raised:
        configuration.parse(text, "test.toml")
    assert said in str(raised.value)
    assert "canary-4711" not in str(raised.value)


@pytest.mark.parametrize(
    "key",
    ["domain = '{}'", "bioproxy = '{}'", "nodes = ['{}']", "peers = ['biostudio={}']",
     "peers = ['{}']", "certificates = ['ftp://{}']", "[https]\npublic_addresses = ['{}']",
     "[services]\naddress = '{}'", "[sso]\nproviders = ['okta={}']", "[sso]\nproviders = ['{}']",
     "[sso]\nproviders = ['github={}']",
     "[daemon.probe]\nallow = ['{}']"],
)  # fmt: skip
@pytest.mark.parametrize("url", ["https://me:{}@studio.lab:x", "https://me:12/{}@studio.lab/"])
def test_an_address_with_a_password_is_refused_and_not_repeated(key: str, url: str) -> None:
    secret = token_hex()
    with pytest.raises(DoctorError) as raised:
        configuration.parse(key.format(url.format(secret)), "test.toml")
    assert secret not in str(raised.value)


def test_init_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("role = 'bioproxy'\n")
    outcome = CliRunner().invoke(cli, ["config", "init", str(file)])
    assert isinstance(outcome.exception, DoctorError)
    assert "exists already" in str(outcome.exception)
    assert file.read_text() == "role = 'bioproxy'\n"


def test_show_is_a_configuration_again(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("role = 'bioproxy'\n[storage]\napp = '/srv/app'\n")
    shown = CliRunner().invoke(cli, ["config", "show", str(file)]).stdout
    assert configuration.parse(shown, "shown") == configuration.load(file)


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        configuration.parse(text, "fuzz")
    except DoctorError as error:
        assert "\n" not in str(error)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from([*configuration.Config.__struct_fields__, "x"])


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_no_value_raises_anything_else(data: dict[str, object]) -> None:
    try:
        configuration.convert(data, configuration.Config, "fuzz")
    except DoctorError as error:
        assert "\n" not in str(error)
