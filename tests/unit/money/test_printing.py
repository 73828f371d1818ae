"""A document on paper: everything a finance department looks for, and the same bytes every time."""

import os
import re
import subprocess
import sys
from datetime import date
from fractions import Fraction
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
import typst
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from contracts.errors import TermsError
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money
from tollkeeper.printing.model import (
    Deduction,
    Line,
    Note,
    Paper,
    PrintedDecision,
    PrintedDocument,
    PrintLanguage,
    Request,
    Side,
    Signed,
    TaxGroup,
)
from tollkeeper.printing.render import FONTS, TEMPLATES, render

ROOT = Path(__file__).parents[3]
VAT, SELLER = "CN-VAT-6", Side(name=Title(en="Qiming Consulting", zh="启明咨询"), entity="QM")
BUYER = Side(name=Title(en="Hengda Equipment", zh="恒达装备"), entity="HD")
PROGRAMME = Title(en="Key-account programme", zh="大客户提升项目")
CHINESE = re.compile("[一-鿿]")


def yuan(amount: str) -> Money:
    return Money(int(amount.replace(".", "")), "CNY")


def line(number: int, net: Money, title: str = "Design approved", **given: object) -> Line:
    return Line.model_validate(
        {
            "line": number,
            "clause": f"4.{number}",
            "title": Title(en=title, zh="方案评审通过"),
            "tax_code": VAT,
            "tax_rate": Fraction(6, 100),
            "net": net,
        }
        | given
    )


def invoice(*lines: Line, **given: object) -> PrintedDocument:
    """One line of 360,000.00, if nothing else is said; 6 % on the sum of the nets."""
    lines = lines or (line(1, yuan("360000.00")),)
    currency = lines[0].net.currency
    net = sum((each.net for each in lines), Money(0, currency))
    tax = net.share(Fraction(6, 100))
    return PrintedDocument.model_validate(
        {
            "document": "invoice",
            "number": "QM-INV-2024-000007",
            "purpose": "milestone",
            "sandbox": False,
            "issued_on": date(2024, 9, 27),
            "due_on": date(2024, 10, 27),
            "engagement": "E7",
            "contract": "KA-2024-017@v1",
            "contract_title": PROGRAMME,
            "seller": SELLER,
            "buyer": BUYER,
            "corrects": None,
            "lines": lines,
            "taxes": (TaxGroup(code=VAT, rate=Fraction(6, 100), net=net, tax=tax),),
            "net": net,
            "tax": tax,
            "gross": net + tax,
        }
        | given
    )


def decision(**given: object) -> PrintedDecision:
    measured = Explanation(
        what="Days sales outstanding",
        amount=yuan("90000.00"),
        contract="KA-2024-017@v1",
        clause="6.1(b)",
        inputs=(
            Input(
                name="actual",
                value="87.917",
                source="reading of 2025-07-10",
                evidence=f"sha256:{'0123456789abcdef' * 4}",
            ),
        ),
        steps=(Calculation(formula="stake x score", exact="90000", rounded="90000.00", rule="R1"),),
    )
    return PrintedDecision.model_validate(
        {
            "key": "eng.E7.hold.HB1:release.RQ1",
            "decision": "released",
            "sandbox": False,
            "engagement": "E7",
            "contract": "KA-2024-017@v1",
            "contract_title": PROGRAMME,
            "seller": SELLER,
            "buyer": BUYER,
            "hold": "eng.E7.hold.HB1",
            "kind": "VALUE_BET",
            "effect": "block_invoicing",
            "fee": Title(en="Project fee", zh="项目费"),
            "clause": "5.1",
            "amount": yuan("90000.00"),
            "requested_by": Title(en="孙浩 (sun.hao)"),
            "decided_by": (Title(en="高峰 (gao.feng)"), Title(en="李伟 (li.wei)")),
            "decided_on": date(2025, 7, 16),
            "request": Request(
                id="eng.E7.request.RQ1",
                on=date(2025, 7, 15),
                digest="fedcba9876543210" * 4,
                signatures=(
                    Signed(person=Title(en="高峰 (gao.feng)"), on=date(2025, 7, 15)),
                    Signed(person=Title(en="李伟 (li.wei)"), on=date(2025, 7, 16)),
                ),
            ),
            "document": "QM-INV-2025-000007",
            "reasons": (measured,),
        }
        | given
    )


def pages(paper: Paper, language: PrintLanguage = PrintLanguage.BOTH) -> list[str]:
    """The text of each page, on one line, with plain blanks."""
    reader = PdfReader(BytesIO(render(paper, language)))
    return [" ".join(page.extract_text().split()) for page in reader.pages]


def text(paper: Paper, language: PrintLanguage = PrintLanguage.BOTH) -> str:
    return " ".join(pages(paper, language))


# The same bytes.


@pytest.mark.parametrize("paper", [invoice(sandbox=True), decision()], ids=["invoice", "decision"])
def test_another_process_in_another_place_prints_the_same_bytes(paper, tmp_path):
    code = (
        "import sys; from hashlib import sha256\n"
        f"from tollkeeper.printing.model import {type(paper).__name__} as Paper\n"
        "from tollkeeper.printing.render import render\n"
        "print(sha256(render(Paper.model_validate_json(sys.stdin.read()))).hexdigest())"
    )
    digests = {sha256(render(paper)).hexdigest()}
    for zone, locale, seed in (("Pacific/Kiritimati", "C", "1"), ("America/Adak", "C.UTF-8", "2")):
        place = tmp_path / seed
        place.mkdir()
        there = {"TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed, "HOME": str(place)}
        printed = subprocess.run(
            [sys.executable, "-c", code],
            input=paper.model_dump_json().encode(),
            capture_output=True,
            check=True,
            cwd=place,
            env={**os.environ, **there, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": seed},
        )
        digests.add(printed.stdout.decode().strip())
    assert len(digests) == 1


def test_the_file_knows_no_day_but_the_day_of_its_document():
    pdf = render(invoice())
    dates = re.findall(rb"D:(\d{8,14})|(20\d\d-\d\d-\d\dT[0-9:]+)", pdf)
    assert {given for pair in dates for given in pair if given} == {
        b"20240927000000",
        b"2024-09-27T00:00:00",
    }


def test_the_file_is_one_to_keep_for_decades_and_to_read_aloud():
    pdf = render(invoice())
    assert b"<pdfaid:part>3</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>" in pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf


# What stands on it.


def test_an_invoice_says_who_owes_whom_what_until_when_and_by_which_clause():
    said = text(invoice(line(1, yuan("360000.00")), line(2, yuan("40000.05"))))
    for fact in (
        "Invoice 发票 QM-INV-2024-000007",
        "Seller 销售方 Qiming Consulting 启明咨询",
        "Buyer 购买方 Hengda Equipment 恒达装备",
        "Issued 开具日期 2024-09-27",
        "Due 付款期限 2024-10-27",
        "For 事由 Milestone 里程碑",
        "Engagement 服务项目 E7",
        "KA-2024-017@v1",
        "Key-account programme 大客户提升项目",
        "1 4.1 Design approved 方案评审通过 CN-VAT-6 6% 360,000.00",
        "2 4.2 Design approved 方案评审通过 CN-VAT-6 6% 40,000.05",
        "Taxed amount 计税金额 Tax 税额 CN-VAT-6 6% 400,000.05 24,000.00",
        "Gross 价税合计 424,000.05",
        "Payable now 本次应付 424,000.05 CNY",
    ):
        assert fact in said


def test_each_language_alone_says_it_in_that_language():
    english, chinese = (text(invoice(), PrintLanguage(code)) for code in ("en", "zh"))
    assert not CHINESE.search(english)
    assert "Payable now 381,600.00 CNY" in english
    assert "Invoice" not in chinese
    assert "Qiming" not in chinese
    assert "本次应付 381,600.00 CNY" in chinese


def test_a_name_without_chinese_is_printed_in_english():
    said = text(invoice(buyer=Side(name=Title(en="Łódź Śląska"), entity="L")), PrintLanguage.ZH)
    assert "购买方 Łódź Śląska" in said


def test_what_is_not_to_be_paid_now_stands_below_the_gross_and_never_among_the_lines():
    """c.6: totals of the full supply; retention is a note with subject code PMT."""
    paper = invoice(
        deductions=(
            Deduction(kind="retained", clause="6.1", amount=yuan("19080.00")),
            Deduction(kind="withheld", clause="5.1", amount=yuan("38160.00")),
            Deduction(kind="advance", clause="3.4", amount=yuan("10000.00")),
        ),
        notes=(Note(subject="PMT", text=Title(en="Retention of 19,080.00 CNY", zh="保留金")),),
    )
    # 381,600.00 - 19,080.00 - 38,160.00 - 10,000.00
    assert paper.payable == yuan("314360.00")
    _, _, below = text(paper).partition("Gross 价税合计 381,600.00")
    for part in (
        "Retention 保留金 Clause 6.1 −19,080.00",
        "Payment withheld 暂缓支付 Clause 5.1 −38,160.00",
        "Advance paid 预付款 Clause 3.4 −10,000.00",
        "Payable now 本次应付 314,360.00 CNY",
        "PMT Retention of 19,080.00 CNY 保留金",
    ):
        assert part in below


def test_a_credit_note_says_what_it_corrects_and_asks_for_no_payment():
    said = text(
        invoice(
            line(1, yuan("100.00"), corrects="QM-INV-2024-000003/2"),
            document="credit_note",
            corrects="QM-INV-2024-000003",
        )
    )
    assert "Credit note 贷项通知单" in said
    assert "Corrects 更正 QM-INV-2024-000003 " in said
    assert "Corrects QM-INV-2024-000003/2" in said
    assert "Credited 贷记金额 106.00 CNY" in said
    assert "Due" not in said
    assert "Payable" not in said


def test_a_decision_says_who_asked_who_decided_what_was_signed_and_why():
    said = text(decision())
    for fact in (
        "Released 释放 90,000.00 CNY",
        "Hold 扣留 eng.E7.hold.HB1",
        "Kind 类型 Value bet 价值对赌",
        "Clause 条款 5.1",
        "Document 单据 QM-INV-2025-000007",
        "Decided 决定日期 2025-07-16",
        "Decided by 决定人 高峰 (gao.feng) 李伟 (li.wei)",
        "Requested by 申请人 孙浩 (sun.hao)",
        "eng.E7.request.RQ1",
        "fedcba9876543210" * 4,
        "李伟 (li.wei) 2025-07-16",
        "Days sales outstanding 90,000.00 CNY",
        "actual: 87.917",
        f"sha256:{'0123456789abcdef' * 4}",
        "stake x score = 90000 → 90000.00 R1",
    ):
        assert fact in said


def test_a_decision_without_a_request_has_no_empty_place_for_one():
    said = text(decision(request=None, document=None, reasons=()), PrintLanguage.EN)
    assert "Request " not in said
    assert "Document" not in said
    assert "Reasons" not in said


@pytest.mark.parametrize("paper", [invoice, decision])
def test_a_sandbox_document_says_so_on_every_page_and_a_live_one_nowhere(paper):
    lines = (
        {"lines": tuple(line(n, yuan("1.00")) for n in range(1, 41))} if paper is invoice else {}
    )
    marked = pages(paper(sandbox=True, **lines))
    assert all("SANDBOX" in page for page in marked)
    assert "not for payment or tax" in marked[0]
    assert "SANDBOX" not in text(paper())


def test_forty_lines_go_on_under_the_same_head_and_pages_are_counted():
    printed = pages(invoice(*(line(n, yuan("1000.00")) for n in range(1, 41))))
    assert len(printed) > 1
    for number, page in enumerate(printed, start=1):
        assert page.count("Clause 条款 Description 项目") == (
            "4.40" in page or number < len(printed)
        )
        assert page.endswith(f"{number}/{len(printed)}")
        assert "QM-INV-2024-000007" in page
    for number in range(1, 41):
        assert sum(f" {number} 4.{number} Design" in page for page in printed) == 1


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (5, "CNY", "0.05"),
        (99_999, "EUR", "999.99"),
        (100_000, "USD", "1,000.00"),
        (-123_456_789, "CNY", "−1,234,567.89"),  # a line of a change of contract
        (1_234_567, "JPY", "1,234,567"),
        (1_234_567, "KWD", "1,234.567"),
        (10**15 - 1, "CNY", "9,999,999,999,999.99"),
    ],
)
def test_amounts_are_grouped_with_the_decimals_of_their_currency(minor, currency, shown):
    lines = (line(1, Money(minor, currency)), line(2, Money(max(1, 1 - minor), currency)))
    assert f"CN-VAT-6 6% {shown} " in text(invoice(*lines))


@pytest.mark.parametrize(
    "title",
    [
        '#panic() *x* $y$ _z_ \\ <b> // @a `c` [d] "e" ~f',
        "A" * 500,
        "字" * 500,
        "0",
    ],
)
def test_a_title_is_printed_as_it_is_written(title):
    said = text(invoice(line(1, yuan("1.00"), title)), PrintLanguage.EN)
    assert title.replace(" ", "") in said.replace(" ", "")


# Characters.


def test_a_character_without_a_glyph_is_named_with_the_setting_that_helps():
    with pytest.raises(TermsError, match=r"龘 \(U\+9F98\), 𠔻 \(U\+2053B\); .*TOLLKEEPER_FONTS"):
        render(invoice(line(1, yuan("1.00"), "龘𠔻")))


def test_a_font_of_the_named_folder_gives_what_the_shipped_ones_lack(tmp_path):
    with TTFont(FONTS / "TollkeeperSans-Regular.ttf") as font:
        for table in font["cmap"].tables:
            if table.isUnicode():
                table.cmap[ord("龘")] = "A"
        for name in (1, 4, 6):
            font["name"].setName("Dragons", name, 3, 1, 0x409)
        font.save(tmp_path / "dragons.ttf")
    paper = invoice(line(1, yuan("1.00"), "龘"), buyer=Side(name=Title(en="龘"), entity="D"))
    said = PdfReader(BytesIO(render(paper, fonts=tmp_path))).pages[0].extract_text()
    assert said.count("龘") == 2


def test_a_folder_without_fonts_is_refused_by_its_name(tmp_path):
    with pytest.raises(TermsError, match=f"TOLLKEEPER_FONTS: found no font in {tmp_path}"):
        render(invoice(), fonts=tmp_path)


def test_bold_chinese_labels_are_bold():
    """A character that the bold font lacks would be printed in the plain one."""
    with TTFont(FONTS / "TollkeeperSansSCStrong-Bold.otf") as font:
        has = {chr(code) for code in font.getBestCmap()}
    labels = (TEMPLATES / "words.typ").read_text(encoding="utf-8")
    assert set(CHINESE.findall(labels)) <= has


def test_every_label_is_used_and_every_kind_of_document_has_its_name():
    """What has no label stops the printing; what nobody prints is no label."""
    templates = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.typ")}
    labels, _, _ = templates.pop("words.typ").partition("#let purposes")
    elsewhere = "".join(templates.values())
    given = {"invoice", "credit_note", "retained", "withheld", "advance", "released", "forfeited"}
    for label in re.findall(r'^  "(\w+)":', labels, re.MULTILINE):
        assert label in given or f'"{label}"' in elsewhere or f"words.{label}" in elsewhere, label


def test_the_fonts_of_the_machine_are_not_looked_at():
    shipped = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS]
    )
    reader = PdfReader(BytesIO(render(invoice())))
    objects = (reader.get_object(number) for number in range(1, int(str(reader.trailer["/Size"]))))
    used = {
        str(font["/BaseFont"]).partition("+")[2]
        for font in objects
        if isinstance(font, DictionaryObject) and "/BaseFont" in font
    }
    assert used
    assert {name.partition("-")[0] for name in used} <= {
        family.replace(" ", "") for family in shipped.families()
    }
