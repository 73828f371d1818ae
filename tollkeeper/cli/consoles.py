"""Where the command line prints: answers on standard output, all else on standard error."""

from rich.console import Console

from contracts.errors import EngagementError

# No figure is cut short: a line wider than the screen runs over its edge.
WIDE = 1_000

out = Console(highlight=False, soft_wrap=True, width=WIDE)
err = Console(highlight=False, soft_wrap=True, width=WIDE, stderr=True)


def refused(error: EngagementError) -> None:
    """Say what was refused, by its name and with its reason."""
    err.print(f"[red]{type(error).__name__}[/]: ", end="")
    err.print(str(error), markup=False)
