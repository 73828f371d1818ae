"""What a change order cannot change, since the engagement has come too far for it. Pure."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from contracts.contract import Contract, Milestone, MilestoneLine, Phase
from contracts.errors import TransitionError
from contracts.money import Money

FOR_GOOD = {
    "currency": "amounts in two currencies never come to one sum",
    "timezone": "days that have begun cannot end at another hour",
    "calendar": "clocks run in it; decreed days come with `calendar set`",
}
"""What no engagement changes while it runs, and why."""


class Standing(BaseModel):
    """How far an engagement has come.

    `retired` names milestones of earlier versions, `in_use` the clauses that act already, each with
    what they did, `taxed` the fees that are on a document, or held. `held_back` is what holds keep
    of a milestone, or have forfeited, net; `advanced` what of the advance is invoiced and not
    credited, in the prices of its fee. `staked` says why the holdback stays what it is, if it does.
    """

    model_config = ConfigDict(frozen=True)

    closed: bool
    staked: str | None
    begun: tuple[Phase, ...]
    handed_in: frozenset[str]
    accepted: frozenset[str]
    """Earned, on an invoice or not."""
    billed: frozenset[str]
    retired: frozenset[str]
    in_use: dict[str, str]
    taxed: frozenset[str]
    held_back: dict[str, Money]
    advanced: Money | None


def require_possible(
    old: Contract, new: Contract, standing: Standing, *, retroactive: bool
) -> None:
    """Refuse a new version that changes what is settled; every obstacle is named.

    Args:
        retroactive: amounts of billed lines may change, and are corrected by a delta document.

    Raises:
        TransitionError: there is an obstacle.
    """
    obstacles = list(_obstacles(old, new, standing, retroactive))
    if obstacles:
        raise TransitionError(
            f"contract {new.id} version {new.version} cannot follow version {old.version} here: "
            f"{'; '.join(obstacles)}"
        )


def _obstacles(
    old: Contract, new: Contract, standing: Standing, retroactive: bool
) -> Iterator[str]:
    if new.id != old.id:
        yield f"found contract {new.id}, expected {old.id}"
        return
    if standing.closed:
        yield "the engagement is closed"
    if new.version != old.version + 1:
        yield f"found version {new.version}, expected {old.version + 1}"
    yield from _clauses(old, new, standing)
    yield from _parties(old, new)
    yield from _fees(old, new, standing)
    yield from _holdback(old, new, standing)
    yield from _advance(old, new, standing)
    for milestone in old.milestones:
        yield from _milestone(old, new, milestone.id, standing, retroactive)
    yield from _added(old, new, standing)


def _clauses(old: Contract, new: Contract, standing: Standing) -> Iterator[str]:
    for name, why in (FOR_GOOD | standing.in_use).items():
        if getattr(old, name) != getattr(new, name):
            yield f"{name}: found it changed, expected it as it is, for {why}"


def _parties(old: Contract, new: Contract) -> Iterator[str]:
    for side in ("consultant", "client"):
        one, other = (getattr(each.parties, side).entity for each in (old, new))
        if one != other:
            yield f"{side}: found entity {other}, expected {one}; another party is another contract"


def _fees(old: Contract, new: Contract, standing: Standing) -> Iterator[str]:
    """Tax that was charged stays: another rate would correct more than the price."""
    kept = {fee.id: fee for fee in new.fees}
    for fee in old.fees:
        if fee.id not in standing.taxed:
            continue
        if fee.id not in kept:
            yield f"fee {fee.id}: found it removed, expected it to stay, for it is on a document"
            continue
        one, other = old.tax_of(fee.id), new.tax_of(fee.id)
        if (one.code, one.rate, fee.prices) != (other.code, other.rate, kept[fee.id].prices):
            yield (
                f"fee {fee.id}: found tax {other.code} of {other.rate} and {kept[fee.id].prices} "
                f"prices, expected {one.code} of {one.rate} and {fee.prices} prices, for it is on "
                "a document; agree on another fee line"
            )


def _holdback(old: Contract, new: Contract, standing: Standing) -> Iterator[str]:
    """What is at stake is an amount: its rate may follow the fee, so that it stays."""
    one, other = old.holdback_amount(), new.holdback_amount()
    follows = old.holdback.model_copy(update={"rate": new.holdback.rate})
    if standing.staked is None or (other == one and new.holdback == follows):
        return
    yield (
        f"holdback {old.holdback.id}: found {other if other != one else 'other terms'}, expected "
        f"{one} on the same terms, for {standing.staked}; with another rate it stays when its fee "
        "changes, and what is new can be under a fee of its own"
    )


def _advance(old: Contract, new: Contract, standing: Standing) -> Iterator[str]:
    """Once it is invoiced it stays, less what was credited of it: milestones need not deduct that."""
    advance, left = old.advance, standing.advanced
    if left is None or new.advance == advance:
        return
    if advance is None:
        yield "advance: found one added, expected none, for one was invoiced and credited before"
    elif new.advance != (advance.model_copy(update={"amount": left}) if left.minor else None):
        yield (
            f"advance {advance.id}: found it changed, expected it as it is, or "
            f"{f'of {left}' if left.minor else 'gone'}, which is what is invoiced less what is credited"
        )


def _milestone(
    old: Contract, new: Contract, name: str, standing: Standing, retroactive: bool
) -> Iterator[str]:
    before = old.milestone(name)
    after = next((each for each in new.milestones if each.id == name), None)
    if after is None:
        if why := _why_kept(name, standing):
            yield f"milestone {name}: found it removed, expected it to stay, for {why}"
        return
    if before.phase is not after.phase and {before.phase, after.phase} & set(standing.begun):
        yield f"milestone {name}: found it in {after.phase.value}, expected {before.phase.value}"
    if name in standing.handed_in and _acceptance(before) != _acceptance(after):
        yield (
            f"milestone {name}: found other terms of acceptance, expected the same, for its "
            "evidence is handed in"
        )
    one, other = _amounts(old, name), _amounts(new, name)
    if name in standing.billed and one.keys() != other.keys():
        yield (
            f"milestone {name}: found lines of {', '.join(other)}, expected {', '.join(one)}, for "
            "it is billed; bill what is new with a milestone of its own"
        )
    elif one != other:
        yield from _amounts_differ(name, one, other, standing, retroactive)
    held_back = standing.held_back.get(name)
    if held_back and after.amount.minor < held_back.minor:
        yield (
            f"milestone {name}: found {after.amount}, expected at least the {held_back} that is "
            "held or forfeited of it"
        )


def _amounts_differ(
    name: str, one: dict[str, Money], other: dict[str, Money], standing: Standing, retroactive: bool
) -> Iterator[str]:
    found = f"milestone {name}: found {_text(other)}, expected {_text(one)}"
    if name in standing.billed and not retroactive:
        yield f"{found}, for it is billed; a retroactive change order corrects it"
    if name in standing.accepted - standing.billed:
        yield f"{found}, for it is accepted and not billed yet: its amount is fixed until it is"


def _added(old: Contract, new: Contract, standing: Standing) -> Iterator[str]:
    known = {milestone.id for milestone in old.milestones}
    for milestone in new.milestones:
        if milestone.id in standing.retired:
            yield f"milestone {milestone.id}: found it added again, expected a new id"
        elif milestone.id not in known and _over(old, milestone.phase, standing):
            yield (
                f"milestone {milestone.id}: found it added to {milestone.phase.value}, which is "
                "over, expected a phase that runs or is to come"
            )


def _over(old: Contract, phase: Phase, standing: Standing) -> bool:
    """Whether a phase has ended, or ends as soon as its last acceptance is heard of."""
    if phase not in standing.begun:
        return False
    own = {milestone.id for milestone in old.milestones if milestone.phase is phase}
    return phase is not standing.begun[-1] or own <= standing.accepted


def _why_kept(name: str, standing: Standing) -> str | None:
    if name in standing.accepted:
        return "it is accepted"
    if name in standing.handed_in:
        return "its evidence is handed in"
    if name in standing.held_back:
        return "a hold is on it"
    return None


def _acceptance(milestone: Milestone) -> tuple[object, ...]:
    return milestone.evidence, milestone.acceptance, milestone.go_live


def _amounts(contract: Contract, name: str) -> dict[str, Money]:
    """By fee: a milestone has one line of each."""
    lines: tuple[MilestoneLine, ...] = contract.lines_of(name)
    return {line.fee: line.amount for line in lines}


def _text(amounts: dict[str, Money]) -> str:
    return " and ".join(f"{amount} of {fee}" for fee, amount in amounts.items())
