"""Change orders: proposed, agreed by both sides, applied on their day with one delta document."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from temporalio import activity

from activities.agreement import Agreement, agreement, require_named, working_days_of
from activities.approvals import CarriedOut, ask, carries_out, guards
from activities.billing.caps import authorise_less, authorise_more
from activities.billing.credit_notes import room_of
from activities.billing.invoices import billed_line, issue
from activities.books.journal import post
from activities.engagements import register_version
from activities.holds.lines import line_of
from activities.postgres import Connection, Pool, once
from activities.timeline import happened
from contracts.commercial import Decision
from contracts.contract import Contract, Phase, SettlementWindow
from contracts.errors import EngagementError, NotAuthorised, TransitionError, Unavailable
from contracts.events import EventType
from contracts.indicators import Indicator
from contracts.money import Money
from lifecycle.approval import Request, with_authority
from lifecycle.change_limits import Standing, require_possible
from lifecycle.change_order import Bill, Pricing, Tranche, billed_of, document, price
from lifecycle.invoice import Draft, Purpose
from lifecycle.ledger import delta_credited, delta_invoiced, earned_anew
from lifecycle.orders import A, Order
from lifecycle.orders.approvals import Requested
from lifecycle.orders.change_orders import ApplyChange, ChangeApplied, ProposeChange


class ChangeOrders:
    """Activities on change orders."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def propose_change(self, order: ProposeChange) -> Requested:
        """Ask both sides to agree on the next version of the contract.

        Raises:
            NotAuthorised: the contract does not name that person, or nobody of a side has authority.
            TransitionError: it changes what is settled, or another change order is under way.
        """
        return await once(self.pool, order, lambda connection: _propose(connection, order))

    @activity.defn
    async def apply_change(self, order: ApplyChange) -> ChangeApplied:
        """Put an agreed change order in force, where that has not been done yet; or let it lapse."""
        return await once(self.pool, order, lambda connection: _apply_agreed(connection, order))


@dataclass(frozen=True)
class Change:
    """A change order as its row has it, locked."""

    id: str
    contract: Contract
    retroactive: bool
    state: str
    invoice: str | None


async def priced(
    connection: Connection, terms: Agreement, new: Contract, *, retroactive: bool, at: datetime
) -> Pricing:
    """What a new version would change, in force from an instant; nothing is written.

    Raises:
        TransitionError: it changes what is settled.
        TermsError: it is no later version of the engagement's contract.
    """
    standing = await _standing(connection, terms, at)
    require_possible(terms.contract, new, standing, retroactive=retroactive)
    return price(terms.contract, new, await _bills(connection, terms))


async def _propose(connection: Connection, order: ProposeChange) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    await _require_none_under_way(connection, terms)
    pricing = await priced(
        connection, terms, order.contract, retroactive=order.retroactive, at=order.at
    )
    _require_signers(terms, pricing.size, order.by)
    new = order.contract
    change_id = f"eng.{order.engagement_id}.change.{order.change}"
    requested = await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.CHANGE_ORDER,
        subject=change_id,
        named=None,
        payload={
            "change": change_id,
            "contract": new.reference(),
            "sha256": new.digest(),
            "effective_on": new.effective_on.isoformat(),
            "retroactive": order.retroactive,
            "reason": order.reason,
            "edits": list(pricing.edits),
        },
        amount=pricing.size,
        effect_key=change_id,
    )
    await connection.execute(
        """
        insert into change_order
            (change_id, engagement_id, request_id, version, digest, document, retroactive, reason,
             effective_on, due_at, state, key)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'proposed', $3)
        """,
        change_id,
        order.engagement_id,
        order.key,
        new.version,
        new.digest(),
        new.model_dump(mode="json"),
        order.retroactive,
        order.reason,
        new.effective_on,
        datetime.combine(new.effective_on, time(), ZoneInfo(terms.contract.timezone)),
    )
    return requested


async def _require_none_under_way(connection: Connection, terms: Agreement) -> None:
    """One at a time: the next one starts from the version that this one makes."""
    other = await connection.fetchrow(
        """
        select change_id, c.state, c.effective_on
        from change_order c
        where c.engagement_id = $1 and (c.state = 'agreed' or exists (
            select from approval_request q where q.effect_key = c.change_id and q.state = 'pending'
        ))
        """,
        terms.engagement_id,
    )
    if other is not None:
        waits = "its signatures" if other["state"] == "proposed" else str(other["effective_on"])
        raise TransitionError(
            f"change order {other['change_id']}: found it waiting for {waits}, expected none under "
            "way; withdraw it, or wait for it"
        )


def _require_signers(terms: Agreement, amount: Money, requester: str) -> None:
    """Somebody else of each side can sign: otherwise it would wait for nobody and expire."""
    able = {entry.person for entry in with_authority(terms.contract, amount)} - {requester}
    parties = terms.contract.parties
    for side, party in (("client", parties.client), ("consultant", parties.consultant)):
        if not able & {person.id for person in party.people}:
            raise NotAuthorised(
                f"found nobody of the {side} with authority for {amount} {amount.currency}, not "
                f"counting {requester!r}, who asks for it, expected one who can sign (clause "
                f"{terms.contract.approvals.clause})"
            )


@guards(Decision.CHANGE_ORDER)
async def _still_possible(connection: Connection, terms: Agreement, request: Request) -> None:
    change = await _change(connection, request.subject)
    await _require_none_under_way(connection, terms)
    await priced(
        connection,
        terms,
        change.contract,
        retroactive=change.retroactive,
        at=request.requested_at,
    )


@carries_out(Decision.CHANGE_ORDER)
async def _agreed(
    connection: Connection, order: Order[Requested], terms: Agreement, request: Request
) -> CarriedOut:
    """Both sides have signed: in force at once, or on its day."""
    change = await _change(connection, request.subject)
    await _move(connection, change, "proposed", "agreed", order.at, request_id=request.id)
    await happened(
        connection,
        order,
        terms,
        EventType.CHANGE_AGREED,
        change=change.id,
        contract=change.contract.reference(),
        effective_on=change.contract.effective_on.isoformat(),
    )
    if terms.local_date(order.at) < change.contract.effective_on:
        await priced(
            connection, terms, change.contract, retroactive=change.retroactive, at=order.at
        )
        return CarriedOut(amount=request.amount)
    number = await _apply(connection, order, terms, change)
    return CarriedOut(amount=request.amount, document=number)


async def _apply_agreed(connection: Connection, order: ApplyChange) -> ChangeApplied:
    terms = await agreement(connection, order.engagement_id)
    change = await _change(connection, order.change)
    number = change.invoice
    if change.state == "agreed":
        try:
            async with connection.transaction():
                number = await _apply(connection, order, terms, change)
        except Unavailable:
            raise
        except EngagementError as refused:
            return await _lapsed(connection, order, terms, change, str(refused))
    rows = await connection.fetch(
        """
        select workflow_id from process
        where engagement_id = $1 and not finished and workflow_id <> $2 order by workflow_id
        """,
        order.engagement_id,
        change.id,
    )
    return ChangeApplied(
        state="applied",
        contract=change.contract,
        running=tuple(row["workflow_id"] for row in rows),
        document=number,
    )


async def _lapsed(
    connection: Connection, order: ApplyChange, terms: Agreement, change: Change, why: str
) -> ChangeApplied:
    await _move(connection, change, "agreed", "lapsed", order.at, refusal=why)
    await happened(connection, order, terms, EventType.CHANGE_LAPSED, change=change.id, why=why)
    return ChangeApplied(state="lapsed")


async def _apply(
    connection: Connection, order: Order[A], terms: Agreement, change: Change
) -> str | None:
    """The new version is the engagement's; the number of the delta document, where there is one.

    Raises:
        TransitionError: it changes what is settled by now.
        CapExceeded: a level would be below what is committed of it (c.5-11).
        KeyReused: that version is registered with another text.
    """
    new = change.contract
    pricing = await priced(connection, terms, new, retroactive=change.retroactive, at=order.at)
    await register_version(connection, new, await _indicators(connection, terms, new))
    await connection.execute(
        "update engagement set contract_version = $2 where engagement_id = $1",
        terms.engagement_id,
        new.version,
    )
    after = await agreement(connection, terms.engagement_id)
    # What is taken off gives its value back before a level is lowered to where it is to be.
    await authorise_more(connection, order, after, terms.contract)
    number = None
    if pricing.document:
        number = await _correct(connection, order, after, pricing, change.id)
    await authorise_less(connection, order, after, terms.contract)
    await _move(connection, change, "agreed", "applied", order.at, invoice=number)
    await happened(
        connection,
        order,
        after,
        EventType.CHANGE_APPLIED,
        change=change.id,
        contract=new.reference(),
        sha256=new.digest(),
        document=number,
        net=str(pricing.delta.net),
    )
    return number


async def _correct(
    connection: Connection, order: Order[A], terms: Agreement, pricing: Pricing, change: str
) -> str:
    """Issue the delta document and post it: what was earned, then what is claimed."""
    await _require_left(connection, terms, pricing)
    delta = document(terms.contract, pricing, change)
    kind = pricing.document
    assert kind
    lower = kind == "credit_note"
    corrected = sorted({each.line.number for each in pricing.corrections})
    number = await issue(
        connection,
        order,
        terms,
        delta,
        kind,
        Purpose.DELTA,
        corrects=corrected[0] if lower and len(corrected) == 1 else None,
    )
    earned = [(each.line.fee, each.part.net) for each in pricing.corrections]
    if any(net.minor for _, net in earned):
        await post(connection, order, terms, earned_anew(earned))
    nets, taxes = delta.nets(), delta.taxes()
    if lower:
        for invoice in corrected:
            await _credit(connection, order, terms, delta.correcting(invoice), invoice, number)
    elif any(each.minor for each in (*nets.values(), *taxes.values())):
        await post(connection, order, terms, delta_invoiced(nets, taxes, invoice=number))
    return number


async def _credit(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    part: Draft,
    invoice: str,
    note: str,
) -> None:
    room = await room_of(connection, terms, invoice)
    settled = room.settled(part.gross)
    group = delta_credited(part.nets(), part.taxes(), invoice=invoice, note=note, settled=settled)
    await post(connection, order, terms, group, part=invoice)


async def _require_left(connection: Connection, terms: Agreement, pricing: Pricing) -> None:
    """Refuse to take off a line what was credited of it already, or is held."""
    for each in pricing.corrections:
        if each.part.net.minor >= 0:
            continue
        name = f"{each.line.number}/{each.line.line}"
        room = (await line_of(connection, terms, name)).creditable_net
        if (room + each.part.net).minor < 0:
            raise TransitionError(
                f"line {name}: found {-each.part.net} to be taken off, expected at most the {room} "
                "that is neither credited nor held"
            )


# What there is.


async def _bills(connection: Connection, terms: Agreement) -> list[Bill]:
    """What was billed of milestones and of micro-consulting, with what change orders made of it."""
    rows = await connection.fetch(
        """
        select b.*, i.key, i.purpose,
               coalesce(l.corrects_number, l.number) as root,
               coalesce(l.corrects_line, l.line) as root_line
        from billed_line b join invoice_line l using (number, line) join invoice i using (number)
        where i.engagement_id = $1 and i.document = 'invoice'
          and i.purpose in ('micro', 'milestone', 'delta')
        order by i.year, i.sequence, b.line
        """,
        terms.engagement_id,
    )
    bills = defaultdict[str, dict[int, list[asyncpg.Record]]](lambda: defaultdict(list))
    for row in rows:
        bills[row["root"]][row["root_line"]].append(row)
    forfeited = await _forfeited(connection, terms)
    return [
        Bill(
            number=number,
            what=(what := billed_of(tranches[1][0]["purpose"], tranches[1][0]["key"])),
            forfeited=forfeited.get(what, Money(0, terms.contract.currency)),
            tranches=tuple(
                Tranche(
                    fee=parts[0]["fee"],
                    net=Money(sum(part["net_minor"] for part in parts), parts[0]["currency"]),
                    lines=tuple(billed_line(part) for part in parts),
                )
                for parts in tranches.values()
            ),
        )
        for number, tranches in bills.items()
    ]


async def _forfeited(connection: Connection, terms: Agreement) -> dict[str, Money]:
    rows = await connection.fetch(
        """
        select milestone, sum(forfeited_minor)::bigint as minor from hold_balance
        where engagement_id = $1 and milestone is not null and effect = 'block_invoicing'
        group by milestone
        """,
        terms.engagement_id,
    )
    return {row["milestone"]: Money(row["minor"], terms.contract.currency) for row in rows}


async def _standing(connection: Connection, terms: Agreement, at: datetime) -> Standing:
    """How far the engagement has come by then; its row is locked, so it comes no further meanwhile."""
    row = await connection.fetchrow(
        """
        select e.closed_at is not null as closed,
               e.phase <> 'value_positioning' or exists (
                   select from process p
                   where p.engagement_id = e.engagement_id and p.kind = 'micro_consulting'
               ) as micro,
               exists (select from hold h where h.engagement_id = e.engagement_id and h.bet is not null)
                   as staked,
               exists (select from hold h where h.engagement_id = e.engagement_id and h.kind = 'RETENTION')
                   as retained,
               exists (select from approval_request q where q.engagement_id = e.engagement_id
                         and q.decision = 'gain_share' and q.state in ('pending', 'approved')) as shared,
               exists (select from approval_request q where q.engagement_id = e.engagement_id
                         and q.decision = 'service_credit' and q.state in ('pending', 'approved'))
                   as credited,
               array(select hold_id from hold h where h.engagement_id = e.engagement_id) as holds,
               array(select distinct m->>'id' from contract_version c
                     cross join jsonb_array_elements(c.document->'milestones') m
                     where c.contract_id = e.contract_id and c.version < e.contract_version) as named,
               array(select l.fee from invoice_line l join invoice i using (number)
                     where i.engagement_id = e.engagement_id
                     union select h.fee from hold h where h.engagement_id = e.engagement_id
                     -- Earned, net of that tax, and perhaps not billed yet.
                     union select p.fee from posting p join journal_group g on g.id = p.group_id
                     where g.engagement_id = e.engagement_id and p.account = '1200') as taxed
        from engagement e where e.engagement_id = $1
        """,
        terms.engagement_id,
    )
    assert row is not None
    happened_to = await connection.fetch(
        """
        select type, coalesce(facts->>'milestone', facts->>'phase') as what, occurred_at from event
        where engagement_id = $1 and type = any($2::text[]) order by id
        """,
        terms.engagement_id,
        [EventType.PHASE_BEGUN, EventType.MILESTONE_SUBMITTED, EventType.MILESTONE_EVALUATED],
    )
    by_type = defaultdict[str, list[str]](list)
    for each in happened_to:
        by_type[each["type"]].append(each["what"])
    accepted = {
        each["what"]: each["occurred_at"]
        for each in happened_to
        if each["type"] == EventType.MILESTONE_EVALUATED
    }
    (live_at,) = (accepted.get(m.id) for m in terms.contract.milestones if m.go_live)
    return Standing(
        closed=row["closed"],
        staked="it is placed"
        if row["staked"]
        else await _staked(connection, terms, accepted, live_at, at),
        begun=tuple(Phase(name) for name in by_type[EventType.PHASE_BEGUN]),
        handed_in=frozenset(by_type[EventType.MILESTONE_SUBMITTED]) | accepted.keys(),
        accepted=frozenset(accepted),
        billed=await _billed(connection, terms),
        retired=frozenset(row["named"]) - {m.id for m in terms.contract.milestones},
        in_use=_in_use(terms, row, measuring=live_at is not None),
        taxed=frozenset(row["taxed"]),
        held_back=await _held_back(connection, terms),
        advanced=await _advanced(connection, terms),
    )


async def _staked(
    connection: Connection,
    terms: Agreement,
    accepted: Mapping[str, datetime],
    live_at: datetime | None,
    at: datetime,
) -> str | None:
    """Why the holdback, which is not placed yet, stays what it is from then on.

    It is placed when all is accepted. Where that takes longer than the first settlement window, what
    is won or lost is known before.
    """
    if live_at is None:
        return None
    if all(milestone.id in accepted for milestone in terms.contract.milestones):
        return "every milestone is accepted, and it is being placed"
    calendar, bet = await working_days_of(connection, terms), terms.contract.holdback.bet
    live_on = calendar.local_date(live_at)
    for window in terms.contract.bet(bet).windows:
        over = calendar.period_after(live_on, window.after) <= at
        if isinstance(window, SettlementWindow) and over:
            return f"window {window.id} is over, and what it wins or loses is known"
    return None


def _in_use(terms: Agreement, row: asyncpg.Record, *, measuring: bool) -> dict[str, str]:
    """The clauses that act already, with what they did."""
    holds = {hold.rpartition(".")[2] for hold in row["holds"]}
    missed = sorted(holds & {each.id for each in terms.contract.miss_holds})
    reasons = {
        "micro_consulting": row["micro"] and "it has begun",
        "bets": measuring and "the go-live milestone is accepted, and measuring has begun",
        "own_indicators": measuring
        and "the go-live milestone is accepted, and measuring has begun",
        "miss_holds": missed and f"{', '.join(missed)} is placed",
        "retention": row["retained"] and "a part is retained",
        "gain_share": row["shared"] and "a benefit is reported",
        "service_credits": row["credited"] and "a credit is granted, or asked for",
    }
    return {name: why for name, why in reasons.items() if why}


async def _billed(connection: Connection, terms: Agreement) -> frozenset[str]:
    rows = await connection.fetch(
        "select key, purpose from invoice where engagement_id = $1 and purpose = 'milestone'",
        terms.engagement_id,
    )
    return frozenset(billed_of(row["purpose"], row["key"]) for row in rows)


async def _held_back(connection: Connection, terms: Agreement) -> dict[str, Money]:
    rows = await connection.fetch(
        """
        select milestone, sum(held_minor + forfeited_minor)::bigint as minor from hold_balance
        where engagement_id = $1 and milestone is not null group by milestone
        """,
        terms.engagement_id,
    )
    return {row["milestone"]: Money(row["minor"], terms.contract.currency) for row in rows}


async def _advanced(connection: Connection, terms: Agreement) -> Money | None:
    """What of the advance is invoiced and not credited, in the prices of its fee; none before."""
    row = await connection.fetchrow(
        """
        select sum(sign * l.net_minor)::bigint as net,
               sum(sign * (l.net_minor + l.tax_minor))::bigint as gross
        from invoice_line l join invoice i using (number)
        cross join lateral (select case i.document when 'invoice' then 1 else -1 end as sign) s
        where i.engagement_id = $1 and i.purpose = 'advance'
        """,
        terms.engagement_id,
    )
    assert row is not None
    if row["net"] is None:
        return None
    advance = terms.contract.advance
    prices = terms.contract.fee(advance.fee).prices if advance else "net"
    return Money(row[prices], terms.contract.currency)


async def _indicators(
    connection: Connection, terms: Agreement, new: Contract
) -> tuple[Indicator, ...]:
    """As they were at opening; one that the new version is the first to name, as it is now."""
    known = new.indicators()
    named = {each.indicator for bet in new.bets for each in bet.indicators}
    named |= {hold.indicator for hold in new.miss_holds}
    frozen = {name: known[name] for name in sorted(named)} | terms.indicators
    return tuple(frozen[name] for name in sorted(frozen))


async def _change(connection: Connection, change_id: str) -> Change:
    row = await connection.fetchrow(
        "select * from change_order where change_id = $1 for update", change_id
    )
    assert row is not None
    return Change(
        id=row["change_id"],
        contract=Contract.model_validate(row["document"]),
        retroactive=row["retroactive"],
        state=row["state"],
        invoice=row["invoice"],
    )


async def _move(
    connection: Connection, change: Change, found: str, to: str, at: datetime, **set_to: Any
) -> None:
    """Compare and set."""
    column = "agreed_at" if to == "agreed" else "ended_at"
    done = await connection.execute(
        f"""
        update change_order set state = $3, {column} = $4,
               refusal = coalesce($5, refusal), invoice = coalesce($6, invoice),
               request_id = coalesce($7, request_id)
        where change_id = $1 and state = $2
        """,
        change.id,
        found,
        to,
        at,
        set_to.get("refusal"),
        set_to.get("invoice"),
        set_to.get("request_id"),
    )
    if done != "UPDATE 1":
        raise TransitionError(
            f"change order {change.id}: found it {change.state}, expected {found} to become {to}"
        )
