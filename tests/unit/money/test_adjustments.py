"""Gain share and caps: the arithmetic of the clauses."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commercial import Ceiling, GainBand, GainShare
from contracts.document import read_contract
from contracts.errors import CapExceeded
from contracts.fields import Title
from contracts.money import Money, round_half_away
from lifecycle.caps import Level, authorised, by_level, changes
from lifecycle.gain_share import Report, fee_to_date, true_up

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
