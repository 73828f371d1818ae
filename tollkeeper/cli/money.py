"""`tollkeeper hold`, `invoice`, `ledger` and `explain`: the money and the reasons behind it."""

import sys

from cyclopts import App

from contracts.money import Money
from tollkeeper.cli.common import in_the_records
from tollkeeper.cli.screen import TABLES, Output, dump, err, out, table, tree
from tollkeeper.queries import balances, holds, invoice, invoices
from tollkeeper.queries import explain as find_explanation
from tollkeeper.verify import verify as verify_ledger


def register(parent: App) -> None:
    hold = App(name="hold", help="Holds on money.")
    hold.command(list_holds, name="list")
    documents = App(name="invoice", help="Invoices and credit notes.")
    documents.command(list_invoices, name="list")
    documents.command(show, name="show")
    ledger = App(name="ledger", help="The double-entry ledger.")
    ledger.command(balance)
    ledger.command(verify)
    for app in (hold, documents, ledger):
        parent.command(app)
    parent.command(explain)


def list_holds(engagement: str | None = None, /, *, output: Output = TABLES) -> None:
    """Every hold: what was placed, is held, was released and forfeited, net.

    Parameters
    ----------
    engagement
        Of this engagement alone.
    """
    rows = in_the_records(lambda pool: holds(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Holds, net",
        ["hold", "clause", "effect", "bet", "placed>", "held>", "released>", "forfeited>", ""],
        [
            (
                row.id, row.clause, row.effect.value, row.bet,
                row.placed, row.held, row.released, row.forfeited, row.placed.currency,
            )
            for row in rows
        ],
    )  # fmt: skip


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
        ["number", "document", "engagement", "issued", "net>", "tax>", "gross>", "", "withheld>", "corrects"],
        [
            (
                row.number, row.document, row.engagement, row.issued_on,
                row.net, row.tax, row.gross, row.gross.currency,
                row.withheld if row.withheld.minor else None, row.corrects,
            )
            for row in rows
        ],
    )  # fmt: skip


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
    out.print(f"[bold]{found.number}[/]  {found.document} of {found.issued_on}, {found.contract}")
    table(
        "",
        ["line", "clause", "title", "net>"],
        [(line.line, line.clause, line.title.en, line.net) for line in found.lines],
    )
    net, tax, gross = (part.grouped() for part in (found.net, found.tax, found.gross))
    out.print(f"net {net} + {found.tax_code} {tax} = {gross} {found.gross.currency}")
    if found.corrects:
        out.print(f"corrects {found.corrects}")
    if found.delivery:
        out.print(f"delivered to {found.delivery.url}: answered {found.delivery.status}")


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


def verify(*, output: Output = TABLES) -> None:
    """Check every invariant of the books; exit 1 and name the place where one is broken."""
    result = in_the_records(verify_ledger)
    if output.json:
        dump(result)
    else:
        table(
            "Invariants",
            ["check", "rule", "looked at>", "result"],
            [
                (check.title, check.rule, check.checked, "ok" if check.ok else "BROKEN")
                for check in result.checks
            ],
        )
        for check in result.checks:
            for violation in check.violations:
                err.print(f"[red]{check.id}[/]: {violation}")
    if not result.ok:
        sys.exit(1)


def explain(what: str, /, *, output: Output = TABLES) -> None:
    """Say how a number came about: clause, inputs with evidence, steps, rounding, postings.

    Parameters
    ----------
    what
        An invoice line (NUMBER/1), a document's number, a hold, or the key of a decision.
    """
    found = in_the_records(lambda pool: find_explanation(pool, what))
    if output.json:
        return dump(found)
    for explanation in found.explanations:
        out.print(tree(explanation))
    if found.tax:
        out.print(
            f"{found.tax.formula} = {found.tax.exact} -> {found.tax.rounded}   ({found.tax.rule})"
        )
    for group in found.journal:
        table(
            f"posted {group.key}",
            ["account", "debit>", "credit>"],
            [
                (posting.account.value, *_sides(posting.side.value, posting.amount))
                for posting in group.postings
            ],
        )
    for wait in found.waiting:
        out.print(f"waits for {wait.for_whom}: {wait.why}")


def _sides(side: str, amount: Money) -> tuple[Money | None, Money | None]:
    return (amount, None) if side == "D" else (None, amount)
