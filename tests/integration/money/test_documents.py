"""Documents on a real PostgreSQL: several rates, gross prices, retention, an advance, blocks, credits."""

from fractions import Fraction
from typing import Any

import pytest

from contracts.commercial import Advance, Payment, Retention, RetentionStep
from contracts.contract import Contract, MilestoneLine, Tax
from contracts.fields import Title
from contracts.money import Money, parse_amount
from tollkeeper.queries import balances, invoice


def cny(amount: str) -> Money:
    return parse_amount(amount, "CNY")


def titled(en: str) -> Title:
    return Title(en=en)


def changed(contract: Contract, **update: Any) -> Contract:
    return Contract.model_validate_json(contract.model_copy(update=update).model_dump_json())


@pytest.fixture(scope="session")
def two_rates(key_account: Contract) -> Contract:
    """M1 also bills licences at 13 % and travel at 6 %, both with their tax inside."""
    fees = tuple(
        key_account.fees[0].model_copy(
            update={"id": id, "title": titled(id), "amount": cny(amount), "tax": tax, "prices": "gross"}
        )
        for id, amount, tax in [("licences", "100.00", "CN-VAT-13"), ("travel", "333.33", None)]
    )
    more = tuple(
        MilestoneLine(clause="4.1", title=titled(fee.id), fee=fee.id, amount=fee.amount) for fee in fees
    )
    first, *rest = key_account.milestones
    return changed(
        key_account,
        fees=(*key_account.fees, *fees),
        taxes=(Tax(clause="3.4", code="CN-VAT-13", rate=Fraction(13, 100)),),
        milestones=(first.model_copy(update={"more": more}), *rest),
        payment=Payment(clause="3.5", days=30),
    )


async def accounts(pool: Any, id: str = "E1") -> dict[str, str]:
    return {row.account: str(row.balance) for row in await balances(pool, id)}


async def begun(story: Any, contract: Contract) -> Any:
    one = story(contract=contract)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    return one


async def test_one_invoice_has_all_lines_of_a_milestone_each_with_the_tax_of_its_fee(
    story, pool, two_rates
):
    one = await begun(story, two_rates)
    billed = await one.delivered("M1")
    print(await accounts(pool), billed)
    for table in ("invoice", "invoice_line", "invoice_tax"):
        for row in await pool.fetch(f"select * from {table} where number = $1", billed.number):
            print({k: v for k, v in dict(row).items() if k not in ("explanation",)})
    from tollkeeper.verify import verify
    for c in (await verify(pool)).checks:
        print(c.id, c.checked, c.violations)
    print(await invoice(pool, billed.number))
    print(await pool.fetchval("select payload from outbox where key = $1", billed.number))
