"""Documents on a real PostgreSQL: several rates, gross prices, retention, an advance, blocks, credits."""

from fractions import Fraction
from typing import Any

import pytest

from activities.agreement import agreement
from activities.billing.advances import Advances
from activities.billing.invoices import billed_lines, issue
from activities.books.holds import insert_hold, move
from activities.books.journal import post
from activities.postgres import Connection, once
from contracts.calendar import Period
from contracts.commercial import Advance, HoldEffect, HoldKind, Payment, Retention, RetentionStep
from contracts.contract import Contract, MilestoneLine, Tax
from contracts.fields import Title
from contracts.money import Money, parse_amount
from lifecycle.invoice import Purpose, credit_of, draft, parts_of
from lifecycle.ledger import credit_applied, credited, received
from lifecycle.orders import Billed, Done, Order
from lifecycle.orders.adjustments import IssueAdvance
from tests.integration.conftest import Story
from tollkeeper.verify import verify
from tollkeeper.views.documents import invoice, invoices
from tollkeeper.views.explained import explain
from tollkeeper.views.holds import holds
from tollkeeper.views.ledger import balances

STEP = RetentionStep(id="R1Y", clause="7.2", after=Period.parse("P1Y"), share=Fraction(1))
RETENTION = Retention(
    id="RT1",
    clause="7.1",
    fee="project",
    rate=Fraction(5, 100),
    base="gross",
    tax="invoice",
    limit=Fraction(1, 60),
    release=(STEP,),
)
"""At most 30,000.00 of the project fee of 1,800,000.00."""


class Place(Order[Done]):
    """Block a milestone."""

    milestone: str
    amount: Money


class Forfeit(Order[Done]):
    """Forfeit a part of the block."""

    amount: Money


class Credit(Order[Billed]):
    """Credit a gross part of an invoice."""

    invoice: str
    gross: Money


class Pay(Order[Done]):
    """Pay an invoice."""

    invoice: str
    gross: Money


def cny(amount: str) -> Money:
    return parse_amount(amount, "CNY")


def changed(contract: Contract, **update: Any) -> Contract:
    """As the database gives it back."""
    return Contract.model_validate_json(contract.model_copy(update=update).model_dump_json())


@pytest.fixture(scope="session")
def two_rates(key_account: Contract) -> Contract:
    """M1 also bills licences at 13 % and travel at 6 %, both with their tax inside."""
    fees = tuple(
        key_account.fees[0].model_copy(
            update={
                "id": id,
                "title": Title(en=id),
                "amount": cny(amount),
                "tax": tax,
                "prices": "gross",
            }
        )
        for id, amount, tax in [("licences", "100.00", "CN-VAT-13"), ("travel", "333.33", None)]
    )
    more = tuple(
        MilestoneLine(clause="4.1", title=fee.title, fee=fee.id, amount=fee.amount) for fee in fees
    )
    first, *rest = key_account.milestones
    return changed(
        key_account,
        fees=(*key_account.fees, *fees),
        taxes=(Tax(clause="3.4", code="CN-VAT-13", rate=Fraction(13, 100)),),
        milestones=(first.model_copy(update={"more": more}), *rest),
        payment=Payment(clause="3.5", days=30),
    )


async def begun(story: Any, contract: Contract) -> Story:
    one: Story = story(contract=contract)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    return one


async def accounts(pool: Any) -> dict[str, str]:
    """The money ledger."""
    return {row.account: str(row.balance) for row in await balances(pool) if row.ledger == "money"}


async def is_verified(pool: Any) -> bool:
    verification = await verify(pool)
    assert [(check.id, check.violations) for check in verification.checks if not check.ok] == []
    return True


async def billed(one: Story, milestone: str = "M1") -> str:
    """The number of its invoice."""
    number = (await one.delivered(milestone)).number
    assert number
    return number


async def blocked(one: Story, milestone: str, amount: str) -> None:
    hold_id = f"eng.{one.id}.hold.H1"
    order = one.order(Place, "H1", "2024-12-01", milestone=milestone, amount=cny(amount))

    async def place(connection: Connection) -> Done:
        terms = await agreement(connection, one.id)
        await insert_hold(
            connection,
            order,
            hold_id=hold_id,
            clause="5.2",
            kind=HoldKind.ADMIN_BLOCK,
            effect=HoldEffect.BLOCK_INVOICING,
            fee=terms.contract.milestone(milestone).fee,
            currency="CNY",
            reason="the review minutes are unsigned",
            milestone=milestone,
        )
        await move(connection, order, hold_id, "placed", order.amount)
        return Done()

    await once(one.pool, order, place)


async def decided(one: Story, movement: str, amount: str) -> None:
    order = one.order(Forfeit, movement, "2024-12-03", amount=cny(amount))

    async def move_on(connection: Connection) -> Done:
        await move(connection, order, f"eng.{one.id}.hold.H1", movement, order.amount)
        return Done()

    await once(one.pool, order, move_on)


async def credit_note(one: Story, what: str, number: str, gross: str) -> str:
    """An open part taken back, from every line by what is left of it."""
    order = one.order(Credit, what, "2024-12-20", invoice=number, gross=cny(gross))

    async def write(connection: Connection) -> Billed:
        terms = await agreement(connection, one.id)
        lines = await billed_lines(connection, terms, number)
        first = (await invoice(one.pool, number)).lines[0].explanation
        note = draft(
            terms.contract,
            [
                credit_of(
                    line,
                    part,
                    claim=f"{order.key}:{line.line}",
                    clause="9",
                    explanation=first.model_copy(update={"amount": part.net}),
                )
                for line, part in parts_of(lines, order.gross)
            ],
        )
        written = await issue(
            connection, order, terms, note, "credit_note", Purpose.CORRECTION, corrects=number
        )
        nothing = Money(0, "CNY")
        group = credited(note.nets(), note.taxes(), invoice=number, note=written, settled=nothing)
        await post(connection, order, terms, group)
        return Billed(number=written, gross=note.gross)

    answer = await once(one.pool, order, write)
    assert answer.number
    return answer.number


async def paid(one: Story, number: str, gross: str) -> None:
    order = one.order(Pay, f"pay-{number}", "2024-12-10", invoice=number, gross=cny(gross))

    async def write(connection: Connection) -> Done:
        terms = await agreement(connection, one.id)
        await connection.execute(
            """
            insert into receipt (receipt_id, book, seller, account, reference, received_on, currency,
                                 amount_minor, payer, text, digest, recorded_by, key)
            values ('B1', 'sandbox', 'QM', 'bank', 'B1', '2024-12-10', 'CNY', $1, '', '', '', '', $2)
            """,
            order.gross.minor,
            order.key,
        )
        await connection.execute(
            """
            insert into receipt_customer (receipt_id, customer, named_by, key)
            values ('B1', 'HD', 'li.wei', $1)
            """,
            order.key,
        )
        await post(connection, order, terms, received(order.gross, receipt="B1"))
        await post(
            connection, order, terms, credit_applied(order.gross, source="B1", invoice=number)
        )
        return Done()

    await once(one.pool, order, write)


# Lines, rates, prices.


async def test_one_invoice_has_all_lines_of_a_milestone_each_with_the_tax_of_its_fee(
    story, pool, two_rates
):
    one = await begun(story, two_rates)
    number = await billed(one)
    document = await invoice(pool, number)
    assert [(line.fee, str(line.net), str(line.tax), line.tax_code) for line in document.lines] == [
        ("project", "360000.00", "21600.00", "CN-VAT-6"),
        ("licences", "88.50", "11.50", "CN-VAT-13"),  # 100.00 with 13 % inside
        ("travel", "314.46", "18.87", "CN-VAT-6"),  # 333.33 with 6 % inside
    ]
    assert [(tax.code, str(tax.net), str(tax.tax)) for tax in document.taxes] == [
        ("CN-VAT-6", "360314.46", "21618.87"),
        ("CN-VAT-13", "88.50", "11.50"),
    ]
    assert str(document.gross) == "382033.33"  # 381,600.00 + 100.00 + 333.33
    # With the micro-consulting fee, 100,000.00 and 6,000.00.
    assert await accounts(pool) == {
        "1100": "488033.33",
        "1200": "0.00",
        "2400": "27630.37",
        "4000": "460402.96",
    }
    assert await is_verified(pool)


async def test_the_message_to_finance_says_what_to_book_line_by_line(story, pool, two_rates):
    one = await begun(story, two_rates)
    number = await billed(one)
    payload = await pool.fetchval("select payload from outbox where key = $1", number)
    assert (payload["issued_on"], payload["due_on"]) == ("2024-12-02", "2025-01-01")
    assert (payload["purpose"], payload["customer"]) == ("milestone", "HD")
    assert payload["lines"][0] == {
        "line": 1,
        "fee": "project",
        "clause": "4.1",
        "title": {"en": "Four-level processes approved", "zh": "四级流程评审通过"},
        "net": "360000.00",
        "tax": {"code": "CN-VAT-6", "rate": "3/50", "amount": "21600.00"},
        "corrects": None,
    }
    assert payload["taxes"][1] == {
        "code": "CN-VAT-13",
        "rate": "13/100",
        "net": "88.50",
        "amount": "11.50",
    }
    assert (payload["tax"], payload["gross"], payload["payable"]) == (
        "21630.37",
        "382033.33",
        "382033.33",
    )


async def test_each_tax_of_a_document_is_explained(story, pool, two_rates):
    one = await begun(story, two_rates)
    number = await billed(one)
    first, second = (tax.calculation for tax in (await explain(pool, number)).taxes)
    assert first.formula == "tax = net * 3/50 (CN-VAT-6) + gross - gross / (1 + 3/50) (CN-VAT-6)"
    assert (second.formula, second.rounded) == (
        "tax = gross - gross / (1 + 13/100) (CN-VAT-13)",
        "11.50",
    )


# Retention.


async def test_milestone_invoices_retain_their_share_up_to_the_limit(story, pool, key_account):
    """c.5-12: 5 % of 381,600.00, then of 667,800.00 to date, but at most 30,000.00."""
    one = await begun(story, changed(key_account, retention=RETENTION))
    numbers = [await billed(one, id) for id in ("M1", "M2", "M3")]
    documents = [await invoice(pool, number) for number in numbers]
    assert [str(document.retained) for document in documents] == ["19080.00", "10920.00", "0.00"]
    assert [str(document.payable) for document in documents] == [
        "362520.00",
        "275280.00",
        "381600.00",
    ]
    (hold,) = await holds(pool)
    assert (hold.id, hold.kind, hold.fee) == ("eng.E1.hold.RT1", "RETENTION", "project")
    # Net of the tax inside: 1,080.00 of 19,080.00 and 618.11 of 10,920.00.
    assert str(hold.held) == "28301.89"
    assert (await accounts(pool))["1110"] == "30000.00"
    assert await is_verified(pool)


async def test_a_retention_that_was_altered_is_found(story, pool, key_account):
    """c.5-12"""
    one = await begun(story, changed(key_account, retention=RETENTION))
    await billed(one)
    await pool.execute(
        """
        set session_replication_role = replica;
        update invoice set retained_minor = retained_minor + 1 where purpose = 'milestone'
        """
    )
    broken = {check.id: check.violations for check in (await verify(pool)).checks if not check.ok}
    assert broken["retention-to-date"] == (
        "engagement E1: found retained 19080.01, expected 19080.00",
    )


async def test_a_retention_taxed_at_its_release_leaves_its_tax_to_a_later_document(
    story, pool, key_account
):
    """E03: 5 % of 360,000.00 carries no tax yet."""
    later = RETENTION.model_copy(update={"base": "net", "tax": "release"})
    one = await begun(story, changed(key_account, retention=later))
    document = await invoice(pool, await billed(one))
    (tax,) = document.taxes
    assert (str(document.net), str(tax.net), str(tax.tax)) == (
        "360000.00",
        "342000.00",
        "20520.00",
    )
    assert (str(document.retained), str(document.payable)) == ("18000.00", "362520.00")
    assert await is_verified(pool)


# The advance.


async def test_invoices_deduct_the_advance_until_nothing_is_left_of_it(story, pool, key_account):
    """E06: 20 % of 360,000.00, then the rest of 100,000.01, with its tax of 6,000.00."""
    advance = Advance(
        id="A1",
        clause="3.6",
        title=Title(en="Advance"),
        fee="project",
        amount=cny("100000.01"),
        recovered=Fraction(1, 5),
    )
    one = await begun(story, changed(key_account, advance=advance))
    order = one.order(IssueAdvance, "advance", "2024-10-15").model_copy(update={"by": "sun.hao"})
    await Advances(pool).issue_advance(order)
    assert (await accounts(pool))["2110"] == "100000.01"
    documents = [await invoice(pool, await billed(one, id)) for id in ("M1", "M2", "M3")]
    # 72,000.00 with 4,320.00, then 28,000.01 with 1,680.00.
    assert [str(document.advance) for document in documents] == ["76320.00", "29680.01", "0.00"]
    assert [str(document.payable) for document in documents] == [
        "305280.00",
        "256519.99",
        "381600.00",
    ]
    # The tax of 1,090,000.00 alone: the advance is not taxed twice.
    assert {account: (await accounts(pool))[account] for account in ("2110", "2400")} == {
        "2110": "0.00",
        "2400": "65400.00",
    }
    assert await is_verified(pool)


# Blocks.


async def test_a_blocked_milestone_is_not_invoiced_and_the_answer_names_the_hold(
    story, pool, key_account
):
    one = await begun(story, key_account)
    await blocked(one, "M1", "100000.00")
    answer = await one.delivered("M1")
    assert (answer.number, answer.blocked_by) == (None, ("eng.E1.hold.H1",))
    assert [row.purpose for row in await invoices(pool)] == ["micro"]

    await decided(one, "released", "100000.00")
    assert str((await one.delivered("M1")).gross) == "381600.00"


async def test_a_block_that_is_partly_forfeited_leaves_that_much_less_to_bill(
    story, pool, two_rates
):
    """The nets of the other lines stay what they were, to the fen."""
    one = await begun(story, two_rates)
    await blocked(one, "M1", "100000.00")
    await decided(one, "forfeited", "60000.00")
    await decided(one, "released", "40000.00")
    document = await invoice(pool, await billed(one))
    assert [str(line.net) for line in document.lines] == ["300000.00", "88.50", "314.46"]
    assert document.lines[0].explanation.amount == cny("300000.00")


async def test_a_milestone_that_is_forfeited_whole_is_never_billed(story, pool, key_account):
    one = await begun(story, key_account)
    await blocked(one, "M1", "360000.00")
    await decided(one, "forfeited", "360000.00")
    answer = await one.delivered("M1")
    assert (answer.number, answer.final()) == (None, True)
    assert [row.purpose for row in await invoices(pool)] == ["micro"]


# Credits and settlement.


async def test_an_invoice_of_two_rates_credited_in_parts_ends_at_exactly_zero(
    story, pool, two_rates
):
    """c.5-8: by line and by rate, whatever the parts."""
    one = await begun(story, two_rates)
    number = await billed(one)
    for what, gross in [("C1", "0.01"), ("C2", "123456.78"), ("C3", "33.33")]:
        await credit_note(one, what, number, gross)
        assert await is_verified(pool)
    left = (await invoice(pool, number)).payable
    note = await invoice(pool, await credit_note(one, "C4", number, str(left)))
    assert [line.corrects for line in note.lines] == [f"{number}/{line}" for line in (1, 2, 3)]
    assert [tax.calculation.rule for tax in note.taxes] == [
        "R6 cumulative over the parts of a line"
    ] * 2
    document = await invoice(pool, number)
    assert (document.status, document.credited) == ("CREDITED", document.gross)
    rows = await pool.fetch("select * from billed_line where number = $1", number)
    for row in rows:
        assert (row["taken_taxable_minor"], row["taken_tax_minor"]) == (
            row["taxable_minor"],
            row["tax_minor"],
        )
    assert await is_verified(pool)


async def test_the_status_of_an_invoice_follows_from_the_ledger(story, pool, two_rates):
    one = await begun(story, two_rates)
    number = await billed(one)

    async def status(day: str) -> str:
        found: str = await pool.fetchval(
            "select status_on(s, $2::text::date) from invoice_settlement s where number = $1",
            number,
            day,
        )
        return found

    assert (await status("2025-01-01"), await status("2025-01-02")) == ("OPEN", "OVERDUE")
    await credit_note(one, "C1", number, "2033.33")
    assert await status("2025-01-01") == "PARTLY_SETTLED"
    await paid(one, number, "380000.00")
    assert await status("2025-01-02") == "SETTLED"
    document = await invoice(pool, number)
    assert (str(document.paid), str(document.credited), str(document.payable)) == (
        "380000.00",
        "2033.33",
        "0.00",
    )
    assert await is_verified(pool)


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ("update invoice_line set tax_minor = tax_minor + 1 where line = 2", "documents-add-up"),
        ("update invoice_tax set tax_minor = tax_minor + 1", "tax-by-rate"),
        ("update invoice set retained_minor = 1 where purpose = 'milestone'", "retained-and-withheld"),
        ("update posting set amount_minor = amount_minor - 1 where account = '1100'", "claims-in-ledger"),
    ],
)  # fmt: skip
async def test_a_document_that_was_altered_is_found(story, pool, two_rates, broken, check):
    one = await begun(story, two_rates)
    await one.delivered("M1")
    await pool.execute("set session_replication_role = replica; " + broken)
    verification = await verify(pool)
    assert check in {each.id for each in verification.checks if not each.ok}


async def test_a_part_that_was_credited_twice_is_found(story, pool, two_rates):
    """c.5-8"""
    one = await begun(story, two_rates)
    number = await billed(one)
    await credit_note(one, "C1", number, "382033.33")
    await pool.execute(
        """
        set session_replication_role = replica;
        update invoice_line set tax_minor = tax_minor + 1 where corrects_line = 2
        """
    )
    broken = {check.id for check in (await verify(pool)).checks if not check.ok}
    assert {"credits-within-line", "credits-within-rate", "credits-within-invoice"} <= broken
