"""Approval of a decision about money: who may sign, what is signed, when it is decided (c.5-13). Pure."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, ConfigDict

from contracts.commercial import Authority, Decision
from contracts.contract import Contract
from contracts.errors import NotAuthorised, TransitionError
from contracts.fields import canonical
from contracts.money import Money
from lifecycle.tax import Prices

BOTH_SIDES = {Decision.CHANGE_ORDER}
"""What each party has to sign, whatever the number of signatures agreed for other decisions."""

WITH_TAX = {Decision.WRITE_OFF, Decision.REFUND, Decision.REVERSAL}
"""Decisions about what is owed or was paid; the others are about fees."""


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Request(BaseModel):
    """One decision that somebody asked for. `digest` is of exactly what is to be carried out.

    `effect_key` is the key of the effect, which says what it is and not who approved it. What a
    clause or a policy decides alone expires as it is asked for: no day has to be counted for it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    engagement_id: str
    workflow_id: str
    decision: Decision
    subject: str
    payload: dict[str, Any]
    digest: str
    effect_key: str
    amount: Money
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    needed: int
    state: RequestState = RequestState.PENDING
    signed: tuple[str, ...] = ()
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None

    @property
    def basis(self) -> Prices:
        """Whether `amount` is gross or net; authority is measured against it as it is."""
        return "gross" if self.decision in WITH_TAX else "net"


def digest_of(payload: dict[str, Any]) -> str:
    """SHA-256 of the canonical text of what is to be carried out; any change makes another."""
    return sha256(canonical(payload).encode()).hexdigest()


def needed(contract: Contract, decision: Decision) -> int:
    """How many people have to sign."""
    return 2 if decision in BOTH_SIDES else contract.approvals.needed


def require_pending(request: Request, at: datetime) -> None:
    """Refuse to decide twice, or after the request has lapsed.

    Raises:
        TransitionError: it is decided, or expired at that time.
    """
    if request.state is not RequestState.PENDING:
        by = f" by {request.decided_by}" if request.decided_by else ""
        raise TransitionError(
            f"request {request.id}: found it {request.state.value}{by}, expected it to be pending"
        )
    if at > request.expires_at:
        raise TransitionError(
            f"request {request.id} was open until {request.expires_at.isoformat()}, found it "
            f"decided at {at.isoformat()}; ask for it anew"
        )
    if at < request.requested_at:
        raise TransitionError(
            f"request {request.id} is of {request.requested_at.isoformat()}, found it decided at "
            f"{at.isoformat()}, expected that time or later"
        )


def sign(request: Request, contract: Contract, person: str, digest: str, at: datetime) -> Request:
    """One person's approval of exactly this payload; the last one needed approves the request.

    Raises:
        TransitionError: not pending any more, signed by that person before, or another payload.
        NotAuthorised: the requester, nobody with authority, or less authority than the amount.
    """
    require_pending(request, at)
    if digest != request.digest:
        raise TransitionError(
            f"request {request.id}: found an approval of payload {digest[:12]}, expected of "
            f"{request.digest[:12]}; look at what is asked for now"
        )
    require_authority(request, contract, person)
    if person in request.signed:
        raise TransitionError(
            f"request {request.id}: found {person} a second time, expected another person"
        )
    signed = (*request.signed, person)
    if not complete(request, contract, signed):
        return request.model_copy(update={"signed": signed})
    return request.model_copy(
        update={
            "signed": signed,
            "state": RequestState.APPROVED,
            "decided_by": ", ".join(signed),
            "decided_at": at,
        }
    )


def require_authority(request: Request, contract: Contract, person: str) -> None:
    """Refuse who may not decide about this request.

    Raises:
        NotAuthorised: the requester, nobody with authority, or less authority than the amount.
    """
    if person == request.requested_by:
        raise NotAuthorised(
            f"request {request.id}: found {person!r}, who asked for it, expected somebody else"
        )
    able = [entry.person for entry in with_authority(contract, request.amount)]
    if person not in able:
        others = [name for name in able if name != request.requested_by]
        raise NotAuthorised(
            f"request {request.id} for {request.amount} {request.amount.currency}: found {person!r}, "
            f"expected one with that authority (clause {contract.approvals.clause}): "
            f"{', '.join(others) or 'nobody is named'}"
        )


def with_authority(contract: Contract, amount: Money) -> list[Authority]:
    """Who may approve an amount, in the order of the contract."""
    return [
        entry
        for entry in contract.approvals.authority
        if entry.up_to is None or amount.minor <= entry.up_to.minor
    ]


def complete(request: Request, contract: Contract, signed: Iterable[str]) -> bool:
    """Whether those signatures decide it: enough different people, or one of each side."""
    people = set(signed)
    if request.decision in BOTH_SIDES:
        return all(people & side for side in _sides(contract))
    return len(people) >= request.needed


def missing(request: Request, contract: Contract) -> list[str]:
    """Whose signature would bring it closer."""
    there = {request.requested_by, *request.signed}
    if request.decision in BOTH_SIDES:
        for side in _sides(contract):
            there |= side if side & set(request.signed) else set()
    return [
        entry.person
        for entry in with_authority(contract, request.amount)
        if entry.person not in there
    ]


def _sides(contract: Contract) -> list[set[str]]:
    """The people of the client, and those of the consultant."""
    parties = contract.parties.client, contract.parties.consultant
    return [{person.id for person in party.people} for party in parties]
