"""The redactor: what its rules, known secrets, exemptions and tokens promise."""

import base64
import json
import re
import secrets
import sys
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor import config
from biostudio_doctor.errors import ConfigError, DoctorError
from biostudio_doctor.redaction import engine, literals
from biostudio_doctor.redaction.redactor import Place, Redactor

KEY = secrets.token_bytes(32)
ENGINE = Redactor(KEY)
TOKEN = re.compile(rb"<redacted:[a-z0-9-]+:[0-9a-f]{8}>")


def redact(text: str | bytes, redactor: Redactor = ENGINE) -> str:
    counts: dict[str, int] = {}
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    after = b"".join(redactor.stream([raw], counts))
    assert sum(counts.values()) == len(TOKEN.findall(after)) - len(TOKEN.findall(raw))
    return after.decode("utf-8", "surrogateescape")


def password() -> str:
    return f"pw{secrets.token_urlsafe(12)}7"


PLACES = {
    "env": "POSTGRESQL_PASSWORD={}\n",
    "exported": "export COLAB_TOKEN='{}'\n",
    "PostgreSQL": "ssl_passphrase_command = 'echo {}'\n",
    "JSON": '{{"admin_password": "{}"}}',
    "JSON in a log": '{{"log":"{{\\"password\\":\\"{}\\"}}"}}',
    "JSON, twice": r'"{{\\\"token\\\":\\\"{}\\\"}}"',
    "JSON, below": '"password":\n    "{}"',
    "YAML": "redis:\n  password: {}\n  port: 6379\n",
    "YAML, block": "  password: |\n    {}\n  port: 6379\n",
    "YAML, folded": "secret: >-\n  {}\nport: 1\n",
    "YAML, list": "passwords:\n  - {}\n",
    "TOML": 'api_key = "{}"\n',
    "INI": "[db]\npassword = {}\n",
    "XML": "<password>{}</password>",
    "XML attribute": '<db user="a" password="{}"/>',
    "XML entry": '<entry key="password">{}</entry>',
    "argument": "redis-server --requirepass {} --port 1\n",
    "argument, =": "x --password={} --port=1\n",
    "arguments in JSON": '["redis-server", "--requirepass", "{}"]',
    "docker run": "docker run -e PG_PASSWORD={} -p 80:80 image\n",
    "mysql": "mysql -u root -p{} db\n",
    "sshpass": "sshpass -p {} ssh host\n",
    "curl": "curl -u admin:{} https://host/\n",
    "URL": "postgres://hub:{}@db:5432/hub",
    "REDIS_LIST": "REDIS_LIST=redis://:{}@redis:6379/0\n",
    "query": "GET /a?token={}&b=1 200",
    "header": "X-Api-Key: {}\r\n",
    "bearer": "Authorization: Bearer {}\r\n",
    "Go's header": "map[Authorization:[Bearer {}] Accept:[*/*]]",
    "cookie": "Cookie: a=1; session={}\r\n",
    "pair": "- name: POSTGRES_PASSWORD\n  value: {}\n",
    "SQL": "ALTER ROLE hub PASSWORD '{}';",
    "netrc": "machine h login u password {}\n",
    "pgpass": "db:5432:hub:hub:{}\n",
    "repr": "{{'password': '{}', 'port': 1}}",
    "sentence": "The password is {}\n",
    "form": "user=a&password={}&b=1",
    "DSN": "host=db password={} sslmode=require",
    "CSV": "name,value\nhost,db\ndb_password,{}\n",
    "processes": "\0--token\0{}\0",
    "nginx": '    proxy_set_header X-Token "{}";\n',
    "Docker's options": "DOCKER_OPTS='--log-opt splunk-token={} -H fd://'\n",
    "the code of listen": "Environment=BIOSTUDIO_DOCTOR_CODE={}\n",
    "HAProxy's user": "  user admin insecure-password {}\n",
    "HAProxy's page": "  stats auth admin:{}\n",
    "HAProxy's header": "http-request set-header Authorization Basic\\ {}\n",
    "fstab of CIFS": "//server/share /mnt cifs user=alice%{},uid=1 0 0\n",
}


@pytest.mark.parametrize("place", PLACES)
def test_by_name(place: str) -> None:
    secret = password()
    text = PLACES[place].format(secret)
    after = redact(text)
    assert secret not in after
    before_it, _, after_it = text.partition(secret)
    assert after.startswith(before_it[:-20]), "what stands before it stays"
    assert after.endswith(after_it[1:]), "what stands after it stays"
    assert redact(after) == after
    assert not list(ENGINE.scan([after.encode("utf-8", "surrogateescape")]))


@pytest.mark.parametrize(
    "text",
    [
        'password_file = "/etc/secret"',
        "PasswordAuthentication yes",
        "token bucket filter",
        '"password": null',
        "Failed password for root from 10.1.2.3 port 22 ssh2",
        '"secretName": "db"',
        "password: ${DB_PASSWORD}",
        "token=",
        "password: {{ .Values.password }}",
        "PASSWORD=$(cat /run/secret)",
        "author: someone",
        "monkey=1 keyboard=us",
        "pass=12 fail=3",
        "sort_key=name",
        "password: ********",
        "password=<redacted:password:0a1b2c3d>",
        "resourceVersion: '123'",
        "sha256:" + "0af3" * 16,
        "uid: 0b6ac1e4-8d5f-4c55-9e0e-0a3c4c1b2a3d",
        "tokens: 4096",
        "NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.",
        "session opened for user alice",
        "def login(user, password=None):",
        "connect(password=password)",
        "00:1a:2b:3c:4d:5e",
        "no_password: true",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "https://host:8443/a@b",
        "invalid token: expected }",
        "pass      proxy.settings         No proxy is set on this host, so its programs",
        "base-passwd\t3.6.1\npasswd\t1:4.13+dfsg1-1+deb12u1\npython3-jwt\t2.6.0-1",
        "the user must password protect it",
        "unk_token=[UNK]",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text + "\n") == text + "\n"


def test_equal_secrets_become_equal_tokens_and_other_keys_other_ones() -> None:
    secret = password()
    text = f"PASSWORD={secret}\nadmin_password: {secret}\n"
    tokens = TOKEN.findall(redact(text).encode())
    assert len(tokens) == 2
    assert len(set(tokens)) == 1
    assert tokens[0] not in redact(text, Redactor(secrets.token_bytes(32))).encode()


def test_kubernetes_secrets_whatever_their_keys_are_called() -> None:
    secret = secrets.token_hex(8)
    encoded = base64.b64encode(secret.encode()).decode()
    manifest = {"apiVersion": "v1", "data": {"anything": encoded}, "kind": "Secret"}
    yaml = f"apiVersion: v1\ndata:\n  anything: {encoded}\nkind: Secret\nmetadata:\n  name: a\n"
    for text in (
        json.dumps(manifest),
        json.dumps(manifest, indent=2),
        json.dumps(json.dumps(manifest)),
        yaml,
    ):
        assert encoded not in redact(text)
        assert redact(text.replace("Secret", "ConfigMap")).count(encoded) == 1


def test_tokens_that_are_keys_of_a_mapping() -> None:
    one, other = password(), password()
    text = f"c.JupyterHub.api_tokens = {{'{one}': 'alice',\n  '{other}': 'bob'}}\nc.x = 1\n"
    after = redact(text)
    assert one not in after and other not in after and after.endswith("}\nc.x = 1\n")


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "])
def test_private_keys_whole_and_cut(kind: str) -> None:
    raw = base64.b64encode(secrets.token_bytes(900)).decode()
    body = [raw[at : at + 64] for at in range(0, len(raw), 64)]
    begin, end = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    whole = "\n".join([begin, *body, end])
    for text in (
        whole,
        whole.replace("\n", "\\n"),
        "\n".join([begin, *body]),
        "\n".join([*body, end]),
        whole.replace("\n", "\r\n    "),
    ):
        after = redact(f"before\n{text}\nafter\n")
        assert not any(line in after for line in body)
        assert after.startswith("before\n")
        assert after.endswith("\nafter\n")


def test_a_known_secret_goes_wherever_it_stands_and_becomes_one_token() -> None:
    secret = f'{secrets.token_hex(6)}é/"\\ {secrets.token_hex(3)}'
    redactor = Redactor(KEY, [secret])
    plain = secret.encode()
    places = [
        plain,
        quote(secret, safe="").encode(),
        quote(secret, safe="").lower().encode(),
        json.dumps(secret).encode(),
        json.dumps(secret, ensure_ascii=False).encode(),
        json.dumps(json.dumps(secret)).encode(),
        plain.hex().encode(),
        secret.encode("utf-16-le"),
        *(base64.b64encode(b"x" * before + plain + b"y" * 3) for before in range(4)),
        *(base64.urlsafe_b64encode(b"x" * before + plain + b"y" * 3) for before in range(4)),
    ]
    tokens = set()
    for place in places:
        found = TOKEN.findall(redact(b"a line " + place + b" ends", redactor).encode())
        assert len(found) == 1, place
        tokens |= set(found)
    assert len(tokens) == 1


def test_a_known_secret_that_is_a_word_stays_in_longer_words() -> None:
    redactor = Redactor(KEY, ["postgres"])
    assert redact("postgresql postgres", redactor).startswith("postgresql <redacted:known:")


def test_rules_and_exemptions_of_the_configuration() -> None:
    number, secret = secrets.randbelow(10**6), password()
    redactor = Redactor(
        KEY, [secret], {"ticket": r"ticket-(\d+)"}, [r"PG_PASSWORD=\S+", "known .*"]
    )
    after = redact(f"ticket-{number} PG_PASSWORD=open1234\nknown {secret}\n", redactor)
    assert re.fullmatch(
        r"ticket-<redacted:ticket:\w{8}> PG_PASSWORD=open1234\nknown <redacted.*>\n", after
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[bundle.redaction.rules]\nx = '('",
            "rules.x: '(' is no regular expression of RE2: missing",
        ),
        ("[bundle.redaction]\nexempt = ['a*']", "exempt: 'a*' would match everywhere"),
        ("[bundle.redaction]\nexempt = ['(?=a)b']", "is no regular expression of RE2"),
        (
            "[bundle.redaction]\nrule = 1",
            "bundle.redaction.rule: unknown key; did you mean 'rules'?",
        ),
    ],
)
def test_a_bad_pattern_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "config.toml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pattern_that_hangs_others_does_not_hang() -> None:
    pattern = engine.compiled(rb"(a+)+$", groups=True)
    assert not pattern.search(b"a" * 100_000 + b"b")


def test_names_of_files() -> None:
    secret = password()
    after = ENGINE.name(f"var/log/token={secret}.log")
    assert secret not in after
    assert not set("<>:") & set(after)
    assert ENGINE.name("var/log/messages.1") == "var/log/messages.1"
    assert ENGINE.name("bad\udcff") == "bad\udcff"


def test_places_are_told_without_what_is_there() -> None:
    text = b"one\ntwo PG_PASSWORD=" + password().encode() + b"\n"
    assert list(ENGINE.scan([text])) == [Place(kind="password", line=2, column=17)]


def test_utf_16_with_and_without_its_mark() -> None:
    secret = password()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        after = b"".join(ENGINE.stream([f"a\nPG_PASSWORD={secret}\nb漢\n".encode(encoding)], {}))
        text = after.decode(encoding)
        assert secret not in text
        assert re.fullmatch(r"a\nPG_PASSWORD=<redacted:password:\w{8}>\nb漢\n", text)


@given(st.binary(max_size=2000))
def test_anything_is_read_and_comes_out_clean(noise: bytes) -> None:
    after = b"".join(ENGINE.stream([noise], {}))
    assert b"".join(ENGINE.stream([after], {})) == after
    assert not list(ENGINE.scan([after]))


WORDS = st.sampled_from(
    [
        "password",
        "token",
        ": ",
        "=",
        '"',
        "\\",
        "\n",
        "  ",
        "secret",
        "{",
        "}",
        "[",
        "]",
        ",",
        "x1Y2z3",
        "abc",
        "'",
        "<",
        ">",
        "|",
        "- ",
        "value",
        "name",
        "&",
        "https://",
        "u:",
        "@",
        "Bearer ",
        "AKIA",
        "--",
        "-----BEGIN PRIVATE KEY-----",
        "kind: Secret",
        "data:",
        "<redacted:password:0a1b2c3d>",
        "$",
        "(",
        ")",
        ";",
        "#",
        "\0",
    ]
)


@given(st.lists(WORDS, max_size=40).map("".join))
def test_what_is_redacted_stays_as_it_is(text: str) -> None:
    once = b"".join(ENGINE.stream([text.encode()], {}))
    assert b"".join(ENGINE.stream([once], {})) == once
    assert not list(ENGINE.scan([once]))


@pytest.mark.parametrize(
    "text",
    [
        "stats auth a:%22206173{\x00%3Dpasswordcookie: a=\n",
        "x----END PRIVATE KEY-----cookie: a=bf2da67cb7551bca8be9c8~--token5a4b1a0b5b3c| sudo -S\n",
        "u:>-- user=u%http://ee77bddb88Xr3gXXcWj7rYWgnemQ;\n",
    ],
)
def test_nobody_can_write_what_a_search_of_a_bundle_finds_again(text: str) -> None:
    redactor = Redactor(KEY, ["known-secret-7"])
    after = b"".join(redactor.stream([text.encode()], {}))
    assert not list(redactor.scan([after]))


@given(st.text(min_size=literals.SHORTEST, max_size=40).filter(lambda text: text.strip() == text))
def test_any_known_secret_goes(secret: str) -> None:
    redactor = Redactor(KEY, [secret])
    raw = secret.encode("utf-8", "surrogatepass")
    after = b"".join(redactor.stream([b"x " + raw + b" y " + base64.b64encode(raw)], {}))
    assert raw not in after


def test_without_re2_nothing_is_done_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engine.needed.cache_clear()
    monkeypatch.setitem(sys.modules, "re2", None)  # as where it is not installed
    with pytest.raises(DoctorError, match=r"google-re2 is needed: pip install"):
        Redactor(KEY)
