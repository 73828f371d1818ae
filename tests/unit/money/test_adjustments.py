"""Gain share, caps, advance and service credits: the arithmetic of the clauses."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commercial import Advance, Ceiling, GainBand, GainShare, ServiceCredits
from contracts.document import read_contract
from contracts.errors import CapExceeded, TransitionError
from contracts.fields import Title
from contracts.money import Money, round_half_away
from lifecycle.advance import recoverable, require_left, require_recoverable
from lifecycle.caps import Level, authorised, by_level, changes, price
from lifecycle.credits import Room, in_turn
from lifecycle.gain_share import Report, billed_again, fee_to_date, true_up
from lifecycle.invoice import BilledLine, Purpose
from lifecycle.service_credits import limit, require_within
from lifecycle.tax import Taxed

EXAMPLE = Path(__file__).parents[3] / "examples" / "key-account.yaml"
CONTRACT = read_contract(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE))


def cny(major: int | str) -> Money:
    return Money(int(Fraction(major) * 100), "CNY")


SHARE = GainShare(
    id="X1",
    clause="9.1",
    title=Title(en="Gain share"),
    dead_band=cny(100_000),
    bands=(
        GainBand(share=Fraction(1, 10), up_to=cny(1_000_000)),
        GainBand(share=Fraction(1, 5), up_to=cny(2_000_000)),
        GainBand(share=Fraction(1, 20)),
    ),
    pain=Fraction(1, 4),
    cap=cny(350_000),
    floor=cny(50_000),
)


def report(period: str, benefit: int) -> Report:
    return Report(period=period, benefit=cny(benefit), evidence=f"sha256:{period}")


@pytest.mark.parametrize(
    ("benefit", "fee"),
    [
        (0, 0),
        (100_000, 0),  # the dead band itself
        (300_000, 20_000),  # 200,000 at 10 %
        (1_000_000, 90_000),  # 900,000 at 10 %
        (1_500_000, 190_000),  # and 500,000 at 20 %
        (3_000_000, 340_000),  # 90,000 + 200,000 + 1,000,000 at 5 %
        (3_400_000, 350_000),  # 360,000, and the cap
        (-100_000, 0),  # a loss in the dead band
        (-200_000, -25_000),  # a quarter of 100,000
        (-900_000, -50_000),  # a quarter of 800,000, and the floor
    ],
)
def test_the_benefit_to_date_earns_by_bands_then_cap_then_floor(benefit, fee):
    assert fee_to_date(SHARE, cny(benefit)) == cny(fee)


def test_the_fee_is_rounded_once_half_away_from_zero():
    """R1: 0.05 at 10 % is 0.005; each of two bands alone would be rounded away."""
    share = SHARE.model_copy(update={"dead_band": None})
    assert fee_to_date(share, Money(5, "CNY")).minor == 1
    assert fee_to_date(share, Money(-2, "CNY")).minor == -1  # a quarter of 0.02
    narrow = (
        GainBand(share=Fraction(1, 10), up_to=Money(4, "CNY")),
        GainBand(share=Fraction(1, 10)),
    )
    assert fee_to_date(share.model_copy(update={"bands": narrow}), Money(8, "CNY")).minor == 1


def test_a_period_is_charged_what_it_changes_to_date():
    """R8: a loss after a gain takes back what the gain had earned."""
    gain, loss = report("2026-Q1", 1_500_000), report("2026-Q2", -500_000)
    first = true_up(CONTRACT, SHARE, (), gain, cny(0))
    second = true_up(CONTRACT, SHARE, (gain,), loss, first.fee_to_date)
    assert (first.amount, second.amount) == (cny(190_000), cny(-100_000))
    assert second.benefit_to_date == cny(1_000_000)


def test_a_correction_replaces_its_period_and_a_true_up_follows():
    reports = (report("2026-Q1", 1_500_000), report("2026-Q2", 500_000))
    corrected = true_up(CONTRACT, SHARE, reports, report("2026-Q1", 500_000), cny(290_000))
    assert corrected.benefit_to_date == cny(1_000_000)
    assert corrected.amount == cny(-200_000)


def test_an_explanation_names_what_was_agreed_and_what_was_reported():
    explained = true_up(CONTRACT, SHARE, (), report("2026-Q1", 1_500_000), cny(0)).explanation
    assert explained.amount == cny(190_000)
    assert (explained.contract, explained.clause) == ("KA-2024-017@v1", "9.1")
    inputs = {given.name: given.value for given in explained.inputs}
    assert inputs["bands"] == "10% up to 1000000.00, 20% up to 2000000.00, 5%"
    assert explained.inputs[0].evidence == "sha256:2026-Q1"
    assert [(step.exact, step.rounded) for step in explained.steps] == [
        ("190000", None),
        ("190000", "190000.00"),
        ("190000.00", None),
    ]


def test_what_a_loss_took_of_a_fee_is_billed_on_that_fee_again_first():
    borne = {"a": cny(30), "b": cny(20)}
    assert billed_again(SHARE, cny(40), borne) == [("a", cny(30)), ("b", cny(10))]
    assert billed_again(SHARE, cny(60), borne) == [("a", cny(30)), ("b", cny(20)), ("X1", cny(10))]
    assert billed_again(SHARE, cny(60), {}) == [("X1", cny(60))]


minors = st.integers(-(10**13), 10**13).map(lambda minor: Money(minor, "CNY"))
shares = st.fractions(0, 1, max_denominator=1000)


@st.composite
def gain_shares(draw):
    limits = sorted(draw(st.sets(st.integers(1, 10**13), max_size=4)))
    ends = [*(Money(limit, "CNY") for limit in limits), None]
    amounts = st.integers(0, 10**13).map(lambda minor: Money(minor, "CNY"))
    return SHARE.model_copy(
        update={
            "dead_band": draw(st.none() | amounts),
            "bands": tuple(GainBand(share=draw(shares), up_to=end) for end in ends),
            "pain": draw(shares),
            "cap": draw(amounts),
            "floor": draw(amounts),
        }
    )


reports_in_order = st.lists(st.tuples(st.sampled_from("ABCDEF"), minors), min_size=1, max_size=12)


@given(gain_shares(), reports_in_order)
def test_true_ups_come_to_the_result_of_all_at_once(share, reported):
    """c.5-18: for any split into periods, and any corrections of them in their order."""
    so_far: list[Report] = []
    charged = Money(0, "CNY")
    for period, benefit in reported:
        new = Report(period=period, benefit=benefit, evidence="e")
        step = true_up(CONTRACT, share, so_far, new, charged)
        so_far.append(new)
        charged += step.amount
    whole = sum(dict(reported).values(), Money(0, "CNY"))
    assert (
        charged
        == true_up(
            CONTRACT, share, (), Report(period="ALL", benefit=whole, evidence="e"), Money(0, "CNY")
        ).amount
    )


@given(gain_shares(), minors)
def test_the_fee_is_within_floor_and_cap_and_by_the_bands_alone_between(share, benefit):
    """A second way to the figure: band by band, each from its start to its end."""
    dead = share.dead_band.minor if share.dead_band else 0
    ends = [0, *(band.up_to.minor for band in share.bands if band.up_to), 10**15]
    exact = sum(
        band.share * max(min(benefit.minor, high) - max(dead, low), 0)
        for band, (low, high) in zip(share.bands, pairwise(ends), strict=True)
    )
    exact -= share.pain * max(-benefit.minor - dead, 0)
    assert fee_to_date(share, benefit).minor == round_half_away(
        Fraction(max(min(exact, share.cap.minor), -share.floor.minor))
    )


@given(gain_shares(), minors, minors)
def test_more_benefit_never_earns_less(share, one, other):
    less, more = sorted((one, other), key=lambda benefit: benefit.minor)
    assert fee_to_date(share, less).minor <= fee_to_date(share, more).minor


def test_the_contract_is_authorised_for_its_fees_and_the_cap_of_the_gain_share():
    with_share = CONTRACT.model_copy(update={"gain_share": SHARE})
    assert authorised(with_share) == {
        "contract": cny(2_250_000),  # 100,000 + 1,800,000 + 350,000
        "fee:micro": cny(100_000),
        "fee:project": cny(1_800_000),
        "gain_share:X1": cny(350_000),
    }


def test_a_ceiling_lowers_its_level_and_never_raises_it():
    ceilings = (
        Ceiling(clause="3.9", level="contract", amount=cny(1_700_000)),
        Ceiling(clause="3.9", level="project", amount=cny(1_600_000)),
        Ceiling(clause="3.9", level="micro", amount=cny(900_000)),
    )
    levels = authorised(CONTRACT.model_copy(update={"ceilings": ceilings}))
    assert levels == {
        "contract": cny(1_700_000),
        "fee:micro": cny(100_000),
        "fee:project": cny(1_600_000),
    }


def test_what_is_billed_counts_at_its_fee_and_at_the_contract():
    with_share = CONTRACT.model_copy(update={"gain_share": SHARE})
    parts = [("project", cny(10)), ("X1", cny(5)), ("project", cny(-4))]
    assert by_level(with_share, parts) == {
        "contract": cny(11),
        "fee:project": cny(6),
        "gain_share:X1": cny(5),
    }


def test_a_level_takes_what_is_left_and_not_a_fen_more():
    level = Level(level="fee:project", authorised=cny(100), reserved=cny(30), billed=cny("49.99"))
    level.require(cny("20.01"))
    with pytest.raises(
        CapExceeded,
        match=r"level fee:project: found 20\.02 CNY .* at most the 20\.01 .* of 100\.00 .* 49\.99 "
        r"billed and 30\.00 reserved",
    ):
        level.require(cny("20.02"))


def test_an_amended_contract_changes_each_level_by_the_difference():
    before = {"contract": cny(5), "fee:a": cny(5)}
    after = {"contract": cny(7), "fee:a": cny(4), "fee:b": cny(3)}
    assert changes(before, after) == {"contract": cny(2), "fee:a": cny(-1), "fee:b": cny(3)}
    assert changes({}, before) == before


def test_a_fee_with_tax_inside_counts_with_it():
    """So that the parts of the fee come to it: 318 is 300 and 6 %."""
    fees = tuple(fee.model_copy(update={"prices": "gross"}) for fee in CONTRACT.fees)
    gross = CONTRACT.model_copy(update={"fees": fees})
    part = Taxed(cny(300), cny(18))
    assert price(CONTRACT, Purpose.MILESTONE, "project", part, 1) == cny(300)
    assert price(gross, Purpose.MILESTONE, "project", part, 1) == cny(318)
    assert price(gross, Purpose.CORRECTION, "project", part, -1) == cny(-318)


@pytest.mark.parametrize("purpose", [Purpose.ADVANCE, Purpose.RETENTION])
def test_what_another_invoice_counts_is_not_counted_twice(purpose):
    assert price(CONTRACT, purpose, "project", Taxed(cny(300), cny(18)), 1) == cny(0)


# Advance and service credits.


ADVANCE = Advance(
    id="ADV1",
    clause="3.4",
    title=Title(en="Advance"),
    fee="project",
    amount=cny(315_000),
    recovered=Fraction(1, 4),
)


def test_an_advance_is_at_most_what_the_milestones_to_come_deduct():
    contract = CONTRACT.model_copy(update={"advance": ADVANCE})
    require_recoverable(contract, set())  # a quarter of 1,260,000
    assert recoverable(contract, {"M1"}) == cny(225_000)
    with pytest.raises(TransitionError, match=r"315000\.00 CNY .* at most the 225000\.00"):
        require_recoverable(contract, {"M1"})


def test_of_an_advance_no_more_is_credited_than_is_left_of_it():
    """Of 106 gross, 53 is deducted."""
    require_left(billed("A", cny(100), taken=50_00), cny(53))
    with pytest.raises(
        TransitionError,
        match=r"A: found 54\.00 CNY .* the 53\.00 that is left .* of 106\.00, 53\.00",
    ):
        require_left(billed("A", cny(100), taken=50_00), cny(54))


def test_a_contract_without_the_clause_has_no_advance_and_no_service_credit():
    with pytest.raises(TransitionError, match="found no advance"):
        require_recoverable(CONTRACT, set())
    with pytest.raises(TransitionError, match="found no service_credits"):
        limit(CONTRACT)


def test_service_credits_are_limited_to_a_share_of_the_fee_without_its_tax():
    clause = ServiceCredits(clause="7.2", fee="project", limit=Fraction(1, 50))
    contract = CONTRACT.model_copy(update={"service_credits": clause})
    assert limit(contract) == cny(36_000)  # 2 % of 1,800,000
    fees = tuple(fee.model_copy(update={"prices": "gross"}) for fee in CONTRACT.fees)
    inside = contract.model_copy(update={"fees": fees})
    assert limit(inside).minor == 3_396_226  # 36,000 / 1.06 = 33,962.264
    require_within(contract, cny(30_000), cny(6_000))
    for amount in (6_001, 0, -1):
        with pytest.raises(TransitionError, match=r"at most 6000\.00, for 30000\.00 of 36000\.00"):
            require_within(contract, cny(30_000), cny(amount))


# A credit over several lines.


def billed(number: str, net: Money, taken: int = 0) -> BilledLine:
    line = BilledLine(
        number=number,
        line=1,
        fee="project",
        clause="4.1",
        title=Title(en="M1"),
        tax_code="CN-VAT-6",
        tax_rate=Fraction(3, 50),
        billed=Taxed(net, net.share(Fraction(3, 50))),
        taken=Taxed(Money(0, "CNY"), Money(0, "CNY")),
    )
    return line.model_copy(update={"taken": line.part(Money(taken, "CNY"))})


def test_a_credit_goes_over_its_lines_in_turn():
    lines = [billed("A", cny(100)), billed("B", cny(100))]
    rooms = {name: Room(invoice=name, open=cny(106), paid=cny(0)) for name in "AB"}
    parts = in_turn(lines, rooms, cny(150))
    assert [(line.number, part) for line, part in parts] == [
        ("A", Taxed(cny(100), cny(6))),
        ("B", Taxed(cny(50), cny(3))),
    ]


def test_a_credit_leaves_out_what_is_held_or_disputed_of_an_invoice():
    """Of 106 gross, 53 is neither open nor paid."""
    rooms = {"A": Room(invoice="A", open=cny(13), paid=cny(40))}
    ((_, part),) = in_turn([billed("A", cny(100))], rooms, cny(50))
    assert part == Taxed(cny(50), cny(3))
    assert rooms["A"].settled(part.gross) == cny(40)
    with pytest.raises(
        TransitionError, match=r"A: found 54\.00 CNY .* 13\.00 is open and 40\.00 paid"
    ):
        rooms["A"].settled(cny(54))
    with pytest.raises(TransitionError, match=r"found 51\.00 CNY .* at most the 50\.00"):
        in_turn([billed("A", cny(100))], rooms, cny(51))


nets = st.integers(1, 10**6)


@given(
    st.lists(st.tuples(nets, st.fractions(0, 1), st.fractions(0, 1)), min_size=1, max_size=6),
    st.fractions(0, 1),
)
def test_a_credit_is_within_what_is_left_of_each_line_and_open_or_paid_of_each_invoice(
    given_lines, wanted
):
    """c.5-8: and it comes to what was asked for, or is refused."""
    lines, rooms = [], {}
    for position, (net, taken, share) in enumerate(given_lines):
        line = billed(str(position), Money(net, "CNY"), int(net * taken))
        lines.append(line)
        open_part = line.left.gross.share(share)
        rooms[line.number] = Room(invoice=line.number, open=open_part, paid=Money(0, "CNY"))
    net = Money(int(sum(line.left.net.minor for line in lines) * wanted), "CNY")
    try:
        parts = in_turn(lines, rooms, net)
    except TransitionError:
        return
    assert sum(part.net.minor for _, part in parts) == net.minor
    for line, part in parts:
        assert 0 <= part.net.minor <= line.left.net.minor
        assert 0 <= part.tax.minor <= line.left.tax.minor
        assert part.gross.minor <= rooms[line.number].open.minor
