"""What a contract admits as evidence, and what of it was known on a day."""

import random

import pytest

from contracts.errors import TermsError
from contracts.outcome.readings import Excuse, Readings
from tests.unit.outcome.conftest import (
    event,
    exact,
    known,
    payments,
    reading,
    settled,
    value,
    values,
)

TERMS = """
    periods: {every: P1M, count: 2}
    inputs:
      - {id: n, exclusions: [storm]}
      - {id: opinion, type: judgement}
    events: [{id: live}]
    excuses: [strike]
    measures:
      - {id: x, kind: latest, of: n}
      - {id: live_on, kind: event_day, of: live}
      - {id: judged, kind: latest, of: opinion}
    lines: [{id: fee, clause: "1", kind: amount, amount: x}]
    """


@pytest.mark.parametrize(
    ("readings", "message"),
    [
        (known(m=[1]), "series.m: found 'm', expected one of the inputs n, opinion"),
        (known(reading("m", "2025-01-31", 1)), r"readings\[0\].input: found 'm'"),
        (known(n=[1, 2, 3]), "series.n: found 3 values, expected at most one for each of the 2"),
        (
            known(reading("n", "2025-01-31", 1, excluded_for="strike")),
            r"readings\[0\].excluded_for: found 'strike', expected one of storm",
        ),
        (
            known(reading("opinion", "2025-01-31", 1, excluded_for="strike")),
            "found 'strike', expected one of none",
        ),
        (
            known(reading("opinion", "2025-01-31", 4)),
            r"readings\[0\].by: found no author of a judgement",
        ),
        (
            known(events=[event("dead", "2025-01-31")]),
            r"events\[0\].event: found 'dead', expected one of live",
        ),
    ],
)
def test_what_the_contract_does_not_know_is_refused(readings, message):
    with pytest.raises(TermsError, match=message):
        settled(TERMS, readings)


def test_an_excuse_that_the_contract_does_not_admit_is_refused():
    excuse = {"reason": "flood", "from_day": "2025-01-01", "to_day": "2025-01-02"}
    readings = known().model_copy(update={"excused": (Excuse.model_validate(excuse),)})
    with pytest.raises(TermsError, match=r"excused\[0\].reason: found 'flood', expected one of"):
        settled(TERMS, readings)


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ({}, "found no day"),
        ({"on": "2025-01-01", "from_day": "2025-01-01"}, "found no day"),
        ({"from_day": "2025-01-01"}, "found no day"),
        ({"to_day": "2025-01-01"}, "found no day"),
        ({"from_day": "2025-01-02", "to_day": "2025-01-01"}, "expected days in order"),
        ({"on": "2025-01-01", "to_day": "2025-01-05"}, "found no day"),
    ],
)
def test_a_reading_has_its_day_or_its_days(days, message):
    with pytest.raises(ValueError, match=message):
        known({"input": "n", "value": "1", **days})


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("12.5", "12.5"),
        ("-3", "-3"),
        ("62.5%", "0.625"),
        (True, "1"),
        (False, "0"),
        ("2025-01-01", "739252"),
        (None, "-"),
    ],
)
def test_a_reading_is_a_number_a_share_yes_or_no_a_day_or_missing(given, number):
    assert values(settled(TERMS, n=[given]), "x")[:1] == exact(number)


@pytest.mark.parametrize("given", ["1e5", "1,000", "2025-02-30", "many", "1/3", "+1", "٣"])
def test_anything_else_is_refused_as_a_reading(given):
    with pytest.raises(ValueError, match="found"):
        known(n=[given])


def test_a_reading_over_days_belongs_to_the_period_of_its_last_day():
    readings = known(reading("n", "2025-01-25 to 2025-02-03", 9))
    assert values(settled(TERMS, readings), "x") == exact("- 9")


def test_a_reading_of_a_day_and_one_of_days_are_different_things():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: n}]
        measures: [{id: x, kind: sum, of: n}]
        """
    readings = known(reading("n", "2025-01-31", 1), reading("n", "2025-01-25 to 2025-01-31", 9))
    assert value(settled(terms, readings), "x") == 10


def test_a_verified_report_stands_against_a_later_declared_one():
    readings = known(
        reading("n", "2025-01-31", 5, status="verified"),
        reading("n", "2025-01-31", 9, received_on="2025-02-10"),
    )
    assert payments(settled(TERMS, readings)) == exact("5 0")


def test_a_verification_that_arrives_later_corrects_what_was_declared():
    readings = known(
        reading("n", "2025-01-31", 9),
        reading("n", "2025-01-31", 5, status="verified", received_on="2025-02-10"),
        reading("n", "2025-02-28", 1),
    )
    assert payments(settled(TERMS, readings)) == exact("9 -3")


def test_a_report_may_be_withdrawn_as_missing():
    readings = known(
        reading("n", "2025-01-31", 9),
        reading("n", "2025-01-31", None, received_on="2025-02-10"),
        reading("n", "2025-02-28", 1),
    )
    assert payments(settled(TERMS, readings)) == exact("9 -8")


def test_an_exclusion_that_is_withdrawn_counts_again():
    readings = known(
        reading("n", "2025-01-31", 9, excluded_for="storm"),
        reading("n", "2025-01-31", 9, received_on="2025-02-10"),
        reading("n", "2025-02-28", 1),
    )
    assert payments(settled(TERMS, readings)) == exact("0 10")


def test_an_excluded_reading_that_was_verified_stands():
    readings = known(
        reading("n", "2025-01-31", 9, excluded_for="storm", status="verified"),
        reading("n", "2025-01-31", 9, received_on="2025-02-10"),
    )
    assert payments(settled(TERMS, readings)) == exact("0 0")


def test_an_event_that_is_told_late_is_not_known_before():
    readings = known(events=[event("live", "2025-01-15", received_on="2025-02-10")])
    settlement = settled(TERMS, readings, as_of="2025-01-31")
    assert values(settlement, "live_on") == exact("-")
    settlement = settled(TERMS, readings)
    assert values(settlement, "live_on")[1] is not None


def test_reports_and_events_count_in_any_order():
    given = [
        reading("n", "2025-01-10", 1),
        reading("n", "2025-01-31", 2),
        reading("n", "2025-01-31", 3, received_on="2025-02-10"),
        reading("n", "2025-01-31", 4, status="verified", received_on="2025-02-20"),
        reading("n", "2025-02-28", 5),
        reading("n", "2025-02-28", 6, excluded_for="storm", received_on="2025-03-01"),
    ]
    happened = [event("live", "2025-01-20"), event("live", "2025-01-10")]
    orders = random.Random(7)
    found = set()
    for _ in range(20):
        orders.shuffle(given)
        orders.shuffle(happened)
        settlement = settled(TERMS, known(*given, events=happened))
        found.add((*payments(settlement), *values(settlement, "live_on")))
    assert len(found) == 1


def test_the_readings_travel_as_json():
    readings = known(
        reading("n", "2025-01-31", "62.5%", evidence="audit 7", source="ERP", by="an"),
        events=[event("live", "2025-01-20")],
        n=[None, "1.5"],
    )
    assert Readings.model_validate_json(readings.model_dump_json()) == readings


def test_what_is_not_reported_may_stand_for_nothing():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: incidents, if_none: 0}, {id: hours}]
        measures:
          - {id: total, kind: sum, of: incidents}
          - {id: rate, kind: ratio, numerator: incidents, denominator: hours, taken: pooled}
        """
    readings = known(
        reading("incidents", "2025-02-10", 3),
        *(reading("hours", f"2025-0{month}-28", 100) for month in (1, 2)),
    )
    settlement = settled(terms, readings)
    assert values(settlement, "total") == exact("0 3 0")
    assert values(settlement, "rate") == exact("0 0.03 -")


# What is not known yet does not count, and what nobody would see is refused

SITES = """
    periods: {every: P1M, count: 3}
    inputs: [{id: visits, if_none: 0}]
    measures:
      - {id: by_site, kind: sum, of: visits, each: subject}
      - {id: mean, kind: across_subjects, take: mean, of: by_site}
    lines:
      - {id: fee, clause: "1", kind: amount, amount: 100 * mean}
    """


@pytest.mark.parametrize("later_data", ["supersedes", "ignored"])
def test_a_subject_that_appears_later_changes_nothing_before(later_data):
    terms = f"""{SITES}
    payment: {{clause: "9", negative: paid_back, later_data: {later_data}}}
    """
    january = reading("visits", "2025-01-10", 10, subject="a")
    march = reading("visits", "2025-03-10", 10, subject="b")
    # January is 10 of one site; March is 0 of one and 10 of the other
    assert payments(settled(terms, known(january, march))) == [1000, 0, 500]


def test_a_value_for_all_is_refused_where_each_subject_is_read():
    with pytest.raises(TermsError, match=r"readings\[0\].subject: found no subject, expected one"):
        settled(SITES, known(reading("visits", "2025-01-10", 10)))


def test_a_value_of_a_subject_is_refused_where_no_subject_is_read():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: visits}]
        measures: [{id: all, kind: sum, of: visits}]
        """
    with pytest.raises(TermsError, match="found subject 'a', expected none, as no measure reads"):
        settled(terms, known(reading("visits", "2025-01-10", 10, subject="a")))
