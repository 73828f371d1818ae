"""`tollkeeper invoice`, `ledger` and `explain`: the money and the reasons behind it."""

from cyclopts import App

from contracts.money import Money
from lifecycle.ledger import Posting
from tollkeeper.cli.common import in_the_records
from tollkeeper.cli.screen import TABLES, Output, dump, out, table, tree
from tollkeeper.views.documents import Document, invoice, invoices
from tollkeeper.views.explained import Explained
from tollkeeper.views.explained import explain as find_explanation
from tollkeeper.views.ledger import balances

documents = App(name="invoice")
documents.command(
    "tollkeeper.cli.printing:print_document",
    name="print",
    help="""Print an invoice or credit note as a PDF.

    The same document gives the same bytes, whenever and wherever it is printed.""",
)
ledger = App(name="ledger")
ledger.command(
    "tollkeeper.cli.books:verify",
    help="Check every invariant of the books; exit 1 and name the place where one is broken.",
)
ledger.command(
    "tollkeeper.cli.books:seal",
    help="""Chain every journal group that is not sealed yet, and write a signed checkpoint of each book.

    A worker does so every minute.""",
)
ledger.command(
    "tollkeeper.cli.books:reverse",
    help="Ask for the exact mirror of a journal group; it is posted when others have approved it.",
)


@documents.command(name="list")
def list_invoices(engagement: str | None = None, /, *, output: Output = TABLES) -> None:
    """Every invoice and credit note, by date and number.

    Parameters
    ----------
    engagement
        Of this engagement alone.
    """
    rows = in_the_records(lambda pool: invoices(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Invoices and credit notes",
        ["number", "engagement", "issued", "due", "net>", "tax>", "gross>", "",
         "open>", "not due>", "status", "corrects"],
        [
            (
                row.number, row.engagement, row.issued_on, row.due_on,
                row.net, row.tax, row.gross, row.gross.currency,
                *_claimed(row), row.status, row.corrects,
            )
            for row in rows
        ],
    )  # fmt: skip


@documents.command
def show(number: str, /, *, output: Output = TABLES) -> None:
    """One invoice or credit note with its lines and where it was delivered.

    Parameters
    ----------
    number
        Its number.
    """
    found = in_the_records(lambda pool: invoice(pool, number))
    if output.json:
        return dump(found)
    due = f", due {found.due_on}" if found.document == "invoice" else ""
    out.print(
        f"[bold]{found.number}[/]  {found.document.replace('_', ' ')} of {found.issued_on}{due}, "
        f"{found.contract}"
    )
    table(
        "",
        ["line", "fee", "clause", "title", "net>", "tax>", "code", "corrects"],
        [
            (
                line.line, line.fee, line.clause, line.title.en,
                line.net, line.tax, line.tax_code, line.corrects,
            )
            for line in found.lines
        ],
    )  # fmt: skip
    taxes = " ".join(f"+ {tax.code} {tax.tax.grouped()}" for tax in found.taxes)
    net, gross = found.net.grouped(), found.gross.grouped()
    out.print(f"net {net} {taxes} = {gross} {found.gross.currency}")
    for what, amount in (
        ("retained", found.retained_at_issue),
        ("withheld", found.withheld_at_issue),
        ("advance deducted", found.advance),
    ):
        if amount.minor:
            out.print(f"{what} {amount.grouped()}")
    if found.status:
        out.print(_settled(found))
    if found.corrects:
        out.print(f"corrects {found.corrects}")
    if found.delivery:
        out.print(f"delivered to {found.delivery.url}: answered {found.delivery.status}")


@ledger.command
def balance(engagement: str | None = None, /, *, output: Output = TABLES) -> None:
    """The trial balance: what each account holds, in both ledgers.

    Parameters
    ----------
    engagement
        Of this engagement alone.
    """
    rows = in_the_records(lambda pool: balances(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Trial balance",
        ["book", "account", "name", "ledger", "debit>", "credit>", "balance>", ""],
        [
            (
                row.book.value, row.account, row.name, row.ledger,
                row.debit, row.credit, row.balance, row.balance.currency,
            )
            for row in rows
        ],
    )  # fmt: skip


def explain(what: str, /, *, output: Output = TABLES) -> None:
    """Say how a number came about, and what became of money: clause, evidence, steps, people, postings.

    Parameters
    ----------
    what
        An invoice line (NUMBER/1), a document's number, a hold, the key of a decision, a receipt
        (SELLER/ACCOUNT/REFERENCE), a refund, a dispute, or the key of what was posted.
    """
    found = in_the_records(lambda pool: find_explanation(pool, what))
    if output.json:
        return dump(found)
    for explanation in found.explanations:
        out.print(tree(explanation))
    for tax in found.taxes:
        how = tax.calculation
        out.print(
            f"taxed {tax.net.grouped()}: {how.formula} = {how.exact} -> {how.rounded}   ({how.rule})"
        )
    if found.steps:
        _steps(found)
    for group in found.journal:
        table(
            f"posted {group.key}",
            ["account", "debit>", "credit>", "of"],
            [
                (
                    posting.account.value,
                    *_sides(posting.side.value, posting.amount),
                    _kept_by(posting),
                )
                for posting in group.postings
            ],
        )
    for wait in found.waiting:
        out.print(f"waits for {wait.for_whom}: {wait.why}")


def _steps(found: Explained) -> None:
    """What became of money, and what of it is left."""
    table(
        f"{found.subject}, gross",
        ["on", "what", "amount>", "by", "decided by", "because"],
        [
            (step.on, step.what, step.amount, step.by, step.decided_by, step.why)
            for step in found.steps
        ],
    )
    if found.left is not None and found.reserved is not None:
        out.print(f"left {found.left.grouped()}, of it reserved {found.reserved.grouped()}")


def _sides(side: str, amount: Money) -> tuple[Money | None, Money | None]:
    return (amount, None) if side == "D" else (None, amount)


def _kept_by(posting: Posting) -> str:
    """What of its account a posting is about, as the chart of accounts says."""
    kept = (posting.fee, posting.hold, posting.invoice, posting.item)
    return ", ".join(dict.fromkeys(name for name in kept if name))


def _claimed(row: Document) -> tuple[Money | None, Money | None]:
    """What is to be paid of an invoice now, and what not yet: retained, withheld or disputed."""
    later = row.retained + row.withheld + row.disputed
    return (row.payable if row.payable.minor else None, later if later.minor else None)


def _settled(row: Document) -> str:
    """What became of an invoice, in one line."""
    amounts = {
        "open": row.payable,
        "retained": row.retained,
        "withheld": row.withheld,
        "disputed": row.disputed,
        "paid": row.paid,
        "credited": row.credited,
        "written off": row.written_off,
    }
    parts = [f"{name} {amount.grouped()}" for name, amount in amounts.items() if amount.minor]
    return f"{row.status}: {', '.join(parts)}"
