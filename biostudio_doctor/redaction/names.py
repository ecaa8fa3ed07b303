"""Whether the name of a setting tells that its value is secret.

The last word of a name decides: a `token_secret` is one, a `secret_token_url` is none.
"""

import re
from functools import lru_cache
from typing import NamedTuple

#: What a telling name contains, for the first look (lower case or not).
STEMS = (
    rb"[-_]pat\b|crumb|pword|authentication|(?:secret|private)[ _]key(?:[ _]base)?|pass|p[s]?wd?\b"
    rb"|[-_]pw|pwd"
    rb"|secret|token|jwt|auth|cred|cookie|sessid|connect\.sid|bearer"
    rb"|(?:api|access|private|encrypt\w*|cipher|sign\w*|master|account|storage|shared|licen[sc]e"
    rb"|activation|service|consumer|client|app|application|deploy\w*|webhook|aes|hmac|preshared"
    rb"|integration|subscription|admin|root|crypt\w*|fernet|registration|functions?|host"
    rb"|instrumentation|ssh|rsa|wg|peer|write|read|ingest|routing|join|slack|gitlab|github|aws"
    rb"|azure|gcp|google|openai|anthropic|stripe|twilio|sendgrid|mailgun|datadog|newrelic|sentry"
    rb"|cloudflare|heroku|digitalocean|npm|pypi|docker|huggingface|wandb|colab|bioturing"
    rb"|cloudant|artifactory|jira|confluence|bitbucket|jenkins|sonar|grafana|elastic|mongo|redis"
    rb"|rabbitmq"
    rb"|mailchimp|paypal|shopify|twitter|facebook|discord|telegram|okta|algolia|mapbox|firebase"
    rb"|vault|consul|snyk|pagerduty|splunk|dropbox)"
    rb"[-_. ]?key(?:[ ]base)?|psk|passcode|\bsig|signature|salt|connection[-_ ]?string|pin\b|otp"
    rb"|mnemonic|seed"
    rb"|license|webhook"
)

_AFTER = (
    r"(?:_?(?:hash|hashed|value|text|plain|plaintext|enc|encrypted|encoded|b64|base64|old|new|curr"
    r"ent|default|confirm|confirmation|again|prod|production|dev|test|staging|primary|secondary|ba"
    r"ckup|string|str|data|raw|mysql|postgres|postgresql|redis|db|database|root|admin|user|smtp|ld"
    r"ap|ftp|api|app|service|base|bytes|s|\d{1,3}))*$"
)
_BEFORE_KEY = (
    r"api|access|secret|private|encrypt|encryption|encrypted|decryption|cipher|signing|sign|signat"
    r"ure|master|account|storage|shared|licen[sc]e|activation|service|consumer|client|app|applicat"
    r"ion|deploy|deployment|webhook|aes|hmac|des|jwt|preshared|pre_shared|integration|subscription"
    r"|admin|auth|authentication|session|crypt|crypto|fernet|registration|function|rsa|wg|"
    r"tls|ssl|ssh|host|write|read|ingest|routing|join|root|sas|cookie|token|password|csrf|peer"
    r"|slack|gitlab|github|aws|azure|gcp|google|openai|anthropic|stripe|twilio|sendgrid|mailgun"
    r"|datadog|newrelic|sentry|cloudflare|heroku|digitalocean|npm|pypi|docker|huggingface|wandb"
    r"|colab|bioturing"
    r"|cloudant|artifactory|jira|confluence|bitbucket|jenkins|sonar|grafana|elastic|mongo|redis"
    r"|rabbitmq"
    r"|mailchimp|paypal|shopify|twitter|facebook|discord|telegram|okta|algolia|mapbox|firebase"
    r"|vault|consul|snyk|pagerduty|splunk|dropbox"
)
_STRONG = {
    "password": r"pword|pass_?word|pass_?wort|passwd|pass_?phrase|pass_?code|auth_?tok"
    r"|require_?pass|(?:^|_)(?:\w{1,12}_)?(?:pass|p?s?wd|pwd|pw|psw)|(?:db|pg|my|ftp|smtp|root"
    r"|user|admin|login|mysql|redis|ssh"
    r"|imap|ldap|bind|rabbitmq|default|default_?|ssl|key|store|ssh|svn|http|proxy|mail)(?:pass|pwd"
    r"|pw)",
    "token": r"tokens?|(?:^|_)jwt|bearer",
    "secret": r"secrets?|(?:^|_)creds?|credentials?|(?:^|_)psk|mnemonic|(?:^|_)otp_?seed",
    "key": rf"private_?key_?id|(?:^|_)(?:\w{{1,24}}_)?(?:{_BEFORE_KEY})_?keys?|(?:api|secret"
    "|private|access|auth)keys?",
    "auth": r"(?:^|_)(?:proxy_)?authorization|master_?auth",
    "cookie": r"(?:^|_)(?:set_)?cookies?2?|phpsessid|jsessionid|(?:^|_)connect_sid",
}
_WEAK = {
    "auth": r"(?:^|_)authentication|(?:^|_)auth(?:_?(?:code|data))?|(?:^|_)sig|signature|(?:^"
    "|_)auth_?plain",
    "token": r"csrf|xsrf|crumb|(?:^|_)pat",
    "secret": r"(?:^|_)salt|(?:^|_)otp|(?:^|_)seed|licen[sc]e|webhook",
    "password": r"(?:^|_)pin",
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
    r"(?:\w+_)?tokens?$|(?:^|_)(?:by|com|sur|tres|over|first|second|multi|single|two|one)_?pass$"
    r"|no_?pass(?:word|wd)?$|(?:^|_)(?:cwd|oldpwd)$|(?:next|continue|continuation|page|sync|"
    r"resume|eos|bos|pad|unk|sep|cls|mask|special|stop)_?tokens?$|secret_?(?:name|ref)s?$"
    r"|(?:^|_)existing_?secret|proxy_pass$|automount_?service_?account_?token$"
    r"|^image_?pull_?secrets?$"
)


_SOMEWHERE = re.compile(r"passw|secret|token|credential|api_?key")


@lru_cache(maxsize=4096)
def telling(name: bytes) -> Telling | None:
    """What a name such as `POSTGRESQL_PASSWORD`, `clientSecret` or `--api-key` tells, or None."""
    text = name.decode("latin-1")
    split = _words(_CAMEL.sub("_", text))
    if _HARMLESS.search(split):
        return None
    for words in (split, _words(text)):
        for rule, told in _RULES:
            if rule.search(words):
                return told
    return Telling("secret", strong=False, strict=True) if _SOMEWHERE.search(split) else None


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
