"""Files in which a value stands apart from its name: in the next element, a list, an argument."""

import json
from random import Random
from xml.sax.saxutils import escape

from .filetypes import camel, double, filetype, flat, snake, upper
from .material import Material, pick


@filetype("XML, key and value elements")
def xml_elements(m: Material, rnd: Random) -> str:
    """Property lists, Jenkins and Hadoop write settings so."""
    key, value, join = rnd.choice(
        (("key", "value", "\n    "), ("name", "value", ""), ("key", "string", "\n    "))
    )
    pairs = [
        ("host", "db.lab.example"),
        *((snake(e), e.value) for e in m.entries),
        ("port", "5432"),
    ]
    lines = [
        f"  <entry>\n    <{key}>{name}</{key}>{join}<{value}>{escape(text)}</{value}>\n  </entry>"
        for name, text in pairs
    ]
    return "\n".join(["<settings>", *lines, "</settings>", "<!-- biocolab -->", ""])


@filetype("list of values")
def values(m: Material, rnd: Random) -> str:
    """Several tokens under one name: the second is as secret as the first."""
    names = {f"{snake(e)}s": [pick(rnd, "xyz", 12), e.value] for e in m.entries}
    thing = {"host": "db.lab.example", **names, "port": 5432, "name": "biocolab"}
    if rnd.random() < 0.5:
        return json.dumps(thing, indent=2)
    lines = [
        f"{name} = [\n  {double(two[0])},\n  {double(two[1])},\n]" for name, two in names.items()
    ]
    return "\n".join(['host = "db.lab.example"', *lines, "port = 5432", 'name = "biocolab"', ""])


@filetype("arguments of a call")
def arguments(m: Material, rnd: Random) -> str:
    call = rnd.choice(
        ('os.getenv("{}", {})', 'define("{}", {}, true);', 'System.setProperty("{}", {});',
         'os.environ.setdefault("{}", {})', "set({!r}, {})")
    )  # fmt: skip
    lines = [call.format(upper(e), double(e.value)) for e in m.entries]
    return "\n".join(
        ["# biocolab", 'set("host", "db.lab.example")', *lines, 'set("port", 5432)', ""]
    )


@filetype("pod environment, value first")
def value_first(m: Material, rnd: Random) -> str:
    envs = [{"value": e.value, "name": upper(e)} for e in m.entries]
    pod = {
        "kind": "Pod",
        "port": 5432,
        "env": [{"value": "db.lab.example", "name": "PG_HOST"}, *envs],
    }
    return json.dumps({**pod, "metadata": {"name": "biocolab-" + pick(rnd, "abc", 3)}})


@filetype("comment")
def comment(m: Material, rnd: Random) -> str:
    """What is commented out is as secret as what is in force."""
    mark = rnd.choice(("#", "//", "--", ";", "# "))
    lines = [f"{mark}{camel(e)}={flat(e.value)}" for e in m.entries]
    return "\n".join(["host=db.lab.example", *lines, "port=5432", "name=biocolab", ""])
