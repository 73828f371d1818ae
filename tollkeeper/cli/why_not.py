"""`tollkeeper why-not`: each amount that is not billed, and what it waits for."""

import sys

from cyclopts import App

from tollkeeper.cli.common import in_the_records
from tollkeeper.cli.screen import TABLES, Output, dump, err, out, table, when
from tollkeeper.why_not import FeeSum, Unbilled, WhyNot
from tollkeeper.why_not import why_not as find


def register(parent: App) -> None:
    parent.command(why_not)


def why_not(engagement: str, /, *, output: Output = TABLES) -> None:
    """Say of each amount that is not billed what it waits for, whom, since and until when.

    Billed, not billed yet and never billed add up to the fees; exit 1 where they do not.

    Parameters
    ----------
    engagement
        Its id.
    """
    found = in_the_records(lambda pool: find(pool, engagement))
    if output.json:
        dump(found)
    else:
        _show(found)
    broken = [fee for fee in found.fees if fee.difference.minor]
    for fee in broken:
        lines, apart = ", ".join(fee.fees), fee.difference.grouped()
        err.print(f"[red]difference[/] of {apart} in fee {lines}: {_identity(fee)}")
    if broken:
        err.print("`tollkeeper ledger verify` names the place")
        sys.exit(1)


def _show(found: WhyNot) -> None:
    out.print(
        f"[bold]{found.engagement}[/]  {found.contract}, phase {found.phase}, "
        f"at {when(found.now, found.timezone)} {found.timezone}"
    )
    if found.waiting:
        table(
            "Not billed yet, net",
            ["what", "clause", "amount>", "reason", "because", "waits for", "who", "since", "until", "then"],
            [_waiting(line, found) for line in found.waiting],
        )  # fmt: skip
    if found.never:
        table(
            "Never billed, net",
            ["what", "clause", "amount>", "reason", "because", "explain"],
            [
                (line.what, line.clause, line.amount, line.reason.value, line.why, line.decision)
                for line in found.never
            ],
        )
    if found.by_reason:
        table(
            "By reason, net",
            ["reason", "amount>"],
            [(part.reason.value, part.amount) for part in found.by_reason],
        )
    out.print(f"{_identity(found.total)} {found.total.amount.currency}")


def _waiting(line: Unbilled, found: WhyNot) -> tuple[object, ...]:
    held = f", {line.hold}" if line.hold else ""
    withheld = f", withheld on {line.invoice}" if line.invoice else ""
    shown = (line.what, line.clause, line.amount, line.reason.value, line.why + held + withheld)
    wait = line.awaited
    if wait is None:
        return shown
    process = wait.process.removeprefix(f"eng.{found.engagement}").lstrip(".")
    return (
        *shown,
        f"{process}: {wait.why}" if process else wait.why,
        f"{wait.for_whom}: {', '.join(wait.people)}" if wait.people else wait.for_whom,
        when(wait.since, found.timezone),
        "overdue" if wait.overdue else when(wait.due_at, found.timezone),
        wait.then and wait.then.replace("_", " "),
    )


def _identity(fee: FeeSum) -> str:
    withheld = f" (withheld {fee.withheld.grouped()})" if fee.withheld.minor else ""
    return (
        f"billed {fee.billed.grouped()} + not billed yet {fee.waiting.grouped()}{withheld} "
        f"+ never billed {fee.never.grouped()} = fees {fee.amount.grouped()}"
    )
