"""The contract document v1: what two parties signed, as data; code knows kinds, not numbers. Pure."""

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    ValidationInfo,
    model_validator,
)

from contracts.calendar import BusinessCalendar
from contracts.commercial import (
    Advance,
    Approvals,
    AutomaticPolicy,
    Ceiling,
    Decision,
    GainShare,
    HoldClocks,
    HoldEffect,
    MissHold,
    Payment,
    PersonId,
    Retention,
    ServiceCredits,
)
from contracts.errors import NotAuthorised, NotFound, Refused
from contracts.fields import (
    Clause,
    Count,
    Day,
    Id,
    Quantity,
    Share,
    Span,
    Terms,
    Text,
    Title,
    canonical,
)
from contracts.indicators import CatalogueEntry, Indicator, catalogue
from contracts.money import MINOR_DIGITS, Money, amounts_in
from contracts.scoring import Scoring
from contracts.step_plan import StepPlan, standard_plan
from contracts.working_days import WorkingDays

if TYPE_CHECKING:  # every process loads this module anew in its sandbox, and needs no parts
    from contracts.parts import Parts

ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*)*", re.ASCII)
"""Not `localtime` and `right/UTC`, which are what a machine makes of them."""
YEARS_COVERED = 6
"""Years after signature for which the working days travel with an engagement, where published."""
MAX_USES = 20


class Role(StrEnum):
    """What a named person may sign or do under the contract (spec 11.4)."""

    GROUP_MANAGEMENT = "group_management"
    UNIT_HEAD = "unit_head"
    BUSINESS_LEAD = "business_lead"
    IT_LEAD = "it_lead"
    ACCEPTOR = "acceptor"
    EXPERT = "expert"
    DELIVERY_LEAD = "delivery_lead"
    FINANCE = "finance"


class Person(Terms):
    """Somebody the contract names; `id` is what commands are signed with."""

    id: PersonId
    name: Text
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]


class Party(Terms):
    """One side of the contract. `entity` is the short code that invoice numbers begin with."""

    name: Title
    entity: Id
    people: Annotated[tuple[Person, ...], Field(min_length=1)]


class Parties(Terms):
    consultant: Party
    client: Party


class Tax(Terms):
    """VAT of a rate; computed once per document, code and rate."""

    clause: Clause
    code: Id
    rate: Share


class CalendarOfPart(Terms):
    """How a document names a calendar that it uses."""

    part: Id


class TaxOfPart(Terms):
    """How a document names the rate of a tax table that it uses."""

    clause: Clause
    code: Id
    part: Id


def _parts(info: ValidationInfo) -> "Parts | None":
    """What the document uses; none for a contract in storage, where it is written out."""
    parts: Parts | None = info.context
    return parts


def _calendar(given: object, info: ValidationInfo) -> object:
    parts = _parts(info)
    if parts is None or not isinstance(given, dict) or "part" not in given:
        return given
    return parts.calendar(given)


def _tax(given: object, info: ValidationInfo) -> object:
    parts = _parts(info)
    if parts is None or not isinstance(given, dict) or "part" not in given:
        return given
    return parts.tax(given, info.data.get("effective_on", date.max))


AgreedCalendar = Annotated[
    WorkingDays, BeforeValidator(_calendar, json_schema_input_type=WorkingDays | CalendarOfPart)
]
"""Working days, stated or named; what is named is written out when the document is read."""

AgreedTax = Annotated[Tax, BeforeValidator(_tax, json_schema_input_type=Tax | TaxOfPart)]
"""A tax, with its rate or with the table that has the rate in force when the contract begins."""


def _nothing(value: object) -> bool:
    """Left out of the canonical text where it states nothing: a contract without it keeps its digest."""
    return not value


class FeeLine(Terms):
    """One fee: without its tax, or with `prices: gross` with the tax inside.

    `tax` is the code of one of the contract's taxes; without it the contract's own applies.
    """

    id: Id
    clause: Clause
    title: Title
    amount: Money
    tax: Annotated[Id | None, Field(exclude_if=lambda code: code is None)] = None
    prices: Annotated[Literal["net", "gross"], Field(exclude_if=lambda prices: prices == "net")] = (
        "net"
    )


class Patience(Terms):
    """How long the engine waits for a person before it reminds, and before it escalates."""

    remind_after: Count
    escalate_after: Count


class MicroConsulting(Terms):
    """Short consulting before any other; its fee is the client's bounded loss (MC-09).

    Where the document states no plan, the product's own applies (MC-12).
    """

    clause: Clause
    product: Literal["key-account", "after-sales"]
    fee: Id
    plan: StepPlan = Field(default_factory=lambda given: standard_plan(given["product"]))
    waiting: Patience = Patience(remind_after=3, escalate_after=8)
    decision: Patience = Patience(remind_after=5, escalate_after=10)
    material_valid: Span = Field(default="P6M", validate_default=True)


class Phase(StrEnum):
    """The delivery phases that milestones belong to."""

    CONSULTING = "consulting"
    DESIGN_BUILD = "design_build"


class AcceptanceClock(Terms):
    """Working days the client has to accept or reject; `deemed` accepts on silence."""

    working_days: Count
    deemed: StrictBool


class MilestoneLine(Terms):
    """A further line of a milestone: a part of another fee that is billed with it."""

    clause: Clause
    title: Title
    fee: Id
    amount: Money


class Milestone(Terms):
    """A deliverable with acceptance and a fee; `amount` is billed once, on acceptance."""

    id: Id
    clause: Clause
    title: Title
    phase: Phase
    fee: Id
    amount: Money
    evidence: Annotated[tuple[Id, ...], Field(min_length=1)]
    acceptance: AcceptanceClock
    go_live: StrictBool = False
    more: Annotated[tuple[MilestoneLine, ...], Field(exclude_if=_nothing)] = ()
    """Further lines, on the same invoice."""


class Holdback(Terms):
    """The trailing part of a fee that waits for a bet's verdict (BET-02)."""

    id: Id
    clause: Clause
    fee: Id
    rate: Share
    effect: HoldEffect
    bet: Id


class BetIndicator(Terms):
    """One indicator of the catalogue with what was agreed: start, goal, weight and scoring."""

    indicator: Id
    clause: Clause
    weight: Share
    baseline: Quantity
    target: Quantity
    scoring: Scoring


class TrendWindow(Terms):
    """Both sides read the direction; no money moves (BET-07)."""

    reads: Literal["trend"]
    id: Id
    clause: Clause
    after: Span


class SettlementWindow(Terms):
    """The listed indicators are measured in the last `reading_within` of the window, and settled."""

    reads: Literal["settlement"]
    id: Id
    clause: Clause
    after: Span
    settles: Annotated[tuple[Id, ...], Field(min_length=1)]
    reading_within: Span = Field(default="P1M", validate_default=True)
    readings_due: Count = 10


Window = Annotated[TrendWindow | SettlementWindow, Field(discriminator="reads")]


class Bet(Terms):
    """Part of the fee is paid only if the value shows. The measuring start is the go-live date (Q04)."""

    id: Id
    clause: Clause
    title: Title
    indicators: Annotated[tuple[BetIndicator, ...], Field(min_length=1)]
    windows: Annotated[tuple[Window, ...], Field(min_length=1)]

    def indicator(self, indicator_id: str) -> BetIndicator:
        for terms in self.indicators:
            if terms.indicator == indicator_id:
                return terms
        known = ", ".join(terms.indicator for terms in self.indicators)
        raise NotFound(
            f"found indicator {indicator_id!r} for bet {self.id}, expected one of {known}"
        )


Named = TypeVar("Named", FeeLine, Milestone, Bet)


def _time_zone(name: str) -> str:
    if not (ZONE.fullmatch(name) and _has_zone(name)):
        raise Refused(f"found {name!r}, expected a time zone such as Asia/Shanghai", "timezone")
    return name


def _has_zone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False


def _currency(code: str) -> str:
    if code not in MINOR_DIGITS:
        raise Refused(f"found {code!r}, expected one of {', '.join(MINOR_DIGITS)}", "currency")
    return code


class Agreement(Terms):
    """What every contract states. `version` counts amendments; each has its own effective date."""

    apiVersion: Literal["tollkeeper/v1"]
    kind: Literal["Contract"]
    id: Id
    version: Annotated[Count, Field(ge=1)]
    title: Title
    signed_on: Day
    effective_on: Day
    currency: Annotated[str, AfterValidator(_currency)]
    timezone: Annotated[str, AfterValidator(_time_zone)]
    # What they say is written out where they are named, so that their paths need not travel.
    uses: Annotated[tuple[Text, ...], Field(max_length=MAX_USES, exclude=True)] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _amounts_in_its_currency(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        currency = given.get("currency") if isinstance(given, dict) else None
        with amounts_in(currency if isinstance(currency, str) else ""):
            return read(given)

    def reference(self) -> str:
        """How documents and explanations name this version, such as `KA-2024-019@v2`."""
        return f"{self.id}@v{self.version}"

    def digest(self) -> str:
        """SHA-256 of the canonical text: the same agreement, however its document is laid out."""
        return sha256(canonical(self).encode()).hexdigest()


def _with_those_of_parts(given: object, info: ValidationInfo) -> object:
    """With the indicators of used catalogues that a bet or a miss hold names."""
    parts = _parts(info)
    if parts is None or not isinstance(given, list | tuple):
        return given
    bets: tuple[Bet, ...] = info.data.get("bets", ())
    holds: tuple[MissHold, ...] = info.data.get("miss_holds", ())
    named = {terms.indicator for bet in bets for terms in bet.indicators}
    named.update(hold.indicator for hold in holds)
    return (*given, *parts.indicators(named))


class Contract(Agreement):
    """A consulting contract that the engine carries from signature to settlement."""

    parties: Parties
    calendar: AgreedCalendar
    tax: AgreedTax
    approvals: Approvals
    fees: Annotated[tuple[FeeLine, ...], Field(min_length=1)]
    micro_consulting: MicroConsulting
    milestones: Annotated[tuple[Milestone, ...], Field(min_length=1)]
    holdback: Holdback
    bets: Annotated[tuple[Bet, ...], Field(min_length=1)]
    miss_holds: Annotated[tuple[MissHold, ...], Field(exclude_if=_nothing)] = ()
    own_indicators: Annotated[
        tuple[CatalogueEntry, ...],
        BeforeValidator(_with_those_of_parts),
        Field(validate_default=True, exclude_if=_nothing),
    ] = ()
    payment: Annotated[Payment | None, Field(exclude_if=_nothing)] = None
    hold_clocks: Annotated[HoldClocks | None, Field(exclude_if=_nothing)] = None
    taxes: Annotated[tuple[AgreedTax, ...], Field(exclude_if=_nothing)] = ()
    retention: Annotated[Retention | None, Field(exclude_if=_nothing)] = None
    advance: Annotated[Advance | None, Field(exclude_if=_nothing)] = None
    service_credits: Annotated[ServiceCredits | None, Field(exclude_if=_nothing)] = None
    gain_share: Annotated[GainShare | None, Field(exclude_if=_nothing)] = None
    ceilings: Annotated[tuple[Ceiling, ...], Field(exclude_if=_nothing)] = ()

    def fee(self, fee_id: str) -> FeeLine:
        return _named(self.fees, fee_id, "fee line")

    def milestone(self, milestone_id: str) -> Milestone:
        return _named(self.milestones, milestone_id, "milestone")

    def milestones_of(self, phase: Phase) -> tuple[Milestone, ...]:
        return tuple(terms for terms in self.milestones if terms.phase is phase)

    def bet(self, bet_id: str) -> Bet:
        return _named(self.bets, bet_id, "bet")

    def holdback_amount(self) -> Money:
        """The part of its fee line that waits for the bet, rounded once (BET-02)."""
        return self.fee(self.holdback.fee).amount.share(self.holdback.rate)

    def tax_of(self, fee_id: str) -> Tax:
        """The tax of a fee line: the one it names, else the contract's own, as for the gain share."""
        of_gain_share = self.gain_share is not None and self.gain_share.id == fee_id
        code = None if of_gain_share else self.fee(fee_id).tax
        for tax in self.taxes:
            if tax.code == code:
                return tax
        return self.tax

    def lines_of(self, milestone_id: str) -> tuple[MilestoneLine, ...]:
        """Everything that a milestone's acceptance earns, its own fee first."""
        terms = self.milestone(milestone_id)
        first = MilestoneLine(
            clause=terms.clause, title=terms.title, fee=terms.fee, amount=terms.amount
        )
        return (first, *terms.more)

    def policy_for(
        self, decision: Decision, subject: str | None, amount: Money
    ) -> AutomaticPolicy | None:
        """The automatic policy that covers a decision, if one does.

        Args:
            subject: the id in this document; none for what only people name, such as a refund.
        """
        for policy in self.approvals.automatic:
            within = policy.up_to is None or amount.minor <= policy.up_to.minor
            if decision in policy.decisions and policy.of in {None, subject} and within:
                return policy
        return None

    def hold_ids(self) -> set[str]:
        """The holds that the contract itself places."""
        retention = {self.retention.id} if self.retention else set()
        return {self.holdback.id, *(hold.id for hold in self.miss_holds), *retention}

    def loss_bound(self) -> Money:
        """Most that may be invoiced before PROCEED: the micro-consulting fee, net (MC-09)."""
        return self.fee(self.micro_consulting.fee).amount

    def people(self) -> "People":
        return People(everyone=(*self.parties.client.people, *self.parties.consultant.people))

    def working_calendar(self) -> BusinessCalendar:
        """The working days that travel with an engagement under this contract."""
        first = self.signed_on.year
        return self.calendar.covering(self.timezone, first, first + YEARS_COVERED)

    def indicators(self) -> Mapping[str, Indicator]:
        """What its bets may measure: the shipped catalogue, and the contract's own indicators."""
        own = {entry.id: entry.indicator for entry in self.own_indicators}
        return {**catalogue().indicators, **own}


class People(Terms):
    """Who may sign what."""

    everyone: tuple[Person, ...]

    def require(self, person_id: str, *roles: Role) -> None:
        """Refuse a signature that the contract does not give that person; one of the roles is enough.

        Raises:
            NotAuthorised: unknown person, or a person without the role.
        """
        holders = [person.id for person in self.everyone if not set(roles).isdisjoint(person.roles)]
        if person_id not in holders:
            wanted = " or ".join(role.value.replace("_", " ") for role in roles)
            raise NotAuthorised(
                f"found {person_id!r}, expected the contract's {wanted}: "
                f"{' or '.join(holders) or 'nobody is named'}"
            )


def _named(items: tuple[Named, ...], wanted: str, noun: str) -> Named:
    for item in items:
        if item.id == wanted:
            return item
    known = ", ".join(item.id for item in items)
    raise NotFound(f"found {noun} {wanted!r}, expected one of {known}")
