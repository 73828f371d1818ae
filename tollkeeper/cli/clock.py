"""`tollkeeper clock`: where an engagement's clock stands, and moving a test clock."""

from typing import Annotated

from cyclopts import App, Parameter

from contracts.errors import TermsError
from tollkeeper.cli.common import Moment, at_the_desk
from tollkeeper.cli.screen import TABLES, Output, dump, out, when
from tollkeeper.desk import Clock

app = App(name="clock")


@app.command
def show(engagement: str, /, *, output: Output = TABLES) -> None:
    """Where the clock stands and what is due next."""
    _print(output, engagement, at_the_desk(lambda office: office.desk.clock(engagement)))


@app.command
def advance(
    engagement: str,
    /,
    *,
    to: Moment | None = None,
    next_: Annotated[bool, Parameter(name="--next", negative="")] = False,
    output: Output = TABLES,
) -> None:
    """Advance a test clock; it stops at each due instant, and all that is due happens in order.

    Parameters
    ----------
    to
        The instant to advance to; without a zone it is UTC.
    next_
        Advance to the next instant at which something is due.
    """
    if (to is None) is not next_:
        raise TermsError("expected one of --to DATE and --next")
    _print(output, engagement, at_the_desk(lambda office: office.desk.advance(engagement, to)))


def _print(output: Output, engagement: str, clock: Clock) -> None:
    if output.json:
        return dump(
            {
                "engagement": engagement,
                "kind": clock.kind.value,
                "now": clock.now.isoformat(),
                "next_due": clock.next_due.isoformat() if clock.next_due else None,
            }
        )
    due = f", next due {when(clock.next_due)} UTC" if clock.next_due else ", nothing due"
    out.print(f"{engagement}: {clock.kind.value} clock at {when(clock.now)} UTC{due}")
