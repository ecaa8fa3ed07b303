"""Keys, tokens and hashes: secrets that programs make, in the forms in which they are kept."""

import json
import string
import uuid
from collections.abc import Callable, Sequence
from random import Random
from urllib.parse import quote

from .material import (
    ALNUM,
    HEX,
    HOSTS,
    UPPER,
    URLSAFE,
    USERS,
    Entry,
    Material,
    b64,
    b64url,
    basic,
    bearer,
    cookie,
    licence,
    one,
    password,
    pick,
    query,
    strong,
    userinfo,
    word,
)

LABELS = [
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "DSA PRIVATE KEY",
    "PGP PRIVATE KEY BLOCK",
]


def private_key(rnd: Random, turn: int) -> Material:
    label = LABELS[turn % len(LABELS)]
    wide = 70 if "OPENSSH" in label else 64
    code = b64(rnd.randbytes(rnd.choice((96, 400, 1190))))
    lines = [code[at : at + wide] for at in range(0, len(code), wide)]
    head = []
    if "PGP" in label:
        head, lines = ["Version: GnuPG v2", ""], [*lines, "=" + pick(rnd, ALNUM, 4)]
    elif turn % 4 == 1 and label.startswith(("RSA", "EC")):
        head = ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: AES-128-CBC,{pick(rnd, HEX, 32).upper()}", ""]
    text = "\n".join([f"-----BEGIN {label}-----", *head, *lines, f"-----END {label}-----"])
    name = ("tls key", "private key", "ssh identity", "server pem")[turn % 4]
    return one(
        "private key", name, text + "\n", "\n".join(line for line in lines if len(line) > 12)
    )


def jwt(rnd: Random, turn: int) -> Material:
    head = b64url(json.dumps({"alg": ("HS256", "RS256", "ES256")[turn % 3], "typ": "JWT"}).encode())
    body = b64url(json.dumps({"sub": pick(rnd, ALNUM, 9), "iat": 1_700_000_000 + turn}).encode())
    sign = b64url(rnd.randbytes((32, 256, 64)[turn % 3]))
    name = ("assertion", "id", "last response", "state")[turn % 4]
    return one("JWT", name, f"{head}.{body}.{sign}", sign, body[8:])


def aws(rnd: Random, turn: int) -> Material:
    key_id = ("AKIA", "ASIA")[turn % 2] + pick(rnd, string.ascii_uppercase + "234567", 16)
    secret = pick(rnd, ALNUM + "+/", 40)
    entries = [
        Entry(("aws", "access", "key", "id"), key_id),
        Entry(("aws", "secret", "access", "key"), secret),
    ]
    secrets = [key_id[4:], secret]
    if turn % 2:
        secrets.append(b64(rnd.randbytes(180)))
        entries.append(Entry(("aws", "session", "token"), secrets[-1]))
    return Material("AWS keys", tuple(entries), tuple(secrets))


def gcp(rnd: Random, turn: int) -> Material:
    pem = private_key(rnd, 2)
    key_id = pick(rnd, HEX, 40)
    account = {
        "type": "service_account",
        "project_id": "lab-genomics",
        "private_key_id": key_id,
        "private_key": pem.entries[0].value,
        "client_id": pick(rnd, string.digits, 21),
        "client_email": "robot@lab-genomics.iam.example",
    }
    text = json.dumps(account, indent=2 if turn % 2 else None)
    return one(
        "GCP service account",
        ("gcp credentials", "service account")[turn % 2],
        text,
        pem.secrets[0].replace("\n", "\\n"),
        pem.secrets[0],
        key_id,
    )


def azure(rnd: Random, turn: int) -> Material:
    key = b64(rnd.randbytes(64))
    if turn % 3 == 0:
        sig = b64(rnd.randbytes(32))
        url = (
            "https://labstore.blob.core.windows.net/runs?sv=2022-11-02&ss=b&srt=co&sp=rl"
            f"&se=2027-01-01T00:00:00Z&spr=https&sig={quote(sig, safe='')}"
        )
        return one("Azure storage", "container url", url, sig, quote(sig, safe=""))
    text, name = [
        (
            "DefaultEndpointsProtocol=https;AccountName=labstore;AccountKey="
            f"{key};EndpointSuffix=core.windows.net",
            "azure storage connection string",
        ),
        (
            "Endpoint=sb://lab.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey="
            f"{key}",
            "service bus",
        ),
    ][turn % 3 - 1]
    return one("Azure storage", name, text, key)


def vendor(rnd: Random, turn: int) -> Material:
    """Tokens of known shape, under names that tell nothing."""
    a, h, u = (
        (lambda n: pick(rnd, ALNUM, n)),
        (lambda n: pick(rnd, HEX, n)),
        lambda n: pick(rnd, URLSAFE, n),
    )
    digits = lambda n: pick(rnd, string.digits, n)  # noqa: E731
    shapes: list[Sequence[str]] = [
        ("ghp_", a(36)),
        ("gho_", a(36)),
        ("ghs_", a(36)),
        ("github_pat_", a(22) + "_" + a(59)),
        ("glpat-", u(20)),
        ("gldt-", u(20)),
        ("xoxb-", f"{digits(12)}-{digits(12)}-{a(24)}"),
        ("xoxp-", f"{digits(12)}-{digits(12)}-{digits(12)}-{h(32)}"),
        ("npm_", a(36)),
        (
            "https://hooks.slack.com/services/T",
            f"{pick(rnd, UPPER, 8)}/B{pick(rnd, UPPER, 8)}/{a(24)}",
        ),
        ("sk_" + "live_", a(24)),
        ("rk_" + "live_", a(24)),
        ("pypi-AgEIcHlwaS5vcmc", u(70)),
        ("hf_", pick(rnd, string.ascii_letters, 34)),
        ("SG.", u(22) + "." + u(43)),
        ("dckr_pat_", u(27)),
        ("AIza", u(35)),
        ("ya29.", u(120)),
        ("hvs.", u(90)),
        ("dop_v1_", h(64)),
        ("sk-ant-api03-", u(93) + "AA"),
        ("sk-proj-", u(48)),
        ("glsa_", a(32) + "_" + h(8)),
        ("AKIA", pick(rnd, string.ascii_uppercase + "234567", 16)),
        ("shpat_", h(32)),
        ("dapi", h(32)),
        ("nvapi-", u(64)),
        ("pul-", h(40)),
        ("https://conda.lab.example/t/tk-", f"{uuid.UUID(int=rnd.getrandbits(128))}/main"),
        ("AGE-SECRET-KEY-1", pick(rnd, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
        ("NRAK-", pick(rnd, UPPER, 27)),
        ("lin_api_", a(40)),
        ("ATATT3xFfGF0", u(180)),
        ("https://", f"{h(32)}@o{digits(6)}.ingest.sentry.io/{digits(7)}"),
        ("xapp-1-", f"A{pick(rnd, UPPER, 10)}-{digits(13)}-{h(64)}"),
        ("whsec_", a(32)),
        (digits(10) + ":AA", u(33)),
        ("https://discord.com/api/webhooks/" + digits(18) + "/", u(68)),
        (a(14) + ".atlasv1.", a(67)),
        (a(3) + "8Q~", u(34)),
        ("SWMTKN-1-", pick(rnd, ALNUM.lower(), 49) + "-" + pick(rnd, ALNUM.lower(), 25)),
        ("PMAK-", h(24) + "-" + h(34)),
    ]
    prefix, body = shapes[turn % len(shapes)]
    secret = body.split("@")[0].removesuffix("/main")
    return one(
        "vendor token", ("note", "value", "result", "last seen")[turn % 4], prefix + body, secret
    )


def connection(rnd: Random, turn: int) -> Material:
    secret = strong(rnd)
    user, host = rnd.choice(USERS), rnd.choice(HOSTS).partition(":")[0]
    awkward = word(rnd, 3).replace("'", "x")
    text, held = [
        (f"host={host} port=5432 dbname=biocolab user={user} password={secret}", secret),
        (f"host={host} user={user} password='{awkward}' sslmode=require", awkward),
        (f"jdbc:postgresql://{host}:5432/biocolab?user={user}&password={secret}&ssl=true", secret),
        (f"Server={host};Database=biocolab;User Id={user};Password={secret};Encrypt=yes;", secret),
        (f"postgresql+psycopg2://{user}:{secret}@{host}:5432/biocolab", secret),
        (f"{host}:6380,password={secret},ssl=True,abortConnect=False", secret),
        ("DRIVER={PostgreSQL Unicode};SERVER=" + f"{host};UID={user};PWD={secret}", secret),
        (f"mysql://{user}:{secret}@tcp({host}:3306)/jobs?parseTime=true", secret),
    ][turn % 8]
    return one("connection string", ("dsn", "database url", "sqlalchemy url")[turn % 3], text, held)


def password_hash(rnd: Random, turn: int) -> Material:
    c = lambda n: pick(rnd, ALNUM + "./", n)  # noqa: E731
    digest = c(86)
    value, secret = [
        (f"$6${c(16)}${digest}", digest),
        (f"$2b$12${digest[:53]}", digest[:53]),
        (f"$y$j9T${c(22)}${digest[:43]}", digest[:43]),
        (f"$argon2id$v=19$m=65536,t=3,p=4${c(22)}${digest[:43]}", digest[:43]),
        (f"$apr1${c(8)}${digest[:22]}", digest[:22]),
        (f"pbkdf2_sha256$600000${c(22)}${digest[:43]}=", digest[:43]),
        (
            "SCRAM-SHA-256$4096:"
            + f"{b64(rnd.randbytes(16))}${b64(rnd.randbytes(32))}:"
            + (last := b64(rnd.randbytes(32))),
            last,
        ),
        ("{SSHA}" + (last := b64(rnd.randbytes(28))), last),
        ("md5" + (last := pick(rnd, HEX, 32)), last),
        ("*" + (last := pick(rnd, HEX, 40).upper()), last),
        (f"$5$rounds=5000${c(16)}${digest[:43]}", digest[:43]),
        (f"$1${c(8)}${digest[:22]}", digest[:22]),
        (f"$7$101${b64(rnd.randbytes(12))}${(last := b64(rnd.randbytes(64)))}", last),
    ][turn % 13]
    telling = value.startswith(("md5", "*"))  # whose shape is that of any digest
    name = ("rolpassword", "hashed password")[turn % 2] if telling else ("entry", "row")[turn % 2]
    return one("password hash", name, value, secret)


def docker_auth(rnd: Random, turn: int) -> Material:
    secret = word(rnd, turn)
    code = b64(f"{rnd.choice(USERS)}:{secret}".encode())
    text = json.dumps({"auths": {"registry.lab.example": {"auth": code}}})
    return one(
        "docker auth",
        ("docker config json", "registry auth")[turn % 2],
        text,
        code[8:].rstrip("="),
        secret,
    )


def seed_key(rnd: Random, turn: int) -> Material:
    """Keys of tunnels, one-time codes and rings: base64 or base32, with no other shape."""
    key = b64(rnd.randbytes(32))
    base32 = pick(rnd, string.ascii_uppercase + "234567", 32)
    return [
        one("seed key", "PrivateKey", key),
        one("seed key", "preshared key", key),
        one("seed key", "totp secret", base32),
        one(
            "seed key", "enrolment", f"otpauth://totp/Lab:alice?secret={base32}&issuer=Lab", base32
        ),
        one("seed key", "keyring secret", "AQ" + b64(rnd.randbytes(28))),
    ][turn % 5]


Maker = Callable[[Random, int], Material]
FORMS: dict[str, Maker] = {
    "password": password,
    "licence token": licence,
    "bearer token": bearer,
    "basic auth": basic,
    "URL user info": userinfo,
    "query parameter": query,
    "cookie": cookie,
    "JWT": jwt,
    "private key": private_key,
    "AWS keys": aws,
    "GCP service account": gcp,
    "Azure storage": azure,
    "vendor token": vendor,
    "connection string": connection,
    "password hash": password_hash,
    "docker auth": docker_auth,
    "seed key": seed_key,
}
