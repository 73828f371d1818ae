"""Orders about requests: sign, reject, expire, look. Pure."""

from datetime import datetime

from lifecycle.approval import RequestState
from lifecycle.orders import Answer, Instruction, Order


class Requested(Answer):
    """Where a request stands; `document` is what carrying it out issued, `missing` who could still sign."""

    request: str
    state: RequestState
    digest: str
    expires_at: datetime
    signed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    decided_by: str | None = None
    document: str | None = None


class SignRequest(Instruction[Requested]):
    """Approve exactly the payload that has this digest; the last signature carries it out."""

    request: str
    digest: str


class RejectRequest(Instruction[Requested]):
    """Turn a request down, with the reason; what it reserved is free again."""

    request: str
    reason: str


class WithdrawRequest(Instruction[Requested]):
    """Take one's own request back."""

    request: str


class AskAgain(Instruction[Requested]):
    """Ask anew, under another id, for what was turned down, taken back or left to expire."""

    request: str


class ExpireRequest(Order[Requested]):
    """Nobody decided in time; what it reserved is free again. One decided meanwhile stays decided."""

    request: str


class RequestSeen(Requested):
    """How it stands now; asked again, it is looked at again."""

    what: str = ""

    def final(self) -> bool:
        return False


class LookAtRequest(Order[RequestSeen]):
    """How a request stands now."""

    request: str
