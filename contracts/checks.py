"""What no single value of a contract shows: references, sums, roles, windows, clocks. Pure."""

from collections.abc import Iterator
from fractions import Fraction

from pydantic import BaseModel

from contracts.calendar import Period, add_period
from contracts.checks_commercial import (
    COMMERCIAL_CHECKS,
    commercial_amounts,
    lines_billed,
    shares_of_fees,
)
from contracts.checks_indicators import check_indicator, unknown_indicator, vanity
from contracts.contract import (
    Bet,
    BetIndicator,
    Contract,
    Person,
    Phase,
    Role,
    SettlementWindow,
)
from contracts.errors import TermsError
from contracts.fields import percent
from contracts.formula import Formula
from contracts.indicators import BetRole, Direction, Indicator
from contracts.money import Money
from contracts.problems import Loc, Problem, Problems, repeated, unknown_ref
from contracts.step_plan import Lead

REWORK_SHARE = Fraction(20, 100)
"""A rework is free up to this part of the planned effort (Q15)."""

NEEDED = {
    Role.GROUP_MANAGEMENT: ("client", "FND-03"),
    Role.UNIT_HEAD: ("client", "FND-03"),
    Role.BUSINESS_LEAD: ("client", "MC-S12"),
    Role.IT_LEAD: ("client", "MC-S12"),
    Role.ACCEPTOR: ("client", "role_missing"),
    Role.EXPERT: ("consultant", "MC-05"),
    Role.DELIVERY_LEAD: ("consultant", "role_missing"),
}
"""The roles that an engagement cannot do without: on which side, and by which rule."""

TWO_PEOPLE = (
    (Role.GROUP_MANAGEMENT, Role.UNIT_HEAD, "FND-04"),
    (Role.BUSINESS_LEAD, Role.IT_LEAD, "MC-S12"),
)
"""Roles whose answers must come from two different people, and the rule."""


MAY_BE_ZERO = {("gain_share", "floor")}
"""A gain share without a pain share costs the supplier nothing."""


def check(contract: Contract) -> list[Problem]:
    """Everything that is wrong between the values, in the order of `CHECKS` and of the lists."""
    return [problem for problems in CHECKS for problem in problems(contract)]


def ids_are_unique(contract: Contract) -> Problems:
    """An id is used once in its list, also where letters differ in case only."""
    steps = contract.micro_consulting.plan.steps
    own = contract.own_indicators
    yield from repeated((("fees", i, "id"), fee.id) for i, fee in enumerate(contract.fees))
    yield from repeated((("milestones", i, "id"), m.id) for i, m in enumerate(contract.milestones))
    yield from repeated((("bets", i, "id"), bet.id) for i, bet in enumerate(contract.bets))
    yield from repeated((("own_indicators", i, "id"), entry.id) for i, entry in enumerate(own))
    yield from repeated(((*loc, "id"), person.id) for loc, person in _people(contract))
    yield from repeated(
        (("micro_consulting", "plan", "steps", i, "id"), step.id) for i, step in enumerate(steps)
    )
    for i, milestone in enumerate(contract.milestones):
        yield from repeated(
            (("milestones", i, "evidence", j), item) for j, item in enumerate(milestone.evidence)
        )
    for i, bet in enumerate(contract.bets):
        yield from repeated(
            (("bets", i, "indicators", j, "indicator"), terms.indicator)
            for j, terms in enumerate(bet.indicators)
        )
        yield from repeated(
            (("bets", i, "windows", j, "id"), window.id) for j, window in enumerate(bet.windows)
        )


def references_exist(contract: Contract) -> Problems:
    """What an id points to is in the document."""
    known = contract.indicators()
    fees = [fee.id for fee in contract.fees]
    plan = contract.micro_consulting.plan
    steps = [step.id for step in plan.steps]
    yield from unknown_ref(("micro_consulting", "fee"), contract.micro_consulting.fee, fees)
    yield from unknown_ref(("micro_consulting", "plan", "rework_from"), plan.rework_from, steps)
    for loc, line in lines_billed(contract):
        yield from unknown_ref((*loc, "fee"), line.fee, fees)
    yield from unknown_ref(
        ("holdback", "bet"), contract.holdback.bet, [b.id for b in contract.bets]
    )
    for i, bet in enumerate(contract.bets):
        indicators = [terms.indicator for terms in bet.indicators]
        # A name that is misspelt there is told there, and once.
        if known.keys() >= set(indicators):
            for loc, _, settled in _settled(i, bet):
                yield from unknown_ref(loc, settled, indicators)


def amounts_are_payable(contract: Contract) -> Problems:
    """Amounts are in the currency of the contract, and above zero."""
    stated = ((loc, amount) for loc, amount in commercial_amounts(contract) if amount is not None)
    for loc, amount in (*_amounts(contract), *stated):
        if amount.currency != contract.currency:
            expected = f"an amount in {contract.currency}, the currency of the contract"
            yield Problem(loc, f"{amount} {amount.currency}", expected, "currency_mismatch")
        if amount.minor < 0 or (amount.minor == 0 and loc not in MAY_BE_ZERO):
            yield Problem(loc, str(amount), "an amount above zero", "invalid_value")


def milestones_add_up(contract: Contract) -> Problems:
    """The milestones of a fee and its holdback are the fee, to the last minor unit (BET-02).

    Not asked while an amount is in another currency or a fee is misspelt: that is told already.
    """
    if any(amount.currency != contract.currency for _, amount in _amounts(contract)):
        return
    lines = list(lines_billed(contract))
    used = {contract.micro_consulting.fee, contract.holdback.fee}
    if not used.union(line.fee for _, line in lines) <= {fee.id for fee in contract.fees}:
        return
    for i, fee in enumerate(contract.fees):
        if fee.id == contract.micro_consulting.fee:
            continue
        billed = [(loc, line.amount) for loc, line in lines if line.fee == fee.id]
        total = sum((amount for _, amount in billed), start=Money(0, contract.currency))
        expected, derivation = fee.amount, ""
        if fee.id == contract.holdback.fee:
            held = contract.holdback_amount()
            expected, derivation = fee.amount - held, f" = {fee.amount} less holdback {held}"
        if total != expected:
            at: Loc = billed[-1][0] if billed else ("fees", i)
            found = f"{total} for the milestones of fee {fee.id}"
            yield Problem((*at, "amount"), found, f"{expected}{derivation}", "BET-02")


def micro_fee_stands_alone(contract: Contract) -> Problems:
    """The micro-consulting fee is the loss bound: nothing else is billed or held on it (MC-09)."""
    lines = (((*loc, "fee"), line.fee) for loc, line in lines_billed(contract))
    for loc, fee in (*lines, *shares_of_fees(contract)):
        if fee == contract.micro_consulting.fee:
            found = f"the micro-consulting fee {fee!r}"
            yield Problem(loc, found, "another fee line, this one is billed on submission", "MC-09")


def something_is_held_back(contract: Contract) -> Problems:
    """The holdback is at least one minor unit (BET-02)."""
    holdback = contract.holdback
    for fee in contract.fees:
        if fee.id == holdback.fee and fee.amount.share(holdback.rate).minor == 0:
            expected = f"a share of {fee.amount} that is an amount, such as 30%"
            yield Problem(("holdback", "rate"), percent(holdback.rate), expected, "BET-02")


def every_bet_has_money(contract: Contract) -> Problems:
    """A bet is one that the holdback waits for (BET-02)."""
    known = [bet.id for bet in contract.bets]
    for i, bet in enumerate(contract.bets):
        if contract.holdback.bet in known and bet.id != contract.holdback.bet:
            found = f"bet {bet.id!r}, for which no fee is held back"
            expected = f"bet {contract.holdback.bet} only"
            yield Problem(("bets", i, "id"), found, expected, "BET-02")


def phases_are_in_order(contract: Contract) -> Problems:
    """Consulting stands before design and build."""
    building = False
    for i, milestone in enumerate(contract.milestones):
        if building and milestone.phase is Phase.CONSULTING:
            found = "consulting after design_build"
            yield Problem(("milestones", i, "phase"), found, "consulting first", "phase_order")
        building = building or milestone.phase is Phase.DESIGN_BUILD


def one_go_live(contract: Contract) -> Problems:
    """The measuring start is the go-live: the last milestone of design and build (BET-05, Q04)."""
    expected = "go_live at the last milestone of phase design_build, and only there"
    builds = [i for i, m in enumerate(contract.milestones) if m.phase is Phase.DESIGN_BUILD]
    marked = [i for i, m in enumerate(contract.milestones) if m.go_live]
    for i in marked:
        if [i] != builds[-1:]:
            found = f"go_live at milestone {contract.milestones[i].id}"
            yield Problem(("milestones", i, "go_live"), found, expected, "BET-05")
    if not marked:
        yield Problem(("milestones",), "no go_live", expected, "BET-05")


def acceptance_takes_time(contract: Contract) -> Problems:
    """The client has at least one working day to accept or reject."""
    for i, milestone in enumerate(contract.milestones):
        if milestone.acceptance.working_days == 0:
            loc = ("milestones", i, "acceptance", "working_days")
            yield Problem(loc, "0", "1 working day or more", "invalid_value")


def weights_are_whole(contract: Contract) -> Problems:
    """The weights of a bet are exactly 100 %."""
    for i, bet in enumerate(contract.bets):
        total = sum((terms.weight for terms in bet.indicators), Fraction(0))
        if total != 1:
            loc = ("bets", i, "indicators", len(bet.indicators) - 1, "weight")
            found = f"{percent(total)} for the weights of bet {bet.id}"
            yield Problem(loc, found, "100%", "sum_mismatch")


def indicators_carry_money(contract: Contract) -> Problems:
    """Each indicator is a known one that may settle, aimed at its better side."""
    known = contract.indicators()
    for i, bet in enumerate(contract.bets):
        for j, terms in enumerate(bet.indicators):
            loc = ("bets", i, "indicators", j)
            entry = known.get(terms.indicator)
            if entry:
                yield from _role(loc, entry)
                yield from _direction(loc, terms, entry)
            else:
                yield from vanity((*loc, "indicator"), terms.indicator) or [
                    unknown_indicator((*loc, "indicator"), terms.indicator, known)
                ]


def _role(loc: Loc, entry: Indicator) -> Problems:
    if entry.bet_role is not BetRole.SETTLEMENT:
        found = f"{entry.id!r}, whose role is {entry.bet_role.value}"
        yield Problem((*loc, "indicator"), found, "an indicator of role settlement", "IND-01")


def _direction(loc: Loc, terms: BetIndicator, entry: Indicator) -> Problems:
    baseline, target = terms.baseline, terms.target
    match entry.direction:
        case Direction.TARGET_BAND:
            found = f"{entry.id!r}, whose target is a band"
            yield Problem((*loc, "indicator"), found, "an indicator that runs one way", "direction")
        case Direction.HIGHER_IS_BETTER if target <= baseline:
            expected = f"more than the baseline {baseline:f}, as higher is better"
            yield Problem((*loc, "target"), f"{target:f}", expected, "direction")
        case Direction.LOWER_IS_BETTER if target >= baseline:
            expected = f"less than the baseline {baseline:f}, as lower is better"
            yield Problem((*loc, "target"), f"{target:f}", expected, "direction")


def scoring_needs_only_numbers(contract: Contract) -> Problems:
    """A bet has no named values, and its scoring gives a score for every attainment."""
    for i, bet in enumerate(contract.bets):
        for j, terms in enumerate(bet.indicators):
            loc = ("bets", i, "indicators", j, "scoring")
            named = [each for each in _formulas(loc, terms.scoring) if each[1].names]
            for at, formula in named:
                found = f"{str(formula)!r}, which names {', '.join(formula.names)}"
                yield Problem(at, found, "numbers only", "unknown_ref")
            if not named:
                yield from _impossible(loc, terms)


def _formulas(loc: Loc, value: object) -> Iterator[tuple[Loc, Formula]]:
    if isinstance(value, Formula):
        yield loc, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _formulas((*loc, name), getattr(value, name))
    elif isinstance(value, tuple):
        for i, each in enumerate(value):
            yield from _formulas((*loc, i), each)


def _impossible(loc: Loc, terms: BetIndicator) -> Problems:
    for attained in (Fraction(0), Fraction(1, 2), Fraction(1)):
        try:
            terms.scoring.score(attained)
        except TermsError as impossible:
            found, _, expected = str(impossible).removeprefix("found ").rpartition(", expected ")
            yield Problem(loc, found, expected, "invalid_value")
            return


def settled_once(contract: Contract) -> Problems:
    """Every indicator of a bet is settled in exactly one window (BET-06)."""
    for i, bet in enumerate(contract.bets):
        expected = "one settlement window for each indicator"
        windows: dict[str, str] = {}
        for loc, window, settled in _settled(i, bet):
            if settled in windows:
                found = f"{settled!r}, which window {windows[settled]} settles already"
                yield Problem(loc, found, expected, "BET-06")
            windows.setdefault(settled, window.id)
        if not windows.keys() <= {terms.indicator for terms in bet.indicators}:
            continue  # a misspelt name is told as such, and once
        for j, terms in enumerate(bet.indicators):
            if terms.indicator not in windows:
                found = f"{terms.indicator!r}, which no window settles"
                yield Problem(("bets", i, "indicators", j, "indicator"), found, expected, "BET-06")


def settled_when_readable(contract: Contract) -> Problems:
    """No indicator settles before it can be read (BET-06)."""
    known = contract.indicators()
    for i, bet in enumerate(contract.bets):
        for loc, window, settled in _settled(i, bet):
            entry = known.get(settled)
            if entry and _whole_months(window.after) < entry.readable_at_months:
                found = f"{settled!r} in a window that ends after {window.after}"
                expected = f"a window of P{entry.readable_at_months}M or longer"
                yield Problem(loc, found, expected, "BET-06")


def _whole_months(period: Period) -> int:
    return period.months + period.days // 31


def windows_are_in_order(contract: Contract) -> Problems:
    """Windows end one after the other, hold their own reading time, and one of them settles."""
    for i, bet in enumerate(contract.bets):
        ends = [add_period(contract.effective_on, window.after) for window in bet.windows]
        for j, window in enumerate(bet.windows):
            loc = ("bets", i, "windows", j)
            if j and ends[j] <= ends[j - 1]:
                expected = f"a period longer than {bet.windows[j - 1].after} of the window before"
                yield Problem((*loc, "after"), str(window.after), expected, "window_order")
            if isinstance(window, SettlementWindow) and (
                add_period(contract.effective_on, window.reading_within) > ends[j]
            ):
                found, expected = str(window.reading_within), f"at most the window's {window.after}"
                yield Problem((*loc, "reading_within"), found, expected, "window_order")
        if not any(isinstance(window, SettlementWindow) for window in bet.windows):
            found, expected = "trend windows only", "at least one settlement window"
            yield Problem(("bets", i, "windows"), found, expected, "BET-06")


def value_is_counted_once(contract: Contract) -> Problems:
    """Within an overlap group one indicator carries money (INV-15)."""
    known, groups = contract.indicators(), dict[str, str]()
    for i, bet in enumerate(contract.bets):
        for j, terms in enumerate(bet.indicators):
            entry = known.get(terms.indicator)
            if entry and groups.setdefault(entry.overlap_group, entry.id) != entry.id:
                first = groups[entry.overlap_group]
                found = f"{entry.id!r} beside {first!r}, both of group {entry.overlap_group}"
                loc = ("bets", i, "indicators", j, "indicator")
                yield Problem(loc, found, "one indicator of that group", "INV-15")


def own_indicators_are_sound(contract: Contract) -> Problems:
    """Indicators that the shipped catalogue does not have keep its rules."""
    for i, entry in enumerate(contract.own_indicators):
        yield from check_indicator(("own_indicators", i), entry)


def live_series_stand_apart(contract: Contract) -> Problems:
    """Document numbers begin with the entity, and those of test clocks with TEST."""
    entity = contract.parties.consultant.entity
    if entity.upper().split("-")[0] == "TEST":
        yield Problem(
            ("parties", "consultant", "entity"),
            f"{entity!r}",
            "a code that does not begin with TEST, which marks the documents of test clocks",
            "entity_reserved",
        )


def roles_are_held(contract: Contract) -> Problems:
    """Every role that signs is held, on its own side, and no one agrees with himself."""
    people = list(_people(contract))
    for role, (side, rule) in NEEDED.items():
        if not any(role in person.roles for loc, person in people if loc[1] == side):
            found, expected = "nobody", f"a person of the {side} with the role {role.value}"
            yield Problem(("parties", side, "people"), found, expected, rule)
    for loc, person in people:
        for j, role in enumerate(person.roles):
            if role in NEEDED and NEEDED[role][0] != loc[1]:
                found, expected = f"{role.value} at the {loc[1]}", f"a role of the {loc[1]}"
                yield Problem((*loc, "roles", j), found, expected, "role_side")
        for one, other, rule in TWO_PEOPLE:
            if {one, other} <= set(person.roles):
                found = f"{person.id!r} as {one.value} and {other.value}"
                yield Problem((*loc, "roles"), found, "two different people", rule)


def dates_are_in_order(contract: Contract) -> Problems:
    """A contract takes effect when it is signed, or later."""
    signed, effective = contract.signed_on, contract.effective_on
    if effective < signed:
        expected = f"the signing date {signed} or later"
        yield Problem(("effective_on",), str(effective), expected, "date_order")


def working_days_are_known(contract: Contract) -> Problems:
    """The calendar covers the year of signing; a year that is only forecast needs overrides."""
    year, country = contract.signed_on.year, contract.calendar.country
    if contract.working_calendar().last_year < year:
        found = f"no decreed working days of {year} for {country}"
        expected = f"the days off and the working weekends of {year} in calendar.overrides"
        yield Problem(("calendar",), found, expected, "calendar_coverage")


def plan_is_consistent(contract: Contract) -> Problems:
    """Consultant steps take effort, client steps none; rework is at most 20 % (INV-04, Q15)."""
    plan = contract.micro_consulting.plan
    loc: Loc = ("micro_consulting", "plan")
    for i, step in enumerate(plan.steps):
        if (step.lead is Lead.CONSULTANT) != (step.minutes > 0):
            expected = "0" if step.lead is Lead.CLIENT else "1 or more"
            found = f"{step.minutes} minutes of a step that the {step.lead.value} leads"
            yield Problem((*loc, "steps", i, "minutes"), found, expected, "INV-04")
    total = sum(step.minutes for step in plan.steps)
    if plan.rework_minutes > total * REWORK_SHARE:
        expected = f"at most {percent(REWORK_SHARE)} of the {total} planned minutes"
        yield Problem((*loc, "rework_minutes"), str(plan.rework_minutes), expected, "Q15")


def reminders_come_first(contract: Contract) -> Problems:
    """A reminder goes out before the escalation (MC-08)."""
    micro = contract.micro_consulting
    for name, patience in (("waiting", micro.waiting), ("decision", micro.decision)):
        if patience.remind_after >= patience.escalate_after:
            loc = ("micro_consulting", name, "escalate_after")
            expected = f"more than the {patience.remind_after} days of remind_after"
            yield Problem(loc, str(patience.escalate_after), expected, "MC-08")


def _amounts(contract: Contract) -> Iterator[tuple[Loc, Money]]:
    yield from ((("fees", i, "amount"), fee.amount) for i, fee in enumerate(contract.fees))
    yield from (((*loc, "amount"), line.amount) for loc, line in lines_billed(contract))


def _people(contract: Contract) -> Iterator[tuple[Loc, Person]]:
    for side in ("consultant", "client"):
        for i, person in enumerate(getattr(contract.parties, side).people):
            yield ("parties", side, "people", i), person


def _settled(i: int, bet: Bet) -> Iterator[tuple[Loc, SettlementWindow, str]]:
    for j, window in enumerate(bet.windows):
        if isinstance(window, SettlementWindow):
            for k, indicator in enumerate(window.settles):
                yield ("bets", i, "windows", j, "settles", k), window, indicator


CHECKS = (
    ids_are_unique,
    references_exist,
    dates_are_in_order,
    live_series_stand_apart,
    roles_are_held,
    working_days_are_known,
    amounts_are_payable,
    milestones_add_up,
    micro_fee_stands_alone,
    something_is_held_back,
    every_bet_has_money,
    phases_are_in_order,
    one_go_live,
    acceptance_takes_time,
    plan_is_consistent,
    reminders_come_first,
    weights_are_whole,
    indicators_carry_money,
    scoring_needs_only_numbers,
    settled_once,
    settled_when_readable,
    windows_are_in_order,
    value_is_counted_once,
    own_indicators_are_sound,
    *COMMERCIAL_CHECKS,
)
