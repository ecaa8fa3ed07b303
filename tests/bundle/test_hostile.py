"""Hostile bundles: each is refused with one clear line that names the place, in little memory."""

import gzip
import io
import os
import struct
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor.bundle import reader, unpacking
from biostudio_doctor.errors import DoctorError
from tests.bundle.hostile import ESCAPE, read, refusal
from tests.lab import bundles
from tests.lab.bundles import TOP, archive, entry, honest, packed


def renamed(name: str) -> list[bundles.Entry]:
    first, *others, last = honest()
    return [first, *others, entry(name, last[1])]


def of_type(kind: bytes, **changes: Any) -> list[bundles.Entry]:
    return [*honest(), entry(f"{TOP}/logs/x", b"", type=kind, **changes)]


#: What stands in the archive, and what the refusal says.
ARCHIVES: dict[str, tuple[Callable[[], list[bundles.Entry]], str]] = {
    "absolute": (lambda: renamed("/etc/passwd"), "/etc/passwd: is an absolute path"),
    "absolute in its directory": (lambda: renamed(f"{TOP}//etc/passwd"), "an empty part"),
    "traversal": (lambda: renamed(f"{TOP}/../../x"), f"{TOP}/../../x: leads out"),
    "traversal at the end": (lambda: renamed(f"{TOP}/logs/.."), "leads out of its directory"),
    "dot": (lambda: renamed(f"{TOP}/./report.json"), "has an empty part in its name"),
    "backslash": (lambda: renamed(TOP + "\\..\\x"), "has a backslash in its name"),
    "drive": (lambda: renamed("C:x"), "C:x: is not in the bundle's one directory"),
    "other directory": (lambda: renamed("other/logs/x"), "is not in the bundle's one directory"),
    "the directory's name begins so": (lambda: renamed(f"{TOP}x/y"), "one directory"),
    "escape in a name": (lambda: renamed(f"{TOP}/{ESCAPE}"), "has control characters"),
    "line break in a name": (lambda: renamed(f"{TOP}/a\nb"), "has control characters"),
    "right-to-left in a name": (lambda: renamed(f"{TOP}/a\u202egnp.exe"), "has control characters"),
    "long name": (lambda: renamed(f"{TOP}/{'x' * 2000}"), "too long or too deep"),
    "deep name": (lambda: renamed(TOP + "/x" * 40), "too long or too deep"),
    "twice": (lambda: [*honest(), honest()[-1]], "stands in the archive twice"),
    "manifest twice": (lambda: [*honest(), honest()[0]], "stands in the archive twice"),
    "not in the manifest": (lambda: [*honest(), entry(f"{TOP}/x", b"")], "x: is not in the manif"),
    "missing": (lambda: honest()[:-1], f"{bundles.LOG}: is in the manifest, and not in the arch"),
    "no manifest": (lambda: honest()[1:], "does not begin with its manifest.json"),
    "manifest later": (lambda: honest()[::-1], "does not begin with its manifest.json"),
    "nothing": (list, "is empty"),
    "hard link": (lambda: of_type(tarfile.LNKTYPE, linkname="x"), "logs/x: is a hard link"),
    "symbolic link": (
        lambda: of_type(tarfile.SYMTYPE, linkname="/etc/shadow"), "logs/x: is a symbolic link"
    ),
    "character device": (lambda: of_type(tarfile.CHRTYPE, devmajor=1), "is a character device"),
    "block device": (lambda: of_type(tarfile.BLKTYPE, devmajor=8), "is a block device"),
    "FIFO": (lambda: of_type(tarfile.FIFOTYPE), "is a FIFO"),
    "directory": (lambda: of_type(tarfile.DIRTYPE), "is a directory"),
    "sparse": (lambda: of_type(tarfile.GNUTYPE_SPARSE), "is a sparse file"),
    "contiguous": (lambda: of_type(tarfile.CONTTYPE), "is an entry of type b'7'"),
    "sparse by pax": (
        lambda: [*honest(), entry(f"{TOP}/x", b"", pax_headers={"GNU.sparse.major": "1"})],
        "GNU.sparse.major: has a pax header that no bundle has",
    ),
    "size by pax": (
        lambda: [*honest(), entry(f"{TOP}/x", b"", pax_headers={"size": "999999999999"})],
        "claims 999999999999 bytes",
    ),
    "negative size by pax": (
        lambda: [*honest(), entry(f"{TOP}/x", b"", pax_headers={"size": "-1"})], "is no number"
    ),
    "endless number by pax": (
        lambda: [*honest(), entry(f"{TOP}/x", b"", pax_headers={"size": "9" * 5000})], "no number"
    ),
    "huge pax header": (
        lambda: [*honest(), entry(f"{TOP}/x", b"", pax_headers={"path": "x" * 100_000})],
        "has a pax header of 100013 bytes",
    ),
    "wrong sum": (
        lambda: [*honest()[:-1], entry(f"{TOP}/{bundles.LOG}", b"all is ill_\n" * 100)],
        f"{bundles.LOG}: its SHA-256 is not the one in the manifest",
    ),
    "other size": (
        lambda: [*honest()[:-1], entry(f"{TOP}/{bundles.LOG}", b"all is well\n" * 101)],
        f"{bundles.LOG}: has 1212 bytes, and 1200 by the manifest",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_that_are_refused(case: str, tmp_path: Path) -> None:
    make, said = ARCHIVES[case]
    assert said in refusal(packed(archive(make())), tmp_path / "b.tar.gz")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_other_tars(form: int, tmp_path: Path) -> None:
    """GNU's long names are refused; a plain ustar is fine, since nothing in it is new."""
    read(packed(archive(honest(), form)), tmp_path / "b.tar.gz")
    if form == tarfile.GNU_FORMAT:
        long = packed(archive(renamed(f"{TOP}/{'x' * 200}"), form))
        assert "is a long name in GNU's form" in refusal(long, tmp_path / "b.tar.gz")


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def altered(block: bytes, at: int, what: bytes, *others: tuple[int, bytes]) -> bytes:
    """A header with something else in it, and its sum right again."""
    for place, new in ((at, what), *others, (148, b" " * 8)):
        block = block[:place] + new + block[place + len(new) :]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def tar_of(*blocks: bytes) -> bytes:
    start = archive(honest()[:1])
    end = len(start.rstrip(b"\0"))
    return start[: -(-end // 512) * 512] + b"".join(blocks)


#: Tars with something that tarfile would not write, and what is said of it.
TARS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a long name of 1 GB": (lambda: tar_of(header("././@LongLink", 1 << 30, b"L")), "long name"),
    "a pax header of 1 GB": (lambda: tar_of(header("x", 1 << 30, b"x")), "header of 1073741824"),
    "a global header": (lambda: tar_of(header("x", 512, b"g"), bytes(512)), "a global pax header"),
    "a negative size": (lambda: tar_of(header(f"{TOP}/x", -512)), "claims -512 bytes"),
    "a huge size": (lambda: tar_of(header(f"{TOP}/x", 1 << 60)), f"claims {1 << 60} bytes"),
    "a negative size in base 256": (
        lambda: tar_of(altered(header(f"{TOP}/x", 0), 124, b"\xff" * 12)), "claims -1 bytes"
    ),
    "a size of 2^63": (
        lambda: tar_of(altered(header(f"{TOP}/x", 0), 124, b"\x80\0\0\0\x80" + bytes(7))),
        f"claims {1 << 63} bytes",
    ),
    "a prefix that leads out": (
        lambda: tar_of(altered(header("x", 0), 257, b"ustar\x0000", (345, f"{TOP}/..".encode()))),
        "leads out of its directory",
    ),
    "a directory of old": (
        lambda: tar_of(header(f"{TOP}/x/", 0, b"\0")), "is a directory; a bundle holds"
    ),
    "a name by pax that is there already": (
        lambda: archive([*honest(), entry("x", pax_headers={"path": f"{TOP}/report.json"})]),
        "stands in the archive twice",
    ),
    "a smaller size by pax": (
        lambda: archive([*honest()[:-1], entry(
            honest()[-1][0].name, honest()[-1][1], pax_headers={"size": "3"}
        )]),
        "has 3 bytes, and 1200 by the manifest",
    ),
    "only a pax header": (
        lambda: tar_of(header("x", 10, b"x"), b"10 path=x\n".ljust(512, b"\0"), bytes(1024)),
        "ends after a pax header",
    ),
    "two pax headers": (
        lambda: tar_of(*(2 * (header("x", 10, b"x"), b"10 path=x\n".ljust(512, b"\0")))),
        "is an entry of type b'x'",
    ),
    "a record that is too long": (
        lambda: tar_of(header("x", 10, b"x"), b"99 path=x\n".ljust(512, b"\0")), "malformed"
    ),
    "a record of no length": (
        lambda: tar_of(header("x", 10, b"x"), b"0 path=xy\n".ljust(512, b"\0")), "malformed"
    ),
    "a record without an end": (
        lambda: tar_of(header("x", 10, b"x"), b"10 path=xy".ljust(512, b"\0")), "malformed"
    ),
    "a bad header": (lambda: tar_of(b"x" * 512), "is no tar archive, or damaged: invalid header"),
    "a wrong checksum": (
        lambda: archive(honest()).replace(b"report.json\0", b"report.jsom\0"), "bad checksum"
    ),
    "no UTF-8 in a name": (
        lambda: tar_of(header(f"{TOP}/a\udcff", 0)), "bytes that are no UTF-8, in its name"
    ),
    "an empty block within": (lambda: tar_of(bytes(512), header("x", 0)), "empty block between"),
    "text instead": (lambda: b"hello " * 1000, "is no tar archive"),
    "nothing": (lambda: b"", "ends before its archive does"),
    "something after the end": (lambda: archive(honest()) + b"x" * 512, "behind the end of its"),
    "much after the end": (lambda: archive(honest()) + bytes(2 << 20), "behind the end of its"),
    "something in the padding": (
        lambda: archive(honest()).replace(b"well\n\0", b"well\n!"), "hidden behind its end"
    ),
    "no end": (lambda: archive(honest())[:5120], "ends before its archive does"),
}  # fmt: skip


@pytest.mark.parametrize("case", TARS)
def test_tars_that_are_refused(case: str, tmp_path: Path) -> None:
    make, said = TARS[case]
    tracemalloc.start()
    found = refusal(packed(make()), tmp_path / "b.tar.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said in found
    assert peak < 16 << 20


# --- gzip -----------------------------------------------------------------------------------------


def good() -> bytes:
    return packed(archive(honest()))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: good() + b"x", "has something behind its end"),
        (lambda: good() + good(), "has something behind its end"),
        (lambda: good()[:-9], "is cut off"),
        (lambda: good()[:-4], "is cut off"),
        (lambda: good()[:40], "is cut off"),
        (lambda: good()[:-8] + b"\0" * 8, "damaged"),
        (lambda: b"\x1f\x8b", "is cut off"),
        (lambda: b"\x1f\x8b\x08\x08" + b"x" * (50 << 20), "is cut off"),  # an endless name
        (lambda: good()[:10] + b"\0\0\0\xff\xff" * (4 << 20), "is cut off"),  # of empty blocks
        (lambda: b"\x1f\x8b" + b"x" * 50, "is no gzip file, or damaged"),
        (lambda: b"", "is no bundle"),
        (lambda: b"PK\x03\x04" + bytes(100), "is no bundle"),
        (lambda: archive(honest()), "is no bundle: neither gzip nor encrypted"),
    ],
)
def test_files_that_are_refused(data: Callable[[], bytes], said: str, tmp_path: Path) -> None:
    assert said in refusal(data(), tmp_path / "b.tar.gz")


def bomb(size: int, of: bytes) -> bytes:
    """So many bytes of an entry that the manifest knows, packed thousandfold."""
    head = of + header(f"{TOP}/zeros", size)
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9, mtime=0) as packing:
        packing.write(head)
        for _ in range(size >> 20):
            packing.write(bytes(1 << 20))
        packing.write(bytes(1024))
    return out.getvalue()


def test_a_bomb_is_refused_by_its_ratio_in_little_time_and_memory(tmp_path: Path) -> None:
    size = 256 << 20
    zeros = bundles.listed("zeros", b"", size=size, sha256="0" * 64)
    first = archive(
        [entry(f"{TOP}/manifest.json", bundles.packed_manifest(bundles.manifest([zeros])))]
    )
    end = -(-len(first.rstrip(b"\0")) // 512) * 512
    data = bomb(size, first[:end])
    assert len(data) < 1 << 20
    tracemalloc.start()
    started = time.process_time()
    assert "unpacks to more than 250 times its size" in refusal(data, tmp_path / "b.tar.gz")
    assert time.process_time() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("LARGEST_WHOLE", 2000, "unpacks to more than 2000 bytes"),
        ("LARGEST_ENTRY", 1000, "claims"),
        ("MOST_ENTRIES", 3, "holds more than 3 entries"),
    ],
)
def test_limits(
    limit: str, value: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, limit, value)
    assert said in refusal(good(), tmp_path / "b.tar.gz")


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(DoctorError, match="is no regular file"):
            reader.reading(path).__enter__()
    with pytest.raises(DoctorError, match="cannot be read: No such file"):
        reader.reading(tmp_path / f"nosuch{ESCAPE}").__enter__()
    with pytest.raises(DoctorError, match="cannot be read: embedded null"):
        reader.reading(Path("a\0b")).__enter__()


def test_a_gzip_header_may_not_hide_a_file(tmp_path: Path) -> None:
    """A name or comment in gzip's own header is passed over by all, and told by none."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = engine.compress(archive(honest())) + engine.flush()
    tail = struct.pack("<II", zlib.crc32(archive(honest())), len(archive(honest())))
    named = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"../../etc/passwd\0" + body + tail
    read(named, tmp_path / "b.tar.gz")
