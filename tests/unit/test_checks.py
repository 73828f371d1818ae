"""What the values of a contract must say together."""

from pathlib import Path

import pytest

from contracts.checks import CHECKS, check
from contracts.document import DocumentRefused, read_contract
from contracts.step_plan import Lead, Mode, standard_plan

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY_ACCOUNT = (EXAMPLES / "key-account.yaml").read_text(encoding="utf-8")

GO_LIVE = "evidence: [go-live-protocol]"
DUE_AT_6 = "settles: [win-rate-count, ka-dso-days]"
PLAN = """  fee: micro
  plan:
    rework_from: S2
    rework_minutes: 96
    steps:
      - {id: S1, lead: client, mode: offline, minutes: 0, title: {en: Material}, output: material}
      - {id: S2, lead: consultant, mode: online, minutes: 480, title: {en: Advice}, output: advice}
"""


def changed(*changes: tuple[str, str]) -> str:
    """The key-account contract with the first occurrence of each text replaced."""
    text = KEY_ACCOUNT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def part(first: str, after: str) -> str:
    """What stands in the key-account contract from one text to another."""
    return KEY_ACCOUNT[KEY_ACCOUNT.index(first) : KEY_ACCOUNT.index(after)]


def refusal(*changes: tuple[str, str]) -> list[str]:
    """The faults without file and place."""
    with pytest.raises(DocumentRefused) as refused:
        read_contract(changed(*changes), "ka.yaml")
    return [str(fault).split(": ", 1)[1] for fault in refused.value.faults]


@pytest.mark.parametrize(
    "example", ["key-account", "key-account-withheld", "after-sales", "managed-rollout"]
)
def test_the_examples_have_no_problem(example):
    text = (EXAMPLES / f"{example}.yaml").read_text(encoding="utf-8")
    assert check(read_contract(text, example)) == []


def test_every_rule_has_a_sentence():
    assert all(rule.__doc__ for rule in CHECKS)


def test_the_order_of_the_problems_is_that_of_the_checks():
    contract = read_contract(KEY_ACCOUNT, "ka.yaml")
    broken = contract.model_copy(
        update={
            "effective_on": contract.signed_on.replace(year=2020),
            "milestones": contract.milestones[:-1],
        }
    )
    rules = [problem.rule for problem in check(broken)]
    assert rules == ["date_order", "BET-02", "BET-05"]
    assert check(broken) == check(broken)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("id: project", "id: MICRO", "fees[1].id"),
        ("id: M2", "id: M1", "milestones[1].id"),
        ("id: M2", "id: m1", "milestones[1].id"),
        ("id: W6", "id: W3", "bets[0].windows[1].id"),
        ("id: li.wei", "id: chen.yu", "parties.client.people[1].id"),
        ("review-minutes]", "process-set]", "milestones[0].evidence[1]"),
        (
            "  fee: micro\n",
            PLAN.replace("id: S1", "id: s2"),
            "micro_consulting.plan.steps[1].id",
        ),
    ],
)
def test_an_id_is_used_once(old, new, path):
    message = next(line for line in refusal((old, new)) if line.endswith("[duplicate_id]"))
    assert message.startswith(f"{path}: found ")
    assert message.endswith(" a second time, expected each id once [duplicate_id]")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  fee: micro\n",
            "  fee: mirco\n",
            "micro_consulting.fee: found 'mirco', expected one of micro, project "
            "(did you mean micro?) [unknown_ref]",
        ),
        (
            "    fee: project\n",
            "    fee: projekt\n",
            "milestones[0].fee: found 'projekt', expected one of micro, project "
            "(did you mean project?) [unknown_ref]",
        ),
        (
            "  fee: project\n  rate",
            "  fee: other\n  rate",
            "holdback.fee: found 'other', expected one of micro, project [unknown_ref]",
        ),
        (
            "bet: B1",
            "bet: B2",
            "holdback.bet: found 'B2', expected one of B1 [unknown_ref]",
        ),
        (
            "win-rate-count, ka-dso-days]",
            "win-rate-count, ka-dso-day]",
            "bets[0].windows[1].settles[1]: found 'ka-dso-day', expected one of win-rate-count, "
            "ka-dso-days, ka-average-output (did you mean ka-dso-days?) [unknown_ref]",
        ),
        (
            "  fee: micro\n",
            PLAN.replace("rework_from: S2", "rework_from: S9"),
            "micro_consulting.plan.rework_from: found 'S9', expected one of S1, S2 [unknown_ref]",
        ),
    ],
)
def test_what_an_id_points_to_exists(old, new, message):
    assert refusal((old, new))[0] == message


def test_all_amounts_are_in_the_currency_of_the_contract():
    assert refusal(("360000.00", "360000.00 USD")) == [
        "milestones[0].amount: found 360000.00 USD, "
        "expected an amount in CNY, the currency of the contract [currency_mismatch]"
    ]


@pytest.mark.parametrize("amount", ["0", "-360000.00"])
def test_an_amount_is_above_zero(amount):
    assert refusal(("360000.00", amount))[0].endswith("an amount above zero [invalid_value]")


def test_milestones_and_holdback_are_the_fee_to_the_last_fen_bet_02():
    # 1800000.05 x 30 % = 540000.015, rounded once to 540000.02; the rest is 1260000.03
    fee = ("amount: 1800000.00", "amount: 1800000.05")
    last = (f"270000.00\n    {GO_LIVE}", f"270000.03\n    {GO_LIVE}")
    assert refusal(fee) == [
        "milestones[3].amount: found 1260000.00 for the milestones of fee project, "
        "expected 1260000.03 = 1800000.05 less holdback 540000.02 [BET-02]"
    ]
    assert read_contract(changed(fee, last), "ka.yaml").holdback_amount().minor == 54000002


def test_a_fee_that_no_milestone_bills_is_refused_at_the_fee():
    extra = '  - {id: extra, clause: "3.4", title: {en: Extra}, amount: 5.00}\n\nmicro_consulting'
    assert refusal(("\nmicro_consulting", extra)) == [
        "fees[2].amount: found 0.00 for the milestones of fee extra, expected 5.00 [BET-02]"
    ]


def test_the_micro_consulting_fee_is_the_loss_bound_and_nothing_else_mc_09():
    words = "found the micro-consulting fee 'micro', expected another fee line, "
    assert refusal(("    fee: project\n", "    fee: micro\n"))[0] == (
        f"milestones[0].fee: {words}this one is billed on submission [MC-09]"
    )
    assert f"holdback.fee: {words}this one is billed on submission [MC-09]" in refusal(
        ("  fee: project\n  rate", "  fee: micro\n  rate")
    )


@pytest.mark.parametrize(("rate", "found"), [("0%", "0%"), ("0", "0%"), ("1/999999999",) * 2])
def test_something_is_held_back_bet_02(rate, found):
    assert refusal(("rate: 30%", f"rate: {rate}"))[-1] == (
        f"holdback.rate: found {found}, "
        "expected a share of 1800000.00 that is an amount, such as 30% [BET-02]"
    )


def test_a_bet_without_money_is_no_bet_bet_02():
    bet = part("  - id: B1\n", "\napprovals:")
    assert refusal((bet, bet + bet.replace("id: B1", "id: B2"))) == [
        "bets[1].id: found bet 'B2', for which no fee is held back, expected bet B1 only [BET-02]"
    ]


def test_consulting_stands_before_design_and_build():
    assert refusal(
        ("phase: consulting", "phase: design_build"),
        ("phase: design_build\n    fee: project\n    amount: 270000.00", "phase: consulting\n"
         "    fee: project\n    amount: 270000.00"),
    ) == [
        "milestones[1].phase: found consulting after design_build, "
        "expected consulting first [phase_order]"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ([("    go_live: true\n", "")], ["milestones: found no go_live"]),
        (
            [("evidence: [solution-design]", "evidence: [solution-design]\n    go_live: true")],
            ["milestones[1].go_live: found go_live at milestone M2"],
        ),
        (
            [
                ("    go_live: true\n", ""),
                ("evidence: [process-set,", "go_live: true\n    evidence: [process-set,"),
            ],
            ["milestones[0].go_live: found go_live at milestone M1"],
        ),
    ],
)
def test_the_go_live_is_the_last_milestone_of_the_build_bet_05(changes, found):
    words = "expected go_live at the last milestone of phase design_build, and only there [BET-05]"
    assert refusal(*changes) == [f"{start}, {words}" for start in found]


def test_the_client_has_time_to_accept():
    assert refusal(("working_days: 10", "working_days: 0")) == [
        "milestones[0].acceptance.working_days: found 0, "
        "expected 1 working day or more [invalid_value]"
    ]


@pytest.mark.parametrize(
    ("weight", "total"), [("39.99%", "99.99%"), ("41%", "101%"), ("1/3", "14/15")]
)
def test_weights_are_exactly_one_hundred_percent(weight, total):
    assert refusal(("weight: 40%", f"weight: {weight}")) == [
        f"bets[0].indicators[2].weight: found {total} for the weights of bet B1, "
        "expected 100% [sum_mismatch]"
    ]


def test_three_thirds_are_a_whole():
    thirds = changed(*[(f"weight: {share}", "weight: 1/3") for share in ("40%", "20%", "40%")])
    assert read_contract(thirds, "ka.yaml").bets[0].indicators[0].weight.denominator == 3


def settling(indicator: str) -> list[tuple[str, str]]:
    """Changes that put another indicator in the place of the first one."""
    return [
        ("indicator: win-rate-count", f"indicator: {indicator}"),
        ("[win-rate-count", f"[{indicator}"),
    ]


def test_a_vanity_metric_never_carries_money_ind_06():
    assert refusal(*settling("opportunity-count")) == [
        "bets[0].indicators[0].indicator: found the vanity metric 'opportunity-count', expected "
        "a measure of value instead, sales-velocity or win-rate-count [IND-06]"
    ]


def test_only_a_settlement_indicator_carries_money_ind_01():
    assert refusal(*settling("service-csat")) == [
        "bets[0].indicators[0].indicator: found 'service-csat', whose role is trend, "
        "expected an indicator of role settlement [IND-01]"
    ]


def test_an_indicator_with_a_target_band_has_no_way_to_go():
    assert refusal(*settling("technician-utilisation"))[1] == (
        "bets[0].indicators[0].indicator: found 'technician-utilisation', whose target is a band, "
        "expected an indicator that runs one way [direction]"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "target: 0.28",
            "target: 0.2",
            "found 0.2, expected more than the baseline 0.24, as higher",
        ),
        ("target: 0.28", "target: 0.240", "found 0.240, expected more than the baseline 0.24"),
        (
            "target: 81.25",
            "target: 99",
            "found 99, expected less than the baseline 91.25, as lower",
        ),
        ("target: 81.25", "target: 91.25", "found 91.25, expected less than the baseline 91.25"),
    ],
)
def test_the_target_lies_on_the_better_side_of_the_baseline(old, new, message):
    (fault,) = refusal((old, new))
    assert message in fault
    assert fault.endswith("is better [direction]")


def test_every_indicator_is_settled_in_one_window_bet_06():
    words = "expected one settlement window for each indicator [BET-06]"
    assert refusal((DUE_AT_6, "settles: [win-rate-count]")) == [
        f"bets[0].indicators[1].indicator: found 'ka-dso-days', which no window settles, {words}"
    ]
    assert refusal(
        ("settles: [ka-average-output]", "settles: [ka-average-output, ka-dso-days]")
    ) == [
        "bets[0].windows[2].settles[1]: found 'ka-dso-days', "
        f"which window W6 settles already, {words}"
    ]


@pytest.mark.parametrize(
    ("after", "accepted"), [("P1Y", True), ("P11M30D", False), ("P372D", True)]
)
def test_no_indicator_settles_before_it_can_be_read_bet_06(after, accepted):
    text = changed(("after: P12M", f"after: {after}"))
    if accepted:
        assert read_contract(text, "ka.yaml")
    else:
        assert refusal(("after: P12M", f"after: {after}")) == [
            "bets[0].windows[2].settles[0]: found 'ka-average-output' in a window that ends after "
            "P11M30D, expected a window of P12M or longer [BET-06]"
        ]


def test_windows_end_one_after_the_other():
    assert refusal(("after: P3M", "after: P6M")) == [
        "bets[0].windows[1].after: found P6M, "
        "expected a period longer than P6M of the window before [window_order]"
    ]


def test_the_reading_time_lies_within_the_window():
    reads = "reads: settlement, "
    assert refusal((reads, f"{reads}reading_within: P7M, ")) == [
        "bets[0].windows[1].reading_within: found P7M, expected at most the window's P6M "
        "[window_order]"
    ]


def test_one_window_settles():
    windows = part("      - {id: W6", "\napprovals:")
    assert (
        "bets[0].windows: found trend windows only, "
        "expected at least one settlement window [BET-06]"
    ) in refusal((windows, ""))


def test_within_an_overlap_group_one_indicator_carries_money_inv_15():
    changes = [
        ("indicator: ka-dso-days", "indicator: win-rate-value"),
        ("win-rate-count, ka-dso-days]", "win-rate-count, win-rate-value]"),
        ("baseline: 91.25", "baseline: 0.2"),
        ("target: 81.25", "target: 0.3"),
    ]
    assert refusal(*changes) == [
        "bets[0].indicators[1].indicator: found 'win-rate-value' beside 'win-rate-count', "
        "both of group new-business, expected one indicator of that group [INV-15]"
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("group_management", "acceptor", "client with the role group_management [FND-03]"),
        ("[unit_head, ", "[acceptor, ", "client with the role unit_head [FND-03]"),
        (", business_lead", "", "client with the role business_lead [MC-S12]"),
        ("it_lead", "acceptor", "client with the role it_lead [MC-S12]"),
        ("roles: [acceptor]", "roles: [unit_head]", "client with the role acceptor [role_missing]"),
        (
            "roles: [delivery_lead]",
            "roles: [expert]",
            "consultant with the role delivery_lead [role_missing]",
        ),
        (
            "roles: [expert]",
            "roles: [delivery_lead]",
            "consultant with the role expert [MC-05]",
        ),
    ],
)
def test_every_role_that_signs_is_held(old, new, message):
    (fault,) = refusal((old, new))
    assert fault.endswith(f"people: found nobody, expected a person of the {message}")


@pytest.mark.parametrize("entity", ["TEST", "Test-QM"])
def test_the_series_of_test_clocks_is_not_to_be_had(entity):
    (fault,) = refusal(("entity: QM", f"entity: {entity}"))
    assert fault.startswith(f"parties.consultant.entity: found '{entity}', expected a code that")


def test_nobody_accepts_his_own_work():
    assert refusal(("roles: [expert]", "roles: [expert, acceptor]")) == [
        "parties.consultant.people[0].roles[1]: found acceptor at the consultant, "
        "expected a role of the consultant [role_side]"
    ]


@pytest.mark.parametrize(
    ("old", "new", "pair", "rule"),
    [
        (
            "[group_management]",
            "[group_management, unit_head]",
            "group_management and unit_head",
            "FND-04",
        ),
        ("[it_lead]", "[it_lead, business_lead]", "business_lead and it_lead", "MC-S12"),
    ],
)
def test_two_answers_come_from_two_people(old, new, pair, rule):
    (fault,) = refusal((old, new))
    assert fault.endswith(f" as {pair}, expected two different people [{rule}]")


def test_a_contract_takes_effect_when_it_is_signed_or_later():
    assert read_contract(changed(("2024-09-02", "2024-08-30")), "ka.yaml")
    assert refusal(("2024-09-02", "2024-08-29")) == [
        "effective_on: found 2024-08-29, expected the signing date 2024-08-30 or later [date_order]"
    ]


CURVE = "scoring: {kind: curve, knots: [{at: 1, gives: 1}, {at: %s, gives: 0}]}"


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (
            CURVE % "reserve",
            "knots[1].at: found 'reserve', which names reserve, expected numbers only",
        ),
        (CURVE % "0", "found knots at 1, 0, expected each further than the last"),
        (
            "scoring: {kind: steps, steps: [{at_least: 1, gives: 1 / (1 - 1)}], otherwise: 0}",
            "found formula '1 / (1 - 1)', column 3: found 0 for the divisor (1 - 1), "
            "expected another number",
        ),
    ],
)
def test_a_bet_is_scored_by_numbers_alone(scoring, message):
    (fault,) = refusal(("scoring: {kind: binary, at_target: met}", scoring))
    assert message in fault


def test_the_working_days_of_the_signing_year_are_decreed():
    dates = [("2024-08-30", "2098-08-30"), ("2024-09-02", "2098-09-02")]
    assert refusal(*dates) == [
        "calendar: found no decreed working days of 2098 for CN, expected the days off and "
        "the working weekends of 2098 in calendar.overrides [calendar_coverage]"
    ]
    opened = [*dates, ("country: CN", "country: CN\n  overrides: {2098-10-01: off}")]
    assert read_contract(changed(*opened), "ka.yaml").working_calendar().last_year == 2098


def test_the_standard_plan_of_key_account_is_forty_hours_inv_04_err_01():
    plan = standard_plan("key-account")
    assert (plan.minutes(Mode.ONLINE), plan.minutes(Mode.OFFLINE)) == (960, 1440)
    assert [step.id for step in plan.steps if step.lead is Lead.CLIENT] == ["S03", "S05", "S08"]
    offline = [s.id for s in plan.steps if s.mode is Mode.OFFLINE and s.lead is Lead.CONSULTANT]
    assert offline == ["S06", "S09", "S11"]


def test_after_sales_takes_the_same_steps_and_twice_the_effort_mc_12():
    single, double = standard_plan("key-account"), standard_plan("after-sales")
    assert [2 * step.minutes for step in single.steps] == [step.minutes for step in double.steps]


def test_a_plan_of_its_own_is_accepted():
    plan = read_contract(changed(("  fee: micro\n", PLAN)), "ka.yaml").micro_consulting.plan
    assert [step.minutes for step in plan.from_step("S2")] == [480]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "minutes: 0",
            "minutes: 5",
            "steps[0].minutes: found 5 minutes of a step that the client leads, "
            "expected 0 [INV-04]",
        ),
        (
            "minutes: 480",
            "minutes: 0",
            "steps[1].minutes: found 0 minutes of a step that the consultant leads, "
            "expected 1 or more [INV-04]",
        ),
        (
            "rework_minutes: 96",
            "rework_minutes: 97",
            "rework_minutes: found 97, expected at most 20% of the 480 planned minutes [Q15]",
        ),
    ],
)
def test_the_plan_says_who_works_and_how_much_is_free(old, new, message):
    faults = refusal(("  fee: micro\n", PLAN.replace(old, new)))
    assert f"micro_consulting.plan.{message}" in faults


@pytest.mark.parametrize("name", ["waiting", "decision"])
def test_a_reminder_comes_before_the_escalation_mc_08(name):
    patience = f"  fee: micro\n  {name}: {{remind_after: 5, escalate_after: 5}}\n"
    assert refusal(("  fee: micro\n", patience)) == [
        f"micro_consulting.{name}.escalate_after: found 5, "
        "expected more than the 5 days of remind_after [MC-08]"
    ]
