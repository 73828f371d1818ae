"""Caps: value authorised, reserved, billed and given back at each level, in the memo ledger."""

from activities.agreement import Agreement
from activities.books.journal import post
from activities.postgres import Connection
from contracts.contract import Contract
from contracts.money import Money
from lifecycle.caps import Level, authorised, changes
from lifecycle.ledger import (
    Amounts,
    value_authorised,
    value_billed,
    value_credited,
    value_freed,
    value_lowered,
    value_reserved,
)
from lifecycle.orders import A, Order


async def authorise(
    connection: Connection, order: Order[A], terms: Agreement, before: Contract | None = None
) -> None:
    """Authorise the value of the contract, or what it changes against the version before (E28).

    Raises:
        CapExceeded: a level would be lowered below what is reserved and billed of it.
    """
    await authorise_more(connection, order, terms, before)
    await authorise_less(connection, order, terms, before)


async def authorise_more(
    connection: Connection, order: Order[A], terms: Agreement, before: Contract | None
) -> None:
    """Authorise what the contract has more than the version before (E28)."""
    raised, _ = _changed(terms, before)
    if raised:
        await post(connection, order, terms, value_authorised(raised), part="raised")


async def authorise_less(
    connection: Connection, order: Order[A], terms: Agreement, before: Contract | None
) -> None:
    """Lower the value by what the contract has less than the version before (E28).

    Raises:
        CapExceeded: a level would be lowered below what is reserved and billed of it.
    """
    _, lowered = _changed(terms, before)
    if lowered:
        await post(connection, order, terms, value_lowered(lowered), part="lowered")
        for level in await levels(connection, terms):
            level.require(Money(0, terms.contract.currency))


def _changed(terms: Agreement, before: Contract | None) -> tuple[Amounts, Amounts]:
    earlier = authorised(before) if before else {}
    return _by_sign(changes(earlier, authorised(terms.contract)))


async def require_within(connection: Connection, terms: Agreement, asked: Amounts) -> None:
    """Refuse what would not stay within every level; the engagement's row is locked (c.5-11).

    Raises:
        CapExceeded: the first level, `contract` before the others, that has too little left.
    """
    found = {level.level: level for level in await levels(connection, terms)}
    for level, amount in asked.items():
        if amount.minor > 0:
            found[level].require(amount)


async def reserve(
    connection: Connection, order: Order[A], terms: Agreement, asked: Amounts
) -> None:
    """Reserve value for what is asked for and not billed yet.

    Raises:
        CapExceeded: too little is left at a level.
    """
    await require_within(connection, terms, asked)
    await post(connection, order, terms, value_reserved(asked), part="reserved")


async def free(connection: Connection, order: Order[A], terms: Agreement, held: Amounts) -> None:
    """Void a reservation."""
    await post(connection, order, terms, value_freed(held), part="freed")


async def bill(
    connection: Connection, order: Order[A], terms: Agreement, parts: Amounts, number: str
) -> None:
    """Count a document at its levels: a positive part uses value, a negative one gives it back.

    Raises:
        CapExceeded: too little is left at a level; with the transaction, the document is undone.
    """
    await require_within(connection, terms, parts)
    used, given_back = _by_sign(parts)
    if used:
        await post(connection, order, terms, value_billed(used, invoice=number), part=number)
    if given_back:
        group = value_credited(given_back, invoice=number)
        await post(connection, order, terms, group, part=f"{number}:credited")


async def levels(connection: Connection, terms: Agreement) -> list[Level]:
    """How far each level is used, `contract` first."""
    rows = await connection.fetch(
        """
        select level, authorised_minor, reserved_minor, billed_minor from cap_level
        where engagement_id = $1 order by level <> 'contract', level
        """,
        terms.engagement_id,
    )
    currency = terms.contract.currency
    return [
        Level(
            level=row["level"],
            authorised=Money(row["authorised_minor"], currency),
            reserved=Money(row["reserved_minor"], currency),
            billed=Money(row["billed_minor"], currency),
        )
        for row in rows
    ]


def _by_sign(parts: Amounts) -> tuple[Amounts, Amounts]:
    """The positive parts, and the negative ones as positive amounts."""
    more = {level: part for level, part in parts.items() if part.minor > 0}
    less = {
        level: Money(-part.minor, part.currency) for level, part in parts.items() if part.minor < 0
    }
    return more, less
