"""`python -m bench [history|ledger|outcome|settle|steps]`: history alone, if nothing else is said."""

import argparse
import sys

from bench import history, ledger, outcome, settle, steps
from tollkeeper.cli.common import running
from tollkeeper.cli.screen import out

BENCHES = {
    "history": history,
    "ledger": ledger,
    "outcome": outcome,
    "settle": settle,
    "steps": steps,
}


def main() -> int:
    """Exit code 1 when a budget is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("bench", nargs="?", choices=BENCHES)
    wanted = parser.parse_args().bench
    kept = running(BENCHES[wanted or "history"].measure())
    if wanted is None:
        out.print("\nThe others, minutes each on two idle cores:")
        for name in ("ledger", "outcome", "settle", "steps"):
            out.print(f"  python -m bench {name:8} {BENCHES[name].__doc__}", markup=False)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
