"""What no single value of the commercial clauses shows: names, people, shares, order. Pure."""

from collections.abc import Collection, Iterator
from fractions import Fraction
from itertools import pairwise

from contracts.calendar import add_period
from contracts.checks_indicators import unknown_indicator, vanity
from contracts.commercial import Decision, MissHold
from contracts.contract import Contract, Milestone, MilestoneLine
from contracts.fields import percent
from contracts.indicators import Direction
from contracts.money import Money
from contracts.problems import Loc, Problem, Problems, repeated, unknown_ref

CONTRACT_LEVEL = "contract"
"""How a ceiling names all fee lines together."""

NEVER_AUTOMATIC = (Decision.CHANGE_ORDER, Decision.DISPUTE_RULING)
"""What alters the agreement, or rules on a disagreement about it: no clause knows it beforehand."""

BY_AMOUNT = (Decision.RELEASE, Decision.FORFEIT)
"""The decisions whose amount is known from the contract: that of the hold."""

WORSE = {Direction.HIGHER_IS_BETTER: "below", Direction.LOWER_IS_BETTER: "above"}
"""On which side of its limit an indicator misses; one with a band may miss on either."""


def shares_of_fees(contract: Contract) -> Iterator[tuple[Loc, str]]:
    """The clauses that take a share of a fee, each with that fee."""
    yield ("holdback", "fee"), contract.holdback.fee
    if contract.retention:
        yield ("retention", "fee"), contract.retention.fee
    if contract.advance:
        yield ("advance", "fee"), contract.advance.fee
    if contract.service_credits:
        yield ("service_credits", "fee"), contract.service_credits.fee


def lines_billed(contract: Contract) -> Iterator[tuple[Loc, Milestone | MilestoneLine]]:
    """Everything that milestones bill, with its place."""
    for i, milestone in enumerate(contract.milestones):
        yield ("milestones", i), milestone
        yield from ((("milestones", i, "more", j), line) for j, line in enumerate(milestone.more))


def commercial_amounts(contract: Contract) -> Iterator[tuple[Loc, Money | None]]:
    """The amounts of the commercial clauses; the floor of a gain share may be nothing."""
    approvals, share = contract.approvals, contract.gain_share
    for i, authority in enumerate(approvals.authority):
        yield ("approvals", "authority", i, "up_to"), authority.up_to
    for i, policy in enumerate(approvals.automatic):
        yield ("approvals", "automatic", i, "up_to"), policy.up_to
    if contract.advance:
        yield ("advance", "amount"), contract.advance.amount
    if share:
        yield ("gain_share", "dead_band"), share.dead_band
        for i, band in enumerate(share.bands):
            yield ("gain_share", "bands", i, "up_to"), band.up_to
        yield ("gain_share", "cap"), share.cap
        yield ("gain_share", "floor"), share.floor
    for i, ceiling in enumerate(contract.ceilings):
        yield ("ceilings", i, "amount"), ceiling.amount


def holds_have_names_of_their_own(contract: Contract) -> Problems:
    """Whatever money can be held on or billed under has an id that nothing else has."""
    milestones: list[tuple[Loc, str]] = [
        (("milestones", i, "id"), each.id) for i, each in enumerate(contract.milestones)
    ]
    holds: list[tuple[Loc, str]] = [(("holdback", "id"), contract.holdback.id)]
    if contract.retention:
        holds.append((("retention", "id"), contract.retention.id))
    holds += [(("miss_holds", i, "id"), each.id) for i, each in enumerate(contract.miss_holds)]
    yield from _also_repeated(milestones, holds)
    if contract.gain_share:
        fees: list[tuple[Loc, str]] = [((), fee.id) for fee in contract.fees]
        yield from _also_repeated(fees, [(("gain_share", "id"), contract.gain_share.id)])


def _also_repeated(elsewhere: list[tuple[Loc, str]], places: list[tuple[Loc, str]]) -> Problems:
    """Those of `places` that are there a second time; what is wrong elsewhere is told elsewhere."""
    asked = {loc for loc, _ in places}
    yield from (each for each in repeated((*elsewhere, *places)) if each.loc in asked)


def named_once(contract: Contract) -> Problems:
    """A tax, a person with authority, a policy, a part of a release and a ceiling is stated once."""
    approvals = contract.approvals
    yield from _also_repeated(
        [((), contract.tax.code)],
        [(("taxes", i, "code"), tax.code) for i, tax in enumerate(contract.taxes)],
    )
    yield from repeated(
        (("approvals", "authority", i, "person"), each.person)
        for i, each in enumerate(approvals.authority)
    )
    yield from repeated(
        (("approvals", "automatic", i, "id"), each.id) for i, each in enumerate(approvals.automatic)
    )
    if contract.retention:
        steps = contract.retention.release
        yield from repeated((("retention", "release", i, "id"), s.id) for i, s in enumerate(steps))
    levels = contract.ceilings
    yield from repeated((("ceilings", i, "level"), each.level) for i, each in enumerate(levels))
    for i, milestone in enumerate(contract.milestones):
        more = [(("milestones", i, "more", j, "fee"), m.fee) for j, m in enumerate(milestone.more)]
        yield from _also_repeated([((), milestone.fee)], list(more))


def commercial_references_exist(contract: Contract) -> Problems:
    """What the commercial clauses name is in the contract."""
    fees = [fee.id for fee in contract.fees]
    taxes = [contract.tax.code, *(tax.code for tax in contract.taxes)]
    people = [person.id for person in contract.people().everyone]
    milestones = [milestone.id for milestone in contract.milestones]
    gain_share = [contract.gain_share.id] if contract.gain_share else []
    for i, fee in enumerate(contract.fees):
        if fee.tax is not None:
            yield from unknown_ref(("fees", i, "tax"), fee.tax, taxes)
    for loc, named in shares_of_fees(contract):
        yield from unknown_ref(loc, named, fees)
    for i, authority in enumerate(contract.approvals.authority):
        loc = ("approvals", "authority", i, "person")
        yield from unknown_ref(loc, authority.person, people)
    subjects = [hold for hold, _ in _holds(contract)] + milestones + gain_share
    for i, policy in enumerate(contract.approvals.automatic):
        if policy.of is not None:
            yield from unknown_ref(("approvals", "automatic", i, "of"), policy.of, subjects)
    for i, hold in enumerate(contract.miss_holds):
        yield from unknown_ref(("miss_holds", i, "milestone"), hold.milestone, milestones)
    levels = [CONTRACT_LEVEL, *fees, *gain_share]
    for i, ceiling in enumerate(contract.ceilings):
        yield from unknown_ref(("ceilings", i, "level"), ceiling.level, levels)


def level_of_all_is_no_fee(contract: Contract) -> Problems:
    """The word with which a ceiling names the whole contract is not the id of a part of it."""
    for i, fee in enumerate(contract.fees):
        if fee.id.casefold() == CONTRACT_LEVEL:
            expected = "another id, as ceilings name the whole contract so"
            yield Problem(("fees", i, "id"), repr(fee.id), expected, "duplicate_id")


def shares_are_above_zero(contract: Contract) -> Problems:
    """A clause that takes a share takes something."""
    for loc, share in _shares(contract):
        if share == 0:
            yield Problem(loc, "0%", "a share above 0%", "invalid_value")


def _shares(contract: Contract) -> Iterator[tuple[Loc, Fraction | None]]:
    if contract.retention:
        yield ("retention", "rate"), contract.retention.rate
        yield ("retention", "limit"), contract.retention.limit
        for i, step in enumerate(contract.retention.release):
            yield ("retention", "release", i, "share"), step.share
    if contract.advance:
        yield ("advance", "recovered"), contract.advance.recovered
    if contract.service_credits:
        yield ("service_credits", "limit"), contract.service_credits.limit
    for i, hold in enumerate(contract.miss_holds):
        yield ("miss_holds", i, "share"), hold.share


def somebody_can_approve(contract: Contract) -> Problems:
    """Whoever asks, enough others have authority; and one of each side, for change orders."""
    approvals, loc = contract.approvals, ("approvals", "authority")
    able = [each.person for each in approvals.authority]
    always = {
        d for p in approvals.automatic if p.of is None and p.up_to is None for d in p.decisions
    }
    asked = [d.value for d in Decision if d not in always and d is not Decision.CHANGE_ORDER]
    if asked and len(able) <= approvals.needed:
        decisions = f"{asked[0]} and {len(asked) - 1} other decisions" if asked[1:] else asked[0]
        expected = (
            f"{approvals.needed + 1} people, so that {approvals.needed} can approve {decisions}"
        )
        expected += " whoever asks"
        yield Problem(loc, _people(able), expected, "authority")
    elif able:
        yield from _amounts_find_approval(contract)
    for side, party in (
        ("client", contract.parties.client),
        ("consultant", contract.parties.consultant),
    ):
        if able and not {person.id for person in party.people} & set(able):
            found = f"nobody of the {side} among {', '.join(able)}"
            expected = "people of both sides, as both sign a change_order"
            yield Problem(loc, found, expected, "authority")


def _amounts_find_approval(contract: Contract) -> Problems:
    """A hold can be decided in one piece: by enough people, or by an automatic policy."""
    approvals = contract.approvals
    for hold, amount in _holds(contract):
        able = [
            each.person
            for each in approvals.authority
            if each.up_to is None or each.up_to.minor >= amount.minor
        ]
        asked = [d.value for d in BY_AMOUNT if not contract.policy_for(d, hold, amount)]
        if asked and len(able) < approvals.needed:
            found = f"{_people(able)} for the {' and '.join(asked)} of {hold}, {amount}"
            expected = f"{approvals.needed} with that authority, or an automatic policy of {hold}"
            yield Problem(("approvals", "authority"), found, expected, "authority")


def _people(able: Collection[str]) -> str:
    people = "1 person" if len(able) == 1 else f"{len(able)} people"
    return f"{people} ({', '.join(able)})" if able else "nobody"


def _holds(contract: Contract) -> Iterator[tuple[str, Money]]:
    """What can be held under the contract, and the most that it comes to; a misspelt fee holds nothing."""
    fees = {fee.id: fee for fee in contract.fees}
    milestones = {milestone.id: milestone for milestone in contract.milestones}
    nothing = Money(0, contract.currency)
    held, retention = contract.holdback, contract.retention
    yield held.id, fees[held.fee].amount.share(held.rate) if held.fee in fees else nothing
    if retention:
        yield retention.id, _billed(contract, retention.fee).share(retention.rate)
    for hold in contract.miss_holds:
        milestone = milestones.get(hold.milestone)
        yield hold.id, milestone.amount.share(hold.share) if milestone else nothing


def _billed(contract: Contract, fee: str) -> Money:
    """What the milestones bill of a fee."""
    amounts = (line.amount for _, line in lines_billed(contract) if line.fee == fee)
    return Money(sum(amount.minor for amount in amounts), contract.currency)


def policies_decide_what_a_clause_can(contract: Contract) -> Problems:
    """A change order and the ruling on a dispute are decided by people."""
    for i, policy in enumerate(contract.approvals.automatic):
        loc = ("approvals", "automatic", i, "decisions")
        yield from repeated(((*loc, j), each.value) for j, each in enumerate(policy.decisions))
        for j, decision in enumerate(policy.decisions):
            if decision in NEVER_AUTOMATIC:
                found = f"{decision.value}, decided by a clause"
                yield Problem((*loc, j), found, "what people need not decide", "automatic")


def hold_clocks_take_time(contract: Contract) -> Problems:
    """A clock of a hold runs for at least one working day."""
    clocks = contract.hold_clocks
    if clocks:
        for name in ("review", "cure", "decision"):
            if getattr(clocks, name) == 0:
                expected = "1 working day or more"
                yield Problem(("hold_clocks", name), "0", expected, "invalid_value")


def shares_are_of_net_prices(contract: Contract) -> Problems:
    """A share of a fee is net, so that fee is priced without tax; so is the loss bound."""
    gross = {fee.id for fee in contract.fees if fee.prices == "gross"}
    micro: tuple[Loc, str] = (("micro_consulting", "fee"), contract.micro_consulting.fee)
    milestones = {milestone.id: milestone.fee for milestone in contract.milestones}
    held: list[tuple[Loc, str]] = [
        (("miss_holds", i, "milestone"), milestones.get(hold.milestone, ""))
        for i, hold in enumerate(contract.miss_holds)
    ]
    for loc, fee in (micro, *shares_of_fees(contract), *held):
        if fee in gross:
            found = f"fee {fee!r}, whose prices are gross"
            yield Problem(loc, found, "a fee whose prices are net", "prices")


def retention_comes_back(contract: Contract) -> Problems:
    """All that is retained is released, part after part; its tax waits only where its base is net."""
    retention = contract.retention
    if retention is None:
        return
    loc: Loc = ("retention",)
    steps = retention.release
    total = sum((step.share for step in steps), Fraction(0))
    if total != 1:
        at: Loc = (*loc, "release", len(steps) - 1, "share")
        found = f"{percent(total)} for the parts of retention {retention.id}"
        yield Problem(at, found, "100%", "sum_mismatch")
    ends = [add_period(contract.effective_on, step.after) for step in steps]
    for i, (one, other) in enumerate(pairwise(ends), start=1):
        if other <= one:
            expected = f"a period longer than {steps[i - 1].after} of the part before"
            at = (*loc, "release", i, "after")
            yield Problem(at, str(steps[i].after), expected, "window_order")
    if retention.tax == "release" and retention.base != "net":
        found = f"base {retention.base} with tax at {retention.tax}"
        yield Problem((*loc, "base"), found, "base net, or tax at invoice", "tax_point")
    if retention.limit is not None and retention.limit >= retention.rate > 0:
        found = f"{percent(retention.limit)} of the fee"
        expected = f"less than the rate of {percent(retention.rate)}, or no limit"
        yield Problem((*loc, "limit"), found, expected, "range")


def advance_is_recovered(contract: Contract) -> Problems:
    """The invoices of the milestones deduct all of an advance, and never more than they are."""
    advance, retention = contract.advance, contract.retention
    if advance is None or advance.amount.currency != contract.currency:
        return
    fee = next((fee for fee in contract.fees if fee.id == advance.fee), None)
    if fee is None:
        return
    loc: Loc = ("advance", "recovered")
    if advance.amount.minor > fee.amount.minor:
        expected = f"at most the {fee.amount} of fee {fee.id}"
        yield Problem(("advance", "amount"), str(advance.amount), expected, "recovery")
    else:
        billed = _billed(contract, fee.id)
        recovered = billed.share(advance.recovered)
        if recovered.minor < advance.amount.minor:
            found = f"{percent(advance.recovered)} of milestones of {billed}, {recovered}"
            yield Problem(loc, found, f"{advance.amount} or more, the advance", "recovery")
    if retention and retention.fee == fee.id and retention.rate + advance.recovered > 1:
        found = f"{percent(advance.recovered)} beside a retention of {percent(retention.rate)}"
        yield Problem(loc, found, "at most 100% of an invoice in all", "recovery")


def misses_are_possible(contract: Contract) -> Problems:
    """A hold by misses names an indicator and its worse side, and enough readings to count in."""
    known = contract.indicators()
    for i, hold in enumerate(contract.miss_holds):
        loc: Loc = ("miss_holds", i)
        entry = known.get(hold.indicator)
        if entry is None:
            at = (*loc, "indicator")
            yield from vanity(at, hold.indicator) or [unknown_indicator(at, hold.indicator, known)]
        elif WORSE.get(entry.direction, hold.missed) != hold.missed:
            expected = f"{WORSE[entry.direction]}, as {entry.direction.value.replace('_', ' ')}"
            yield Problem((*loc, "missed"), hold.missed, expected, "direction")
        if hold.times > hold.of:
            found, expected = f"{hold.times} out of {hold.of}", f"at most {hold.of} times"
            yield Problem((*loc, "times"), found, expected, "range")


def milestones_bear_their_holds(contract: Contract) -> Problems:
    """Of one milestone no more is held than it is; nor is more than an invoice withheld from it."""
    for milestone in contract.milestones:
        holds = [(i, h) for i, h in enumerate(contract.miss_holds) if h.milestone == milestone.id]
        total = sum((hold.share for _, hold in holds), Fraction(0))
        deducted = _deducted(contract, milestone, [hold for _, hold in holds])
        if holds and (total > 1 or deducted > 1):
            found = f"{percent(max(total, deducted))} of milestone {milestone.id} held or deducted"
            at = ("miss_holds", holds[-1][0], "share")
            yield Problem(at, found, "at most 100%", "sum_mismatch")


def _deducted(contract: Contract, milestone: Milestone, holds: list[MissHold]) -> Fraction:
    """The share of a milestone's invoice that is not to be paid when it is issued."""
    withheld = sum((h.share for h in holds if h.effect == "withhold_payment"), Fraction(0))
    retention, advance = contract.retention, contract.advance
    if retention and retention.fee == milestone.fee:
        withheld += retention.rate
    if advance and advance.fee == milestone.fee:
        withheld += advance.recovered
    return withheld


def gain_share_runs_upwards(contract: Contract) -> Problems:
    """Bands end one after the other and the last one never; a pain share has its floor."""
    share = contract.gain_share
    if share is None:
        return
    last, before = len(share.bands) - 1, share.dead_band
    for i, band in enumerate(share.bands):
        loc: Loc = ("gain_share", "bands", i, "up_to")
        if (band.up_to is None) != (i == last):
            found = "no end" if band.up_to is None else f"an end at {band.up_to}"
            expected = "an end, as another band follows" if i < last else "no end at the last band"
            yield Problem(loc, found, expected, "bands")
        elif band.up_to and before and band.up_to.minor <= before.minor:
            of = "of the band before" if i else "of the dead band"
            yield Problem(loc, str(band.up_to), f"more than the {before} {of}", "bands")
        before = band.up_to or before
    if all(band.share == 0 for band in share.bands):
        yield Problem(("gain_share", "bands"), "0% in every band", "a share above 0%", "bands")
    if bool(share.pain) != bool(share.floor.minor):
        found = f"a pain share of {percent(share.pain)} with a floor of {share.floor}"
        expected = "both, or neither: the floor is the most that the pain share takes"
        yield Problem(("gain_share", "floor"), found, expected, "bands")


COMMERCIAL_CHECKS = (
    holds_have_names_of_their_own,
    named_once,
    commercial_references_exist,
    level_of_all_is_no_fee,
    shares_are_above_zero,
    somebody_can_approve,
    policies_decide_what_a_clause_can,
    hold_clocks_take_time,
    shares_are_of_net_prices,
    retention_comes_back,
    advance_is_recovered,
    misses_are_possible,
    milestones_bear_their_holds,
    gain_share_runs_upwards,
)
