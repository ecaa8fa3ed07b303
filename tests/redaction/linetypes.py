"""Lines that people and programs write: logs, commands, traces, small configuration files.

A type that holds passwords only, as .netrc does, gives None for every other form.
"""

import csv
import io
import shlex
from random import Random

from .filetypes import (
    TYPES,
    camel,
    dotted,
    double,
    env_raw,
    filetype,
    flat,
    header,
    ini,
    json_pretty,
    snake,
    upper,
)
from .material import Material, b64, pick

PLAIN_FORMS = ("password", "licence token")  # values that any place for a password can hold


def held(m: Material) -> str | None:
    """The secret, when the material is nothing but one."""
    return m.secrets[0] if m.form in PLAIN_FORMS else None


@filetype("log, key=value")
def logfmt(m: Material, rnd: Random) -> str:
    pairs = " ".join(f"{snake(e)}={_logged(e.value)}" for e in m.entries)
    head = 'time=2026-11-24T08:00:00Z level=info msg="connect" host=db.lab.example'
    return f"{head} {pairs} port=5432 db=biocolab\n"


def _logged(value: str) -> str:
    return value if all(c not in ' "\\=\n' for c in value) else double(value)


@filetype("log, sentence")
def sentence(m: Material, rnd: Random) -> str | None:
    if " " in (held(m) or ""):
        return None  # nobody can say where it ends
    name = " ".join(m.entries[0].words)
    lines = [
        f"2026-11-24 08:00:00 [Note] {' '.join(e.words).capitalize()}: {flat(e.value)}"
        if rnd.random() < 0.7
        else f"2026-11-24 08:00:00 biocolab[5432]: the {name} is: {flat(e.value)}"
        for e in m.entries
    ]
    return "\n".join(["2026-11-24 08:00:00 start biocolab 5432 on db.lab.example", *lines, ""])


@filetype("log, syslog with a call")
def call(m: Material, rnd: Random) -> str:
    args = ", ".join(f"{snake(e)}: {double(e.value)}" for e in m.entries)
    head = "Nov 24 08:00:00 db.lab.example biocolab[5432]:"
    return f"{head} connect({{host: pg, {args}, retries: 3}}) failed\n"


@filetype("HTTP trace")
def http(m: Material, rnd: Random) -> str:
    lines = [f"> {header(e)}: {flat(e.value)}" for e in m.entries]
    return "\r\n".join(
        [
            "* Connected to db.lab.example port 5432",
            "> GET /biocolab HTTP/1.1",
            "> Host: db.lab.example",
            *lines,
            "> Accept: */*",
            ">",
            "< HTTP/1.1 200 OK",
            "",
        ]
    )


@filetype("HTTP form body")
def form_body(m: Material, rnd: Random) -> str:
    from urllib.parse import urlencode

    body = urlencode({"user": "biocolab", **{snake(e): e.value for e in m.entries}, "port": "5432"})
    return f"POST /login HTTP/1.1\r\nHost: db.lab.example\r\n\r\n{body}\r\n"


@filetype("command line")
def command(m: Material, rnd: Random) -> str:
    tail = " --host db.lab.example --port 5432 biocolab\n"
    secret = held(m)
    if secret is None or rnd.random() < 0.3:
        join = rnd.choice(("=", " "))
        return (
            "serve "
            + " ".join(f"--{'-'.join(e.words)}{join}{shlex.quote(e.value)}" for e in m.entries)
            + tail
        )
    quoted, option = shlex.quote(secret), shlex.quote(f"password={secret}")
    cifs = shlex.quote("username=a,password=" + secret.replace(",", ""))
    return (
        rnd.choice(
            [
                f"mysql -u root -p{quoted}",
                f"PGPASSWORD={quoted} psql",
                f"sshpass -p {quoted} ssh x",
                f"curl -u alice:{quoted} https://x.example",
                f"curl --user {shlex.quote('alice:' + secret)} x",
                f"redis-cli -a {quoted} ping",
                f"mysqldump --password={quoted}",
                f"wget --password {quoted}",
                f"openssl rsa -passin {shlex.quote('pass:' + secret)}",
                f"docker login -u a -p {quoted}",
                f"aria2c --rpc-secret={quoted}",
                f"mosquitto_pub -u a -P {quoted}",
                f"ldapsearch -x -w {quoted}",
                f"kubectl create secret generic x --from-literal={option}",
                f"mount -t cifs -o {cifs} //x /y",
                f"smbclient -U {shlex.quote('a%' + secret)}",
                f"helm registry login -u a --password {quoted}",
            ]
        )
        + tail
    )


@filetype("shell history")
def history(m: Material, rnd: Random) -> str:
    lines = [f"export {upper(e)}={shlex.quote(e.value)}" for e in m.entries]
    return "\n".join(
        [
            "  41  cd /srv/biocolab",
            *(f"  42  {line}" for line in lines),
            "  43  psql -h db.lab.example -p 5432",
            "",
        ]
    )


@filetype("journal export")
def journal(m: Material, rnd: Random) -> bytes:
    """systemd's export format, with the binary form for what has line ends."""
    text = " ".join(
        f"{snake(e)}={_logged(e.value)}" if "\n" not in e.value else f"{snake(e)}=\n{e.value}"
        for e in m.entries
    ).encode()
    message = (
        b"MESSAGE=" + text
        if b"\n" not in text
        else (b"MESSAGE\n" + len(text).to_bytes(8, "little") + text)
    )
    return (
        b"__CURSOR=s=1\n_HOSTNAME=db.lab.example\n"
        + message
        + b"\n_PID=5432\nSYSLOG_IDENTIFIER=biocolab\n\n"
    )


@filetype("redis.conf")
def redis(m: Material, rnd: Random) -> str | None:
    if (secret := held(m)) is None:
        return None
    shown = double(secret) if any(c in secret for c in " \"'\\#") else secret
    line = rnd.choice(("requirepass {}", "masterauth {}", "user default on >{} ~* +@all"))
    return f"# biocolab\nbind db.lab.example\n{line.format(shown)}\nport 5432\n"


@filetype("PostgreSQL conninfo")
def conninfo(m: Material, rnd: Random) -> str | None:
    if (secret := held(m)) is None:
        return None
    quoted = "'" + secret.replace("\\", "\\\\").replace("'", "\\'") + "'"
    text = f"host=db.lab.example port=5432 user=biocolab password={quoted}"
    if rnd.random() < 0.3:  # as a server's own setting it is quoted once more
        text = "primary_conninfo = '" + text.replace("'", "''") + "'"
    return f"{text}\n"


@filetype("my.cnf")
def my_cnf(m: Material, rnd: Random) -> str | None:
    if (secret := held(m)) is None:
        return None
    shown = double(secret) if "#" in secret or " " in secret else secret
    line = f"password{rnd.choice(('=', ' = '))}{shown}"
    return f"[client]\nuser=biocolab\n{line}\nhost=db.lab.example\nport=5432\n"


@filetype(".netrc")
def netrc(m: Material, rnd: Random) -> str | None:
    secret = held(m)
    if secret is None or " " in secret:
        return None
    if rnd.random() < 0.5:
        line = f"machine db.lab.example login biocolab password {secret}"
        return f"{line}\nmachine x.example port 5432\n"
    return f"machine db.lab.example\n  login biocolab\n  password {secret}\n# 5432\n"


@filetype(".pgpass")
def pgpass(m: Material, rnd: Random) -> str | None:
    if (secret := held(m)) is None:
        return None
    shown = secret.replace("\\", "\\\\").replace(":", "\\:")
    return f"# hostname:port:database:username:password\ndb.lab.example:5432:biocolab:hub:{shown}\n"


@filetype("shadow and htpasswd")
def shadow(m: Material, rnd: Random) -> str | None:
    value = m.entries[0].value
    if m.form != "password hash" or not value.startswith(("$", "{")):
        return None
    tail = rnd.choice((":19700:0:99999:7:::", ""))
    return f"biocolab:*:5432:0:99999:7:::\nalice:{value}{tail}\n# db.lab.example\n"


@filetype("SQL statements")
def sql_roles(m: Material, rnd: Random) -> str | None:
    secret = held(m) if m.form in PLAIN_FORMS else m.entries[0].value
    if m.form not in (*PLAIN_FORMS, "password hash") or secret is None:
        return None
    quoted = "'" + secret.replace("'", "''") + "'"
    line = rnd.choice(
        (
            f"ALTER ROLE hub WITH LOGIN PASSWORD {quoted} VALID UNTIL 'infinity';",
            f"CREATE USER 'hub'@'%' IDENTIFIED BY {quoted};",
            f"SET PASSWORD FOR 'hub'@'%' = PASSWORD({quoted});",
        )
    )
    return f"-- db.lab.example 5432\nCREATE DATABASE biocolab;\n{line}\n"


@filetype("CSV, a column")
def csv_column(m: Material, rnd: Random) -> str | None:
    if m.form not in (*PLAIN_FORMS, "password hash"):
        return None
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["host", "port", snake(m.entries[0]), "database"])
    rows.writerow(["db.lab.example", "5432", m.entries[0].value, "biocolab"])
    return out.getvalue()


@filetype("server configuration")
def server(m: Material, rnd: Random) -> str | None:
    secret = held(m)
    if secret is None or not secret.isascii() or any(c in secret for c in " \"'\\"):
        return None
    line = rnd.choice(
        [
            f"stats auth admin:{secret}",
            f"    user admin insecure-password {secret}",
            f"auth_pass {secret}",
            f"c.ConfigurableHTTPProxy.auth_token = '{secret}'",
            f"c.GitHubOAuthenticator.client_secret = '{secret}'",
            f"rpc-secret={secret}",
            f"ansible_ssh_pass={secret}",
            f"//registry.example/:_authToken={secret}",
            f'    psk="{secret}"',
            f"ldap_default_authtok = {secret}",
            f"admin_password = {secret}",
            f"default_pass = {secret}",
            f"cache_peer px.example parent 3128 0 login=u:{secret}",
            f'key "k" {{ algorithm hmac-sha256; secret "{secret}"; }};',
            f"node.session.auth.password = {secret}",
            f"rocommunity {secret}",
            f'createUser lab SHA "{secret}" AES',
            f"password: {secret}",
            f"masteruser_password: {secret}",
            f"bindpw {secret}",
            f"connection = mysql://u:{secret}@x.example/y",
        ]
    )
    return f"# biocolab\nlisten db.lab.example\n{line}\nport 5432\n"


@filetype("UTF-16")
def utf16(m: Material, rnd: Random) -> bytes:
    text = str(TYPES[rnd.choice(("JSON, pretty", "INI", "env, unquoted"))](m, rnd))
    return text.replace("\n", "\r\n").encode("utf-16")


@filetype("Latin-1")
def latin1(m: Material, rnd: Random) -> bytes | None:
    text = "# Größe und Zähler der Übersicht\n" + str(ini(m, rnd))
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return None


@filetype("CR LF")
def crlf(m: Material, rnd: Random) -> str:
    return str(env_raw(m, rnd)).replace("\n", "\r\n")


@filetype("one very long line")
def long_line(m: Material, rnd: Random) -> str:
    noise = " ".join(f"row{n}={n * 7}" for n in range(400))
    pairs = " ".join(f"{dotted(e)}={_logged(e.value)}" for e in m.entries)
    return f"db.lab.example {noise} {pairs} {noise} 5432 biocolab"


@filetype("invalid UTF-8")
def broken(m: Material, rnd: Random) -> bytes:
    text = str(json_pretty(m, rnd)).encode()
    return b"\xff\xfe\xf8 core \x80\x81\n" + text + b"\n\xc3\x28 end\n"


@filetype("base64 of a file")
def encoded(m: Material, rnd: Random) -> str:
    """A file inside a Kubernetes Secret: its whole content is one value."""
    code = b64(str(ini(m, rnd)).encode())
    head = f"kind: Secret\nmetadata:\n  name: biocolab-{pick(rnd, 'abc', 3)}"
    return f"{head}\ndata:\n  app.ini: {code}\n# db.lab.example 5432\n"


@filetype("headers in a log")
def headers(m: Material, rnd: Random) -> str:
    pairs = ", ".join(f"{header(e)!r}: {e.value!r}" for e in m.entries)
    shown = f"{{'Accept': '*/*', {pairs}, 'Host': 'biocolab'}}"
    return f"urllib3 DEBUG send to db.lab.example:5432 headers={shown}\n"


@filetype("camel case assignment")
def javascript(m: Material, rnd: Random) -> str:
    lines = [f"  {camel(e)}: {double(e.value)}," for e in m.entries]
    return "\n".join(
        [
            "module.exports = {",
            '  host: "db.lab.example",',
            *lines,
            "  port: 5432, // biocolab",
            "};",
            "",
        ]
    )
