"""A bank's file of receipts: CSV as RFC 4180 has it, with a header; every fault with its line. Pure."""

import csv
import io
from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contracts.errors import TermsError
from contracts.money import MINOR_DIGITS, parse_amount
from contracts.setting import Book
from lifecycle.receivables import BankReceipt

NEEDED = ("account", "reference", "received_on", "amount", "currency")
OPTIONAL = ("payer", "text", "customer")
MAX_FAULTS = 20
EXPECTED = {
    "account": "the bank account: letters, digits, blanks, `.`, `_` and `-`, at most 48",
    "reference": "the bank's reference: 1 to 64 printable ASCII characters",
    "customer": "the client's entity code, or nothing",
    "payer": "at most 200 characters, none of them NUL",
    "text": "at most 1000 characters, none of them NUL",
}

Line = tuple[int, BankReceipt]


def read_bank_file(content: bytes, name: str, seller: str, book: Book) -> list[Line]:
    """The receipts of a file with the lines they begin on.

    Raises:
        TermsError: the file is not such a table, or lines are wrong: each with its line, its column,
            what was found and what is expected. Nothing of the file is to be used then.
    """
    rows = _rows(content, name)
    number, header = next(rows, (1, []))
    _require_header(header, f"{name}, line {number}")
    receipts: list[Line] = []
    faults: list[str] = []
    seen: dict[str, int] = {}
    for number, cells in rows:
        found = _receipt(header, cells, seller, book)
        if isinstance(found, BankReceipt):
            if (first := seen.setdefault(found.id, number)) != number:
                found = [
                    f"column reference: found {found.reference!r} as in line {first}, "
                    "expected each reference of an account once"
                ]
            else:
                receipts.append((number, found))
        if isinstance(found, list):
            faults += [f"{name}, line {number}, {fault}" for fault in found]
    if faults:
        more = [f"and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
        raise TermsError("\n".join(faults[:MAX_FAULTS] + more))
    return receipts


def _rows(content: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the number of the line they begin on; a blank line is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as other:
        line = content[: other.start].count(b"\n") + 1
        raise TermsError(
            f"{name}, line {line}: found bytes that are no UTF-8, expected a UTF-8 file"
        ) from other
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as broken:
        raise TermsError(
            f"{name}, line {begins}: found {broken}, expected CSV as RFC 4180 has it: fields with "
            "commas or quotes in double quotes, a quote inside them doubled"
        ) from broken


def _require_header(header: list[str], where: str) -> None:
    columns = f"{', '.join(NEEDED)}, and if wanted {', '.join(OPTIONAL)}"
    for column in header:
        if column not in (*NEEDED, *OPTIONAL):
            raise TermsError(f"{where}: found the column {column!r}, expected {columns}")
        if header.count(column) > 1:
            raise TermsError(f"{where}: found the column {column!r} twice, expected it once")
    if missing := [column for column in NEEDED if column not in header]:
        raise TermsError(f"{where}: found no column {', '.join(missing)}, expected {columns}")


def _receipt(
    header: list[str], cells: list[str], seller: str, book: Book
) -> BankReceipt | list[str]:
    """A receipt, or what is wrong with its line."""
    if len(cells) != len(header):
        return [f"found {len(cells)} fields, expected {len(header)} as in the header"]
    given = dict(zip(header, cells, strict=True))
    currency = given.pop("currency")
    if currency not in MINOR_DIGITS:
        return [f"column currency: found {currency!r}, expected one of {', '.join(MINOR_DIGITS)}"]
    try:
        amount = parse_amount(given.pop("amount"), currency)
    except ValueError as wrong:
        return [f"column amount: {wrong}"]
    if not given.get("customer"):
        given.pop("customer", None)
    try:
        return BankReceipt.model_validate(
            {**given, "amount": amount, "seller": seller, "book": book}
        )
    except ValidationError as wrong:
        return [_fault(error) for error in wrong.errors()]


def _fault(error: ErrorDetails) -> str:
    column = str(error["loc"][0]) if error["loc"] else "amount"
    if error["type"] == "value_error":
        return f"column {column}: {error['ctx']['error']}"
    return f"column {column}: found {error['input']!r}, expected {EXPECTED[column]}"
