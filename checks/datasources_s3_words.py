"""The words of datasources.s3: what an error of S3 means, and what to do about it."""

from shlex import quote

from biostudio_doctor import text
from biostudio_doctor.config import S3Source
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.services.s3_facts import DEFAULT_REGION, Addressed, S3Facts, Told, Written

_REGION = (
    "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)  # fmt: skip
_DENIED = ("AccessDenied", "AllAccessDisabled", "Forbidden", "UnauthorizedAccess")
_UNWELL = (
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "Throttling",
    "XMinioServerNotInitialized",
)
_READ_ONLY = (*_DENIED, "MethodNotAllowed", "NotImplemented")

_CODES = {
    "NoSuchBucket": "there is no bucket of that name there",
    "InvalidBucketName": "that cannot be the name of a bucket",
    "InvalidAccessKeyId": "the storage knows no such access key",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "RequestTimeTooSkewed": "this host's clock is too far from the storage's",
    "ExpiredToken": "the keys have expired",
    "InvalidToken": "the keys are temporary ones, which do not work without their token",
    "AccountProblem": "the storage has blocked the account",
}

_FAILURES = {
    ("resolve", "nxdomain"): "its name does not exist",
    ("connect", "timeout"): "it does not answer, as if a firewall drops the packets",
    ("connect", "refused"): "nothing listens there",
    ("connect", "unreachable"): "no way leads there",
    ("request", "timeout"): "it takes the connection, and does not answer in time",
    ("request", "closed"): "it takes the connection, and hangs up without an answer",
    ("request", "reset"): "it takes the connection, and cuts it",
    ("request", "bad-response"): "what answers there does not speak HTTP",
    ("transfer", "too-large"): "it answers without end",
    ("tls", "tls-protocol"): "what answers there does not speak TLS; perhaps http:// is right",
    ("proxy", "proxy-auth"): "the proxy of the environment wants a user name and a password",
    ("proxy", "proxy-denied"): "the proxy of the environment does not let it through",
    ("proxy", "bad-proxy"): "the proxy of the environment makes no sense",
    ("proxy", "other"): "the proxy of the environment is one of SOCKS, which is not spoken here",
}


def saying(source: S3Source, one: Addressed) -> str:
    """Why a request was not answered as wanted, in half a sentence."""
    told = one.told
    assert told
    if told.failure:
        place = f"{one.host}: " if one.host else ""
        if told.failure.reason == "untrusted":
            return f"{place}its certificate is not trusted ({told.failure.detail})"
        said = _FAILURES.get((told.failure.phase, told.failure.reason))
        detail = told.failure.detail or told.failure.reason
        return f"{place}{said or f'{told.failure.phase} failed ({detail})'}"
    if told.foreign:
        return f"at {one.host} answers {told.foreign}" + (
            f" (HTTP {told.status})" if told.status else ""
        )
    return _meaning(source, told)


def _meaning(source: S3Source, told: Told) -> str:
    if told.code in _REGION:
        where = f": it wants {told.expected_region}" if told.expected_region else ""
        return (
            f"it is in another region than {source.region or DEFAULT_REGION}{where} ({told.code})"
        )
    if told.code in _DENIED:
        who = "the account of these keys may not list it" if source.access_key else (
            "it may not be listed without keys, and none are configured"
        )  # fmt: skip
        return f"{who} ({told.code}), so what is in it cannot be browsed"
    if told.code in _UNWELL:
        return f"the storage says that it cannot serve just now ({told.code})"
    return f"{_CODES.get(told.code, 'the storage refuses')} ({told.code})"


def advice(source: S3Source, answer: S3Facts, told: Told) -> tuple[Status, Remedy, str]:
    """How bad that is, what to do about it, and the word for its cause."""
    if told.failure:
        return _network(source, told)
    if told.foreign and told.status >= 500:
        words = "See whether the storage is well, and what stands before it: a gateway, a proxy."
        return Status.FAIL, Remedy(words), "datasource.unwell"
    if told.foreign:
        words = "Name the address of the S3 service itself in `endpoint`: not that of its console."
        return Status.FAIL, Remedy(words), "datasource.foreign"
    if told.code in _REGION:
        region = told.expected_region or answer.region
        words = f'Set region = "{region}"' if region else "Set `region` to that of the bucket"
        return Status.FAIL, Remedy(f"{words}, here and in BioStudio."), "datasource.region"
    if told.code in _DENIED and not source.access_key:
        words = "Name access_key and secret_key in the configuration, to have more told."
        return Status.WARN, Remedy(words), "datasource.password-needed"
    if told.code in _UNWELL:
        return Status.FAIL, Remedy("Have its administrator see to it."), "datasource.unwell"
    words, cause = {
        "NoSuchBucket": ("Correct `bucket` and `endpoint`, or make the bucket.", "no-bucket"),
        "InvalidBucketName": ("Correct `bucket`.", "no-bucket"),
        "InvalidAccessKeyId": ("Correct access_key, or have a new pair of keys made.",
                               "password-wrong"),
        "SignatureDoesNotMatch": (
            "Correct secret_key. If it is right, something between changes requests: a proxy that "
            "rewrites the host name or the path.", "password-wrong"),
        "RequestTimeTooSkewed": (f"Set this host's clock by NTP{_off_by(answer)}.", "clock"),
        "ExpiredToken": ("Have lasting keys made.", "password-wrong"),
        "InvalidToken": ("Have lasting keys made.", "password-wrong"),
    }.get(told.code, (
        "Allow the account s3:ListBucket on the bucket"
        + (f", with that prefix ({source.prefix})" if source.prefix
           else ", or name as `prefix` what it may list")
        + "; see also the policy of the bucket.", "denied"))  # fmt: skip
    clock = told.code == "RequestTimeTooSkewed"
    commands = ("date -u", "biostudio-doctor check os.time") if clock else ()
    return Status.FAIL, Remedy(words, commands, as_root=False), f"datasource.{cause}"


def _off_by(answer: S3Facts) -> str:
    if not answer.clock:
        return ""
    which = "behind" if answer.clock > 0 else "ahead of"
    return f": it is {abs(answer.clock):.0f} s {which} the storage's"


def _network(source: S3Source, told: Told) -> tuple[Status, Remedy, str]:
    problem = told.failure
    assert problem
    if problem.reason == "untrusted":
        words = (
            "Name the authority that issued the certificate (PEM) as ca_file, and see that "
            "BioStudio trusts it too."
        )
        if "mismatch" in problem.detail.lower():
            words = 'Name the storage in `endpoint` as its certificate does, or use style = "path".'
        return Status.FAIL, Remedy(words), "datasource.untrusted"
    if problem.phase == "proxy":
        words = "Correct the proxy's settings, or name the storage in NO_PROXY."
        return Status.FAIL, Remedy(words, ("env | grep -i proxy",), False), "datasource.proxy"
    if problem.phase == "request" and problem.reason == "timeout":
        words = "See whether the storage is well, and the network to it."
        return Status.ERROR, Remedy(words), "datasource.silent"
    if problem.phase in ("request", "transfer", "tls"):
        words = "Correct the scheme, the name and the port in `endpoint`."
        return Status.FAIL, Remedy(words), "datasource.foreign"
    words = "Correct `endpoint`, start the storage, or have the firewall let this host through."
    return Status.FAIL, Remedy(words), "datasource.unreachable"


def writing(written: Written, subject: str, bucket: str) -> Finding:
    """What became of the scratch object."""
    subject = f"{subject}: writing"
    earlier = ""
    if written.removed_earlier:
        count = text.number(written.removed_earlier, "object")
        earlier = f"; {count} of a run that was cut off deleted"
    stuck = written.stuck or (written.key if written.left else "")
    failed = next((step for step in written.steps if not step.ok), None)
    if stuck:
        return _left(subject, bucket, stuck, written)
    if not failed:
        said = f"In the bucket {bucket} a scratch object was put, read and deleted{earlier}."
        return Finding(Status.PASS, subject, said, observed="writable")
    if failed.operation == "list":
        return Finding(
            Status.WARN, subject,
            f"Writing to {bucket} was not tried: what is left behind could not be found again "
            f"({_short(failed)}).",
            remedy=Remedy("Allow the account to list the whole of `prefix` (s3:ListBucket)."),
            cause="datasource.denied",
        )  # fmt: skip
    if failed.operation == "put" and failed.code in _READ_ONLY:
        return Finding(
            Status.WARN, subject,
            f"For the bucket {bucket} the account is read-only ({failed.code}): fine for data "
            "that is only read, not for "
            f"saving results there{earlier}.",
            observed="read-only", expected="writable",
            remedy=Remedy(
                "If that is meant, set write = false. Otherwise allow the account s3:PutObject and "
                "s3:DeleteObject.",
            ),
            cause="datasource.read-only",
        )  # fmt: skip
    network = failed.failure is not None
    return Finding(
        Status.ERROR if network else Status.FAIL, subject,
        f"In the bucket {bucket} a scratch object could not be used: {failed.operation} failed "
        f"({_short(failed)}). "
        f"Nothing is left of it{earlier}.",
        observed=f"{failed.operation}: {_short(failed)}",
        expected="put, get and delete work",
        remedy=Remedy("Allow the account s3:GetObject, s3:PutObject and s3:DeleteObject."
                      if not network else "See whether the storage is well."),
        cause="datasource.silent" if network else "datasource.denied",
    )  # fmt: skip


def _short(told: Told) -> str:
    return told.code or told.foreign or (told.failure.reason if told.failure else "")


def _left(subject: str, bucket: str, key: str, written: Written) -> Finding:
    deleted = [step for step in written.steps if step.operation == "delete"]
    denied = any(step.code for step in deleted) or bool(written.stuck)
    said = f"In the bucket {bucket} the scratch object {key} could not be deleted"
    why = "may put objects, and not delete them or their versions" if denied else "was cut off"
    return Finding(
        Status.WARN, subject,
        f"{said}: the account {why}. "
        + ("The next run on this host tries again." if not denied else "It stays there."),
        observed="an object is left", expected="nothing is left",
        remedy=Remedy(
            "Delete it, and allow the account s3:DeleteObject (with versions also "
            "s3:DeleteObjectVersion), or set write = false.",
            (f"aws s3 rm {quote(f's3://{bucket}/{key}')}",), as_root=False,
        ),
        cause="datasource.left-behind",
    )  # fmt: skip
