"""`tollkeeper change-order`: the next version of a contract, priced, proposed, followed."""

from pathlib import Path

from cyclopts import App

from lifecycle.change_order import Pricing
from lifecycle.orders.approvals import Requested
from lifecycle.orders.change_orders import ProposeChange
from tollkeeper.cli.common import Asked, at_the_desk, booked, in_the_records, instruction, told
from tollkeeper.cli.contract import load
from tollkeeper.cli.screen import TABLES, Output, dump, out, table
from tollkeeper.office import Office
from tollkeeper.views.change_orders import change_order, change_orders, what_if

app = App(name="change-order")


@app.command(name="list")
def list_changes(engagement: str | None = None, /, *, output: Output = TABLES) -> None:
    """Every change order: its version, where it stands, who signed, its delta document.

    Parameters
    ----------
    engagement
        Of this engagement alone.
    """
    rows = in_the_records(lambda pool: change_orders(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Change orders",
        [
            "change order", "contract", "effective on", "retroactive", "moves>", "", "state", "signed",
            "document",
        ],
        [
            (
                row.id, row.contract, row.effective_on, "yes" if row.retroactive else "no", row.amount,
                row.amount.currency, row.state, ", ".join(row.signed), row.document,
            )
            for row in rows
        ],
    )  # fmt: skip


@app.command
def price(
    engagement: str,
    contract: Path,
    /,
    *,
    retroactive: bool = False,
    output: Output = TABLES,
) -> None:
    """Show what a new version of the contract would change, line by line; nothing is written.

    Parameters
    ----------
    contract
        The whole document of the new version.
    retroactive
        Correct what is billed already.
    """
    new = load(contract)
    pricing = in_the_records(lambda pool: what_if(pool, engagement, new, retroactive=retroactive))
    if output.json:
        return dump(pricing)
    printed(pricing)


@app.command
def propose(
    engagement: str,
    change: str,
    contract: Path,
    /,
    *,
    reason: str,
    asked: Asked,
    retroactive: bool = False,
    output: Output = TABLES,
) -> None:
    """Ask both sides to agree on a new version of the contract.

    Parameters
    ----------
    change
        A new id for the change order; its request has the same.
    contract
        The whole document of the new version.
    retroactive
        Correct what is billed already, with one delta document.
    """
    new = load(contract)

    async def proposing(office: Office) -> tuple[Pricing | None, Requested]:
        order = ProposeChange(
            **await instruction(office, engagement, asked, f"eng.{engagement}.request.{change}"),
            change=change,
            contract=new,
            retroactive=retroactive,
            reason=reason,
        )
        requested = await booked(office, order)
        return (await change_order(office.pool, engagement, change)).pricing, requested

    pricing, requested = at_the_desk(proposing)
    if pricing and not output.json:
        printed(pricing)
    told(requested, output)


@app.command
def show(engagement: str, change: str, /, *, output: Output = TABLES) -> None:
    """One change order with everything that it changes, and what it costs as long as it is not in force."""
    found = in_the_records(lambda pool: change_order(pool, engagement, change))
    if output.json:
        return dump(found)
    retroactive = ", retroactive" if found.retroactive else ""
    out.print(
        f"[bold]{found.id}[/]  {found.contract} from {found.effective_on}{retroactive}: {found.state}"
    )
    out.print(f"asked by {found.requested_by}: {found.reason}", markup=False)
    if found.signed:
        out.print(f"signed by {', '.join(found.signed)}")
    if found.document:
        out.print(f"corrected by {found.document}")
    if found.refusal:
        out.print(f"not possible: {found.refusal}", markup=False)
    if found.pricing:
        printed(found.pricing)
    else:
        _edits(found.edits)
    out.print(f"digest {found.digest}")


def printed(pricing: Pricing) -> None:
    """Print what a change order changes, and what it costs."""
    _edits(pricing.edits)
    table(
        "What it costs, net",
        ["line", "fee", "clause", "billed>", "old>", "new>", "delta>", "its tax>"],
        [
            (
                line.what, line.fee, line.clause, line.billed, line.before, line.after,
                line.delta and line.delta.net, line.delta and line.delta.tax,
            )
            for line in pricing.lines
        ],
    )  # fmt: skip
    delta = pricing.delta
    if pricing.document:
        kind = pricing.document.replace("_", " ")
        out.print(
            f"corrected by one {kind}: {delta.net.grouped()} {delta.net.currency} net, "
            f"{delta.tax.grouped()} tax, {delta.gross.grouped()} in all"
        )
    for level, amount in pricing.authorised.items():
        out.print(f"authorised for {level}: {amount.grouped()} {amount.currency}")


def _edits(edits: tuple[str, ...]) -> None:
    for edit in edits:
        out.print(edit, markup=False)
