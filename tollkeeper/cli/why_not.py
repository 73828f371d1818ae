"""`tollkeeper why-not`: each amount that is not billed, or not to be paid yet, and what it waits for."""

import sys
from collections.abc import Sequence

from contracts.fields import short_id
from contracts.money import Money
from tollkeeper.cli.common import in_the_records
from tollkeeper.cli.screen import TABLES, Output, dump, err, out, table, when
from tollkeeper.why_not import Awaited, FeeSum, Unbilled, Unsettled, WhyNot
from tollkeeper.why_not import why_not as find

WAIT = ("waits for", "who", "since", "until", "then")


def why_not(engagement: str, /, *, output: Output = TABLES) -> None:
    """Say of each amount that is not billed, or not to be paid yet, what it waits for and whom.

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
            "Not billed yet, in the contract's prices",
            ["what", "clause", "amount>", "reason", "because", *WAIT],
            [
                (line.what, line.clause, *_why(line), *_wait(line.awaited, found))
                for line in found.waiting
            ],
        )
    if found.never:
        table(
            "Never billed, in the contract's prices",
            ["what", "clause", "amount>", "reason", "because", "explain"],
            [
                (line.what, line.clause, *_why(line), line.decision or line.document)
                for line in found.never
            ],
        )
    _unsettled("Billed, not to be paid yet, gross", found.not_payable, found)
    _unsettled("Billed, may have to be given back, net", found.returnable, found)
    if found.asked:
        table(
            "Asked for",
            ["request", "decision", "about", "amount>", "", "asked by", *WAIT],
            [
                (
                    short_id(each.id), each.decision.value, short_id(each.subject),
                    each.amount, each.basis, each.requested_by, *_wait(each.awaited, found),
                )
                for each in found.asked
            ],
        )  # fmt: skip
    if found.by_reason:
        table(
            "By reason, in the contract's prices",
            ["reason", "amount>"],
            [(part.reason.value, part.amount) for part in found.by_reason],
        )
    out.print(f"{_identity(found.total)} {found.total.amount.currency}")


def _unsettled(title: str, lines: Sequence[Unsettled], found: WhyNot) -> None:
    if lines:
        table(
            title,
            ["what", "clause", "invoice", "amount>", "reason", "because", *WAIT],
            [
                (line.what, line.clause, line.invoice, *_why(line), *_wait(line.awaited, found))
                for line in lines
            ],
        )
        total = sum((line.amount for line in lines), Money(0, found.total.amount.currency))
        out.print(f"{total.grouped()} in all")


def _why(line: Unbilled | Unsettled) -> tuple[object, ...]:
    return line.amount, line.reason.value, line.why


def _wait(wait: Awaited | None, found: WhyNot) -> tuple[object, ...]:
    if wait is None:
        return ()
    process = wait.process.removeprefix(f"eng.{found.engagement}").lstrip(".")
    return (
        f"{process}: {wait.why}" if process else wait.why,
        f"{wait.for_whom}: {', '.join(wait.people)}" if wait.people else wait.for_whom,
        when(wait.since, found.timezone),
        "overdue" if wait.overdue else when(wait.due_at, found.timezone),
        wait.then and wait.then.replace("_", " "),
    )


def _identity(fee: FeeSum) -> str:
    return (
        f"billed {fee.billed.grouped()} + not billed yet {fee.waiting.grouped()} "
        f"+ never billed {fee.never.grouped()} = fees {fee.amount.grouped()}"
    )
