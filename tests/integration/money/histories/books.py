"""The database of histories: emptied for each, read for what is there, compared, checked."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
import uvloop

from activities.postgres import Pool, connect
from contracts.contract import Contract
from tollkeeper.verify import verify

T = TypeVar("T")
Row = dict[str, Any]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

KEPT = {"account", "alembic_version"}
"""Tables that every history starts with."""

SEEN = {
    "invoices": """
        select s.number, s.engagement_id, i.purpose, i.gross_minor, s.open_minor, s.paid_minor,
               s.gross_minor - s.credited_minor - (
                   select coalesce(sum(d.advance_minor), 0) from invoice d
                   where d.engagement_id = s.engagement_id
               ) as not_deducted_minor,
               (select json_agg(json_build_object('line', line, 'net', net_minor) order by line)
                from invoice_line l where l.number = s.number) as lines
        from invoice_settlement s join invoice i using (number) order by i.year, s.number
    """,
    "holds": """
        select hold_id, engagement_id, kind, effect, state, held_minor, due_at,
               held_minor - reserved_minor as free_minor, disputed_at is not null as disputed,
               clocks is not null and state = 'active' as curable,
               bet is null as decidable
        from hold_balance where state not in ('settled', 'cancelled') order by hold_id
    """,
    "pending": """
        select r.request_id, r.engagement_id, digest, amount_minor, requested_by, expires_at, (
                   select coalesce(json_agg(person order by person), '[]')
                   from approval_signature s where s.request_id = r.request_id
               ) as signed
        from approval_request r where state = 'pending' order by request_id
    """,
    "ended": """
        select request_id, engagement_id from approval_request
        where state in ('rejected', 'expired', 'superseded') order by request_id
    """,
    "receipts": """
        select receipt_id, exists (
            select from receipt_customer c where c.receipt_id = r.receipt_id
        ) as named
        from receipt r order by receipt_id
    """,
    "credits": """
        select source, customer, credit_minor - reserved_minor as free_minor from customer_credit
        where credit_minor > 0 order by source
    """,
    "payments": """
        select g.key, g.engagement_id, p.invoice, p.item as source
        from posting p join journal_group g on g.id = p.group_id
        where p.account = '2300' and g.code = 'E08'
          and not exists (select from journal_group r where r.reverses = g.id)
        order by g.key
    """,
    "disputes": """
        select dispute_id, engagement_id, amount_minor from dispute
        where state = 'open' order by dispute_id
    """,
    "changes": """
        select change_id, engagement_id, due_at from change_order where state = 'agreed' order by change_id
    """,
    "refunds": """
        select refund_id, engagement_id, state from refund
        where state not in ('confirmed', 'failed') order by refund_id
    """,
    "verdicts": """
        select engagement_id, window_id, result->>'decided_at' as decided_at,
               result #>> '{verdict,released}' not like '0.00 %' as released,
               result #>> '{verdict,forfeited}' not like '0.00 %' as forfeited
        from verdict where kind = 'settlement' order by engagement_id, window_id
    """,
    "groups": """
        select key, coalesce(engagement_id, 'E1') as engagement_id, code from journal_group g
        where code in ('E07', 'E08', 'E26')
          and not exists (select from journal_group r where r.reverses = g.id)
        order by code desc, key
    """,
}
"""What commands may be about, in an order that does not depend on how often they were tried."""

BROKEN = """
    select format('%s of %s stands at %s', account, about, minor) as what from (
        select p.account, about, sum(case p.side when a.normal then amount_minor else -amount_minor end)
                   as minor
        from posting p
        join account a on a.code = p.account
        join journal_group g on g.id = p.group_id
        cross join lateral (
            select case
                when p.account in ('1100', '1110', '1120', '1130') then p.invoice
                when p.account in ('2200', 'M40') then p.hold
                when p.account in ('1200') then concat(g.engagement_id, p.fee)
                when p.account like 'M%' then concat(g.engagement_id, p.item)
                else g.customer
            end as about
        ) of
        where a.never_negative group by p.account, about
    ) found where minor < 0
    union all
    select format('the %s ledger is out by %s', ledger, minor) from (
        select a.ledger, sum(case p.side when 'D' then amount_minor else -amount_minor end) as minor
        from posting p join account a on a.code = p.account group by a.ledger
    ) found where minor <> 0
    union all
    select format('%s holds %s, reserved %s', hold_id, held_minor, reserved_minor) from hold_balance
    where held_minor < 0 or reserved_minor > held_minor
        or placed_minor <> held_minor + released_minor + forfeited_minor
    union all
    select format('credit %s is %s, reserved %s', source, sum(credit_minor), max(reserved_minor))
    from customer_credit group by source having sum(credit_minor) < max(reserved_minor)
"""
"""What must be seen after no command: cheap enough for each."""


class Books:
    """One database, and a loop of its own: hypothesis calls from outside any loop."""

    def __init__(
        self, runner: asyncio.Runner, pool: Pool, beside: Connection, tables: list[str]
    ) -> None:
        self.runner = runner
        self.pool = pool
        self.beside = beside
        mutable = [table for table in tables if table not in KEPT]
        self._empty = "; ".join(
            [
                "set session_replication_role = replica",
                *(f"delete from {table}" for table in mutable),
                "reset session_replication_role",
            ]
        )
        of_each = " union all ".join(
            f"select '{table}', count(*), max(xmin::text::bigint) from {table}" for table in tables
        )
        # The server may look at the tables in any order, several at once.
        self._fingerprint = f"{of_each} order by 1"
        parts = ", ".join(
            f"(select coalesce(json_agg(q), '[]') from ({query}) q) as {name}"
            for name, query in {"broken": BROKEN, **SEEN}.items()
        )
        self._look = f"select row_to_json(seen) from (select {parts}) seen"

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    def empty(self) -> None:
        """As after the migration: without triggers, since what is written once is not deleted else."""
        self.run(self.beside.execute(self._empty))

    def fingerprint(self) -> list[tuple[Any, ...]]:
        """Of each table how many rows there are, and the latest transaction that wrote one of them."""
        return [tuple(row) for row in self.fetch(self._fingerprint)]

    def look(self) -> tuple[list[str], dict[str, list[Row]]]:
        """What is broken, and what there is for commands to be about."""
        seen = json.loads(self.fetch(self._look)[0][0])
        return [each["what"] for each in seen.pop("broken")], seen

    def contract(self, engagement: str) -> Contract:
        """The version that is in force."""
        (row,) = self.fetch(
            f"""
            select document from contract_version c join engagement e
              on c.contract_id = e.contract_id and c.version = e.contract_version
            where engagement_id = '{engagement}'
            """
        )
        return Contract.model_validate_json(row["document"])

    def violations(self) -> list[str]:
        """What `ledger verify` finds."""
        checks = self.run(verify(self.pool)).checks
        return [f"{check.id}: {fault}" for check in checks for fault in check.violations]

    def fetch(self, query: str) -> list[asyncpg.Record]:
        return self.run(self.beside.fetch(query))


@contextmanager
def books_on(dsn: str, name: str) -> Iterator[Books]:
    """A database of that name on the server, as migrated, dropped afterwards."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        admin = runner.run(asyncpg.connect(urlsplit(dsn)._replace(path="/postgres").geturl()))
        runner.run(admin.execute(f"create database {name} template tollkeeper"))
        # Nobody needs these books after a power cut.
        runner.run(admin.execute(f"alter database {name} set synchronous_commit = off"))
        here = urlsplit(dsn)._replace(path=f"/{name}").geturl()
        pool, beside = runner.run(connect(here, 2)), runner.run(asyncpg.connect(here))
        try:
            tables = "select tablename from pg_tables where schemaname = 'public' order by 1"
            names = [row[0] for row in runner.run(beside.fetch(tables))]
            yield Books(runner, pool, beside, names)
        finally:
            runner.run(beside.close())
            runner.run(pool.close())
            runner.run(admin.execute(f"drop database {name} with (force)"))
            runner.run(admin.close())
