"""The corpus: every form of secret in every type of file, and what a redactor left of them.

`python -m tests.redaction.corpus [SEED]` prints the whole account, with each miss.
"""

import html
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote, quote_plus

from . import apart, containers, linetypes  # noqa: F401 (they add their types)
from .filetypes import KEEP, TYPES, Render
from .keys import FORMS
from .material import Material, b64

ROUNDS = {
    "password": 5,
    "licence token": 2,
    "private key": 2,
    "vendor token": 3,
    "password hash": 2,
}
Redact = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Case:
    form: str
    filetype: str
    text: bytes
    secrets: tuple[str, ...]
    rest: bytes  # the same file without them


@dataclass(frozen=True)
class Miss:
    form: str
    filetype: str
    before: str
    after: str


def cases(seed: int) -> Iterator[Case]:
    rnd = random.Random(seed)
    turns: Counter[str] = Counter()
    for form, make in FORMS.items():
        for _ in range(ROUNDS.get(form, 1)):
            for name in TYPES:
                turns[form] += 1
                found = case(form, name, make(rnd, turns[form] + rnd.randrange(2)), rnd)
                if found:
                    yield found


def case(form: str, filetype: str, material: Material, rnd: random.Random) -> Case | None:
    """A file of that type with that secret, or None where such a file cannot hold it."""
    render = TYPES[filetype]
    text = render(material, rnd)
    if text is None:
        return None
    return Case(form, filetype, raw(text), material.secrets, _rest(material, render))


def raw(text: str | bytes | None) -> bytes:
    return text.encode() if isinstance(text, str) else text or b""


def _rest(material: Material, render: Render) -> bytes:
    def empty(value: str) -> str:
        for secret in sorted(material.secrets, key=len, reverse=True):
            value = value.replace(secret, "")
        return value

    entries = tuple(replace(entry, value=empty(entry.value)) for entry in material.entries)
    void = replace(material, entries=entries, secrets=("",))
    return b"\n".join(wide(raw(render(void, random.Random(n)))) for n in range(3))


@lru_cache(maxsize=4096)
def renditions(secret: str) -> frozenset[bytes]:
    """How a secret may stand in a file."""
    plain = secret.encode()
    found = {
        plain,
        json.dumps(secret)[1:-1].encode(),
        json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
    }
    if len(secret) <= 80:
        found |= {
            quote(quote(secret, safe="!"), safe="").encode(),
            quote(secret, safe="").encode(),
            quote(secret).encode(),
            quote_plus(secret).encode(),
            html.escape(secret).encode(),
            repr(secret)[1:-1].encode(),
            secret.replace("'", "''").encode(),
            secret.encode("latin-1", "replace"),
        }
    for shift, start in enumerate((0, 2, 3)):
        code = b64(b"\0" * shift + plain)[start : (shift + len(plain)) * 8 // 6].encode()
        found |= {
            code,
            code.translate(bytes.maketrans(b"+/", b"-_")),
            quote(code, safe="").encode(),
        }
    return frozenset(found)


def remnants(secret: str, rest: bytes, after: bytes) -> bool:
    """Whether as much as six characters of a secret are left in a row, in any rendition."""
    for text in set[bytes]().union(*map(renditions, secret.split("\n"))):
        size, step = (6, 1) if len(text) <= 80 else (8, 4)
        for at in range(0, max(1, len(text) - size + 1), step):
            piece = text[at : at + size]
            if piece in after and piece not in rest:
                return True
    return False


TOKEN = re.compile(rb"<redacted:[a-z0-9-]{1,40}:[0-9a-f]{8}>")


def wide(text: bytes) -> bytes:
    """Also UTF-16 is read: without its zeros."""
    return text.replace(b"\0", b"")


def blank(text: bytes) -> bytes:
    """What a reader of the output learns: tokens tell nothing, though "password" stands in them."""
    return TOKEN.sub(b"\n", wide(text))


@dataclass
class Account:
    """How many secrets there were and how many are gone, by form and type."""

    total: Counter[tuple[str, str]]
    missed: Counter[tuple[str, str]]
    misses: list[Miss]
    blurred: list[Miss]  # where something went that is no secret

    def recall(self) -> float:
        return 1 - self.missed.total() / self.total.total()

    def table(self) -> str:
        lines = [
            f"{self.total.total()} secrets, {self.missed.total()} left, "
            f"recall {self.recall():.2%}; "
            f"too much taken in {len(self.blurred)} files"
        ]
        for title, index in (("form", 0), ("file type", 1)):
            total: Counter[str] = Counter()
            missed: Counter[str] = Counter()
            for pair, count in self.total.items():
                total[pair[index]] += count
                missed[pair[index]] += self.missed[pair]
            lines += [f"{title:28} secrets  left"]
            lines += [f"  {name:26} {total[name]:7} {missed[name]:5}" for name in total]
        lines += ["left:"] + [f"  {f} in {t}: {n}" for (f, t), n in self.missed.most_common() if n]
        return "\n".join(lines)


def measure(redact: Redact, seed: int) -> Account:
    account = Account(Counter(), Counter(), [], [])
    for case in cases(seed):
        after, before = wide(redact(case.text)), wide(case.text)
        where = (case.form, case.filetype)
        seen = [secret for secret in case.secrets if remnants(secret, case.rest, before)]
        account.total[where] += len(seen)
        left = sum(remnants(secret, case.rest, blank(after)) for secret in seen)
        miss = Miss(*where, before.decode(errors="replace"), after.decode(errors="replace"))
        if left:
            account.missed[where] += left
            account.misses.append(miss)
        if not all(word.encode() in after for word in KEEP):
            account.blurred.append(miss)
    return account


def redactor(**options: object) -> Redact:
    """The engine as a function of bytes, with a key of this run."""
    from biostudio_doctor.redaction.redactor import Redactor

    engine = Redactor(random.randbytes(32), **options)  # type: ignore[arg-type]
    return lambda text: b"".join(engine.stream([text], {}))


def changes(miss: Miss) -> str:
    """Both texts, for a person: long lines are cut in the middle."""

    def show(text: str) -> str:
        return "\n".join(
            re.sub(r"^(.{250}).*(.{80})$", r"\1 ... \2", line) for line in text.split("\n")
        )

    after = show(miss.after)[:1500] if miss.after != miss.before else "(unchanged)"
    return f"{show(miss.before)[:1500]}\n  =>\n{after}"


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6)
    account = measure(redactor(), seed)
    print(account.table())
    grouped: dict[tuple[str, str], list[Miss]] = defaultdict(list)
    for miss in account.misses:
        grouped[miss.form, miss.filetype].append(miss)
    for title, misses in (("LEFT", account.misses), ("TOO MUCH", account.blurred)):
        for miss in misses:
            print(f"\n--- {title}: {miss.form} in {miss.filetype} (seed {seed})\n{changes(miss)}")


if __name__ == "__main__":
    main()
