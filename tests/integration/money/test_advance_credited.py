"""What no invoice will deduct of an advance is credited: the amounts are reckoned by hand."""

from datetime import date
from fractions import Fraction

import pytest

from activities.postgres import Pool
from contracts.commercial import Advance, Authority
from contracts.contract import Contract
from contracts.document import read_contract
from contracts.errors import NotFound, TermsError, TransitionError
from contracts.money import Money, parse_amount
from contracts.setting import ClockKind
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import CreditReason
from lifecycle.receivables import RefundState
from tests.forgery import said
from tests.integration.conftest import Story
from tests.integration.money.everything import Told
from tests.integration.money.house import House, came, yuan
from tests.integration.money.test_adjustments import CLAUSES, advanced, is_verified, levels
from tests.integration.money.test_change_order import Desk, read
from tollkeeper.bundle import bundle
from tollkeeper.independent import verify
from tollkeeper.signing import signer_of
from tollkeeper.views.documents import invoice
from tollkeeper.why_not import why_not

MICRO, ADVANCE = "QM-INV-2024-000001", "QM-INV-2024-000002"
"""106,000.00; 180,000.00 and 10,800.00 of tax, of which each milestone deducts a quarter of its net."""


@pytest.fixture
async def one(pool: Pool, key_account: Contract) -> Story:
    """An engagement that has proceeded, with its advance invoiced."""
    people = ("gao.feng", "li.wei", "sun.hao", "chen.yu")
    able = {"authority": tuple(Authority(person=person) for person in people)}
    approvals = key_account.approvals.model_copy(update=able)
    agreed = read(key_account, approvals=approvals, **CLAUSES)
    made = Told(pool, agreed, "E1", ClockKind.LIVE)
    await made.opened()
    await made.consulted()
    await made.proceeded()
    assert (await advanced(made)).number == ADVANCE
    return made


@pytest.fixture
def house(one: Story) -> House:
    return House(one.pool, one.id)


def cny(amount: str) -> Money:
    return parse_amount(amount, "CNY")


async def credit_advance(house: House, id: str, amount: int) -> Requested:
    return await house.credit(id, ADVANCE, amount, CreditReason.ADVANCE)


async def accounts(house: House, *codes: str) -> tuple[str, ...]:
    return tuple([str(await house.account(code)) for code in codes])


async def test_an_advance_that_was_paid_is_credited_and_paid_back_and_the_engagement_closes(
    one, house
):
    """Of 190,800.00, 106,000.00 pays the invoice of micro-consulting, 84,800.00 goes back."""
    await house.took(came("TX1", 190_800, ADVANCE))
    used = await levels(one)
    with pytest.raises(TransitionError, match=r"account 2110 \(Advances\) stands at 180000\.00"):
        await one.closed(shelved=True)
    note = (await house.signed(await credit_advance(house, "C1", 190_800))).document
    assert note is not None
    assert await accounts(house, "2110", "2300", "4090") == ("0.00", "-190800.00", "0.00")
    assert await house.account("2400") == yuan(-6_000)  # of micro-consulting alone
    assert await levels(one) == used
    paper = await invoice(house.pool, note)
    assert (paper.document, paper.purpose) == ("credit_note", "advance")
    assert (paper.corrects, paper.net, paper.tax) == (ADVANCE, yuan(180_000), yuan(10_800))
    assert (await invoice(house.pool, ADVANCE)).status == "CREDITED"
    assert (await house.applied(note, MICRO)).amount == yuan(106_000)
    await house.signed(await house.refund("R1", note, 84_800))
    await house.settled("R1", RefundState.CONFIRMED)
    assert await accounts(house, "1000", "1100", "2300") == ("106000.00", "0.00", "0.00")
    assert await is_verified(one)
    await one.closed(shelved=True)


async def test_an_advance_that_is_open_is_credited_off_the_claim(one, house):
    await house.signed(await credit_advance(house, "C1", 190_800))
    assert await house.open(ADVANCE) == yuan(0)
    assert await accounts(house, "1100", "2110", "2300") == ("106000.00", "0.00", "0.00")
    assert await is_verified(one)
    await one.closed(shelved=True)


async def test_what_was_not_deducted_is_credited_in_parts_that_end_at_exactly_zero(
    one, house, tmp_path
):
    """M1 deducts 90,000.00 and 5,400.00; the client has paid 50,000.00 of 190,800.00.

    The tax of a part is 10,800.00 * (gross to date) / 190,800.00, less that of the parts before:
    10,800.00 * 128,733.00 / 190,800.00 = 7,286.77, less 5,400.00.
    """
    await one.delivered("M1")
    await house.took(came("TX1", 50_000, ADVANCE))
    with pytest.raises(
        TransitionError,
        match=rf"{ADVANCE}: found 95401\.00 CNY .* at most the 95400\.00 .* of 190800\.00, 95400\.00",
    ):
        await credit_advance(house, "C0", 95_401)
    first = await house.signed(await credit_advance(house, "C1", 33_333))
    paper = await invoice(house.pool, first.document or "")
    assert (paper.net, paper.tax) == (cny("31446.23"), cny("1886.77"))
    second = await house.signed(await credit_advance(house, "C2", 62_067))
    paper = await invoice(house.pool, second.document or "")
    assert (paper.net, paper.tax) == (cny("58553.77"), cny("3513.23"))
    # What M1 deducted, 95,400.00, is what was paid and what is still to be paid.
    assert await house.open(ADVANCE) == yuan(45_400)
    assert await accounts(house, "2110", "2300", "4090") == ("0.00", "0.00", "0.00")
    # 6 % of 100,000 and 360,000: all that was delivered, and nothing else.
    assert await house.account("2400") == yuan(-27_600)
    with pytest.raises(TransitionError, match=r"at most the 0\.00 that is left of the advance"):
        await credit_advance(house, "C3", 1)
    assert await is_verified(one)
    signer = signer_of(tmp_path)
    lines = said(await bundle(one.pool, one.id, signer), signer.fingerprint)
    assert lines[-1].endswith(f"in {len(verify.CHECKS)} checks")
    await one.closed(shelved=True)


async def test_milestones_deduct_what_a_credit_has_left(one, house):
    """A quarter of M2 is 67,500.00; of the advance, 180,000.00 - 90,000.00 - 31,446.23 is left."""
    await one.delivered("M1")
    await house.signed(await credit_advance(house, "C1", 33_333))
    billed = await one.delivered("M2")
    assert (await invoice(house.pool, billed.number)).advance == cny("62067.00")
    assert await accounts(house, "2110") == ("0.00",)
    assert (await invoice(house.pool, (await one.delivered("M3")).number)).advance == yuan(0)
    assert await is_verified(one)


async def test_what_a_milestone_deducts_meanwhile_is_not_credited(one, house):
    """The guard is asked again when it is carried out; the last signature is refused."""
    asked = await credit_advance(house, "C1", 190_800)
    await one.delivered("M1")
    with pytest.raises(TransitionError, match=r"found 190800\.00 CNY .* at most the 95400\.00"):
        await house.signed(asked)
    assert await accounts(house, "2110") == ("-90000.00",)
    assert await is_verified(one)


def ended_early(contract: Contract, advance: Advance | None) -> Contract:
    """The next version, without M2 and M3; what is held stays what it was."""
    milestones = tuple(each for each in contract.milestones if each.id in {"M1", "M4"})
    (micro, project), held = contract.fees, contract.holdback_amount()
    total = sum((each.amount for each in milestones), held)
    rate = Fraction(held.minor, total.minor)
    update = {
        "version": contract.version + 1,
        "effective_on": date(2024, 12, 5),
        "fees": (micro, project.model_copy(update={"amount": total})),
        "milestones": milestones,
        "holdback": contract.holdback.model_copy(update={"rate": rate}),
        "advance": advance,
    }
    return read_contract(contract.model_copy(update=update).model_dump_json(), "version 2")


async def test_a_change_order_takes_milestones_out_once_their_part_of_the_advance_is_credited(
    one, house, tmp_path
):
    """M1 and M4 deduct a quarter of 630,000.00, and the advance was 180,000.00."""
    await one.delivered("M1")
    terms, desk = one.contract.advance, Desk(one)
    with pytest.raises(TermsError, match=r"157500\.00, expected 180000\.00 or more"):
        ended_early(one.contract, terms)
    lower = terms.model_copy(update={"amount": yuan(90_000)})
    with pytest.raises(TransitionError, match="advance ADV1: found it changed"):
        await desk.propose("CO0", ended_early(one.contract, lower))
    await house.signed(await credit_advance(house, "C1", 95_400))
    with pytest.raises(TransitionError, match=r"ADV1: found it changed, .* or of 90000\.00"):
        await desk.propose("CO0", ended_early(one.contract, None))
    await desk.agreed("CO1", ended_early(one.contract, lower))
    await desk.applied("CO1", "2024-12-06")
    assert await desk.version() == 2
    assert await accounts(house, "2110") == ("0.00",)
    assert await is_verified(one)
    signer = signer_of(tmp_path)
    lines = said(await bundle(one.pool, one.id, signer), signer.fingerprint)
    assert lines[-1].endswith(f"in {len(verify.CHECKS)} checks")


async def test_an_advance_that_was_credited_whole_is_taken_out_for_good(one, house, tmp_path):
    desk = Desk(one)
    await house.signed(await credit_advance(house, "C1", 190_800))
    await desk.agreed("CO1", ended_early(one.contract, None))
    await desk.applied("CO1", "2024-12-06")
    assert (await invoice(house.pool, (await one.delivered("M1")).number)).advance == yuan(0)
    again = one.contract.advance.model_copy(update={"id": "ADV2", "amount": yuan(1_000)})
    second = ended_early(one.contract, None)
    with pytest.raises(TransitionError, match="advance: found one added, expected none"):
        await desk.propose("CO2", read(second, version=3, advance=again))
    assert await is_verified(one)
    signer = signer_of(tmp_path)
    lines = said(await bundle(one.pool, one.id, signer), signer.fingerprint)
    assert lines[-1].endswith(f"in {len(verify.CHECKS)} checks")


async def test_an_open_part_that_is_written_off_is_not_credited_before_that_is_reversed(one, house):
    await house.signed(await house.write_off("W1", ADVANCE, 800))
    with pytest.raises(TransitionError, match=r"at most 190000\.00: 190000\.00 is open and 0\.00"):
        await credit_advance(house, "C1", 190_800)
    await house.signed(await credit_advance(house, "C1", 190_000))
    assert await is_verified(one)


@pytest.mark.parametrize(("amount", "lines"), [(1_000, ()), (None, (1,))])
async def test_an_advance_is_not_disputed(house, amount, lines):
    with pytest.raises(TransitionError, match=f"{ADVANCE}: found the invoice of an advance"):
        await house.dispute("D1", ADVANCE, amount, *lines)


async def test_the_reason_says_that_it_is_an_advance_and_only_then(house):
    with pytest.raises(
        TransitionError, match=f"{ADVANCE}: found a credit for goodwill, expected .* ad"
    ):
        await house.credit("C1", ADVANCE, 1)
    with pytest.raises(TransitionError, match=f"{MICRO}: found a credit for advance, expected "):
        await house.credit("C1", MICRO, 1, CreditReason.ADVANCE)


async def test_only_its_own_line_of_an_advance_is_credited(house):
    with pytest.raises(NotFound, match="found 'QM-INV-2024-000009'"):
        await house.credit("C1", "QM-INV-2024-000009", 1)


async def test_what_is_left_of_an_advance_names_its_invoice(one):
    (left,) = (await why_not(one.pool, one.id)).returnable
    assert (left.what, left.invoice, left.amount) == ("advance ADV1", ADVANCE, yuan(180_000))
