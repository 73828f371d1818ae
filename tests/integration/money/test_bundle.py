"""The bundle of an engagement to which everything happens: recomputed, altered, forged."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from activities.postgres import Pool
from contracts.contract import Contract
from contracts.setting import ClockKind
from tests.forgery import Alter, contents, forged, forged_all, place_of_refusal, refusal, said
from tests.integration.conftest import Databases
from tests.integration.money import test_adjustments as adjustments
from tests.integration.money import test_change_order as changes
from tests.integration.money.everything import Everything, Told, agreed
from tollkeeper.bundle import bundle
from tollkeeper.independent import verify
from tollkeeper.signing import Signer, signer_of
from tollkeeper.verify import verify as ledger_verify


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer_of(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
async def everything(
    databases: Databases, key_account: Contract, signer: Signer
) -> AsyncIterator[bytes]:
    async with databases.copy() as pool:
        await Everything(Told(pool, agreed(key_account), "E1", ClockKind.TEST)).played()
        assert [check.id for check in (await ledger_verify(pool)).checks if not check.ok] == []
        yield await bundle(pool, "E1", signer)


# It agrees.


def test_every_number_is_recomputed(everything: bytes, signer: Signer) -> None:
    lines = said(everything, signer.fingerprint)
    assert lines[-1].endswith(f"in {len(verify.CHECKS)} checks")
    assert not [line for line in lines if "NOT" in line]
    idle = [line[12:] for line in lines if line.startswith("ok       0 ")]
    assert idle == [
        "the final account: the fee, what was earned outright, what the bet gave and took"
    ]


def test_the_story_has_every_code_that_is_posted_in_an_engagement(everything: bytes) -> None:
    journal = json.loads(contents(everything)["journal.json"])
    # E09 is a retention that is taxed at once, E17 a holdback that is refundable; other stories have them.
    elsewhere = {"E09", "E17"}
    # A receipt is posted where it comes in; E04 and E29 are not used.
    never = {"E04", "E07", "E29"}
    expected = {f"E{number:02}" for number in range(1, 34)} - elsewhere - never
    assert {group["code"] for group in journal["groups"]} == expected


async def test_what_changes_no_amount_is_recomputed_with_what_builds_on_it(
    pool: Pool, key_account: Contract, signer: Signer
) -> None:
    """It posts nothing: the change order after it, and the benefit to date, were refused."""
    one = Told(pool, agreed(key_account), "E1", ClockKind.TEST)
    desk = changes.Desk(one)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    longer = one.contract.approvals.model_copy(update={"expire_after": 12})
    second = changes.read(changes.amended(one.contract), approvals=longer)
    await desk.agreed("CO1", second)
    await desk.agreed("CO2", changes.amended(second, "2024-12-06", M2="280000.07"))
    await adjustments.settled(one, "Q1", 70_000)
    await adjustments.settled(one, "Q2", 700_000)
    assert await pool.fetchval("select count(*) from journal_group where code = 'E24'") == 1
    assert "values agree" in said(await bundle(pool, "E1", signer))[-1]


# Altered.


def test_one_altered_byte_in_any_file_is_refused_and_the_file_named(everything: bytes) -> None:
    for name, text in contents(everything).items():
        start = everything.index(text) if text else 0
        for at in range(start, start + len(text), max(len(text) // 12, 1)):
            altered = bytearray(everything)
            altered[at] ^= 1
            assert name in place_of_refusal(bytes(altered)), f"{name}, byte {at - start}"


# Forged.


def change(*path: Any, to: object) -> Alter:
    def alter(content: Any) -> None:
        *steps, last = path
        for step in steps:
            content = found(content, step) if isinstance(step, dict) else content[step]
        assert content[last] != to
        content[last] = to

    return alter


def found(entries: Any, wanted: dict[str, object]) -> Any:
    return next(each for each in entries if wanted.items() <= each.items())


def purpose(name: str) -> dict[str, object]:
    return {"purpose": name}


def hold(name: str) -> dict[str, object]:
    return {"id": f"eng.E1.hold.{name}"}


def request(name: str) -> dict[str, object]:
    return {"id": f"eng.E1.request.{name}"}


FORGERIES: dict[str, tuple[str, Alter, str]] = {
    "tax of one of two rates": (
        "documents.json",
        change({"key": "eng.E1.milestone.M2:bill"}, "taxes", 1, "tax", to="1150.45 CNY"),
        "taxes[1].tax",
    ),
    "net inside a gross price": (
        "documents.json",
        change({"key": "eng.E1.milestone.M2:bill"}, "lines", 1, "net", to="8849.59 CNY"),
        "lines[1].net",
    ),
    "retention": (
        "documents.json",
        change({"key": "eng.E1.milestone.M2:bill"}, "retained", to="14210.52 CNY"),
        "retained",
    ),
    "net that is taxed later": (
        "documents.json",
        change({"key": "eng.E1.milestone.M1:bill"}, "lines", 0, "deferred", to="0.00 CNY"),
        "lines[0].deferred",
    ),
    "advance deducted": (
        "documents.json",
        change({"key": "eng.E1.milestone.M1:bill"}, "advance", to="0.00 CNY"),
        "advance",
    ),
    "advance credited": (
        "documents.json",
        change({"key": "eng.E1.credit.C2"}, "lines", 0, "net", to="1048.12 CNY"),
        "lines[0].net",
    ),
    "advance credited as if it had been earned": (
        "journal.json",
        change("groups", {"code": "E33"}, "postings", 0, "account", to="4090"),
        "postings[0].account",
    ),
    "due date": (
        "documents.json",
        change(purpose("milestone"), "due_on", to="2024-12-24"),
        "due_on",
    ),
    "purpose that is not known": (
        "documents.json",
        change(purpose("milestone"), "purpose", to="gift"),
        "purpose",
    ),
    "share of a delta": (
        "documents.json",
        change(purpose("delta"), "lines", 0, "net", to="10000.08 CNY"),
        "lines on TEST-QM-INV-2024-000004, project.net",
    ),
    "amount of a dispute": (
        "disputes.json",
        change({"id": "eng.E1.dispute.D1"}, "amount", to="1000.01 CNY"),
        "requests.json",
    ),
    "end of a dispute": (
        "disputes.json",
        change({"id": "eng.E1.dispute.D2"}, "state", to="open"),
        "journal.json",
    ),
    "refund that nobody confirmed": (
        "refunds.json",
        change(0, "state", to="failed"),
        "refunds.json: eng.E1.refund.P1.state",
    ),
    "more than came in": (
        "receipts.json",
        change({"id": "TEST-QM/CN62/B1"}, "amount", to="199.99 CNY"),
        "journal.json",
    ),
    "payload that was approved": (
        "requests.json",
        change(request("F1"), "payload", "amount", to="60000.02 CNY"),
        "digest",
    ),
    "signature of the one who asked": (
        "requests.json",
        change(request("F1"), "signatures", 0, "person", to="sun.hao"),
        "signatures[0].person",
    ),
    "two signatures of one person": (
        "requests.json",
        change(request("F1"), "signatures", 0, "person", to="li.wei"),
        "signatures[1].person",
    ),
    "signature of nobody with authority": (
        "requests.json",
        change(request("F1"), "signatures", 0, "person", to="zhao.min"),
        "signatures[0].person",
    ),
    "signature after the end": (
        "requests.json",
        change(request("F1"), "signatures", 0, "signed_at", to="2025-01-06T00:00:00+00:00"),
        "signatures[0].signed_at",
    ),
    "signature of another payload": (
        "requests.json",
        change(request("F1"), "signatures", 0, "digest", to="0" * 64),
        "signatures[0].digest",
    ),
    "too few signatures": (
        "requests.json",
        lambda requests: found(requests, request("F1"))["signatures"].pop(),
        "decided_by",
    ),
    "policy that the contract does not have": (
        "requests.json",
        change(request("F1"), "decided_by", to="policy:AP9"),
        "each request",
    ),
    "policy for something else": (
        "requests.json",
        change(request("F1"), "decided_by", to="policy:AP1"),
        "decided_by",
    ),
    "clause that decides nothing": (
        "requests.json",
        change(request("F1"), "decided_by", to="clause:8.3"),
        "decided_by",
    ),
    "what is reserved": (
        "holds.json",
        change(hold("MH1"), "balance", "reserved", to="0.00 CNY"),
        "balance.reserved",
    ),
    "tax inside a hold": (
        "holds.json",
        change(hold("H2"), "movements", 1, "tax", to="1200.01 CNY"),
        "movements[1].tax",
    ),
    "clocks of a hold": (
        "holds.json",
        change(hold("H2"), "clocks", "review", to=21),
        "clocks.review",
    ),
    "state of a hold": (
        "holds.json",
        change(hold("H2"), "state", to="active"),
        "state",
    ),
    "who decided": (
        "decisions.json",
        change({"key": "eng.E1.hold.H1:decide:F1"}, "decided_by", to="gao.feng"),
        "decided_by",
    ),
    "benefit": (
        "gain_share.json",
        change(0, "benefit", to="1100000.01 CNY"),
        "gain_share.json: [0].benefit",
    ),
    "fee to date": (
        "gain_share.json",
        change(1, "fee_to_date", to="33333.34 CNY"),
        "gain_share.json: [1].fee_to_date",
    ),
    "version of a change order": (
        "changes.json",
        change({"id": "eng.E1.change.CO1"}, "contract", to="KA-2024-017@v3"),
        "requests.json",
    ),
    "level of a ceiling": (
        "journal.json",
        change("groups", {"code": "E27"}, "postings", 0, "item", to="fee:project"),
        "postings[0].item",
    ),
    "cause of a posting": (
        "journal.json",
        change("groups", {"code": "E05"}, "effect_key", to="eng.E1:gift"),
        "journal.json",
    ),
    "tax code of a posting": (
        "journal.json",
        change("groups", {"code": "E06"}, "postings", -1, "item", to="CN-VAT-9"),
        "item",
    ),
    "event that tells of no money": (
        "timeline.json",
        lambda timeline: timeline.remove(found(timeline, {"type": "payment.taken_back"})),
        "timeline.json",
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_what_is_forged_is_found_and_its_place_named(
    everything: bytes, signer: Signer, what: str
) -> None:
    name, alter, place = FORGERIES[what]
    assert place in place_of_refusal(forged(everything, signer, name, alter))


def test_a_code_that_the_verifier_does_not_know_is_refused_in_words(
    everything: bytes, signer: Signer
) -> None:
    def unknown(journal: Any) -> None:
        gift = {"code": "E99", "effect_key": "eng.E1:gift", "key": "eng.E1:gift:E99"}
        journal["groups"].append(found(journal["groups"], {"code": "E05"}) | gift)

    said_so = refusal(forged(everything, signer, "journal.json", unknown))
    assert "E99 under eng.E1:gift has no cause in the bundle" in said_so


def test_a_document_out_of_nothing_is_refused(everything: bytes, signer: Signer) -> None:
    def another(documents: Any) -> None:
        documents.append(documents[-1] | {"number": "TEST-QM-INV-2025-000099", "part": "again"})

    assert place_of_refusal(forged(everything, signer, "documents.json", another))


def test_a_release_that_nobody_approved_is_refused(everything: bytes, signer: Signer) -> None:
    r1 = request("R1")["id"]

    def pending(requests: Any) -> None:
        found(requests, request("R1")).update(state="pending", decided_by=None, decided_at=None)

    def never_decided(timeline: Any) -> None:
        for event in timeline[:]:
            if event["type"] == "approval.decided" and event["facts"]["request"] == r1:
                timeline.remove(event)

    alterations = {"requests.json": pending, "timeline.json": never_decided}
    said_so = refusal(forged_all(everything, signer, alterations))
    assert "E15 under eng.E1.hold.H1:decide:R1 has no cause in the bundle" in said_so


def test_a_hold_of_another_amount_than_was_signed_is_refused_though_all_agree(
    everything: bytes, signer: Signer
) -> None:
    """Payload and digest are altered together: the signatures are of another payload."""

    def amount(requests: Any) -> None:
        asked = found(requests, request("place-H1"))
        asked["payload"]["amount"] = asked["amount"] = "100000.01 CNY"
        asked["digest"] = verify.digest_of(asked["payload"])

    place = place_of_refusal(forged(everything, signer, "requests.json", amount))
    assert place.endswith("signatures[0].digest")


def test_a_whole_effect_left_out_is_missed(everything: bytes, signer: Signer) -> None:
    def without(journal: Any) -> None:
        key = "eng.E1.hold.H2:default"
        journal["groups"] = [each for each in journal["groups"] if each["effect_key"] != key]

    said_so = refusal(forged(everything, signer, "journal.json", without))
    assert "no group of eng.E1.hold.H2:default" in said_so


def test_a_reading_that_misses_nothing_places_no_hold(everything: bytes, signer: Signer) -> None:
    def met(entries: Any) -> None:
        for each in entries:
            facts = each.get("facts", each)
            if facts.get("indicator") == "ka-dso-days" and facts["measured_on"] < "2025-07":
                facts["value"] = "99.5"

    altered = forged_all(everything, signer, {"readings.json": met, "timeline.json": met})
    assert "which is no miss by clause 7.5" in refusal(altered)


def amounts(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, str) and re.fullmatch(r"-?[0-9]+\.[0-9]{2}( CNY)?", node):
        yield path
    for key, value in (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    ):
        yield from amounts(value, (*path, key))


def one_more(text: str) -> str:
    amount, *currency = text.split()
    minor = int(amount.replace(".", "")) + 1
    sign = "-" if minor < 0 else ""
    return " ".join([f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02}", *currency])


FACTS = {"receipts.json"}
"""What came in is what the bank says: the bundle cannot know better."""


def test_an_amount_that_is_one_fen_higher_is_refused_wherever_it_stands(
    everything: bytes, signer: Signer
) -> None:
    """Of each kind of amount the first three; a kind is where it stands in a file."""
    tried: dict[tuple[Any, ...], int] = {}
    for name, text in contents(everything).items():
        if not name.endswith(".json") or name.startswith("contracts/") or name in FACTS:
            continue
        for path in amounts(json.loads(text)):
            kind = (name, *(step for step in path if isinstance(step, str)))
            tried[kind] = tried.get(kind, 0) + 1
            if tried[kind] > 3:
                continue

            def alter(content: Any, path: tuple[Any, ...] = path) -> None:
                *steps, last = path
                for step in steps:
                    content = content[step]
                content[last] = one_more(content[last])

            place_of_refusal(forged(everything, signer, name, alter))
    assert len(tried) > 60


def test_the_program_says_so(everything: bytes, tmp_path: Path) -> None:
    (tmp_path / "e.zip").write_bytes(everything)
    assert verify.main([str(tmp_path / "e.zip")]) == 0
