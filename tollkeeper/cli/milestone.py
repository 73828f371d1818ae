"""`tollkeeper milestone`: hand in, accept, reject."""

from cyclopts import App

from contracts.commands import AcceptMilestone, RejectMilestone, SubmitEvidence
from tollkeeper.cli.common import Asked, ask, pairs
from tollkeeper.cli.screen import TABLES, Output

app = App(name="milestone")


@app.command
def submit(
    engagement: str,
    milestone: str,
    /,
    *,
    evidence: list[str],
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Hand in a milestone; its acceptance clock starts.

    Parameters
    ----------
    evidence
        KIND=REFERENCE, once for each kind of evidence the clause asks for.
    """
    proofs = pairs(evidence)
    ask(
        output,
        engagement,
        asked,
        "submit",
        lambda who: SubmitEvidence(**who, evidence=proofs),
        "milestone",
        milestone,
    )


@app.command
def accept(engagement: str, milestone: str, /, *, asked: Asked, output: Output = TABLES) -> None:
    """Accept a milestone for the client; its fee is earned and invoiced."""
    ask(
        output,
        engagement,
        asked,
        "accept",
        lambda who: AcceptMilestone(**who),
        "milestone",
        milestone,
    )


@app.command
def reject(
    engagement: str,
    milestone: str,
    /,
    *,
    reason: list[str],
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Reject a milestone for the client; it goes back to delivery.

    Parameters
    ----------
    reason
        Why; may be given several times.
    """
    ask(
        output,
        engagement,
        asked,
        "reject",
        lambda who: RejectMilestone(**who, reasons=tuple(reason)),
        "milestone",
        milestone,
    )
