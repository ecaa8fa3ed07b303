"""Files that machines read: each takes settings and writes them as that kind of file would.

Beside the settings stands what must stay readable: `KEEP` in one form or another.
"""

import json
from collections.abc import Callable
from random import Random
from xml.sax.saxutils import escape, quoteattr

from .material import Entry, Material

KEEP = ("db.lab.example", "5432", "biocolab")  # no secret, and in the files of this module

Render = Callable[[Material, Random], str | bytes | None]
TYPES: dict[str, Render] = {}


def filetype(name: str) -> Callable[[Render], Render]:
    def add(render: Render) -> Render:
        TYPES[name] = render
        return render

    return add


def upper(entry: Entry) -> str:
    return "_".join(entry.words).upper()


def snake(entry: Entry) -> str:
    return "_".join(entry.words).lower() if len(entry.words) > 1 else entry.words[0]


def camel(entry: Entry) -> str:
    return entry.words[0] + "".join(word.capitalize() for word in entry.words[1:])


def dotted(entry: Entry) -> str:
    return ".".join(entry.words)


def header(entry: Entry) -> str:
    name = "-".join(word.capitalize() for word in entry.words)
    plain = name in ("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie")
    return name if plain else f"X-{name}"


def flat(value: str) -> str:
    """On one line, as programs write a key that has several."""
    return value.replace("\n", "\\n")


def double(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def single(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def block(value: str, indent: str) -> str:
    return "|\n" + "".join(f"{indent}{line}\n" for line in value.rstrip("\n").split("\n"))


def settings(m: Material, style: Callable[[Entry], str]) -> dict[str, object]:
    return {
        "host": KEEP[0],
        "port": 5432,
        **{style(e): e.value for e in m.entries},
        "database": "biocolab",
    }


@filetype("env")
def env(m: Material, rnd: Random) -> str:
    lines = []
    for e in m.entries:
        simple = all(c not in " '\"$\\#\n&;()<>|*?[]{}~!`" for c in e.value)
        lines.append(f"{upper(e)}={e.value if simple else double(e.value)}")
    export = rnd.choice(("", "export "))
    return "\n".join(
        [
            "# database",
            "PG_HOST=db.lab.example",
            *(export + one for one in lines),
            "PG_PORT=5432",
            "PG_DATABASE=biocolab",
            "",
        ]
    )


@filetype("env, unquoted")
def env_raw(m: Material, rnd: Random) -> str:
    """As `docker inspect` or `env` print it: nothing is quoted."""
    lines = [f"{upper(e)}={e.value.rstrip()}" for e in m.entries]
    return "\n".join(["HOSTNAME=db.lab.example", *lines, "PG_PORT=5432", "DB=biocolab", ""])


@filetype("JSON")
def json_compact(m: Material, rnd: Random) -> str:
    return json.dumps(settings(m, camel), separators=(",", ":"), ensure_ascii=rnd.random() < 0.5)


@filetype("JSON, pretty")
def json_pretty(m: Material, rnd: Random) -> str:
    return json.dumps({"service": [settings(m, snake)]}, indent=rnd.choice((2, 4)))


@filetype("JSON lines")
def json_lines(m: Material, rnd: Random) -> str:
    before = {"ts": "2026-11-24T08:00:00Z", "level": "info", "msg": "connect to biocolab"}
    return "".join(
        json.dumps(line) + "\n"
        for line in (before, {**before, "config": settings(m, snake)}, {**before, "port": 5432})
    )


@filetype("JSON, escaped in a log")
def json_escaped(m: Material, rnd: Random) -> str:
    text = json.dumps(json.dumps(settings(m, camel)))
    return f"2026-11-24 08:00:00,001 INFO [hub] request body={text} status=200\n"


@filetype("JSON, escaped twice")
def json_twice(m: Material, rnd: Random) -> str:
    log = json.dumps({"body": json.dumps(settings(m, snake))})
    return (
        json.dumps({"log": log + "\n", "stream": "stdout", "time": "2026-11-24T08:00:00Z"}) + "\n"
    )


@filetype("YAML")
def yaml(m: Material, rnd: Random) -> str:
    lines = ["database:", "  host: db.lab.example", "  port: 5432"]
    for e in m.entries:
        simple = e.value.isascii() and e.value.replace("-", "").replace("_", "").isalnum()
        lines.append(
            f"  {snake(e)}: "
            + (
                block(e.value, "    ").rstrip()
                if "\n" in e.value
                else e.value
                if simple
                else rnd.choice((single, double))(e.value)
            )
        )
    return "\n".join([*lines, "  name: biocolab", ""])


@filetype("YAML, block scalar")
def yaml_block(m: Material, rnd: Random) -> str:
    parts = [f"    {camel(e)}: {block(e.value, '      ')}" for e in m.entries]
    return (
        "auth:\n  main:\n"
        + "".join(parts)
        + "    host: db.lab.example\n  port: 5432\nname: biocolab\n"
    )


@filetype("TOML")
def toml(m: Material, rnd: Random) -> str:
    lines = ["[database]", 'host = "db.lab.example"', "port = 5432"]
    for e in m.entries:
        lines.append(
            f'{snake(e)} = """\n{e.value}"""'
            if "\n" in e.value and "\\" not in e.value
            else f"{snake(e)} = {double(e.value)}"
        )
    return "\n".join([*lines, 'name = "biocolab"', ""])


@filetype("INI")
def ini(m: Material, rnd: Random) -> str:
    sep = rnd.choice((" = ", "=", ": "))
    lines = [f"{snake(e)}{sep}" + e.value.rstrip("\n").replace("\n", "\n\t") for e in m.entries]
    return "\n".join(
        ["[db]", "host = db.lab.example", *lines, "port = 5432", "[x]", "name = biocolab", ""]
    )


@filetype("XML elements")
def xml(m: Material, rnd: Random) -> str:
    lines = [f"  <{camel(e)}>{escape(e.value)}</{camel(e)}>" for e in m.entries]
    return "\n".join(
        [
            "<?xml version='1.0'?>",
            "<db>",
            "  <host>db.lab.example</host>",
            *lines,
            "  <port>5432</port><name>biocolab</name>",
            "</db>",
            "",
        ]
    )


@filetype("XML attributes")
def xml_attribute(m: Material, rnd: Random) -> str:
    pairs = " ".join(f"{camel(e)}={quoteattr(e.value)}" for e in m.entries)
    return f'<Resource url="db.lab.example" {pairs} port="5432" name="biocolab"/>\n'


@filetype("XML name and value")
def xml_pairs(m: Material, rnd: Random) -> str:
    tag, key = rnd.choice((("add", "key"), ("property", "name"), ("entry", "key")))
    lines = [
        f"  <{tag} {key}={quoteattr(camel(e))} value={quoteattr(e.value)}/>" for e in m.entries
    ]
    return "\n".join(
        [
            "<settings>",
            f'  <{tag} {key}="host" value="db.lab.example"/>',
            *lines,
            f'  <{tag} {key}="port" value="5432"/>',
            "  <!-- biocolab -->",
            "</settings>",
            "",
        ]
    )


@filetype("properties")
def properties(m: Material, rnd: Random) -> str:
    esc = lambda v: v.replace("\\", "\\\\").replace("\n", "\\n\\\n    ")  # noqa: E731
    lines = [f"app.{dotted(e)}{rnd.choice(('=', ' = ', ': '))}{esc(e.value)}" for e in m.entries]
    return "\n".join(["app.host=db.lab.example", *lines, "app.port=5432", "app.name=biocolab", ""])


@filetype("systemd unit")
def unit(m: Material, rnd: Random) -> str:
    lines = [f'Environment="{upper(e)}={double(e.value)[1:-1]}"' for e in m.entries]
    return "\n".join(
        [
            "[Unit]",
            "Description=biocolab",
            "[Service]",
            "Environment=PG_HOST=db.lab.example",
            *lines,
            "ExecStart=/usr/bin/serve --port 5432",
            "",
        ]
    )


@filetype("supervisor.conf")
def supervisor(m: Material, rnd: Random) -> str:
    pairs = ",".join(f"{upper(e)}={double(e.value)}" for e in m.entries)
    head = "[program:biocolab]\ncommand=serve --port 5432\n"
    return f'{head}environment=PG_HOST="db.lab.example",{pairs}\n'


@filetype("nginx.conf")
def nginx(m: Material, rnd: Random) -> str:
    lines = [
        rnd.choice(
            (
                f"    proxy_set_header {header(e)} {double(e.value)};",
                f"    set ${snake(e)} {double(e.value)};",
                f"    fastcgi_param {upper(e)} {double(e.value)};",
            )
        )
        for e in m.entries
    ]
    return "\n".join(
        [
            "location / {",
            "    proxy_pass http://db.lab.example;",
            *lines,
            "    # 5432 biocolab",
            "}",
            "",
        ]
    )


@filetype("haproxy.cfg")
def haproxy(m: Material, rnd: Random) -> str:
    lines = [
        rnd.choice(
            (
                f"    http-request set-header {header(e)} {double(e.value)}",
                f"    setenv {upper(e)} {double(e.value)}",
            )
        )
        for e in m.entries
    ]
    return "\n".join(["backend biocolab", *lines, "    server s1 db.lab.example:5432 check", ""])


@filetype("Python repr")
def python_repr(m: Material, rnd: Random) -> str:
    held = ", ".join(f"{snake(e)}={e.value!r}" for e in m.entries)
    text = (
        repr(settings(m, snake))
        if rnd.random() < 0.5
        else f"Settings(host='db.lab.example', {held}, port=5432)"
    )
    return f"DEBUG:biocolab:loaded {text} db.lab.example 5432\n"


@filetype("traceback with locals")
def traceback(m: Material, rnd: Random) -> str:
    lines = [f"    {snake(e)} = {e.value!r}" for e in m.entries]
    return "\n".join(
        [
            "Traceback (most recent call last):",
            '  File "/srv/biocolab/db.py", line 5432, in connect',
            "    host = 'db.lab.example'",
            *lines,
            "ConnectionError: refused",
            "",
        ]
    )


@filetype("SQL dump")
def sql(m: Material, rnd: Random) -> str:
    quoted = lambda v: "'" + v.replace("'", "''") + "'"  # noqa: E731
    lines = [
        f"INSERT INTO settings (id, name, value) VALUES (7, '{snake(e)}', {quoted(e.value)});"
        if rnd.random() < 0.5
        else f"ALTER ROLE biocolab SET {'.'.join(['lab', snake(e)])} = {quoted(e.value)};"
        for e in m.entries
    ]
    return "\n".join(["-- db.lab.example 5432 biocolab", *lines, ""])


@filetype("CSV, name and value")
def csv_rows(m: Material, rnd: Random) -> str:
    cell = lambda v: '"' + v.replace('"', '""') + '"' if any(c in v for c in ',"\n') else v  # noqa: E731
    lines = [f"7,{snake(e)},{cell(e.value)}" for e in m.entries]
    return "\n".join(
        ["id,name,value", "1,host,db.lab.example", *lines, "9,port,5432", "10,name,biocolab", ""]
    )
