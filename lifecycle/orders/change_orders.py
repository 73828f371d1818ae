"""Orders about change orders: propose one, apply an agreed one on its day. Pure."""

from typing import Literal

from contracts.contract import Contract
from contracts.fields import Id
from lifecycle.orders import Answer, Instruction, Order
from lifecycle.orders.approvals import Requested


class ProposeChange(Instruction[Requested]):
    """Ask both sides to agree on the next version of the contract; `change` names it.

    The key is the request's: `eng.E.request.CO1`.
    """

    change: Id
    contract: Contract
    retroactive: bool
    reason: str


class ChangeApplied(Answer):
    """The version that is in force, and who has to hear of it; none where the change order lapsed."""

    state: Literal["applied", "lapsed"]
    contract: Contract | None = None
    running: tuple[str, ...] = ()
    document: str | None = None


class ApplyChange(Order[ChangeApplied]):
    """Put an agreed change order in force; one that is in force already stays as it is.

    One that has become impossible meanwhile lapses: both sides agree on another.
    """

    change: str
