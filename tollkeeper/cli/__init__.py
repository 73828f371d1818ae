"""The command line: `tollkeeper`, for people with tables and for scripts with `--json`.

Exit codes: 0 done, 1 refused, 2 the call itself is wrong, 3 a system is not reachable.
"""

import sys

from cyclopts import App, CycloptsError, Parameter

from contracts.errors import EngagementError, Unavailable
from tollkeeper.cli.consoles import refused

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

COMMANDS = {
    "demo": (
        "run:demo",
        "Play a contract from signature to the settled value bet on a test clock, and check the books.",
    ),
    "up": (
        "run:up",
        "Run everything in the foreground: servers, worker, deliveries, metrics; until Ctrl-C.",
    ),
    "worker": (
        "run:worker",
        "Run a worker beside servers that run elsewhere, until Ctrl-C or SIGTERM.",
    ),
    "contract": ("contract:app", "The contract document, and what goes with it."),
    "engagement": (
        "engagement:app",
        "Engagements: one piece of consulting under one contract.",
    ),
    "decide": (
        "engagement:decide",
        "Sign at the decision gate; business and IT must sign the same.",
    ),
    "clock": ("clock:app", "An engagement's clock."),
    "step": ("step:app", "The steps of micro-consulting."),
    "milestone": ("milestone:app", "Milestones: deliverables with acceptance and a fee."),
    "reading": ("reading:app", "Readings of the indicators that a contract bets on."),
    "hold": ("hold:app", "Holds on money."),
    "approval": ("approval:app", "Decisions about money that need signatures."),
    "change-order": ("change_order:app", "Changes of a contract while its engagement runs."),
    "invoice": ("money:documents", "Invoices and credit notes."),
    "ledger": ("money:ledger", "The double-entry ledger."),
    "explain": (
        "money:explain",
        "Say how a number came about, and what became of money: clause, evidence, steps, people, postings.",
    ),
    "receipt": ("receipt:app", "Money that came in, and what it pays."),
    "refund": ("refund:app", "Credit of a customer that is paid back."),
    "dispute": ("dispute:app", "Parts of invoices that the client does not accept."),
    "credit": (
        "receivables:credit",
        "Ask for a credit note on an invoice: off what is open of it; what is paid becomes credit.",
    ),
    "write-off": (
        "receivables:write_off",
        "Ask for an open part of an invoice to be given up; no tax is taken back with it.",
    ),
    "ageing": (
        "receivables:ageing",
        "What each customer owes, gross, by days overdue; disputed, held and unapplied money apart.",
    ),
    "gain-share": ("adjustments:gain_share", "A share of the benefit, trued up to date."),
    "service-credit": ("adjustments:service_credit", "Credits for service below its level."),
    "advance": ("adjustments:advance", "The advance that the contract agrees."),
    "cap": ("adjustments:cap", "What may be billed at most."),
    "decision": ("printing:decision", "Decisions about held money."),
    "period": ("books:period", "Accounting periods: months of a legal entity."),
    "export": ("export:app", "What leaves for other systems, and whether it arrived."),
    "why-not": (
        "why_not:why_not",
        """Say of each amount that is not billed, or not to be paid yet, what it waits for and whom.

        Billed, not billed yet and never billed add up to the fees; exit 1 where they do not.""",
    ),
    "bundle": (
        "bundle:bundle",
        """Write all that the other side needs to recompute every number of an engagement, signed.

        The same state gives the same bytes. The other side checks it with `tollkeeper-verify`.""",
    ),
    "signing-key": (
        "bundle:signing_key",
        """Print the public key that bundles are signed with, and its fingerprint.

        Give the fingerprint to the other side once, by another way than the bundles take.""",
    ),
}
"""Where each command is, and what it is for: a module is loaded once one of its commands is called."""

app = App(
    name="tollkeeper",
    help="Carries a signed consulting contract to the day its value is measured.",
    default_parameter=Parameter(negative=()),
    help_format="plaintext",  # Markdown loads for longer than all else of a page
)
for name, (place, purpose) in COMMANDS.items():
    app.command(f"{__name__}.{place}", name=name, help=purpose)


def main() -> None:
    """Run the command line and leave with its exit code."""
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
    except KeyboardInterrupt:
        sys.exit(130)
