"""Posting to the journal: money without an engagement, parts of one order, reversals, bounds."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import pytest

from activities.books.journal import Journal, post_to
from activities.postgres import Connection, Pool, once
from contracts.errors import TransitionError
from contracts.money import Money
from contracts.setting import Book
from lifecycle.ledger import Group, mirror, received, refunded, value_authorised
from lifecycle.orders import Done, Order
from tollkeeper.verify import verify

BANK = Journal(book=Book.LIVE, entity="QM", customer="ACME", day=date(2025, 3, 31))


class PostMoney(Order[Done]):
    """Money that belongs to no engagement yet."""


class Entry(NamedTuple):
    group: Group
    part: str | None = None
    reverses: int | None = None


def cny(minor: int) -> Money:
    return Money(minor, "CNY")


async def posted(pool: Pool, key: str, *entries: Entry, where: Journal = BANK) -> None:
    order = PostMoney(
        key=key,
        engagement_id="",
        workflow_id="",
        at=datetime(2025, 3, 31, 2, 0, tzinfo=UTC),
        by="bank",
    )

    async def effect(connection: Connection) -> Done:
        for group, part, reverses in entries:
            await post_to(connection, order, where, group, part=part, reverses=reverses)
        return Done()

    await once(pool, order, effect)


async def wrong(pool: Pool) -> Sequence[str]:
    """What the invariants of the journal have to say."""
    checks = (await verify(pool)).checks
    mine = {"groups-balance", "groups-unaltered", "trial-balance", "accounts-not-negative"}
    return [violation for check in checks if check.id in mine for violation in check.violations]


async def test_money_of_a_customer_is_posted_without_an_engagement(pool: Pool) -> None:
    await posted(pool, "receipt.QM.1", Entry(received(cny(10_000), receipt="1")))

    (row,) = await pool.fetch("select * from journal_group")
    assert {name: row[name] for name in ("key", "engagement_id", "entity", "customer", "book")} == {
        "key": "receipt.QM.1:E07",
        "engagement_id": None,
        "entity": "QM",
        "customer": "ACME",
        "book": "live",
    }
    assert row["effective_on"] == date(2025, 3, 31)
    lines = await pool.fetch("select account, side, fee, invoice, item from posting order by line")
    assert [tuple(line.values()) for line in lines] == [
        ("1000", "D", None, None, "1"),
        ("2300", "C", None, None, "1"),
    ]
    assert await wrong(pool) == []


async def test_one_order_posts_several_groups_of_one_code_by_their_parts(pool: Pool) -> None:
    await posted(
        pool,
        "statement.7",
        Entry(received(cny(10_000), receipt="1"), part="1"),
        Entry(received(cny(20_000), receipt="2"), part="2"),
    )
    keys = await pool.fetch("select key from journal_group order by id")
    assert [row["key"] for row in keys] == ["statement.7:E07:1", "statement.7:E07:2"]


async def test_a_group_is_reversed_once(pool: Pool) -> None:
    """c.5-16"""
    group = received(cny(10_000), receipt="1")
    await posted(pool, "receipt.QM.1", Entry(group))
    reversed_id = await pool.fetchval("select id from journal_group")
    reversal = Entry(mirror(group), reverses=reversed_id)

    await posted(pool, "receipt.QM.1:reverse", reversal)
    with pytest.raises(TransitionError, match="reverses"):
        await posted(pool, "receipt.QM.1:reverse-again", reversal)

    assert await wrong(pool) == []


async def test_credit_is_counted_by_customer_over_all_receipts(pool: Pool) -> None:
    """c.5-4: a refund has its own item, and draws on whatever the customer has paid."""
    await posted(pool, "receipt.QM.1", Entry(received(cny(10_000), receipt="1")))
    await posted(pool, "refund.QM.1", Entry(refunded(cny(10_000), refund="RF1")))
    assert await wrong(pool) == []

    other = Journal(book=Book.LIVE, entity="QM", customer="OTHER", day=date(2025, 3, 31))
    await posted(pool, "refund.QM.2", Entry(refunded(cny(1), refund="RF2")), where=other)
    assert await wrong(pool) == [
        "live book of QM, customer OTHER, account 2300 Customer credit, unapplied cash: "
        "found -0.01 CNY, expected 0 or more"
    ]


async def test_each_level_is_bounded_by_itself(pool: Pool) -> None:
    """c.5-4"""
    await posted(pool, "up", Entry(value_authorised({"contract": cny(500), "fee:p": cny(200)})))
    await posted(pool, "down", Entry(mirror(value_authorised({"fee:p": cny(300)}))))
    assert await wrong(pool) == [
        f"no engagement, account {account}, fee:p: found -1.00 CNY, expected 0 or more"
        for account in ("M10 Authorised value", "M19 Authorised value, contra")
    ]
