"""Holdbacks: placed at go-live, released or forfeited on the verdict of a window."""

from temporalio import activity

from activities.agreement import Agreement, agreement
from activities.billing import issue
from activities.ledger import post
from activities.postgres import Connection, Pool, once
from activities.timeline import happened, send
from activities.value_bets import verdict_of
from contracts.contract import HoldEffect
from contracts.errors import NotFound
from contracts.events import EventType
from contracts.explanation import Explanation, Input
from contracts.fields import Title, percent
from contracts.money import Money
from lifecycle.bet import IndicatorVerdict
from lifecycle.hold import Hold
from lifecycle.invoice import Line, draft, fixed_fee_line
from lifecycle.ledger import (
    Account,
    Dimensions,
    earned,
    invoiced,
    stake_hit,
    stake_missed,
    stake_opened,
    tax_of_part,
    withheld_forfeited,
    withheld_released,
)
from lifecycle.orders import (
    A,
    Decided,
    ForfeitHoldback,
    Order,
    Placed,
    PlaceHoldback,
    ReleaseHoldback,
)


class Holdbacks:
    """Activities that place, release and forfeit the part of the fee that is at risk."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def place_holdback(self, order: PlaceHoldback) -> Placed:
        """Place the holdback of a bet; where the clause says so, invoice it with payment withheld."""
        return await once(self.pool, order, lambda connection: _place(connection, order))

    @activity.defn
    async def release_holdback(self, order: ReleaseHoldback) -> Decided:
        """Release what a settled window won.

        Raises:
            NotFound: the window has no verdict, or the hold is not placed.
            TransitionError: more than is held.
        """
        return await once(self.pool, order, lambda connection: _release(connection, order))

    @activity.defn
    async def forfeit_holdback(self, order: ForfeitHoldback) -> Decided:
        """Forfeit what a settled window lost: a decision on record, a credit note where invoiced.

        Raises:
            NotFound: the window has no verdict, or the hold is not placed.
            TransitionError: more than is held.
        """
        return await once(self.pool, order, lambda connection: _forfeit(connection, order))


async def _place(connection: Connection, order: PlaceHoldback) -> Placed:
    terms = await agreement(connection, order.engagement_id)
    holdback, amount = terms.contract.holdback, terms.contract.holdback_amount()
    hold_id = _hold_id(terms)
    number = None
    if holdback.effect is HoldEffect.WITHHOLD_PAYMENT:
        number = await _invoice_withheld(connection, order, terms, amount)
    await connection.execute(
        """
        insert into hold (hold_id, engagement_id, clause, kind, effect, fee, bet, currency, invoice)
        values ($1, $2, $3, 'VALUE_BET', $4, $5, $6, $7, $8)
        """,
        hold_id,
        order.engagement_id,
        holdback.clause,
        holdback.effect,
        holdback.fee,
        order.bet,
        amount.currency,
        number,
    )
    await _move(connection, order, hold_id, "placed", amount)
    of = Dimensions(fee=holdback.fee, hold=hold_id, invoice=number)
    if number is None:
        await post(connection, order, terms, stake_opened(amount, of))
    else:
        tax = await _tax_of(connection, number, amount.currency)
        await post(connection, order, terms, earned(amount, of, Account.REVENUE_AT_RISK))
        await post(connection, order, terms, invoiced(amount, tax, of, withheld=True))
    await happened(
        connection,
        order,
        terms,
        EventType.HOLD_PLACED,
        hold=hold_id,
        amount=str(amount),
        effect=holdback.effect.value,
    )
    return Placed(hold=hold_id, amount=amount, invoice=number)


async def _invoice_withheld(
    connection: Connection, order: PlaceHoldback, terms: Agreement, amount: Money
) -> str:
    contract = terms.contract
    fee = contract.fee(contract.holdback.fee)
    basis = Input(
        name="holdback",
        value=f"{percent(contract.holdback.rate)} of {fee.amount}",
        source=f"clause {contract.holdback.clause}",
    )
    line = fixed_fee_line(
        contract, f"{order.workflow_id}:placed", contract.holdback.clause, fee.title, amount, basis
    )
    return await issue(connection, order, terms, draft(contract, (line,)), "invoice", withheld=True)


async def _release(connection: Connection, order: ReleaseHoldback) -> Decided:
    terms = await agreement(connection, order.engagement_id)
    verdict = await verdict_of(connection, order.workflow_id, order.window)
    hold, invoice = await _hold(connection, _hold_id(terms))
    lines = tuple(_line(order, part) for part in verdict.indicators if part.released.minor)
    hold.require(verdict.released)
    of = Dimensions(fee=terms.contract.holdback.fee, hold=hold.id, invoice=invoice)
    if invoice is None:
        priced = draft(terms.contract, lines)
        document: str | None = await issue(connection, order, terms, priced, "invoice")
        of = of.model_copy(update={"invoice": document})
        await post(connection, order, terms, stake_hit(priced.net, priced.tax, of))
    else:
        document = invoice
        tax = await _part_of_tax(connection, hold, invoice, verdict.released)
        await post(connection, order, terms, withheld_released(verdict.released + tax, of))
        await _tell_finance(connection, order, terms, invoice, verdict.released, tax)
    await _move(connection, order, hold.id, "released", verdict.released)
    await _decision(
        connection, order, terms, hold, "released", verdict.released, document,
        [line.explanation for line in lines],
    )  # fmt: skip
    return Decided(amount=verdict.released, document=document)


async def _tell_finance(
    connection: Connection,
    order: ReleaseHoldback,
    terms: Agreement,
    invoice: str,
    net: Money,
    tax: Money,
) -> None:
    """No new document: a part of an invoice that was issued before has become payable."""
    payload: dict[str, object] = {
        "release": order.key,
        "invoice": invoice,
        "released_on": terms.local_date(order.at).isoformat(),
        "sandbox": terms.book == "sandbox",
        "engagement": order.engagement_id,
        "currency": net.currency,
        "net": str(net),
        "tax": str(tax),
        "payable": str(net + tax),
    }
    await send(connection, order, terms.book, "release", order.key, payload)


async def _forfeit(connection: Connection, order: ForfeitHoldback) -> Decided:
    terms = await agreement(connection, order.engagement_id)
    verdict = await verdict_of(connection, order.workflow_id, order.window)
    hold, invoice = await _hold(connection, _hold_id(terms))
    lines = tuple(_line(order, part) for part in verdict.indicators if part.forfeited.minor)
    hold.require(verdict.forfeited)
    of = Dimensions(fee=terms.contract.holdback.fee, hold=hold.id, invoice=invoice)
    document = None
    if invoice is None:
        await post(connection, order, terms, stake_missed(verdict.forfeited, of))
    else:
        tax = await _part_of_tax(connection, hold, invoice, verdict.forfeited)
        priced = draft(terms.contract, lines, tax)
        document = await issue(connection, order, terms, priced, "credit_note", corrects=invoice)
        await post(connection, order, terms, withheld_forfeited(priced.net, tax, of))
    await _move(connection, order, hold.id, "forfeited", verdict.forfeited)
    await _decision(
        connection, order, terms, hold, "forfeited", verdict.forfeited, document,
        [line.explanation for line in lines],
    )  # fmt: skip
    return Decided(amount=verdict.forfeited, document=document)


def _line(order: ReleaseHoldback | ForfeitHoldback, part: IndicatorVerdict) -> Line:
    released = isinstance(order, ReleaseHoldback)
    movement = "released" if released else "forfeited"
    amount = part.released if released else part.forfeited
    return Line(
        claim=f"{order.workflow_id}:{order.window}:{part.indicator}:{movement}",
        clause=part.explanation.clause,
        title=Title(en=f"{part.indicator} {movement}, window {order.window}"),
        net=amount,
        explanation=part.explanation.model_copy(update={"amount": amount}),
    )


def _hold_id(terms: Agreement) -> str:
    return f"eng.{terms.engagement_id}.hold.{terms.contract.holdback.id}"


async def _hold(connection: Connection, hold_id: str) -> tuple[Hold, str | None]:
    """The buckets of a hold, locked against a second decision, and the invoice it withholds."""
    await connection.execute("select 1 from hold where hold_id = $1 for update", hold_id)
    row = await connection.fetchrow("select * from hold_balance where hold_id = $1", hold_id)
    if row is None:
        raise NotFound(f"found no hold {hold_id}, expected it to be placed at go-live")
    currency = row["currency"]
    hold = Hold(
        id=hold_id,
        placed=Money(row["placed_minor"], currency),
        released=Money(row["released_minor"], currency),
        forfeited=Money(row["forfeited_minor"], currency),
    )
    return hold, row["invoice"]


async def _part_of_tax(connection: Connection, hold: Hold, invoice: str, part: Money) -> Money:
    tax = await _tax_of(connection, invoice, part.currency)
    return tax_of_part(tax, hold.placed, hold.decided, part)


async def _tax_of(connection: Connection, number: str, currency: str) -> Money:
    return Money(
        await connection.fetchval("select tax_minor from invoice where number = $1", number),
        currency,
    )


async def _move(
    connection: Connection, order: Order[A], hold_id: str, movement: str, amount: Money
) -> None:
    await connection.execute(
        """
        insert into hold_movement (hold_id, movement, amount_minor, key, occurred_at)
        values ($1, $2, $3, $4, $5)
        """,
        hold_id,
        movement,
        amount.minor,
        order.key,
        order.at,
    )


async def _decision(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    decision: str,
    amount: Money,
    document: str | None,
    explanations: list[Explanation],
) -> None:
    """Put the decision on record, with who decided: a clause, as the contract has it decide alone."""
    await connection.execute(
        """
        insert into decision_record
            (key, engagement_id, hold_id, decision, amount_minor, currency,
             decided_by, decided_on, document, explanations)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        order.key,
        order.engagement_id,
        hold.id,
        decision,
        amount.minor,
        amount.currency,
        order.by,
        terms.local_date(order.at),
        document,
        [explanation.model_dump(mode="json") for explanation in explanations],
    )
    kind = EventType.HOLD_RELEASED if decision == "released" else EventType.HOLD_FORFEITED
    await happened(
        connection, order, terms, kind, hold=hold.id, amount=str(amount), document=document
    )
