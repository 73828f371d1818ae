"""Gain share: what a report says about itself, so that either side can recalculate it."""

from fractions import Fraction

from contracts.commercial import GainBand, GainShare
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money
from lifecycle.gain_share import Report, TrueUp, billed_again, true_up
from tests.unit.lifecycle.conftest import CONTRACT, cny, travels

SHARE = GainShare(
    id="X1",
    clause="9.1",
    title=Title(en="Gain share"),
    dead_band=cny("100000.00"),
    bands=(
        GainBand(share=Fraction(1, 10), up_to=cny("1000000.00")),
        GainBand(share=Fraction(1, 5)),
    ),
    pain=Fraction(1, 4),
    cap=cny("350000.00"),
    floor=cny("50000.00"),
)
GAIN = Report(period="2026-Q1", benefit=cny("1500000.00"), evidence="sha256:1")
LOSS = Report(period="2026-Q2", benefit=cny("-1620000.02"), evidence="sha256:2")


def by_clause(name: str, value: str) -> Input:
    return Input(name=name, value=value, source="clause 9.1")


def test_a_gain_is_explained_from_its_report_to_its_amount():
    """900,000.00 at 10 % and 500,000.00 at 20 %."""
    found = true_up(CONTRACT, SHARE, (), GAIN, cny("0.00"))
    assert found == TrueUp(
        period="2026-Q1",
        benefit=cny("1500000.00"),
        evidence="sha256:1",
        benefit_to_date=cny("1500000.00"),
        fee_to_date=cny("190000.00"),
        amount=cny("190000.00"),
        explanation=Explanation(
            what="Gain share, 2026-Q1",
            amount=cny("190000.00"),
            contract="KA-2024-017@v1",
            clause="9.1",
            inputs=(
                Input(
                    name="benefit of 2026-Q1",
                    value="1500000.00",
                    source="report",
                    evidence="sha256:1",
                ),
                Input(name="benefit to date", value="1500000.00", source="all reports"),
                by_clause("dead band", "100000.00"),
                by_clause("bands", "10% up to 1000000.00, 20%"),
                by_clause("pain share", "25%"),
                by_clause("cap", "350000.00"),
                by_clause("floor", "-50000.00"),
                Input(name="fee to date before", value="0.00", source="true-ups before"),
            ),
            steps=(
                Calculation(
                    formula="shared = sum of the bands of the benefit to date beyond the dead band",
                    exact="190000",
                ),
                Calculation(
                    formula="fee to date = shared, then cap, then floor",
                    exact="190000",
                    rounded="190000.00",
                    rule="R1 half away from zero, once",
                ),
                Calculation(
                    formula="amount = fee to date - fee to date before",
                    exact="190000.00",
                    rule="R8 cumulative true-up",
                ),
            ),
        ),
    )
    assert travels(found)


def test_a_loss_to_date_is_explained_by_the_pain_share_and_takes_back_what_the_gain_earned():
    """120,000.02 lost to date, 20,000.02 of it beyond the dead band, at 25 %: 5,000.005."""
    found = true_up(CONTRACT, SHARE, (GAIN,), LOSS, cny("190000.00"))
    assert (found.benefit_to_date, found.fee_to_date, found.amount) == (
        cny("-120000.02"),
        cny("-5000.01"),
        cny("-195000.01"),
    )
    inputs = {given.name: given.value for given in found.explanation.inputs}
    assert inputs["benefit of 2026-Q2"] == "-1620000.02"
    assert inputs["benefit to date"] == "-120000.02"
    assert inputs["fee to date before"] == "190000.00"
    assert [
        (step.formula.partition(" to date")[0], step.exact) for step in found.explanation.steps
    ] == [
        ("shared = pain share of the loss", "-1000001/200"),
        ("fee", "-1000001/200"),
        ("amount = fee", "-195000.01"),
    ]
    assert found.explanation.steps[1].rounded == "-5000.01"


def test_the_steps_show_where_cap_and_floor_cut():
    much = GAIN.model_copy(update={"benefit": cny("9000000.00")})
    up = true_up(CONTRACT, SHARE, (), much, cny("0.00")).explanation.steps
    assert [step.exact for step in up] == ["1690000", "350000", "350000.00"]
    lost = LOSS.model_copy(update={"benefit": cny("-900000.00")})
    down = true_up(CONTRACT, SHARE, (), lost, cny("0.00")).explanation.steps
    assert [step.exact for step in down] == ["-200000", "-50000", "-50000.00"]


def test_a_clause_without_dead_band_and_floor_says_so():
    plain = SHARE.model_copy(update={"dead_band": None, "floor": cny("0.00")})
    found = true_up(CONTRACT, plain, (), GAIN, cny("0.00"))
    assert found.amount == cny("200000.00")  # 1,000,000.00 at 10 % and 500,000.00 at 20 %
    inputs = {given.name: given.value for given in found.explanation.inputs}
    assert (inputs["dead band"], inputs["floor"]) == ("none", "0.00")


def test_a_floor_of_one_fen_is_below_zero():
    least = SHARE.model_copy(update={"floor": cny("0.01")})
    inputs = true_up(CONTRACT, least, (), GAIN, cny("0.00")).explanation.inputs
    assert [given.value for given in inputs if given.name == "floor"] == ["-0.01"]


def test_no_benefit_is_no_loss():
    none = GAIN.model_copy(update={"benefit": Money(0, "CNY")})
    steps = true_up(CONTRACT, SHARE, (), none, cny("0.00")).explanation.steps
    assert steps[0].formula.startswith("shared = sum of the bands")


def test_a_single_fen_is_billed_on_the_fee_that_bore_the_loss_and_nothing_on_the_rest():
    borne = {"a": cny("0.01"), "b": cny("5.00")}
    assert billed_again(SHARE, cny("0.02"), borne) == [("a", cny("0.01")), ("b", cny("0.01"))]
    assert billed_again(SHARE, cny("5.02"), borne)[-1] == ("X1", cny("0.01"))
