"""Passwords and tokens made at run time, as servers hold them. None of them is real."""

import base64
import string
import uuid
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

ALNUM = string.ascii_letters + string.digits
URLSAFE = ALNUM + "-_"
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
SPECIAL = "!@#$%^&*()-_=+[]{};:,.<>/?~"

#: What tests make their secrets from: conftest.py begins it anew for each of them.
CHANCE = Random()

WORDS = [
    "amber",
    "basket",
    "copper",
    "dragon",
    "ember",
    "falcon",
    "garnet",
    "harbor",
    "island",
    "jasmine",
    "kettle",
    "lantern",
]
USERS = ["biocohub", "hubadmin", "svc-backup", "alice", "jupyterhub", "deploy"]
HOSTS = ["db.lab.example", "10.20.30.40", "cache-1.lab.example:6380", "registry.lab.example"]

# Names that tell what they hold, as BioStudio, its parts and their neighbours write them.
TELLING = [
    *("password", "passwd", "db password", "admin password", "pg password", "redis password"),
    *("postgresql postgres password", "mysql root password", "smtp pass", "db pass", "db pwd"),
    *("ldap bind password", "keystore password", "sudo pass", "passphrase", "ssh passphrase"),
    *("secret", "client secret", "app secret", "secret key", "secret key base", "jwt secret"),
    *("rpc secret", "cookie secret", "oauth client secret", "shared secret", "webhook secret"),
    *("api key", "apikey", "service api key", "encryption key", "private key", "master key"),
    *("jupyterhub crypt key", "configproxy auth token", "auth token", "access token", "token"),
    *("refresh token", "registry token", "api token", "bot token", "user credential"),
]
LICENCES = ["colab token", "license token", "license key", "bbcache license key"]


@dataclass(frozen=True)
class Entry:
    """One setting: words that name it, and its value as the program sees it."""

    words: tuple[str, ...]
    value: str


@dataclass(frozen=True)
class Material:
    """Settings that belong together, and what of their values nobody may see."""

    form: str
    entries: tuple[Entry, ...]
    secrets: tuple[str, ...]


def pick(rnd: Random, alphabet: str, size: int) -> str:
    return "".join(rnd.choices(alphabet, k=size))


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def b64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def one(form: str, name: str, value: str, *secrets: str) -> Material:
    return Material(form, (Entry(tuple(name.split()), value),), secrets or (value,))


def strong(rnd: Random) -> str:
    """A password with nothing that would need an escape."""
    return pick(rnd, ALNUM, rnd.choice((10, 12, 16, 24, 32)))


def word(rnd: Random, style: int) -> str:
    """A password as people and generators make them, short ones and awkward ones among them."""
    return [
        lambda: pick(rnd, ALNUM, 8),
        lambda: strong(rnd),
        lambda: "P@ss " + pick(rnd, ALNUM, 6) + "!'#$%&" + pick(rnd, ALNUM, 3) + '"\\x',
        lambda: pick(rnd, ALNUM, 5) + pick(rnd, ALNUM + SPECIAL, 12) + pick(rnd, ALNUM, 4),
        lambda: rnd.choice(WORDS).capitalize() + rnd.choice(WORDS) + pick(rnd, string.digits, 3),
        lambda: "-".join(rnd.sample(WORDS, 4)),
        lambda: "Schlüßel" + pick(rnd, ALNUM, 5) + "漢字" + pick(rnd, ALNUM, 2),
        lambda: pick(rnd, HEX, 32),
        lambda: str(uuid.UUID(int=rnd.getrandbits(128), version=4)),
        lambda: pick(rnd, string.digits, 10),
        lambda: b64(rnd.randbytes(24)),
    ][style % 11]()


def password(rnd: Random, turn: int) -> Material:
    return one("password", rnd.choice(TELLING), word(rnd, turn))


def licence(rnd: Random, turn: int) -> Material:
    value = [
        pick(rnd, HEX, 40),
        b64url(rnd.randbytes(30)),
        "-".join(pick(rnd, UPPER, 5) for _ in range(5)),
    ][turn % 3]
    return one("licence token", LICENCES[turn % len(LICENCES)], value)


def bearer(rnd: Random, turn: int) -> Material:
    token = [pick(rnd, URLSAFE, 43), pick(rnd, HEX, 32), b64(rnd.randbytes(33))][turn % 3]
    scheme = ("Bearer ", "token ", "bearer ")[turn % 3]
    return one("bearer token", "authorization", scheme + token, token)


def basic(rnd: Random, turn: int) -> Material:
    name = ("authorization", "proxy authorization")[turn % 2]
    secret = word(rnd, turn)
    code = b64(f"{rnd.choice(USERS)}:{secret}".encode())
    return one("basic auth", name, f"Basic {code}", code[8:].rstrip("="), secret)


def userinfo(rnd: Random, turn: int) -> Material:
    secret = word(rnd, turn)
    user, host = rnd.choice(USERS), rnd.choice(HOSTS)
    code = quote(secret, safe="!$*_.~-+,;=" if turn % 2 else "")
    url = [
        f"http://{user}:{code}@proxy.lab.example:3128",
        f"redis://:{code}@{host}/0",
        f"amqp://{user}:{code}@{host}/%2f",
        f"https://{user}:{code}@git.lab.example/lab/pipelines.git",
        f"https://{code}@git.lab.example/lab/pipelines.git",
        f"mongodb+srv://{user}:{code}@{host}/jobs?retryWrites=true",
        f"ftp://{user}:{code}@{host}/pub/genome.fa.gz",
    ][turn % 7]
    name = ("https proxy", "source", "upstream url", "mirror", "broker url")[turn % 5]
    return one("URL user info", name, url, secret, code)


def query(rnd: Random, turn: int) -> Material:
    name = (
        "token",
        "access_token",
        "api_key",
        "X-Amz-Signature",
        "client_secret",
        "password",
        "sig",
        "apikey",
        "auth",
        "code",
    )[turn % 10]
    secret = pick(rnd, HEX, 64) if "Amz" in name else pick(rnd, URLSAFE, rnd.choice((16, 32, 40)))
    url = f"https://{rnd.choice(HOSTS)}/v1/notebooks?page=2&{name}={secret}&limit=50"
    return one("query parameter", ("callback", "download url", "health url")[turn % 3], url, secret)


def cookie(rnd: Random, turn: int) -> Material:
    value = pick(rnd, URLSAFE, 44)
    signed = f"2|1:0|10:{1_700_000_000 + turn}|8:username|{b64(rnd.randbytes(15))}|{value}"
    text, secret = [
        (f"session={value}; Path=/; HttpOnly", value),
        (f"theme=dark; jupyterhub-session-id={value}; lang=en", value),
        (f'username-localhost-8888="{signed}"; _xsrf={pick(rnd, HEX, 32)}', value),
        (f"connect.sid=s%3A{value}.{pick(rnd, ALNUM, 43)}; Secure; SameSite=Lax", value),
        (
            f"PHPSESSID={pick(rnd, string.ascii_lowercase, 3)}{value[:23].lower()}",
            value[:23].lower(),
        ),
    ][turn % 5]
    return one("cookie", ("cookie", "set cookie")[turn % 2], text, secret)
