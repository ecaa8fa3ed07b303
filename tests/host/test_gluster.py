"""gluster's answers. Those of the real program are in tests/checks/test_datasources_glusterfs.py;
here stand shortened copies of version 10.3's, and what it never says.
"""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import gluster
from biostudio_doctor.host.gluster import Brick, Pool
from tests.conftest import MakeHost

HEAD = "<cliOutput><opRet>0</opRet><opErrno>0</opErrno><opErrstr/>"
INFO = f"""{HEAD}<volInfo><volumes><volume><name>other</name><statusStr>Created</statusStr></volume>
<volume><name>gv0</name><statusStr>Started</statusStr><typeStr>Distributed-Replicate</typeStr>
<brickCount>4</brickCount><replicaCount>2</replicaCount><disperseCount>0</disperseCount>
<redundancyCount>0</redundancyCount><bricks><brick uuid="x">a:/b<name>a:/b</name></brick>
<brick><name>b:/b</name></brick><brick><name>c:/b</name></brick><brick><name>d:/b</name></brick>
</bricks></volume></volumes></volInfo></cliOutput>"""
STATUS = f"""{HEAD}<volStatus><volumes><volume><volName>gv0</volName><nodeCount>5</nodeCount>
<node><hostname>a</hostname><path>/b</path><status>1</status><port>49152</port></node>
<node><hostname>b</hostname><path>/b</path><status>0</status><port>N/A</port></node>
<node><hostname>c</hostname><path>/b</path><status>1</status><port>49153</port></node>
<node><hostname>Self-heal Daemon</hostname><path>localhost</path><status>1</status>
<port>N/A</port></node></volume></volumes></volStatus></cliOutput>"""
PEERS = f"""{HEAD}<peerStatus><peer><hostname>b</hostname><connected>1</connected></peer>
<peer><hostname>d</hostname><connected>0</connected></peer></peerStatus></cliOutput>"""


def test_a_volume_its_bricks_and_peers() -> None:
    pool = gluster.parse_info(INFO, "gv0")
    assert (pool.status, pool.type, pool.group) == ("Started", "Distributed-Replicate", 2)
    assert pool.volumes == ("other", "gv0")
    bricks = gluster.parse_bricks(STATUS, pool.bricks)
    assert bricks[0] == Brick(host="a", path="/b", port=49152, online=True)
    assert [brick.online for brick in bricks] == [True, False, True, False]
    assert [peer.connected for peer in gluster.parse_peers(PEERS)] == [True, False]
    assert gluster.parse_info(INFO, "absent").status == ""


@pytest.mark.parametrize(
    ("group", "redundancy", "online", "lost"),
    [
        (1, 0, "11", False),
        (1, 0, "10", True),
        (2, 0, "1010", False),
        (2, 0, "0110", False),
        (2, 0, "1100", True),
        (3, 1, "110", False),
        (3, 1, "100", True),
    ],
)
def test_when_data_is_out_of_reach(group: int, redundancy: int, online: str, lost: bool) -> None:
    bricks = tuple(
        Brick(host="h", path=f"/{at}", online=one == "1") for at, one in enumerate(online)
    )
    assert Pool(group=group, redundancy=redundancy, bricks=bricks).data_lost is lost


@given(st.text() | st.text().map(lambda words: INFO.replace("gv0", words)))
def test_parsers_raise_nothing_else(xml: str) -> None:
    for parse in (
        lambda: gluster.parse_info(xml, "gv0"),
        lambda: gluster.parse_bricks(xml, ()),
        lambda: gluster.parse_peers(xml),
    ):
        with contextlib.suppress(gluster._Untold):
            parse()


def test_entities_and_refusals_are_not_read() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><cliOutput>&b;</cliOutput>'
    refusal = "<cliOutput><opRet>-1</opRet><opErrstr>Volume x does not exist</opErrstr></cliOutput>"
    for xml, said in ((bomb, "is none"), (refusal, "does not exist"), ("x", "no XML")):
        with pytest.raises(gluster._Untold, match=said):
            gluster.parse_info(xml, "gv0")


def test_another_root_is_not_asked(make_host: MakeHost) -> None:
    host = make_host({"/usr/sbin/gluster": "", "/proc/7/comm": "glusterd\n"})
    assert gluster.ask(host, "gv0", 1) is None
