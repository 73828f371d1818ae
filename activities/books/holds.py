"""The rows of holds: read and locked, written, moved, changed by compare-and-set."""

from activities.agreement import Agreement
from activities.postgres import Connection
from contracts.commercial import HoldClocks, HoldEffect, HoldKind
from contracts.errors import NotFound, TransitionError
from contracts.explanation import Explanation
from contracts.money import Money
from lifecycle.hold import Hold, moved
from lifecycle.orders import A, Order

TIME_ONLY = {HoldKind.RETENTION}
"""Only time must pass before it is released; every other hold waits for performance."""


async def hold_of(connection: Connection, engagement_id: str, hold_id: str) -> Hold:
    """A hold, locked until the end of the transaction.

    Raises:
        NotFound: the engagement has no such hold.
    """
    await connection.execute("select 1 from hold where hold_id = $1 for update", hold_id)
    row = await connection.fetchrow(
        """
        select b.*, t.*
        from hold_balance b cross join lateral (
            select coalesce(sum(tax_minor) filter (where movement = 'placed'), 0)::bigint
                       as placed_tax_minor,
                   coalesce(sum(tax_minor) filter (where movement <> 'placed'), 0)::bigint
                       as decided_tax_minor
            from hold_movement m where m.hold_id = b.hold_id
        ) t
        where hold_id = $1 and engagement_id = $2
        """,
        hold_id,
        engagement_id,
    )
    if row is None:
        raise NotFound(f"found hold {hold_id!r}, expected one of engagement {engagement_id}")
    amounts = {
        name: Money(row[f"{name}_minor"], row["currency"])
        for name in ("placed", "placed_tax", "released", "forfeited", "decided_tax", "reserved")
    }
    names = Hold.model_fields.keys() - amounts.keys() - {"id"}
    return Hold.model_validate({"id": hold_id, **amounts, **{name: row[name] for name in names}})


async def insert_hold(
    connection: Connection,
    order: Order[A],
    *,
    hold_id: str,
    clause: str,
    kind: HoldKind,
    effect: HoldEffect,
    fee: str,
    currency: str,
    reason: str,
    bet: str | None = None,
    milestone: str | None = None,
    invoice: str | None = None,
    invoice_line: int | None = None,
    evidence: str | None = None,
    clocks: HoldClocks | None = None,
    due_at: object = None,
) -> None:
    """Write a hold; what it holds is in its movements.

    Raises:
        TransitionError: that id stands for another hold.
    """
    written = await connection.execute(
        """
        insert into hold
            (hold_id, engagement_id, clause, kind, effect, condition, fee, bet, milestone, invoice,
             invoice_line, currency, reason, evidence, placed_by, placed_at, state, due_at, clocks)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 'active', $17, $18)
        on conflict (hold_id) do nothing
        """,
        hold_id,
        order.engagement_id,
        clause,
        kind,
        effect,
        "time_only" if kind in TIME_ONLY else "performance",
        fee,
        bet,
        milestone,
        invoice,
        invoice_line,
        currency,
        reason,
        evidence,
        order.by,
        order.at,
        due_at,
        clocks and clocks.model_dump(mode="json"),
    )
    if written != "INSERT 0 1":
        raise TransitionError(f"found hold {hold_id} placed already, expected a new id")


async def move(
    connection: Connection,
    order: Order[A],
    hold_id: str,
    movement: str,
    amount: Money,
    tax: Money | None = None,
    explanation: Explanation | None = None,
) -> None:
    """Write what was placed, released or forfeited: net, and the tax inside an invoiced part.

    Args:
        explanation: why so much is placed; what leaves a hold has a decision with its own.
    """
    await connection.execute(
        """
        insert into hold_movement
            (hold_id, movement, amount_minor, tax_minor, key, occurred_at, explanation)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        hold_id,
        movement,
        amount.minor,
        tax.minor if tax else 0,
        order.key,
        order.at,
        explanation and explanation.model_dump(mode="json"),
    )


async def change(connection: Connection, before: Hold, after: Hold) -> None:
    """Compare and set the state, the flag and the clock of a hold.

    Raises:
        TransitionError: it is not in the state that the change starts from.
    """
    done = await connection.execute(
        """
        update hold set state = $2, disputed_at = $3, due_at = $4, extensions = $5
        where hold_id = $1 and state = $6
          and disputed_at is not distinct from $7 and due_at is not distinct from $8
        """,
        before.id,
        after.state,
        after.disputed_at,
        after.due_at,
        after.extensions,
        before.state,
        before.disputed_at,
        before.due_at,
    )
    if done != "UPDATE 1":
        raise TransitionError(f"hold {before.id}: found it changed, expected it as it was")


async def settle(connection: Connection, engagement_id: str, hold_id: str) -> None:
    """After a movement: settle a hold that holds nothing, open one again that holds something."""
    hold = await hold_of(connection, engagement_id, hold_id)
    if (after := moved(hold)) != hold:
        await change(connection, hold, after)


def named_in_contract(terms: Agreement, hold: Hold) -> str:
    """How the contract names what a hold is about, for its automatic policies."""
    own = hold.id.rpartition(".")[2]
    return own if own in terms.contract.hold_ids() else hold.milestone or own
