"""ftype of XFS. Kernels of today mount none without it, so that answer is made."""

import struct
from pathlib import Path

import pytest

from biostudio_doctor.host import Host
from biostudio_doctor.host.xfs import flags_have_ftype, has_ftype

# struct xfs_fsop_geom_v1: 8 x u32, 4 x u64, uuid, 2 x u32, s32 version, u32 flags, 3 x u32
_GEOMETRY = struct.Struct("=8I4Q16s2IiI3I4x")


@pytest.mark.parametrize(("flags", "ftype"), [(0x1CCB9, True), (0x0CCB9, False), (0x10000, True)])
def test_the_flag(flags: int, ftype: bool) -> None:
    whole = _GEOMETRY.pack(*[0xFFFFFFFF] * 8, *[0] * 4, b"\xff" * 16, 0, 0, 0, flags, 0, 0, 0)
    assert len(whole) == 112 and flags_have_ftype(whole) is ftype


def test_other_file_systems_do_not_answer(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        has_ftype(Host(), "/proc")
    with pytest.raises(FileNotFoundError):
        has_ftype(Host(), str(tmp_path / "missing"))
