"""`tollkeeper approval`: what is asked for, signed and turned down."""

from cyclopts import App

from contracts.calendar import local_date
from lifecycle.approval import RequestState
from lifecycle.orders.approvals import (
    AskAgain,
    RejectRequest,
    Requested,
    SignRequest,
    WithdrawRequest,
)
from tollkeeper.cli.common import (
    Asked,
    at_the_desk,
    booked,
    in_the_records,
    instruction,
    told,
)
from tollkeeper.cli.screen import TABLES, Output, dump, out, table, when
from tollkeeper.office import Office
from tollkeeper.views.approvals import Approval, approval, approvals

app = App(name="approval")


@app.command(name="list")
def list_requests(
    engagement: str | None = None, /, *, pending: bool = False, output: Output = TABLES
) -> None:
    """What was asked for, by whom, who signed and who could sign.

    Parameters
    ----------
    engagement
        Of this engagement alone.
    pending
        Only what nobody has decided yet.
    """
    rows = in_the_records(lambda pool: approvals(pool, engagement, pending=pending))
    if output.json:
        return dump(rows)
    table(
        "Requests",
        ["request", "decision", "about", "amount>", "", "asked by", "state", "signed", "can sign", "until"],
        [
            (
                row.id, row.decision.value, row.subject,
                row.amount, f"{row.amount.currency} {row.basis}",
                row.requested_by, row.state.value, _signed(row),
                ", ".join(row.can_sign), local_date(row.expires_at, row.timezone),
            )
            for row in rows
        ],
    )  # fmt: skip


def _signed(row: Approval) -> str:
    """Who decided, or has signed; of what nobody decided in time, who had signed."""
    expired = row.state is RequestState.EXPIRED
    return ", ".join(row.signed) if expired or not row.decided_by else row.decided_by


@app.command
def show(engagement: str, request: str, /, *, output: Output = TABLES) -> None:
    """One request with exactly what would be carried out, and the digest that a signature is of."""
    found = in_the_records(lambda pool: approval(pool, engagement, request))
    if output.json:
        return dump(found)
    out.print(
        f"[bold]{found.id}[/]  {found.decision.value} of {found.amount} {found.amount.currency} "
        f"{found.basis}: {found.state.value}"
    )
    zone = found.timezone
    out.print(f"asked by {found.requested_by} at {when(found.requested_at, zone)} {zone}")
    if found.signed:
        out.print(f"signed by {', '.join(found.signed)} ({len(found.signed)} of {found.needed})")
    if found.can_sign:
        until = when(found.expires_at, zone)
        out.print(f"can be signed by {', '.join(found.can_sign)} until {until}")
    if found.decided_by:
        out.print(f"decided by {found.decided_by}{': ' + found.reason if found.reason else ''}")
    table(
        "What is carried out",
        ["", ""],
        [(name, what) for name, what in found.payload.items() if what not in (None, [])],
    )
    out.print(f"digest {found.digest}")


@app.command
def sign(
    engagement: str,
    request: str,
    /,
    *,
    asked: Asked,
    digest: str | None = None,
    output: Output = TABLES,
) -> None:
    """Approve a request; the last signature needed carries it out.

    Parameters
    ----------
    request
        Its id.
    digest
        Of what you have looked at, as `approval show` prints it; as it is now, unless said.
    """

    async def signing(office: Office) -> Requested:
        found = await approval(office.pool, engagement, request)
        order = SignRequest(
            **await instruction(office, engagement, asked, f"{found.id}:sign:{asked.by}"),
            request=found.id,
            digest=digest or found.digest,
        )
        return await booked(office, order)

    told(at_the_desk(signing), output)


@app.command
def reject(
    engagement: str, request: str, /, *, reason: str, asked: Asked, output: Output = TABLES
) -> None:
    """Turn a request down; whoever may approve it may reject it."""

    async def rejecting(office: Office) -> Requested:
        found = await approval(office.pool, engagement, request)
        order = RejectRequest(
            **await instruction(office, engagement, asked, f"{found.id}:reject:{asked.by}"),
            request=found.id,
            reason=reason,
        )
        return await booked(office, order)

    told(at_the_desk(rejecting), output)


@app.command
def withdraw(engagement: str, request: str, /, *, asked: Asked, output: Output = TABLES) -> None:
    """Take your own request back."""

    async def withdrawing(office: Office) -> Requested:
        found = await approval(office.pool, engagement, request)
        order = WithdrawRequest(
            **await instruction(office, engagement, asked, f"{found.id}:withdraw"),
            request=found.id,
        )
        return await booked(office, order)

    told(at_the_desk(withdrawing), output)


@app.command
def ask_again(
    engagement: str, request: str, anew: str, /, *, asked: Asked, output: Output = TABLES
) -> None:
    """Ask anew for what was rejected, withdrawn or left to expire.

    Parameters
    ----------
    anew
        A new id for it.
    """

    async def asking(office: Office) -> Requested:
        found = await approval(office.pool, engagement, request)
        key = f"eng.{engagement}.request.{anew}"
        order = AskAgain(**await instruction(office, engagement, asked, key), request=found.id)
        return await booked(office, order)

    told(at_the_desk(asking), output)
