"""Numbers without a gap while the transactions that take them are killed (c.5-9)."""

from urllib.parse import urlsplit

from activities.billing.invoices import Billing
from bench.ledger import Death, Whole, issued_under_kills
from tollkeeper.verify import verify
from tollkeeper.views.documents import invoices

INVOICES = 600
"""The bench issues 10,000 in the same way."""


async def test_numbers_have_no_gap_though_one_transaction_in_twenty_is_killed(databases):
    """Eight writers; whoever is cut off asks again under the same key, and has one document."""
    async with databases.copy() as pool:
        name = await pool.fetchval("select current_database()")
        dsn = urlsplit(databases.dsn)._replace(path=f"/{name}").geturl()
        issued = await issued_under_kills(dsn, INVOICES, seed=7)

        assert set(issued.killed) == set(Death)
        numbers = [f"TEST-QM-INV-2024-{n:06}" for n in range(1, INVOICES + 1)]
        assert sorted(row.number for row in await invoices(pool)) == numbers
        assert sorted(str(answer.number) for answer in issued.answers.values()) == numbers
        whole, billing = Whole(pool), Billing(pool)
        for key, answer in issued.answers.items():
            assert await billing.bill_micro_consulting(whole.fee(key.split(".")[1])) == answer
        assert [check for check in (await verify(pool)).checks if not check.ok] == []
