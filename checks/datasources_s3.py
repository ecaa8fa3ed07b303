"""datasources.s3"""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct, structs

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.config import S3Source
from biostudio_doctor.endpoints import is_address, is_loopback, without_user
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Feature, Requirements
from biostudio_doctor.secret import SecretError
from biostudio_doctor.services.s3_facts import DEFAULT_REGION, Addressed, S3Facts, Style

from .datasources import judge_each, look_at_each, no_secret, no_source, revealed
from .datasources_s3_words import advice, saying, writing

if TYPE_CHECKING:
    from biostudio_doctor.services.s3 import Keys

_CLOCK = 300.0  # seconds: S3 refuses requests from 900 on
_STYLES: dict[str, tuple[Style, ...]] = {
    "auto": ("path", "virtual"), "path": ("path",), "virtual": ("virtual",),
}  # fmt: skip
_STYLE_NAMES = {"path": "in the path", "virtual": "in the host name"}


class BucketFacts(Struct, frozen=True, kw_only=True):
    """One source, and how it answered."""

    source: S3Source
    answer: S3Facts | None = None
    library: str = ""  # that is missing
    secret: str = ""  # why a key cannot be had
    problem: str = ""  # why it could not be asked
    silent: bool = False  # it did not come to an end in time


class DatasourcesS3(Check[tuple[BucketFacts, ...]]):
    """S3 storage with your own data.

    For each `datasources.s3` of the configuration: lists one key of the bucket, below `prefix`,
    with the bucket's name in the path and in the host name (`style = "auto"`), with the keys that
    the configuration names and no others; without keys it asks anonymously. Told are the region,
    how the server's clock stands, and what an error means. With `write = true` one scratch object
    is put, read and deleted, with its version where the bucket keeps versions. If that is cut off,
    the next run on this host deletes it, and nothing else. An account that may not list fails:
    data cannot be browsed without, and an account without any right looks the same. It is not
    tried by writing, since what is left behind could not be found again. Proxies of the
    environment are used, as other S3 programs do.

    Why: notebooks that read from S3 fail with words of the library that few understand: a region, a
    clock, an address or a right is wrong.

    Mend: correct the endpoint, the region, the keys or the rights, as the finding says.
    """

    id = "datasources.s3"
    requirement_ids = ("datasources.files",)
    interval = timedelta(minutes=15)
    timeout = timedelta(seconds=30)
    network = True

    def observe(self, host: Host) -> tuple[BucketFacts, ...]:
        sources = self.context.config.datasources.s3
        return look_at_each(host, sources, _observe, _lost, self.allowed_seconds, "ask S3")

    def judge(
        self, facts: tuple[BucketFacts, ...], requirements: Requirements
    ) -> Iterator[Finding]:
        none = no_source("S3 storage", "s3", 'bucket = "NAME"')
        names = [f"s3 {text.printable(one.source.bucket)}" for one in facts]
        said = requirements.demand("datasources.files", Feature)
        return judge_each(facts, names, _judge, none, said)


def _lost(source: S3Source, error: OSError) -> BucketFacts:
    return BucketFacts(source=source, problem=error.strerror or "", silent=True)


def _observe(host: Host, source: S3Source, seconds: float) -> BucketFacts:
    facts = BucketFacts(source=_public(source))
    try:
        from biostudio_doctor.services import s3

        bucket = s3.Bucket(
            name=source.bucket,
            endpoint=source.endpoint,
            region=source.region,
            prefix=source.prefix,
            ca_file=host.path(source.ca_file) if source.ca_file else None,
            keys=_keys(source, host),
            seconds=seconds * 0.8,
        )
        answer = s3.ask(bucket, _STYLES[source.style], host, write=source.write)
    except ModuleNotFoundError as error:
        return structs.replace(facts, library=(error.name or "").partition(".")[0])
    except SecretError as error:
        return structs.replace(facts, secret=str(error))
    except OSError as error:  # of ca_file
        return structs.replace(facts, problem=f"{source.ca_file}: {error.strerror}")
    except ValueError as error:
        return structs.replace(facts, problem=str(error))
    return structs.replace(facts, answer=answer)


def _keys(source: S3Source, host: Host) -> "Keys | None":
    """The keys of the configuration, or None for none.

    Raises:
        SecretError: if one cannot be had, or lacks.
    """
    from biostudio_doctor.services.s3 import Keys

    found = revealed({"access_key": source.access_key, "secret_key": source.secret_key}, host)
    if not found:
        return None
    if len(found) < 2:
        raise SecretError("access_key and secret_key belong together, and one of them is missing")
    return Keys(found["access_key"], found["secret_key"])


def _public(source: S3Source) -> S3Source:
    """The source without a user and a password that somebody wrote into its URL."""
    return structs.replace(source, endpoint=without_user(source.endpoint or "") or None)


def _judge(facts: BucketFacts, subject: str) -> Iterator[Finding]:
    if facts.secret:
        yield no_secret(subject, "s3.access_key and secret_key", facts.secret)
    elif facts.library:
        yield Finding(
            Status.ERROR, subject,
            f"{subject} could not be asked: the library {facts.library} is missing.",
            remedy=Remedy(
                "Install it where biostudio-doctor runs, and check again.",
                ("pip install 'biostudio-doctor[datasources]'",), as_root=False,
            ),
            cause="datasource.unasked",
        )  # fmt: skip
    elif not facts.answer:
        words = "See whether the storage is up, and the network to it."
        if not facts.silent:
            words = "Correct datasources.s3 in the configuration."
        yield Finding(
            Status.ERROR, subject, f"{subject} could not be asked: {facts.problem}.",
            remedy=Remedy(words), cause="datasource.hung" if facts.silent else "datasource.unasked",
        )  # fmt: skip
    else:
        yield from _judge_answer(facts, facts.answer, subject)


def _judge_answer(facts: BucketFacts, answer: S3Facts, subject: str) -> Iterator[Finding]:
    source = facts.source
    working = [one for one in answer.addressed if one.told and one.told.ok]
    if working:
        yield _answers(source, answer, working, subject)
        yield from _region(source, answer, subject)
    else:
        yield _fails(source, answer, subject)
    if working and answer.clock is not None and abs(answer.clock) > _CLOCK:
        ahead = "ahead of" if answer.clock > 0 else "behind"
        yield Finding(
            Status.WARN, f"{subject}: clock",
            f"{source.bucket}: the storage's clock is {abs(answer.clock):.0f} s {ahead} this "
            "host's; from 900 s on "
            "it refuses every request.",
            observed=f"{answer.clock:+.0f} s", expected=f"no more than {_CLOCK:.0f} s",
            remedy=Remedy("Set this host's clock by NTP.", ("biostudio-doctor check os.time",)),
            cause="datasource.clock",
        )  # fmt: skip
    url = urlsplit(source.endpoint or "")
    if working and url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield Finding(
            Status.WARN, f"{subject}: endpoint",
            f"The bucket {source.bucket} is reached without TLS (http://): whoever sits between "
            "can read the data along.",
            observed="http", expected="https",
            remedy=Remedy("Have the storage's administrator turn TLS on, and write https:// in "
                          "`endpoint`."),
            cause="datasource.readable-on-the-way",
        )  # fmt: skip
    if answer.written:
        yield writing(answer.written, subject, source.bucket)


def _answers(source: S3Source, answer: S3Facts, working: list[Addressed], subject: str) -> Finding:
    said = f"The bucket {source.bucket} can be listed"
    if not source.access_key:
        said += " by anyone, without keys"
    if working[0].empty:
        said += f", and holds nothing{f' below {source.prefix}' if source.prefix else ''}"
    style = _style(source, answer, working)
    said = f"{said}.{style}"
    if not source.write:
        said += " Writing was not tried: write = false."
    via = ", through the proxy of the environment" if answer.through_proxy else ""
    return Finding(
        Status.PASS, subject, said,
        observed=f"{working[0].host}{f', {answer.region}' if answer.region else ''}{via}",
    )  # fmt: skip


def _style(source: S3Source, answer: S3Facts, working: list[Addressed]) -> str:
    """Which style of address works, where both were tried."""
    if len(answer.addressed) < 2:
        return ""
    if len(working) > 1:
        return " Its name may stand in the path or in the host name."
    other = next(one for one in answer.addressed if one not in working)
    name, wrong = _STYLE_NAMES[working[0].style], _STYLE_NAMES[other.style]
    why = saying(source, other) if other.told else _impossible(source)
    return f" Its name must stand {name}; {wrong} it does not work: {why}."


def _impossible(source: S3Source) -> str:
    """Why the bucket cannot be named in the host name."""
    host = urlsplit(source.endpoint or "").hostname or ""
    if is_address(host):
        return "the endpoint is an IP address"
    if "." in source.bucket:
        return "the dots in it make TLS fail, since a certificate's * stands for one label"
    return "it is no name of a host"


def _fails(source: S3Source, answer: S3Facts, subject: str) -> Finding:
    tried = [one for one in answer.addressed if one.told]
    if not tried:
        return Finding(
            Status.FAIL, subject,
            f"The bucket {source.bucket} cannot be addressed in the host name: "
            f"{_impossible(source)}.",
            remedy=Remedy('Use style = "path", here and in BioStudio.'),
            cause="datasource.style",
        )  # fmt: skip
    # What S3 itself says tells more than what stood in the way of another style.
    told = [(one, one.told) for one in tried if one.told]
    one, first = min(told, key=lambda item: (not item[1].code, bool(item[1].failure)))
    status, remedy, cause = advice(source, answer, first)
    return Finding(
        status, subject, f"The bucket {source.bucket} cannot be listed: {saying(source, one)}.",
        observed=first.code or first.foreign or (first.failure.reason if first.failure else ""),
        expected="its keys can be listed",
        remedy=remedy,
        cause=cause,
    )  # fmt: skip


def _region(source: S3Source, answer: S3Facts, subject: str) -> Iterator[Finding]:
    used = source.region or DEFAULT_REGION
    if not answer.region or answer.region == used:
        return
    yield Finding(
        Status.WARN if source.region else Status.PASS, f"{subject}: region",
        f"The bucket {source.bucket} is in {answer.region}, and was asked for in {used}: many "
            "programs fail there.",
        observed=answer.region, expected=used,
        remedy=Remedy(f'Set region = "{answer.region}", here and in BioStudio.'),
        cause="datasource.region",
    )  # fmt: skip
