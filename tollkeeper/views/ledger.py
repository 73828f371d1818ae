"""The ledger as people read it: the balance of each account, and what became of each fee."""

from pydantic import computed_field

from activities.postgres import Pool
from contracts.fields import Title
from contracts.money import Money
from contracts.setting import Book
from tollkeeper.views.base import Row, View, contract_of, money, require_known, snapshot


class Balance(View):
    """One account; `balance` is on its normal side."""

    book: Book
    account: str
    name: str
    ledger: str
    debit: Money
    credit: Money
    balance: Money


class Amounts(View):
    """An amount with its tax."""

    net: Money
    tax: Money

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> Money:
        return self.net + self.tax


class FeeMoney(View):
    """What became of one fee line, net; what is in no bucket is still to be earned."""

    fee: str
    clause: str
    title: Title
    amount: Money
    fixed: Money
    held: Money
    released: Money
    forfeited: Money
    invoiced: Amounts
    credited: Amounts


async def balances(pool: Pool, engagement_id: str | None = None) -> list[Balance]:
    """The accounts of one engagement, or of all, per book and currency.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await require_known(connection, engagement_id)
        rows = await connection.fetch(
            """
            select g.book, a.code, a.name, a.ledger, a.normal, p.currency,
                   coalesce(sum(p.amount_minor) filter (where p.side = 'D'), 0) as debit,
                   coalesce(sum(p.amount_minor) filter (where p.side = 'C'), 0) as credit
            from posting p
            join journal_group g on g.id = p.group_id
            join account a on a.code = p.account
            where $1::text is null or g.engagement_id = $1
            group by g.book, p.currency, a.code order by g.book, p.currency, a.code
            """,
            engagement_id,
        )
    return [_balance(row) for row in rows]


async def money_table(pool: Pool, engagement_id: str) -> list[FeeMoney]:
    """What became of each fee line of an engagement.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        contract = await contract_of(connection, engagement_id)
        rows = await connection.fetch(
            """
            with of_engagement as (
                select p.* from posting p join journal_group g on g.id = p.group_id
                where g.engagement_id = $1
            )
            select fee, 'fixed' as what,
                   sum(case side when 'C' then amount_minor else -amount_minor end) as net, 0 as tax
            from of_engagement where account = '4000' group by fee
            union all
            select fee, bucket, sum(minor), 0
            from hold_balance, lateral (values
                ('held', held_minor), ('released', released_minor), ('forfeited', forfeited_minor)
            ) as buckets (bucket, minor)
            where engagement_id = $1 group by fee, bucket
            union all
            select l.fee, i.document,
                   coalesce(sum(l.net_minor) filter (where i.purpose <> 'retention'), 0),
                   sum(l.tax_minor)
            from invoice i join invoice_line l using (number)
            where i.engagement_id = $1 and i.purpose <> 'advance' group by l.fee, i.document
            """,
            engagement_id,
        )
    found = {
        (row["fee"], row["what"]): Amounts(
            net=money(row["net"], contract.currency), tax=money(row["tax"], contract.currency)
        )
        for row in rows
    }
    nothing = Amounts(net=Money(0, contract.currency), tax=Money(0, contract.currency))
    return [
        FeeMoney(
            fee=fee.id,
            clause=fee.clause,
            title=fee.title,
            amount=fee.amount,
            fixed=found.get((fee.id, "fixed"), nothing).net,
            held=found.get((fee.id, "held"), nothing).net,
            released=found.get((fee.id, "released"), nothing).net,
            forfeited=found.get((fee.id, "forfeited"), nothing).net,
            invoiced=found.get((fee.id, "invoice"), nothing),
            credited=found.get((fee.id, "credit_note"), nothing),
        )
        for fee in contract.fees
    ]


def _balance(row: Row) -> Balance:
    debit, credit = money(row["debit"], row["currency"]), money(row["credit"], row["currency"])
    return Balance(
        book=row["book"],
        account=row["code"],
        name=row["name"],
        ledger=row["ledger"],
        debit=debit,
        credit=credit,
        balance=debit - credit if row["normal"] == "D" else credit - debit,
    )
