"""What a payment pays, how old a claim is, how a refund and a dispute move on, what a bank file says."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import TermsError, TransitionError
from contracts.money import Money
from contracts.setting import Book
from lifecycle.bank_file import read_bank_file
from lifecycle.receivables import (
    FROM,
    Age,
    BankReceipt,
    Claim,
    DisputeState,
    Due,
    RefundState,
    age,
    applicable,
    match,
    named_in,
    require_step,
    ruling,
    still_due,
)
from workflows.refund import LONGEST_PAUSE, pauses


def yuan(amount: int) -> Money:
    return Money(amount * 100, "CNY")


def claim(number: int, open: int, due: str = "2025-02-01") -> Claim:
    return Claim(
        invoice=f"QM-INV-2025-{number:06}",
        engagement_id="E1",
        issued_on=date(2025, 1, 1),
        due_on=date.fromisoformat(due),
        open=yuan(open),
    )


def paid(received: int, named: list[Claim], others: list[Claim]) -> list[tuple[int, int]]:
    parts = match(yuan(received), named, others)
    return [(int(part.invoice[-6:]), part.amount.minor // 100) for part in parts]


# Matching.


def test_of_the_named_invoices_the_one_with_just_the_amount_is_paid():
    assert paid(200, [claim(1, 300, "2025-01-10"), claim(2, 200)], []) == [(2, 200)]


def test_otherwise_the_named_invoices_are_paid_as_they_were_due():
    """2 was due first, 3 next; 1 gets what is left: 450 - 200 - 100."""
    named = [claim(1, 300, "2025-03-01"), claim(2, 200, "2025-01-10"), claim(3, 100, "2025-02-01")]
    assert paid(450, named, []) == [(2, 200), (3, 100), (1, 150)]


def test_what_is_paid_too_much_is_left_as_credit():
    assert paid(500, [claim(1, 300)], []) == [(1, 300)]


def test_a_named_invoice_that_is_settled_takes_nothing_and_no_other_does_either():
    assert paid(300, [claim(1, 0)], []) == []


def test_without_a_number_only_the_one_open_invoice_of_that_amount_is_paid():
    assert paid(200, [], [claim(1, 300), claim(2, 200)]) == [(2, 200)]


def test_two_open_invoices_of_that_amount_are_left_to_a_person():
    assert paid(200, [], [claim(1, 200), claim(2, 200)]) == []


@given(
    received=st.integers(0, 10_000),
    open=st.lists(st.integers(0, 3_000), max_size=6),
    named=st.booleans(),
)
def test_no_more_is_applied_than_came_in_or_than_is_open(
    received: int, open: list[int], named: bool
) -> None:
    claims = [claim(number, minor) for number, minor in enumerate(open)]
    parts = paid(received, claims, []) if named else paid(received, [], claims)
    assert sum(amount for _, amount in parts) <= received
    assert all(0 < amount <= open[number] for number, amount in parts)
    assert len({number for number, _ in parts}) == len(parts)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Invoice QM-INV-2025-000001, thank you", ["QM-INV-2025-000001"]),
        ("qm-inv-2025-000001/qm-inv-2025-000002", ["QM-INV-2025-000001", "QM-INV-2025-000002"]),
        ("QM-INV-2025-0000011", []),  # another, longer number
        ("TEST-QM-INV-2025-000001", []),  # the sandbox's
        ("AQM-INV-2025-000001", []),  # another seller's
        ("rent", []),
    ],
)
def test_a_number_in_the_text_is_a_whole_number(text, found):
    assert named_in(text, ["QM-INV-2025-000001", "QM-INV-2025-000002"]) == found


def test_by_hand_as_much_is_applied_as_both_allow():
    assert applicable(None, yuan(500), claim(1, 300), "R1") == yuan(300)
    assert applicable(None, yuan(200), claim(1, 300), "R1") == yuan(200)
    assert applicable(yuan(50), yuan(200), claim(1, 300), "R1") == yuan(50)


@pytest.mark.parametrize(("wanted", "credit"), [(301, 500), (201, 200), (0, 500), (None, 0)])
def test_more_than_is_left_or_open_is_refused(wanted, credit):
    wanted = None if wanted is None else yuan(wanted)
    with pytest.raises(TransitionError, match=r"R1 to QM-INV-2025-000001: found .*, expected"):
        applicable(wanted, yuan(credit), claim(1, 300), "R1")


FEN = Money(1, "CNY")


def test_a_single_fen_is_matched_applied_disputed_and_due():
    owed = claim(1, 300).model_copy(update={"open": FEN})
    assert match(FEN, [owed], [])[0].amount == FEN
    assert match(yuan(1), [owed], [])[0].amount == FEN
    assert applicable(None, yuan(1), owed, "R1") == FEN
    assert ruling(yuan(1), FEN) is DisputeState.PARTLY
    due = Due(due_on=owed.due_on, amount=FEN)
    assert still_due(FEN, [due]) == [due]


@pytest.mark.parametrize(
    ("wanted", "credit", "found"),
    [
        (
            yuan(301),
            yuan(500),
            "found 301.00 CNY to apply, expected more than 0 and at most 300.00 CNY (500.00 is left of "
            "it, 300.00 is open)",
        ),
        (
            None,
            yuan(0),
            "found nothing to apply, expected more than 0 and at most 0.00 CNY (0.00 is left of it, "
            "300.00 is open)",
        ),
    ],
)
def test_a_refusal_to_apply_says_what_was_asked_left_and_open(wanted, credit, found):
    with pytest.raises(TransitionError) as refused:
        applicable(wanted, credit, claim(1, 300), "R1")
    assert str(refused.value) == f"R1 to QM-INV-2025-000001: {found}"


# Age.


@pytest.mark.parametrize(
    ("on", "bucket"),
    [
        ("2025-01-31", Age.NOT_DUE),
        ("2025-02-01", Age.NOT_DUE),  # the due day itself
        ("2025-02-02", Age.TO_30),
        ("2025-03-03", Age.TO_30),  # day 30
        ("2025-03-04", Age.TO_60),
        ("2025-04-02", Age.TO_60),  # day 60
        ("2025-04-03", Age.TO_90),
        ("2025-05-02", Age.TO_90),  # day 90
        ("2025-05-03", Age.OVER_90),
    ],
)
def test_age_counts_calendar_days_after_the_due_day(on, bucket):
    assert age(date(2025, 2, 1), date.fromisoformat(on)) is bucket


def test_what_is_released_later_is_due_later_and_what_is_due_first_is_paid_first():
    """1,000 invoiced, 300 of it released in July; 500 of it all is paid."""
    first, released = date(2025, 2, 1), date(2025, 8, 1)
    claimed = [Due(due_on=first, amount=yuan(1000)), Due(due_on=released, amount=yuan(300))]
    assert still_due(yuan(800), claimed) == [
        Due(due_on=released, amount=yuan(300)),
        Due(due_on=first, amount=yuan(500)),
    ]
    assert still_due(yuan(200), claimed) == [Due(due_on=released, amount=yuan(200))]
    assert still_due(yuan(0), claimed) == []


# States.

STEPS = [
    ("requested", "approved"), ("requested", "failed"),
    ("approved", "sent"), ("approved", "confirmed"), ("approved", "failed"),
    ("sent", "unknown"), ("sent", "confirmed"), ("sent", "failed"),
    ("unknown", "sent"), ("unknown", "confirmed"), ("unknown", "failed"),
]  # fmt: skip


def test_a_refund_takes_just_these_steps():
    refund = {to: found for to, found in FROM.items() if isinstance(to, RefundState)}
    assert sorted((str(one), to.value) for to, found in refund.items() for one in found) == sorted(
        STEPS
    )


@pytest.mark.parametrize("found", ["confirmed", "failed"])
@pytest.mark.parametrize("to", [RefundState.SENT, RefundState.UNKNOWN, RefundState.CONFIRMED])
def test_a_settled_refund_stays_as_it_is(found, to):
    with pytest.raises(TransitionError, match=f"refund R1 is {found}, found a step to {to.value}"):
        require_step("refund R1", found, to)


def test_a_refused_step_names_the_states_that_lead_to_it():
    with pytest.raises(TransitionError) as refused:
        require_step("refund R1", "requested", RefundState.SENT)
    assert str(refused.value) == (
        "refund R1 is requested, found a step to sent, expected it to be approved or unknown"
    )


@pytest.mark.parametrize("to", [state for state in DisputeState if state is not DisputeState.OPEN])
@pytest.mark.parametrize("found", list(DisputeState))
def test_a_dispute_ends_once(found, to):
    if found is DisputeState.OPEN:
        require_step("dispute D1", found.value, to)
        return
    with pytest.raises(TransitionError, match="expected it to be open"):
        require_step("dispute D1", found.value, to)


def test_a_ruling_upholds_all_or_a_part_and_never_nothing():
    assert ruling(yuan(100), yuan(100)) is DisputeState.UPHELD
    assert ruling(yuan(100), yuan(1)) is DisputeState.PARTLY
    for wrong in (0, 101):
        with pytest.raises(TransitionError, match="to uphold"):
            ruling(yuan(100), yuan(wrong))


def test_the_provider_is_asked_with_growing_pauses_and_without_end():
    asked = [pause for _, pause in zip(range(40), pauses(), strict=False)]
    assert asked[0].total_seconds() == 1
    assert all(before < after or after == LONGEST_PAUSE for before, after in pairwise(asked))
    assert asked[-1] == LONGEST_PAUSE


# The bank's file.

HEADER = "account,reference,received_on,amount,currency,payer,text,customer"


def read(*lines: str, header: str = HEADER, encoding: str = "utf-8") -> list[BankReceipt]:
    content = "\r\n".join([header, *lines]).encode(encoding)
    return [receipt for _, receipt in read_bank_file(content, "bank.csv", "QM", Book.LIVE)]


def fault(*lines: str, header: str = HEADER) -> str:
    with pytest.raises(TermsError) as refused:
        read(*lines, header=header)
    return str(refused.value)


def test_a_line_of_the_file_is_a_receipt():
    (one,) = read('CN62-1,TX 1,2025-01-02,1060.50,CNY,"Hengda, Ltd.","pays ""both""\n恒达",HD')
    assert one == BankReceipt(
        book=Book.LIVE,
        seller="QM",
        account="CN62-1",
        reference="TX 1",
        received_on=date(2025, 1, 2),
        amount=Money(106_050, "CNY"),
        payer="Hengda, Ltd.",
        text='pays "both"\n恒达',
        customer="HD",
    )
    assert one.id == "QM/CN62-1/TX 1"


def test_columns_come_in_any_order_and_optional_ones_may_be_missing():
    (one,) = read(
        "CNY,1.00,2025-01-02,TX1,A", header="currency,amount,received_on,reference,account"
    )
    assert (one.customer, one.text, one.amount) == (None, "", Money(100, "CNY"))


def test_a_byte_order_mark_and_blank_lines_are_no_fault():
    assert len(read("", "A,TX1,2025-01-02,1.00,CNY,,,", "", encoding="utf-8-sig")) == 1


def test_the_same_reference_on_two_accounts_is_two_receipts():
    assert len(read("A,TX1,2025-01-02,1.00,CNY,,,", "B,TX1,2025-01-02,1.00,CNY,,,")) == 2


def test_every_fault_names_line_column_what_was_found_and_what_is_expected():
    message = fault(
        "A,TX1,2025-01-02,1.00,CNY,,,",
        'A,TX2,2025-01-02,"1,000.00",CNY,,"two\nlines",',
        "A,TX3,02.01.2025,1.00,CNY,,,",
        "A,TX4,2025-01-02,1.00,XXX,,,",
        "A,TX5,2025-01-02,-1.00,CNY,,,",
        "A,,2025-01-02,1.00,CNY,,,",
        "A,TX1,2025-01-02,1.00,CNY,,,",
        "A,TX8,2025-01-02,1.00,CNY,,",
        "A,TX9,2025-01-02,1.005,CNY,,,",
    )
    expected = [
        "bank.csv, line 3, column amount: found '1,000.00', expected a plain amount",
        "bank.csv, line 5, column received_on: found '02.01.2025', expected a date such as",
        "bank.csv, line 6, column currency: found 'XXX', expected one of CNY",
        "bank.csv, line 7, column amount: found amount -1.00, expected more than 0",
        "bank.csv, line 8, column reference: found '', expected the bank's reference",
        "bank.csv, line 9, column reference: found 'TX1' as in line 2, expected each reference",
        "bank.csv, line 10, found 7 fields, expected 8",
        "bank.csv, line 11, column amount: found '1.005', expected at most 2 decimals",
    ]
    found = message.splitlines()
    assert len(found) == len(expected)
    for line, begin in zip(found, expected, strict=True):
        assert line.startswith(begin)


def test_of_very_many_faults_the_first_are_told():
    message = fault(*(f"A,TX{number},2025-01-02,x,CNY,,," for number in range(50)))
    assert len(message.splitlines()) == 21
    assert message.endswith("and 30 more")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("account,reference,received_on,amount", "found no column currency, expected account"),
        (f"{HEADER},iban", "found the column 'iban', expected account"),
        (f"{HEADER},text", "found the column 'text' twice"),
        ("", "found no column account, reference, received_on, amount, currency"),
    ],
)
def test_a_wrong_header_is_refused(header, found):
    assert f"bank.csv, line 1: {found}" in fault(header=header)


def test_what_is_no_csv_or_no_utf_8_is_refused_with_its_line():
    assert fault('A,"TX1" x,2025-01-02,1.00,CNY,,,').startswith("bank.csv, line 2: found")
    with pytest.raises(TermsError, match=r"bank.csv, line 2: found bytes that are no UTF-8"):
        read("A,TX1,2025-01-02,1.00,CNY,é,,", encoding="latin-1")


@given(content=st.binary(max_size=200))
def test_any_file_is_read_or_refused_with_its_line(content: bytes) -> None:
    refusals = []
    try:
        read_bank_file(HEADER.encode() + b"\n" + content, "bank.csv", "QM", Book.LIVE)
    except TermsError as refused:
        refusals.append(str(refused))
    assert all(refusal.startswith("bank.csv, line ") for refusal in refusals)
