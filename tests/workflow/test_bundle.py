"""Bundles of the stories, recomputed by the counterparty's own program, altered and forged."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from activities.billing.advances import Advances
from contracts.document import read_contract
from contracts.errors import NotFound, TermsError
from lifecycle.orders.adjustments import IssueAdvance
from tests.forgery import SIGNED, Alter, contents, forged, place_of_refusal, said
from tests.workflow.conftest import EXAMPLES, example
from tollkeeper.bundle import archive, bundle, signed
from tollkeeper.desk import Desk
from tollkeeper.independent import verify
from tollkeeper.signing import KEY, Signer, signer_of
from tollkeeper.story import Story


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer_of(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
async def settled(desk: Desk, signer: Signer) -> bytes:
    story = Story(desk, "bundle-settled", example("key-account"))
    await story.value_bet()
    return await bundle(desk.pool, story.id, signer)


@pytest.fixture(scope="module")
async def withheld(desk: Desk, signer: Signer) -> bytes:
    story = Story(desk, "bundle-withheld", example("key-account-withheld"))
    await story.value_bet()
    return await bundle(desk.pool, story.id, signer)


# It agrees.


@pytest.mark.parametrize("story", ["settled", "withheld"])
def test_every_number_of_a_settled_engagement_is_recomputed(
    request: pytest.FixtureRequest, signer: Signer, story: str
) -> None:
    lines = said(request.getfixturevalue(story), signer.fingerprint)
    assert lines[0] == f"signed by {signer.fingerprint}"
    assert all(line.startswith("ok ") for line in lines[1 : 2 + len(verify.CHECKS)])
    assert "NOT" not in "".join(line for line in lines if "other engagements" not in line)
    assert int(lines[-1].split()[1]) > 1_000


async def test_a_shelved_engagement_agrees_with_what_little_it_has(
    desk: Desk, signer: Signer
) -> None:
    story = Story(desk, "bundle-shelved", example("key-account"))
    await story.shelved_and_resumed()
    assert "values agree" in said(await bundle(desk.pool, story.id, signer))[-1]


async def test_an_engagement_agrees_while_it_runs(
    desk: Desk, signer: Signer, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account-withheld"))
    await story.opened_twice()
    assert "values agree" in said(await bundle(desk.pool, story.id, signer))[-1]
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.proceeded()
    await story.milestones_delivered()
    assert "values agree" in said(await bundle(desk.pool, story.id, signer))[-1]


AWKWARD = {
    "id: KA-2024-0": "id: ODD-2024-0",
    "amount: 100000.00": "amount: 100000.07",
    "amount: 1800000.00": "amount: 1800000.01",
    "rate: 30%": "rate: 54000001/180000001",
    "rate: 6%": "rate: 13%",
    "weight: 40%": "weight: 1/3",
    "weight: 20%": "weight: 1/3",
    "{kind: clamped_linear}": "{kind: affine, slope: 1/3, offset: 0.2, at_least: 1/7}",
}


@pytest.mark.parametrize("name", ["key-account", "key-account-withheld"])
async def test_amounts_that_do_not_divide_are_recomputed_to_the_fen(
    desk: Desk, signer: Signer, engagement_id: str, name: str
) -> None:
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    for plain, awkward in AWKWARD.items():
        assert plain in text
        text = text.replace(plain, awkward)
    story = Story(desk, engagement_id, read_contract(text, "awkward.yaml"))
    await story.value_bet()
    assert "values agree" in said(await bundle(desk.pool, story.id, signer))[-1]


async def test_the_other_product_agrees(desk: Desk, signer: Signer) -> None:
    story = Story(desk, "bundle-after-sales", example("after-sales"))
    await story.value_bet()
    assert "values agree" in said(await bundle(desk.pool, story.id, signer))[-1]


async def test_every_commercial_clause_agrees(
    desk: Desk, signer: Signer, engagement_id: str
) -> None:
    """Two taxes, an advance, a retention taxed at its release, a refundable holdback, a miss, ceilings."""
    text = (EXAMPLES / "managed-rollout.yaml").read_text(encoding="utf-8")
    text = text.replace("country: CN", "country: CN\n  provisional_years: [2027, 2028]")
    story = Story(desk, engagement_id, read_contract(text, "managed-rollout.yaml"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.proceeded()
    process = f"eng.{engagement_id}"
    order = IssueAdvance(
        key=f"{process}.advance.AD1:issue",
        engagement_id=engagement_id,
        workflow_id=process,
        at=story.moment,
        by="du.heng",
    )
    await desk.book(Advances(desk.pool).issue_advance, order)
    await story.milestones_delivered()
    assert "values agree" in said(await bundle(desk.pool, story.id, signer))[-1]
    await story.value_measured()
    data = await bundle(desk.pool, story.id, signer)
    assert "values agree" in said(data)[-1]
    journal = json.loads(contents(data)["journal.json"])
    codes = {group["code"] for group in journal["groups"]}
    assert {"E05", "E06", "E10", "E17", "E18", "E19", "E27", "E28"} <= codes


async def test_the_same_state_gives_the_same_bytes(
    desk: Desk, signer: Signer, settled: bytes
) -> None:
    assert await bundle(desk.pool, "bundle-settled", signer) == settled


async def test_an_engagement_that_was_never_opened_is_refused(desk: Desk, signer: Signer) -> None:
    with pytest.raises(NotFound, match="'bundle-none', expected an engagement"):
        await bundle(desk.pool, "bundle-none", signer)


# Altered.


def regions(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Each part of the zip: its first byte, the one after it, and what a refusal has to name."""
    with ZipFile(BytesIO(data)) as opened:
        entry_at = opened.start_dir
        for number, entry in enumerate(opened.infolist(), start=1):
            content_at = entry.header_offset + 30 + len(entry.filename)
            yield entry.header_offset, content_at, entry.filename
            yield content_at, content_at + entry.file_size, entry.filename
            after = entry_at + 46 + len(entry.filename)
            yield entry_at, after, f"entry {number} of the zip's central directory"
            entry_at = after
        yield entry_at, len(data), "the end record of the zip"


def test_one_altered_byte_anywhere_is_refused_and_its_place_named(withheld: bytes) -> None:
    parts = sorted(regions(withheld))
    assert [first for first, _, _ in parts[1:]] == [after for _, after, _ in parts[:-1]]
    for first, after, name in parts:
        long = after - first > 200  # a file; headers are altered at every byte
        for at in range(first, after, 61 if long else 1):
            for flip in (1, 0x80):
                altered = bytearray(withheld)
                altered[at] ^= flip
                assert name in place_of_refusal(bytes(altered)), f"byte {at} ^ {flip}"


def test_what_is_cut_off_or_put_in_is_refused(settled: bytes) -> None:
    with ZipFile(BytesIO(settled)) as opened:
        middle = opened.infolist()[3].header_offset
    for altered in (
        b"",
        settled[:-1],
        settled + b"\0",
        b"\0" + settled,
        settled[:middle] + b"\0" + settled[middle:],
        settled[: len(settled) // 2],
    ):
        assert "zip" in place_of_refusal(altered)


def test_a_file_altered_inside_a_whole_zip_is_named(settled: bytes) -> None:
    files = contents(settled)
    for name, text in files.items():
        altered = archive(files | {name: text + b" "})
        assert name in place_of_refusal(altered)
    for name in sorted(files):
        rest = {other: text for other, text in files.items() if other != name}
        assert place_of_refusal(archive(rest)) == name
    assert place_of_refusal(archive(files | {"more.txt": b""})) == "more.txt"


def test_the_signature_of_another_key_is_refused(settled: bytes, tmp_path: Path) -> None:
    other = signer_of(tmp_path)
    with pytest.raises(verify.Refused, match=r"signature\.json: public_key"):
        said(settled, other.fingerprint)
    files = contents(settled)
    texts = {name: text for name, text in files.items() if name not in SIGNED}
    again = archive(signed(texts, json.loads(files["manifest.json"]), other))
    assert "NOT COMPARED" in said(again)[1]


# Forged: altered by whoever has the key, with every hash and the signature made anew.


def last_group(journal: Any, code: str) -> Any:
    return [group for group in journal["groups"] if group["code"] == code][-1]


def one_posting(journal: Any) -> None:
    last_group(journal, "E12")["postings"][0]["amount"] = "81000.01 CNY"


def a_balanced_group(journal: Any) -> None:
    debit, _, credit = last_group(journal, "E12")["postings"]
    debit["amount"], credit["amount"] = "81000.01 CNY", "85860.01 CNY"


def a_group_left_out(journal: Any) -> None:
    journal["groups"].remove(last_group(journal, "E11"))


def a_balance(journal: Any) -> None:
    journal["balances"][0]["debit"] = "1.00 CNY"


def net_and_gross(documents: Any) -> None:
    documents[-1]["net"], documents[-1]["gross"] = "540000.01 CNY", "572400.01 CNY"


def tax_of_a_credit_note(documents: Any) -> None:
    documents[0]["tax"], documents[0]["gross"] = "6480.01 CNY", "114480.01 CNY"


def a_rate(documents: Any) -> None:
    documents[-1]["lines"][0]["tax_rate"] = "9/100"


def a_claim_billed_twice(documents: Any) -> None:
    documents[-1]["lines"].append(documents[-1]["lines"][0])


def a_verdict(verdicts: Any) -> None:
    part = verdicts[-1]["result"]["verdict"]["indicators"][0]
    part["released"], part["forfeited"] = "135000.01 CNY", "80999.99 CNY"


def an_attainment(verdicts: Any) -> None:
    verdicts[-1]["result"]["verdict"]["indicators"][0]["explanation"]["steps"][1]["exact"] = "2/3"


def a_trend(verdicts: Any) -> None:
    verdicts[0]["result"]["trends"]["ka-dso-days"] = "IMPROVING"


def a_hold(holds: Any) -> None:
    holds[0]["balance"]["held"] = "0.01 CNY"


def a_movement(holds: Any) -> None:
    holds[0]["movements"][-1]["amount"] = "81000.01 CNY"


def a_decision(decisions: Any) -> None:
    decisions[-1]["amount"] = "81000.01 CNY"


def an_acceptance(acceptances: Any) -> None:
    acceptances[0]["at"] = "2024-12-04T15:59:59+00:00"


def a_clock(timeline: Any) -> None:
    handed_in = next(event for event in timeline if event["type"] == "milestone.submitted")
    handed_in["facts"]["accept_by"] = "2024-12-04T15:59:59+00:00"


def the_final_account(timeline: Any) -> None:
    timeline[-1]["facts"]["released"] = "351000.01"


@pytest.mark.parametrize(
    ("alter", "place"),
    [
        (one_posting, "journal.json: groups[24].postings"),
        (a_balanced_group, "journal.json: groups[24].postings[0].amount"),
        (a_group_left_out, "journal.json: groups"),
        (a_balance, "journal.json: balances[0].debit"),
        (net_and_gross, "documents.json: [7].net"),
        (tax_of_a_credit_note, "documents.json: [0].tax"),
        (a_rate, "documents.json: [7].lines[0].tax_rate"),
        (a_claim_billed_twice, "documents.json: [7].lines"),
        (a_verdict, "verdicts.json: [2].result.verdict.indicators[0].released"),
        (
            an_attainment,
            "verdicts.json: [2].result.verdict.indicators[0].explanation.steps[1].exact",
        ),
        (a_trend, "verdicts.json: [0].result.trends.ka-dso-days"),
        (a_hold, "holds.json: [0].balance.held"),
        (a_movement, "holds.json: [0].movements[4].amount"),
        (a_decision, "decisions.json: [3].amount"),
        (an_acceptance, "acceptances.json: [0].at"),
        (a_clock, "facts.accept_by"),
        (the_final_account, "timeline.json: [83].facts.released"),
    ],
)
def test_a_forged_number_is_found_by_recomputing_it(
    withheld: bytes, signer: Signer, alter: Alter, place: str
) -> None:
    name = place.partition(":")[0] if ":" in place else "timeline.json"
    assert place in place_of_refusal(forged(withheld, signer, name, alter))


def test_a_forged_reading_does_not_give_the_verdict(withheld: bytes, signer: Signer) -> None:
    """The value is altered wherever it stands, and the verdict is not what it gives."""

    def reading(readings: Any) -> None:
        readings[-1]["value"] = "11800000.0000"

    def event(timeline: Any) -> None:
        told = [each for each in timeline if each["type"] == "indicator.observed"]
        told[-1]["facts"]["value"] = "11800000.0000"

    once = forged(withheld, signer, "readings.json", reading)
    assert place_of_refusal(once).startswith("timeline.json: indicator.observed")
    both = forged(once, signer, "timeline.json", event)
    assert place_of_refusal(both).startswith("verdicts.json: [2].result.verdict.indicators[0]")


def test_a_forged_contract_is_not_the_one_that_was_opened(withheld: bytes, signer: Signer) -> None:
    def rate(contract: Any) -> None:
        contract["tax"]["rate"] = "9/100"

    altered = forged(withheld, signer, "contracts/KA-2024-018-v1.json", rate)
    assert place_of_refusal(altered) == "contracts.json: [0].digest"


# The key, and the command line.


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = signer_of(folder)
    assert signer_of(folder).fingerprint == first.fingerprint
    assert [path.name for path in folder.iterdir()] == [KEY]
    assert (folder / KEY).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_key_that_others_may_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    signer_of(tmp_path)
    (tmp_path / KEY).chmod(0o644)
    with pytest.raises(TermsError, match="found mode 0644, expected 0600"):
        signer_of(tmp_path)
    (tmp_path / KEY).chmod(0o600)
    (tmp_path / KEY).write_text("nothing")
    with pytest.raises(TermsError, match="found no private key"):
        signer_of(tmp_path)


@pytest.mark.usefixtures("settled")
def test_from_the_command_line_the_two_programs_agree(data: Path, tmp_path: Path) -> None:
    environment = os.environ | {"TOLLKEEPER_DATA": str(data)}

    def call(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-c", f"import sys; {program}", *arguments]
        return subprocess.run(
            line, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    tollkeeper = "from tollkeeper.cli import main; main()"
    verifier = "from tollkeeper.independent.verify import main; sys.exit(main())"
    file, public = tmp_path / "e.zip", tmp_path / "key.pem"
    made = call(tollkeeper, "bundle", "bundle-settled", "--to", str(file), "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(call(tollkeeper, "signing-key", "--json").stdout)
    assert key["fingerprint"] == json.loads(made.stdout)["fingerprint"]
    public.write_text(key["public_key"])
    for known in (key["fingerprint"], str(public)):
        answer = call(verifier, str(file), "--key", known)
        assert answer.returncode == 0, answer.stderr
        assert f"values agree in {len(verify.CHECKS)} checks" in answer.stdout
    wrong = call(verifier, str(file), "--key", "0" * 64)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("REFUSED  signature.json: public_key")
    nowhere = call(tollkeeper, "bundle", "bundle-settled", "--to", str(tmp_path))
    assert nowhere.returncode == 1
    assert "TermsError: --to: found" in nowhere.stderr
