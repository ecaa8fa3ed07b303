"""Links between certificates, and what the strict verifier says of a chain."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from biostudio_doctor.certificates.chains import Authorities, Chain, link
from biostudio_doctor.certificates.facts import of
from biostudio_doctor.certificates.verification import strict_problem
from tests.lab.certificates import Made, make, proper
from tests.lab.pki import Pki


@cache
def pki() -> Pki:
    return Pki()


def linked(*made: Made, given: tuple[Made, ...] = (), system: tuple[Made, ...] = ()) -> Chain:
    loaded = [one.certificate for one in made]
    store = Authorities([one.der for one in system], [one.der for one in given])
    return link(loaded, [of(one) for one in loaded], store)


def problem(*made: Made, given: tuple[Made, ...]) -> str:
    loaded = [one.certificate for one in made]
    chain = linked(*made, given=given)
    store = Authorities([], [one.der for one in given])
    return strict_problem(loaded, chain, store, datetime.now(UTC))


def test_whose_authority_is_above() -> None:
    p = pki()
    assert linked(p.good, p.sub, given=(p.root,)).above == "given"
    assert linked(p.good, p.sub, system=(p.root,)).above == "system"
    assert linked(p.good, p.sub, system=(p.stranger,)).above == ""
    assert linked(p.good, system=(p.sub,)).anchor == "Lab Sub"
    assert linked(p.self_signed, given=(p.self_signed,)).is_trusted


def test_the_way_upwards_is_found_in_any_order() -> None:
    p = pki()
    low = p.authority("Low", issuer=p.sub)
    leaf = p.leaf(issuer=low)
    for order in ((leaf, low, p.sub, p.root), (p.root, leaf, p.sub, low), (low, p.sub, leaf)):
        chain = linked(*order)
        names = [chain.certificates[at].name for at in chain.path]
        assert names == ["studio.lab", "Low", "Lab Sub", "Lab Root"][: len(order)]
        assert not chain.unrelated


def test_a_second_way_to_a_root_belongs_to_the_chain() -> None:
    """Cross-signing: the same intermediate, issued by two roots."""
    p = pki()
    twin = proper("Lab Sub", issuer=p.stranger, ca=True, names=(), key=p.sub.key)
    chain = linked(p.good, p.sub, twin, p.stranger, given=(p.root,))
    assert chain.path[:2] == (0, 1) and not chain.unrelated and chain.is_trusted


def test_the_way_that_is_valid_longest_counts() -> None:
    """ISRG Root X1 in 2021: an older self of it, signed by a root that is gone, is sent along."""
    p = pki()
    crossed = p.crossed
    twin = p.authority("Lab Sub", key=p.sub.key, days=(-90, -1))
    for certificates, way in (
        ((p.good, p.sub, crossed), (0, 1)),
        ((p.good, p.sub, crossed, p.stranger), (0, 1)),
        ((p.good, twin, p.sub), (0, 2)),
        ((p.good, p.root, p.sub), (0, 2)),
    ):
        chain = linked(*certificates, given=(p.root,))
        assert chain.path == way and chain.is_trusted and not chain.unrelated
    assert linked(p.good, twin, p.sub).path == (0, 2)
    assert linked(p.good, p.root, p.sub, given=(p.root,)).upwards == (0, 2, 1)
    old = proper("Lab Root", ca=True, names=(), key=p.root.key, days=(-900, -1))
    for given_ones in ((old, p.root), (p.root, old)):
        until = linked(p.good, p.sub, given=given_ones).anchor_until
        assert until == p.root.certificate.not_valid_after_utc


def test_circles_end() -> None:
    one, two = make("One", ca=True), make("Two", ca=True)
    first = make("One", issuer=two, ca=True, key=one.key)
    second = make("Two", issuer=one, ca=True, key=two.key)
    chain = linked(make(issuer=one), first, second)
    assert chain.path == (0, 1, 2) and not chain.is_complete and not chain.unrelated


def test_strict() -> None:
    p = pki()
    assert problem(p.good, p.sub, given=(p.root,)) == ""
    assert "issuer" in problem(p.good, given=(p.root,)) or problem(p.good, given=(p.root,))
    assert problem(p.leaf(issuer=p.good), p.good, p.sub, given=(p.root,))
    assert problem(make(issuer=p.root), given=(p.root,))
    assert problem(p.leaf(names=()), p.sub, given=(p.root,)) == "it has no alternative names"
    assert problem(p.leaf(names=("*.lab",)), p.sub, given=(p.root,)) == ""
    assert problem(p.leaf(names=("192.0.2.1",)), p.sub, given=(p.root,)) == ""
    assert problem(p.good, p.sub, given=()) == "no authority is known here"


def test_dates_are_left_to_others() -> None:
    p = pki()
    for days in ((-90, -1), (1, 90)):
        assert problem(p.leaf(days=days), p.sub, given=(p.root,)) == ""
    old = p.authority("Old", days=(-300, -100))
    assert problem(p.leaf(issuer=old, days=(-200, 10)), old, given=(p.root,)) == ""


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.randoms())
@settings(max_examples=60, deadline=None)
def test_any_heap_of_certificates(places: list[int], random: object) -> None:
    p = pki()
    heap = [p.good, p.sub, p.root, p.stranger, p.strange_sub, p.self_signed]
    chain = linked(*(heap[at] for at in places), given=(p.root,))
    assert 0 <= chain.leaf_at < len(places) and chain.path[0] == chain.leaf_at
    assert len(set(chain.path)) == len(chain.path)
    for below, above in zip(chain.path, chain.path[1:], strict=False):
        one, other = (heap[places[at]].certificate for at in (below, above))
        one.verify_directly_issued_by(other)
    assert isinstance(chain.role(0), str) and not set(chain.path) & set(chain.unrelated)


def test_authorities_that_cannot_be_read_are_passed_over() -> None:
    store = Authorities([b"?", pki().root.der])
    assert len(store.all) == 1
    certificate = x509.load_der_x509_certificate(pki().sub.der)
    above = store.above(certificate)
    assert above and above[:2] == ("system", "Lab Root")
