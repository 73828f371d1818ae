"""The command line: `tollkeeper`, for people with tables and for scripts with `--json`.

Exit codes: 0 done, 1 refused, 2 the call itself is wrong, 3 a system is not reachable.
"""

import logging
import sys

import asyncpg
import structlog
from cyclopts import App, CycloptsError, Parameter

from contracts.errors import EngagementError, Unavailable
from tollkeeper.cli import (
    adjustments,
    approval,
    books,
    bundle,
    change_order,
    clock,
    contract,
    dispute,
    engagement,
    export,
    hold,
    milestone,
    money,
    printing,
    reading,
    receipt,
    receivables,
    refund,
    run,
    settle,
    step,
    why_not,
)
from tollkeeper.cli.screen import refused
from tollkeeper.settings import product_version

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

app = App(
    name="tollkeeper",
    help="Carries a signed consulting contract to the day its value is measured.",
    version=product_version,
    default_parameter=Parameter(negative=()),
)
for part in (
    run,
    contract,
    settle,
    engagement,
    clock,
    step,
    milestone,
    reading,
    hold,
    approval,
    change_order,
    money,
    receipt,
    refund,
    dispute,
    receivables,
    adjustments,
    printing,
    books,
    export,
    why_not,
    bundle,
):
    part.register(app)


def main() -> None:
    """Run the command line and leave with its exit code."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    # A refusal is on record and in the metrics; its traceback tells nobody anything.
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(USAGE)
    except Unavailable as down:
        refused(down)
        sys.exit(UNREACHABLE)
    except EngagementError as no:
        refused(no)
        sys.exit(REFUSED)
    except OSError as broken:
        refused(Unavailable(f"{broken}; expected a data folder of our own and servers that answer"))
        sys.exit(UNREACHABLE)
    except asyncpg.PostgresError as failed:
        refused(Unavailable(f"the database refuses: {failed}"))
        sys.exit(UNREACHABLE)
    except KeyboardInterrupt:
        sys.exit(130)
