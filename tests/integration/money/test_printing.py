"""What was issued and decided, printed from the records: as it stands there, and the same for ever."""

from fractions import Fraction
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from contracts.commercial import Payment, Retention, RetentionStep
from contracts.contract import Contract
from contracts.errors import NotFound
from contracts.money import Money
from tollkeeper.printing.model import Paper
from tollkeeper.printing.render import render
from tollkeeper.printing.stored import decision, document
from tollkeeper.views.documents import invoices


@pytest.fixture(scope="session")
def retaining(key_account: Contract) -> Contract:
    """30 days to pay; 5 % of each gross retained, paid in two parts after go-live."""
    clauses: dict[str, Any] = {
        "payment": Payment(clause="3.5", days=30),
        "retention": Retention(
            id="RT1",
            clause="5.4",
            fee="project",
            rate=Fraction(5, 100),
            base="gross",
            tax="invoice",
            release=tuple(
                RetentionStep.model_validate(
                    {"id": id, "clause": f"5.4({id})", "after": after, "share": "1/2"}
                )
                for id, after in (("a", "P3M"), ("b", "P12M"))
            ),
        ),
    }
    changed = key_account.model_copy(update=clauses)
    return Contract.model_validate_json(changed.model_dump_json())


def text(paper: Paper) -> str:
    pages = PdfReader(BytesIO(render(paper))).pages
    return " ".join(" ".join(page.extract_text().split()) for page in pages)


async def test_an_issued_invoice_is_printed_as_it_is_in_the_records(story, pool, retaining):
    one = story(contract=retaining)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    billed = await one.delivered("M1")
    paper = await document(pool, billed.number)
    # 360,000.00 + 6 % = 381,600.00, of which 5 % = 19,080.00 are retained
    assert paper.payable == Money(36252000, "CNY")
    said = text(paper)
    for fact in (
        "SANDBOX",
        "Invoice 发票 TEST-QM-INV-2024-000002",
        "Qiming Value Consulting Co., Ltd. 启明价值咨询有限公司",
        "Hengda Precision Equipment Co., Ltd. 恒达精密装备有限公司",
        "Issued 开具日期 2024-12-02",
        "Due 付款期限 2025-01-01",
        "KA-2024-017@v1",
        "1 4.1 Four-level processes approved 四级流程评审通过 CN-VAT-6 6% 360,000.00",
        "Gross 价税合计 381,600.00",
        "Retention 保留金 Clause 5.4 −19,080.00",
        "Payable now 本次应付 362,520.00 CNY",
        "To be paid by 2025-01-01, 30 days after the date of this document (clause 3.5).",
        "PMT Retention of 19,080.00 CNY (clause 5.4) is not to be paid now; to be released are 50% "
        "3 months after go-live (clause 5.4(a)) and 50% 12 months after go-live (clause 5.4(b)).",
    ):
        assert fact in said


async def test_retention_that_is_taxed_on_release_says_what_is_not_taxed_yet(
    story, pool, retaining
):
    """c.6: with the tax on release, 5 % of the net are retained, and 95 % are taxed now."""
    assert retaining.retention
    later = retaining.retention.model_copy(update={"base": "net", "tax": "release"})
    one = story(contract=retaining.model_copy(update={"retention": later}))
    await one.opened()
    await one.consulted()
    await one.proceeded()
    said = text(await document(pool, (await one.delivered("M1")).number))
    for fact in (
        "CN-VAT-6 6% 342,000.00 20,520.00",  # 360,000.00 - 18,000.00, and 6 % of it
        "Gross 价税合计 380,520.00",
        "Payable now 本次应付 362,520.00 CNY",
        "Of the net, 18,000.00 CNY is taxed when it is released.",
    ):
        assert fact in said


async def test_nothing_that_happens_later_changes_a_printed_byte(story, pool, key_account):
    one = story(contract=key_account)
    await one.live()
    before = {row.number: render(await document(pool, row.number)) for row in await invoices(pool)}
    await one.settled("W6")
    await one.settled("W12")
    await one.closed()
    assert before == {number: render(await document(pool, number)) for number in before}


async def test_every_document_and_decision_of_a_whole_story_can_be_printed(story, pool, withheld):
    one = story(contract=withheld)
    await one.played()
    for row in await invoices(pool):
        paper = await document(pool, row.number)
        assert (paper.net, paper.tax, paper.gross) == (row.net, row.tax, row.gross)
        said = text(paper)
        assert row.corrects is None or f"Corrects 更正 {row.corrects}" in said
    keys = [row["key"] for row in await pool.fetch("select key from decision_record order by key")]
    assert keys
    for key in keys:
        record = await decision(pool, key)
        said = text(record)
        assert f"{record.amount.grouped()} CNY" in said
        assert record.decided_by[0].en in said
        assert record.reasons[0].what in said


async def test_what_is_not_in_the_records_is_refused_by_what_was_asked_for(pool):
    with pytest.raises(
        NotFound, match=r"'QM-INV-2024-000099'.*number of an invoice or credit note"
    ):
        await document(pool, "QM-INV-2024-000099")
    with pytest.raises(NotFound, match=r"'eng.E1.x'.*key of a decision"):
        await decision(pool, "eng.E1.x")
