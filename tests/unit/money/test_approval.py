"""Approval: different people with authority, none of them who asked, each for exactly what is carried out."""

import re
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commercial import Approvals, Authority, Decision
from contracts.errors import NotAuthorised, TransitionError
from contracts.money import Money
from lifecycle.approval import (
    Request,
    RequestState,
    complete,
    digest_of,
    missing,
    needed,
    require_pending,
    sign,
    with_authority,
)
from tests.unit.lifecycle.conftest import CONTRACT, beijing, cny, property_of, travels

APPROVALS = Approvals(
    clause="8.1",
    needed=2,
    authority=(
        Authority(person="gao.feng"),
        Authority(person="li.wei", up_to=cny("500000.00")),
        Authority(person="sun.hao", up_to=cny("500000.00")),
        Authority(person="chen.yu", up_to=cny("1000.00")),
    ),
)
AGREED = CONTRACT.model_copy(update={"approvals": APPROVALS})
"""gao.feng and li.wei are the client's, sun.hao and chen.yu the consultant's."""

ASKED = beijing("2024-12-06 10:00")
LAPSES = beijing("2024-12-20 23:59")
PAYLOAD = {"hold": "eng.E7.hold.H1", "amount": "100000.00 CNY"}
DIGEST = digest_of(PAYLOAD)

R1 = Request(
    id="eng.E7.request.R1",
    engagement_id="E7",
    workflow_id="eng.E7",
    decision=Decision.RELEASE,
    subject="eng.E7.hold.H1",
    payload=PAYLOAD,
    digest=DIGEST,
    effect_key="eng.E7.hold.H1:release.R1",
    amount=cny("100000.00"),
    requested_by="sun.hao",
    requested_at=ASKED,
    expires_at=LAPSES,
    needed=2,
)


def request(**other: object) -> Request:
    return R1.model_copy(update=other)


def signed(one: Request, *people: str, at: datetime = ASKED) -> Request:
    for person in people:
        one = sign(one, AGREED, person, DIGEST, at)
    return one


def says(text: str) -> str:
    return f"^{re.escape(text)}$"


# What is signed.


@pytest.mark.parametrize("decision", Decision)
def test_what_is_owed_or_was_paid_is_decided_gross_and_what_is_of_a_fee_net(decision):
    gross = {Decision.WRITE_OFF, Decision.REFUND, Decision.REVERSAL}
    assert request(decision=decision).basis == ("gross" if decision in gross else "net")


def test_the_digest_is_of_the_canonical_text_whatever_the_order_of_the_keys():
    text = '{"amount":"100000.00 CNY","hold":"eng.E7.hold.H1"}'
    assert digest_of(PAYLOAD) == sha256(text.encode()).hexdigest()
    assert digest_of(dict(reversed(PAYLOAD.items()))) == DIGEST


def test_any_change_of_the_payload_makes_another_digest():
    assert digest_of({**PAYLOAD, "amount": "100000.01 CNY"}) != DIGEST


def test_an_approval_of_another_payload_is_refused():
    expected = (
        f"request eng.E7.request.R1: found an approval of payload 012345678901, expected of "
        f"{DIGEST[:12]}; look at what is asked for now"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        sign(R1, AGREED, "gao.feng", "0123456789012345", ASKED)


# How many sign.


@pytest.mark.parametrize("decision", Decision)
def test_as_many_sign_as_the_contract_says_and_both_sides_a_change_order(decision):
    three = CONTRACT.model_copy(update={"approvals": APPROVALS.model_copy(update={"needed": 3})})
    assert needed(three, decision) == (2 if decision is Decision.CHANGE_ORDER else 3)


@pytest.mark.parametrize("people", [("gao.feng", "li.wei"), ("li.wei", "gao.feng")])
def test_the_last_one_needed_approves_in_whatever_order(people):
    at = ASKED + timedelta(days=1)
    first = signed(R1, people[0], at=at)
    assert (first.state, first.signed, first.decided_by, first.decided_at) == (
        RequestState.PENDING,
        (people[0],),
        None,
        None,
    )
    done = signed(first, people[1], at=at)
    assert (done.state, done.signed, done.decided_by, done.decided_at) == (
        RequestState.APPROVED,
        people,
        ", ".join(people),
        at,
    )
    assert travels(done)


def test_where_one_is_enough_the_first_approves():
    done = signed(request(needed=1), "li.wei")
    assert (done.state, done.decided_by) == (RequestState.APPROVED, "li.wei")


def test_one_person_signs_once():
    expected = "request eng.E7.request.R1: found gao.feng a second time, expected another person"
    with pytest.raises(TransitionError, match=says(expected)):
        signed(R1, "gao.feng", "gao.feng")


def test_one_person_is_one_however_often_it_is_named():
    assert not complete(R1, AGREED, ["gao.feng", "gao.feng"])
    assert complete(R1, AGREED, ["gao.feng", "li.wei"])
    assert complete(R1, AGREED, ["gao.feng", "li.wei", "chen.yu"])


@pytest.mark.parametrize(
    ("people", "decides"),
    [
        ([], False),
        (["gao.feng"], False),
        (["gao.feng", "li.wei"], False),  # both of the client
        (["sun.hao", "chen.yu"], False),  # both of the consultant
        (["gao.feng", "chen.yu"], True),
        (["sun.hao", "li.wei"], True),
    ],
)
def test_a_change_order_takes_one_of_each_side(people, decides):
    assert complete(request(decision=Decision.CHANGE_ORDER), AGREED, people) is decides


def test_a_change_order_is_approved_by_the_first_signature_of_the_other_side():
    both = request(decision=Decision.CHANGE_ORDER, requested_by="wang.fang")
    client = signed(both, "gao.feng", "li.wei")
    assert client.state is RequestState.PENDING
    assert signed(client, "sun.hao").state is RequestState.APPROVED


# Who signs.


@pytest.mark.parametrize(
    ("amount", "people"),
    [
        ("0.00", ["gao.feng", "li.wei", "sun.hao", "chen.yu"]),
        ("1000.00", ["gao.feng", "li.wei", "sun.hao", "chen.yu"]),
        ("1000.01", ["gao.feng", "li.wei", "sun.hao"]),
        ("500000.00", ["gao.feng", "li.wei", "sun.hao"]),
        ("500000.01", ["gao.feng"]),
    ],
)
def test_who_has_authority_up_to_an_amount_in_the_order_of_the_contract(amount, people):
    assert [entry.person for entry in with_authority(AGREED, cny(amount))] == people


def test_who_asked_does_not_sign():
    expected = (
        "request eng.E7.request.R1: found 'sun.hao', who asked for it, expected somebody else"
    )
    with pytest.raises(NotAuthorised, match=says(expected)):
        signed(R1, "sun.hao")


@pytest.mark.parametrize("person", ["chen.yu", "wang.fang", "nobody"])
def test_who_has_not_that_authority_does_not_sign(person):
    expected = (
        f"request eng.E7.request.R1 for 100000.00 CNY: found {person!r}, expected one with that "
        "authority (clause 8.1): gao.feng, li.wei"
    )
    with pytest.raises(NotAuthorised, match=says(expected)):
        signed(R1, person)


def test_where_only_who_asked_has_the_authority_nobody_is_named():
    alone = request(amount=cny("500000.01"), requested_by="gao.feng")
    with pytest.raises(NotAuthorised, match=r"\(clause 8\.1\): nobody is named$"):
        signed(alone, "li.wei")
    assert missing(alone, AGREED) == []


def test_who_could_still_sign_is_neither_who_asked_nor_who_has_signed():
    assert missing(R1, AGREED) == ["gao.feng", "li.wei"]
    assert missing(signed(R1, "gao.feng"), AGREED) == ["li.wei"]
    assert missing(signed(R1, "gao.feng", "li.wei"), AGREED) == []
    assert missing(request(amount=cny("600000.00")), AGREED) == ["gao.feng"]


def test_once_a_side_has_signed_a_change_order_the_other_one_is_waited_for():
    both = request(decision=Decision.CHANGE_ORDER, requested_by="wang.fang", amount=cny("1000.00"))
    assert missing(both, AGREED) == ["gao.feng", "li.wei", "sun.hao", "chen.yu"]
    assert missing(signed(both, "li.wei"), AGREED) == ["sun.hao", "chen.yu"]
    assert missing(signed(both, "li.wei", "chen.yu"), AGREED) == []


PEOPLE = ["gao.feng", "li.wei", "sun.hao", "chen.yu", "wang.fang"]


@property_of
@given(
    st.sampled_from(PEOPLE),
    st.integers(0, 10**8).map(lambda minor: Money(minor, "CNY")),
    st.integers(1, 4),
    st.lists(st.sampled_from(PEOPLE)),
)
def test_what_is_approved_is_signed_by_enough_others_with_that_authority(by, amount, count, people):
    one = request(requested_by=by, amount=amount, needed=count)
    able = {entry.person for entry in with_authority(AGREED, amount)} - {by}
    for person in people:
        able_now = set(missing(one, AGREED))
        try:
            one = signed(one, person)
        except (NotAuthorised, TransitionError):
            assert person not in able_now or one.state is RequestState.APPROVED
    assert set(one.signed) <= able
    assert len(set(one.signed)) == len(one.signed)
    assert (one.state is RequestState.APPROVED) == (len(one.signed) == count)


# When.


@pytest.mark.parametrize("at", [ASKED, LAPSES])
def test_a_request_is_open_from_when_it_was_asked_until_it_lapses(at):
    require_pending(R1, at)


def test_a_request_that_has_lapsed_is_asked_for_anew():
    expected = (
        "request eng.E7.request.R1 was open until 2024-12-20T23:59:00+08:00, found it decided at "
        "2024-12-20T23:59:01+08:00; ask for it anew"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        signed(R1, "gao.feng", at=LAPSES + timedelta(seconds=1))


def test_nothing_is_decided_before_it_was_asked_for():
    expected = (
        "request eng.E7.request.R1 is of 2024-12-06T10:00:00+08:00, found it decided at "
        "2024-12-06T09:59:59+08:00, expected that time or later"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        signed(R1, "gao.feng", at=ASKED - timedelta(seconds=1))


@pytest.mark.parametrize("state", [state for state in RequestState if state != "pending"])
@pytest.mark.parametrize(("decided_by", "by"), [("gao.feng", " by gao.feng"), (None, "")])
def test_a_request_is_decided_once(state, decided_by, by):
    expected = f"request eng.E7.request.R1: found it {state.value}{by}, expected it to be pending"
    with pytest.raises(TransitionError, match=says(expected)):
        signed(request(state=state, decided_by=decided_by), "li.wei")
