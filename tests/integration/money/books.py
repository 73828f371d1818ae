"""Documents on record as an engagement leaves them, for tests of what happens to them afterwards."""

from datetime import date
from typing import Any

from activities.postgres import Pool, transaction
from contracts.money import Money


async def written(
    pool: Pool,
    number: str,
    *,
    minor: int = 10_600,
    document: str = "invoice",
    book: str = "live",
) -> dict[str, Any]:
    """An issued document of that gross amount with its message, which is returned."""
    payload = {
        "number": number,
        "document": document,
        "seller": "Qiming Value Consulting Co., Ltd. 启明",
        "gross": str(Money(minor, "CNY")),
        "currency": "CNY",
    }
    async with transaction(pool) as connection:
        engagement = await _engagement(connection, book)
        await connection.execute(
            """
            insert into effect
                (key, digest, kind, actor, occurred_at, content, result, engagement_id)
            values ($1, '', 'bill_milestone', 'eng.E1', now(), '{}', '{}', $2)
            """,
            number,
            engagement,
        )
        await connection.execute(
            """
            insert into invoice (number, document, purpose, series, year, sequence, key, part,
                engagement_id, contract_id, contract_version, book, customer, issued_on, due_on,
                currency, net_minor, tax_minor, gross_minor)
            values ($1, $2, 'milestone', $5, 2026, $6, $1, 'whole', $3, 'C1', 1, $4, 'client', $7, $7,
                'CNY', $8, 0, $8)
            """,
            number,
            document,
            engagement,
            book,
            number.rpartition("-")[0],
            int(number.rpartition("-")[2]),
            date(2026, 3, 2),
            minor,
        )
        await _sent(connection, number, document, book, engagement, payload)
    return payload


async def release(pool: Pool, key: str, payable: str) -> None:
    """The message of withheld money that became payable."""
    async with transaction(pool) as connection:
        engagement = await _engagement(connection, "live")
        payload = {"release": key, "payable": payable, "currency": "CNY"}
        await _sent(connection, key, "release", "live", engagement, payload)


async def _sent(
    connection: Any, key: str, kind: str, book: str, engagement: str, payload: dict[str, Any]
) -> None:
    await connection.execute(
        "insert into outbox (key, kind, book, engagement_id, payload) values ($1, $2, $3, $4, $5)",
        key,
        kind,
        book,
        engagement,
        payload,
    )


async def _engagement(connection: Any, book: str) -> str:
    """One engagement a book, on the live clock or on a test clock."""
    await connection.execute(
        """
        insert into contract_version (contract_id, version, digest, document, indicators, effective_on)
        values ('C1', 1, '', '{}', '[]', '2026-01-05') on conflict do nothing
        """
    )
    await connection.execute(
        """
        insert into engagement (engagement_id, contract_id, contract_version, book, clock, clock_now,
            phase, opened_at)
        values ($1, 'C1', 1, $1, case $1 when 'live' then 'live' else 'test' end,
            case $1 when 'live' then null else '2026-03-02 10:00+08'::timestamptz end,
            'consulting', '2026-01-05 10:00+08')
        on conflict do nothing
        """,
        book,
    )
    return book
