"""`tollkeeper step`: the steps of micro-consulting."""

from cyclopts import App

from contracts.commands import CompleteStep
from tollkeeper.cli.common import MICRO, Asked, ask
from tollkeeper.cli.screen import TABLES, Output

app = App(name="step")


@app.command
def done(
    engagement: str,
    step: str,
    /,
    *,
    asked: Asked,
    minutes: int = 0,
    evidence: str | None = None,
    output: Output = TABLES,
) -> None:
    """The current step is done.

    Parameters
    ----------
    step
        Its id, such as S01.
    minutes
        The consultant effort it took; none where the client leads.
    evidence
        What shows it: minutes of a meeting, a file, a hash.
    """
    ask(
        output,
        engagement,
        asked,
        "complete_step",
        lambda who: CompleteStep(**who, step=step, minutes=minutes, evidence=evidence),
        *MICRO,
    )
