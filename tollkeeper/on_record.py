"""What the database has on one engagement, read in one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from activities.books.requests import read_request
from activities.measured import readings_of
from activities.postgres import Connection
from contracts.contract import Contract, Milestone, SettlementWindow
from contracts.events import EventType
from contracts.indicators import Indicator
from contracts.money import Money
from lifecycle.approval import Request
from lifecycle.bet import Reading, Verdict
from lifecycle.invoice import Purpose
from lifecycle.milestone import MilestoneState
from lifecycle.orders import Assessed
from lifecycle.process import EngagementPhase
from tollkeeper.views.base import contract_of, money
from tollkeeper.views.engagements import EngagementDetail, Happening, Process, engagement_of
from tollkeeper.views.holds import HoldBalance, holds_of

AS_AGREED = (
    Purpose.MICRO,
    Purpose.MILESTONE,
    Purpose.HOLDBACK,
    Purpose.RELEASE,
    Purpose.DELTA,
)
"""Documents that bill what the contract says; every other takes something of it back."""


@dataclass(frozen=True)
class Claim:
    """What the ledger has, and it is not for good: on `account`, of an invoice or of an advance.

    1110, 1120 and 1130 are gross, 2200 and 2110 net. `item` is the dispute, or the advance.
    """

    account: str
    amount: Money
    invoice: str | None = None
    hold: str | None = None
    item: str | None = None


@dataclass(frozen=True)
class Lost:
    """What a decision has forfeited of a hold that keeps a milestone from being invoiced."""

    key: str
    hold: str
    amount: Money
    decided_by: str


@dataclass(frozen=True)
class TakenBack:
    """What a document took of a fee line, other than by a verdict; negative where it billed it again."""

    number: str
    fee: str
    clause: str
    purpose: str
    corrects: str | None
    amount: Money


@dataclass(frozen=True)
class Disputed:
    """An open dispute about an invoice."""

    id: str
    invoice: str
    reason: str
    raised_by: str
    raised_at: datetime


@dataclass(frozen=True)
class Records:
    """What the database has on one engagement.

    `billed` is by fee line, less what was credited, in the contract's prices; `booked` are the keys
    of the orders that billed, released or forfeited; `verdicts` are by window, `defaults` what the
    silence about a hold means, `requests` in the order they were made.
    """

    contract: Contract
    indicators: Mapping[str, Indicator]
    engagement: EngagementDetail
    now: datetime
    billed: Mapping[str, Money]
    booked: frozenset[str]
    verdicts: Mapping[str, Verdict]
    holds: Sequence[HoldBalance]
    readings: Sequence[Reading]
    events: Sequence[Happening]
    requests: Sequence[Request] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    claims: Sequence[Claim] = ()
    lost: Sequence[Lost] = ()
    taken_back: Sequence[TakenBack] = ()
    disputes: Sequence[Disputed] = ()

    def id(self, *path: str) -> str:
        return ".".join(("eng", self.engagement.id, *path))

    def process(self, *path: str) -> Process | None:
        return self.process_of(self.id(*path))

    def process_of(self, workflow_id: str) -> Process | None:
        return next((p for p in self.engagement.processes if p.id == workflow_id), None)

    def hold(self, hold_id: str) -> HoldBalance:
        (found,) = (hold for hold in self.holds if hold.id == hold_id)
        return found

    def milestone(self, terms: Milestone) -> Process | None:
        return self.process("milestone", terms.id)

    def is_billed(self, terms: Milestone) -> bool:
        return f"{self.id('milestone', terms.id)}:bill" in self.booked

    def is_accepted(self, terms: Milestone) -> bool:
        process = self.milestone(terms)
        done = (MilestoneState.ACCEPTED, MilestoneState.BILLED)
        return self.is_billed(terms) or (process is not None and process.state in done)

    @property
    def given_up(self) -> bool:
        phases = (EngagementPhase.SHELVED, EngagementPhase.CLOSED)
        return self.engagement.proceeded_at is None and self.engagement.phase in phases


async def records_of(connection: Connection, engagement_id: str) -> Records:
    """All of it.

    Raises:
        NotFound: no such engagement.
    """
    contract = await contract_of(connection, engagement_id)
    engagement = await engagement_of(connection, engagement_id)
    indicators = await connection.fetchval(
        """
        select c.indicators from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where engagement_id = $1
        """,
        engagement_id,
    )
    booked = await connection.fetch(
        """
        select key from invoice where engagement_id = $1
        union all
        select m.key from hold_movement m join hold using (hold_id) where engagement_id = $1
        """,
        engagement_id,
    )
    known = [Indicator.model_validate(entry) for entry in indicators]
    return Records(
        contract=contract,
        indicators={indicator.id: indicator for indicator in known},
        engagement=engagement,
        now=engagement.clock_now or datetime.now(UTC),
        billed=await _billed(connection, engagement_id),
        booked=frozenset(row["key"] for row in booked),
        verdicts=await _verdicts(connection, engagement_id, contract),
        holds=await holds_of(connection, engagement_id),
        readings=await readings_of(connection, engagement_id),
        events=await _events(connection, engagement_id),
        requests=await _requests(connection, engagement_id),
        defaults=await _defaults(connection, engagement_id),
        claims=await _claims(connection, engagement_id),
        lost=await _lost(connection, engagement_id),
        taken_back=await _taken_back(connection, engagement_id, contract),
        disputes=await _disputes(connection, engagement_id),
    )


async def _billed(connection: Connection, engagement_id: str) -> dict[str, Money]:
    """By fee line, as the ledger counts what is billed against the value of the contract (M30)."""
    rows = await connection.fetch(
        "select level, billed_minor, currency from cap_level where engagement_id = $1",
        engagement_id,
    )
    return {
        row["level"].removeprefix("fee:"): money(row["billed_minor"], row["currency"])
        for row in rows
        if row["level"].startswith("fee:")
    }


async def _verdicts(
    connection: Connection, engagement_id: str, contract: Contract
) -> dict[str, Verdict]:
    bet = contract.bet(contract.holdback.bet)
    keys = [
        f"eng.{engagement_id}.bet.{bet.id}:{window.id}:verdict"
        for window in bet.windows
        if isinstance(window, SettlementWindow)
    ]
    rows = await connection.fetch("select window_id, result from verdict where key = any($1)", keys)
    found = {row["window_id"]: Assessed.model_validate(row["result"]).verdict for row in rows}
    return {window: verdict for window, verdict in found.items() if verdict}


async def _events(connection: Connection, engagement_id: str) -> list[Happening]:
    """The events that tell how far a wait has come."""
    rows = await connection.fetch(
        """
        select workflow_id as process, type, occurred_at, actor, command_id, facts
        from event where engagement_id = $1 and type = any($2) order by id
        """,
        engagement_id,
        [
            EventType.REMINDER_RAISED,
            EventType.DECISION_SIGNED,
            EventType.DECISION_SPLIT,
            EventType.REWORK_ORDERED,
            EventType.MILESTONE_REJECTED,
        ],
    )
    return [Happening(**dict(row)) for row in rows]


async def _requests(connection: Connection, engagement_id: str) -> list[Request]:
    rows = await connection.fetch(
        """
        select q.*, array(
            select person from approval_signature s
            where s.request_id = q.request_id order by signed_at, place
        ) as people
        from approval_request q where engagement_id = $1 order by requested_at, request_id
        """,
        engagement_id,
    )
    return [read_request(row, tuple(row["people"])) for row in rows]


async def _defaults(connection: Connection, engagement_id: str) -> dict[str, str]:
    rows = await connection.fetch(
        """
        select hold_id, clocks->>'default' as means from hold
        where engagement_id = $1 and clocks is not null
        """,
        engagement_id,
    )
    return {row["hold_id"]: row["means"] for row in rows}


async def _claims(connection: Connection, engagement_id: str) -> list[Claim]:
    rows = await connection.fetch(
        """
        select p.account, p.hold, p.item, p.currency,
               coalesce(p.invoice, max(p.advanced)) as invoice,
               sum(case p.side when a.normal then p.amount_minor else -p.amount_minor end) as minor
        from (
            select account, side, amount_minor, currency, hold, group_id,
                   case when account in ('1110', '1120', '1130') then invoice end as invoice,
                   case when account = '2110' and side = 'C' then invoice end as advanced,
                   case when account in ('1130', '2110') then item end as item
            from posting where account in ('1110', '1120', '1130', '2110', '2200')
        ) p
        join journal_group g on g.id = p.group_id join account a on a.code = p.account
        where g.engagement_id = $1
        group by p.account, p.invoice, p.hold, p.item, p.currency
        having sum(case p.side when a.normal then p.amount_minor else -p.amount_minor end) <> 0
        order by p.account, p.invoice, p.hold, p.item
        """,
        engagement_id,
    )
    return [
        Claim(
            account=row["account"],
            amount=money(row["minor"], row["currency"]),
            invoice=row["invoice"],
            hold=row["hold"],
            item=row["item"],
        )
        for row in rows
    ]


async def _lost(connection: Connection, engagement_id: str) -> list[Lost]:
    rows = await connection.fetch(
        """
        select d.key, d.hold_id, d.amount_minor, d.currency, d.decided_by
        from decision_record d join hold h using (hold_id)
        where h.engagement_id = $1 and d.decision = 'forfeited'
          and h.effect = 'block_invoicing' and h.milestone is not null
        order by d.key
        """,
        engagement_id,
    )
    return [
        Lost(
            row["key"],
            row["hold_id"],
            money(row["amount_minor"], row["currency"]),
            row["decided_by"],
        )
        for row in rows
    ]


async def _taken_back(
    connection: Connection, engagement_id: str, contract: Contract
) -> list[TakenBack]:
    """Documents that moved what a fee line has billed, but for those of the contract and its verdicts."""
    bet = f"eng.{engagement_id}.bet.{contract.holdback.bet}:"
    rows = await connection.fetch(
        """
        select i.number, i.purpose, i.corrects, i.currency, p.item,
               (select l.clause from invoice_line l
                where l.number = i.number and 'fee:' || l.fee = p.item order by line limit 1) as clause,
               sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end) as minor
        from posting p join invoice i on i.number = p.invoice
        where i.engagement_id = $1 and p.account = 'M30' and p.item like 'fee:%'
          and i.purpose <> all($2) and not starts_with(i.key, $3)
        group by i.number, p.item order by i.issued_on, i.number
        """,
        engagement_id,
        list(AS_AGREED),
        bet,
    )
    return [
        TakenBack(
            number=row["number"],
            fee=row["item"].removeprefix("fee:"),
            clause=row["clause"],
            purpose=row["purpose"],
            corrects=row["corrects"],
            amount=money(row["minor"], row["currency"]),
        )
        for row in rows
    ]


async def _disputes(connection: Connection, engagement_id: str) -> list[Disputed]:
    rows = await connection.fetch(
        """
        select dispute_id as id, invoice, reason, raised_by, raised_at from dispute
        where engagement_id = $1 and state = 'open' order by dispute_id
        """,
        engagement_id,
    )
    return [Disputed(**dict(row)) for row in rows]
