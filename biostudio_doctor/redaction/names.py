"""Whether the name of a setting tells that its value is secret.

The last word of a name decides: a `token_secret` is one, a `secret_token_url` is none.
"""

import re
from functools import lru_cache
from typing import NamedTuple

_VENDORS = (
    "slack|gitlab|github|aws|azure|gcp|google|openai|anthropic|stripe|twilio|sendgrid|mailgun"
    "|datadog|newrelic|sentry|cloudflare|heroku|digitalocean|npm|pypi|docker|huggingface|wandb"
    "|colab|bioturing|cloudant|artifactory|jira|confluence|bitbucket|jenkins|sonar|grafana|elastic"
    "|mongo|redis|rabbitmq|mailchimp|paypal|shopify|twitter|facebook|discord|telegram|okta|algolia"
    "|mapbox|firebase|vault|consul|snyk|pagerduty|splunk|dropbox"
)
#: What a key is called that is secret whatever it looks like.
_BEFORE_KEY = (
    "api|access|secret|private|privacy|priv|encrypt|encryption|encrypted|decryption|cipher|signing"
    "|sign|signature|master|account|storage|shared|licen[sc]e|activation|service|consumer|client"
    "|app|application|deploy|deployment|webhook|aes|hmac|des|jwt|preshared|pre_shared|subscription"
    "|recovery|unseal|integration|ingestion|instrumentation|mac"
    "|admin|auth|authentication|session|crypt|crypto|fernet|registration|function|rsa|wg|tls|ssl"
    f"|ssh|root|sas|cookie|token|password|csrf|{_VENDORS}"
)
#: Password in other languages.
_FOREIGN = (
    "pass_?wort|kenn_?wort|contrase(?:n|\xc3\xb1)a|senha|mot_?de_?passe|wachtwoord|adgangskode"
    "|l(?:o|\xc3\xb6)senord|salasana|hasl[o]|parola|heslo|jelszo|mat_?khau|m\xe1\xba\xadt_?kh\xe1"
    "\xba\xa9u|\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c|\xe5\xaf\x86\xe7\xa0\x81"
    "|\xe5\xaf\x86\xe7\xa2\xbc|\xe5\x8f\xa3\xe4\xbb\xa4|\xe3\x83\x91\xe3\x82\xb9\xe3\x83"
    "\xaf\xe3\x83\xbc\xe3\x83\x89|\xeb\xb9\x84\xeb\xb0\x80\xeb\xb2\x88\xed\x98\xb8"
)  # as the bytes of UTF-8: of Vietnamese, Russian, Chinese, Japanese and Korean, too
#: What stands in for a password once, where the second factor is lost.
_CODES = "(?:backup|recovery|scratch|one_?time|otp|mfa|[2t]fa|totp|two_?factor)_?codes?"
#: What a telling name contains, for the first look (lower case or not).
STEMS = (
    rb"[-_]pat\b|crumb|pword|pass|p[s]?wd?\b|[-_]pw|pwd|secret|token|jwt|auth|cred|cookie|sessid"
    rb"|_session\b|connect\.sid|bearer|(?:%b)[ ]key(?:[ ]base)?|key|psk|\bsig|signature|salt"
    rb"|doctor_code|sonar\.?login|connection[-_ ]?string|community|pin\b|otp|two[-_ ]?factor"
    rb"|[2tm]fa\b|mnemonic|seed|licen[sc]e|webhook|%b|%b"
    % (
        _BEFORE_KEY.encode("latin-1"),
        _CODES.replace("_?", "[-_ ]?").encode(),
        _FOREIGN.replace("_?", "[-_ ]?").encode("latin-1"),
    )
)

_AFTER = (
    r"(?:_?(?:hash|hashed|value|text|plain|plaintext|enc|encrypted|encoded|b64|base64|old|new|curr"
    r"ent|default|confirm|confirmation|again|prod|production|dev|test|staging|primary|secondary|ba"
    r"ckup|string|str|data|raw|mysql|postgres|postgresql|redis|db|database|root|admin|user|smtp|ld"
    r"ap|ftp|api|app|service|base|bytes|s|\d{1,3}))*$"
)
_STRONG = {
    "password": rf"pword|pass_?word|{_FOREIGN}|community_?strings?|^community|passwd"
    r"|pass_?phrase|pass_?code|auth_?tok"
    r"|require_?pass|(?:^|_)(?:\w{1,12}_)?pass(?:word|wd)?_(?!id|ok|in|on|at|by|to|of|is|no|fn)[a-z]{2}(?=$|_?\d)"
    r"|(?:^|_)(?:\w{1,12}_)?(?:pass|p?s?wd|pwd|pw|psw)|(?:db|pg|my|ftp|smtp|root"
    r"|user|admin|login|mysql|redis|ssh"
    r"|imap|ldap|bind|rabbitmq|default|default_?|ssl|key|store|ssh|svn|http|proxy|mail)(?:pass|pwd"
    r"|pw)",
    "token": r"tokens?|sonar_?login|(?:^|_)jwt|bearer",
    "secret": r"secrets?|(?:^|_)creds?|credentials?|(?:^|_)psk|mnemonic|(?:^|_)otp_?seed"
    rf"|doctor_code|(?:^|_){_CODES}",  # BIOSTUDIO_DOCTOR_CODE, which opens `listen`
    "key": rf"(?:private|access)_?key_?id|^x_\w+_keys?|(?:^|_)(?:\w{{1,24}}_)?(?:{_BEFORE_KEY})"
    "_?keys?|(?:api|secret|private|access|auth)keys?",
    "auth": r"^x_auth$|jfrog_art_api$|(?:^|_)(?:proxy_)?authorization|master_?auth",
    "cookie": r"(?:^|_)(?:set_)?cookies?2?|phpsessid|jsessionid|(?:^|_)connect_sid",
}
_WEAK = {
    "auth": r"(?:^|_)authentication|(?:^|_)auth(?:_?(?:code|data))?|(?:^|_)sig|signature|(?:^"
    "|_)auth_?plain",
    "token": r"csrf|xsrf|crumb|(?:^|_)pat",
    "code": r"(?:^|_)(?:[ht]?otp|two_?factor|[2t]fa|mfa)",
    "secret": r"(?:^|_)salt|(?:^|_)seed|licen[sc]e|webhook",
    "password": r"(?:^|_)pin",
    "key": r"\w_key|(?:^|_)secret_?id",  # of Vault's AppRole: a UUID
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Telling(NamedTuple):
    """What a name tells of its value."""

    kind: str
    strong: bool  # whatever the value is; else only if it looks like a secret
    strict: bool = False  # ... and if it can be nothing else


_RULES = [
    (re.compile(f"(?:{words}){_AFTER}"), Telling(kind, strong))
    for strong, table in ((True, _STRONG), (False, _WEAK))
    for kind, words in table.items()
]
_HARMLESS = re.compile(
    r"public_?(?:key|token)s?$|json_?web_?token$|^(?:load|import)_?credential(?:_?encrypted)?$"
    r"|token_?type$|(?:^|_)(?:max|min|num|n|prompt|completion|total|input|output)_"
    r"(?:\w+_)?tokens?$|(?:proxy|fastcgi|uwsgi|scgi|grpc|memcached)_pass$|(?:^|_)(?:by|com|sur|tres|over|first|second|multi|single|two|one)_?pass$"
    r"|no_?pass(?:word|wd)?$|(?:^|_)(?:cwd|oldpwd)$|(?:^|_)(?:next|continue|continuation|page|sync|"
    r"resume|eos|bos|pad|unk|sep|cls|mask|special|stop)_?tokens?$|secret_?(?:name|ref)s?$"
    r"|(?:^|_)existing_?secret|automount_?service_?account_?token$"
    r"|^image_?pull_?secrets?$"
    r"|(?:^|_)(?:primary|foreign|sort|partition|cache|registry|idempotency|hot|group|index|hash|map"
    r"|dict|row|column|object|unique|host|known|gpg|pgp|recv|web_?socket|translation|message|sequence|sort|order|event)"
    r"_?keys?$"
)


#: Of Azure, of doors, and of tables and dictionaries.
_ALSO_KEYS = {"key", "primary_key", "secondary_key"}
_RAILS = re.compile(r"_\w+_session")
_SOMEWHERE = re.compile(r"passw|secret|token|credential|api_?key")


@lru_cache(maxsize=4096)
def telling(name: bytes) -> Telling | None:
    """What a name such as `POSTGRESQL_PASSWORD`, `clientSecret` or `--api-key` tells, or None."""
    text = name.decode("latin-1")
    if text.startswith("_auth") or _RAILS.fullmatch(text):  # of .npmrc, and a cookie
        return Telling("auth" if text.startswith("_auth") else "cookie", strong=True)
    split = _words(_CAMEL.sub("_", text))
    if split in _ALSO_KEYS:
        return Telling("key", strong=False, strict=True)
    if _HARMLESS.search(split):
        return None
    for words in (split, _words(text)):
        for rule, told in _RULES:
            if rule.search(words):
                return told
    return Telling("secret", strong=False, strict=True) if _SOMEWHERE.search(split) else None


def _words(text: str) -> str:
    lower = text.encode("latin-1").lower().decode("latin-1")  # of ASCII only
    return re.sub(r"[^a-z0-9\x80-\xff]+", "_", lower).strip("_")
