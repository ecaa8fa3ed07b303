"""Settings of conda, pip and curl, on made files; hypothesis for their readers."""

import secrets

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biostudio_doctor.host import dotfiles
from tests.conftest import MakeHost


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ssl_verify: false\n", {"ssl_verify": "false"}),
        ("ssl_verify: /etc/ca.pem  # ours\n", {"ssl_verify": "/etc/ca.pem"}),
        ("'ssl_verify' : \"/etc/my ca.pem\" # x\n", {"ssl_verify": "/etc/my ca.pem"}),
        ("verify_ssl: no\n", {"ssl_verify": "no"}),
        ("# ssl_verify: false\nchannels:\n  - https://user:pw@host/x\n", {}),
        ("channels:\n- ssl_verify: false\n", {}),
        ("other:\n  ssl_verify: false\n", {}),
        ("ssl_verify:\n", {}),
        ("ssl_verify: true\nssl_verify: false\n", {"ssl_verify": "false"}),
        ("proxy_servers:\n  http: http://p:1\n  https: 'http://p:2'\nx: y\n",
         {"proxy_servers.http": "http://p:1", "proxy_servers.https": "http://p:2"}),
        ("proxy_servers:\n  'https://a.lab': http://p:3\n", {"proxy_servers.https://a.lab": "http://p:3"}),
        ("proxy_servers:\n    https: http://u:p%40x@p:2\n", {"proxy_servers.https": "http://u:p%40x@p:2"}),
    ],
)  # fmt: skip
def test_condarc(text: str, values: dict[str, str]) -> None:
    assert dotfiles.parse_condarc(text) == (values, "")


@pytest.mark.parametrize(
    "text", ["proxy_servers: {https: http://p:1}\n", "ssl_verify: >\n  x\n", "ssl_verify: *a\n"]
)
def test_forms_of_a_condarc_that_are_not_read_are_told(text: str) -> None:
    values, problem = dotfiles.parse_condarc(text)
    assert values == {} and "a form that this tool does not read" in problem


def test_condarcs_in_the_order_of_conda(make_host: MakeHost) -> None:
    host = make_host(
        dict.fromkeys(
            ["/h/.condarc", "/etc/conda/condarc", "/opt/conda/.condarc", "/env/.condarc",
             "/etc/conda/condarc.d/b.yml", "/etc/conda/condarc.d/c.txt", "/h/.config/conda/condarc",
             "/my.yml"],
            "ssl_verify: x\n",
        )
    )  # fmt: skip
    environ = {"HOME": "/h", "CONDA_PREFIX": "/env", "CONDARC": "/my.yml"}
    assert [file.path for file in dotfiles.condarcs(host, environ, "/opt/conda")] == [
        "/etc/conda/condarc", "/etc/conda/condarc.d/b.yml", "/opt/conda/.condarc",
        "/h/.config/conda/condarc", "/h/.condarc", "/env/.condarc", "/my.yml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[global]\ncert = /ca.pem\nindex-url = https://u:p@host/\n", {"cert": "/ca.pem"}),
        ("[global]\ncert=/a\n[install]\ncert=/b\n", {"cert": "/b"}),
        ("[install]\ntrusted_host =\n  a.lab\n  b.lab\n", {"trusted-host": "a.lab\nb.lab"}),
        ("[list]\ncert = /a\n", {}),
        ("[global]\ncert =\n", {}),
        ("[global]\nproxy = http://%(x)s:1\n", {"proxy": "http://%(x)s:1"}),
        ("", {}),
    ],
)
def test_pip_conf(text: str, values: dict[str, str]) -> None:
    assert dotfiles.parse_pip(text) == (values, "")


def test_a_broken_pip_conf_is_told_without_its_secrets(make_host: MakeHost) -> None:
    secret = secrets.token_hex(8)
    for line in (f"index-url = https://u:{secret}@h/", f"[global]\n{secret}\n x",
                 f"[global]\na={secret}\na={secret}"):  # fmt: skip
        (file,) = dotfiles.pip_files(make_host({"/etc/pip.conf": line}), {})
        assert file.broken and "no valid INI file (line" in file.problem
        assert secret not in repr(file)


def test_pip_files_in_the_order_of_pip(make_host: MakeHost) -> None:
    paths = ["/etc/pip.conf", "/etc/xdg/pip/pip.conf", "/h/.pip/pip.conf",
             "/h/.config/pip/pip.conf", "/venv/pip.conf", "/mine"]  # fmt: skip
    host = make_host(dict.fromkeys(paths, ""))

    def read(**environ: str) -> list[str]:
        return [file.path for file in dotfiles.pip_files(host, {"HOME": "/h", **environ})]

    assert read() == [paths[1], paths[0], *paths[2:4]]
    assert read(VIRTUAL_ENV="/venv")[-1] == "/venv/pip.conf"
    assert read(PIP_CONFIG_FILE="/mine") == [paths[1], paths[0], "/mine"]
    assert read(PIP_CONFIG_FILE="/dev/null") == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("insecure\n", {"insecure": "on"}),
        ("--insecure\nsilent", {"insecure": "on"}),
        ("-k\n", {"insecure": "on"}),
        ("k\n# insecure\ninsecurely\n", {}),
        ("insecure\nno-insecure\n", {}),
        ("cacert = /a.pem\n--capath /d\n", {"cacert": "/a.pem", "capath": "/d"}),
        ('cacert: "/a \\"b\\".pem"\n', {"cacert": '/a "b".pem'}),
        ("cacert=/a.pem\n", {"cacert": "/a.pem"}),
        ("-x http://p:1\n", {"proxy": "http://p:1"}),
        ('proxy = "http://p:1"\nuser = "a:b"\n', {"proxy": "http://p:1"}),
    ],
)
def test_curlrc(text: str, values: dict[str, str]) -> None:
    assert dotfiles.parse_curlrc(text) == (values, "")


def test_the_first_curlrc_counts(make_host: MakeHost) -> None:
    host = make_host({"/h/.curlrc": "insecure\n", "/c/.curlrc": "cacert /x\n"})
    first = dotfiles.curlrc(host, {"HOME": "/h", "CURL_HOME": "/c"})
    own = dotfiles.curlrc(host, {"HOME": "/h"})
    assert first and own and first.path == "/c/.curlrc" and own.path == "/h/.curlrc"
    assert dotfiles.curlrc(host, {}) is None


_WORDS = st.sampled_from(
    ["ssl_verify", "proxy_servers", "cert", "cacert", "insecure", "[global]", ":", "=", " ", "  ",
     "\n", "#", "'", '"', "{", "http://u:p@h:1", "-", "--", "\\", "é", "\x00", "\x1c", "\r"]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=40).map("".join) | st.text(max_size=80))
@example("[global]\n  x")
@example("[DEFAULT]\ncert=%")
def test_any_text_is_read(text: str) -> None:
    assert all(dotfiles.parse_condarc(text)[0].values())
    assert all(dotfiles.parse_curlrc(text)[0].values())
    try:
        assert all(dotfiles.parse_pip(text)[0].values())
    except ValueError as error:
        assert str(error).startswith("it is no valid INI file (line ")
