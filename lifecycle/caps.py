"""Caps: at each level, reserved and billed stay within what is authorised (c.5-11). Pure.

Levels are `contract`, `fee:ID` for a fee line and `gain_share:ID`. Amounts are the contract's prices:
net, or with the tax inside where a fee line says so.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from contracts.contract import Contract
from contracts.errors import CapExceeded
from contracts.money import Money
from lifecycle.invoice import Draft, Kind, Purpose
from lifecycle.tax import Taxed

CONTRACT = "contract"
COUNTED_ELSEWHERE = {Purpose.ADVANCE, Purpose.RETENTION}
"""Counted by the invoices that deduct the advance, or that retained what is released."""


class Level(BaseModel):
    """How far a level is used. Always: reserved + billed <= authorised."""

    model_config = ConfigDict(frozen=True)

    level: str
    authorised: Money
    reserved: Money
    billed: Money

    @property
    def left(self) -> Money:
        return self.authorised - self.reserved - self.billed

    def require(self, asked: Money) -> None:
        """Refuse to bill or reserve more than is left.

        Raises:
            CapExceeded: it would be.
        """
        if (self.left - asked).minor < 0:
            raise CapExceeded(
                f"level {self.level}: found {asked} {asked.currency} to be billed, expected at most "
                f"the {self.left} that is left of {self.authorised} authorised, with {self.billed} "
                f"billed and {self.reserved} reserved"
            )


def authorised(contract: Contract) -> dict[str, Money]:
    """What each level is authorised for; a ceiling lowers its level and never raises it."""
    nothing = Money(0, contract.currency)
    levels = {f"fee:{fee.id}": fee.amount for fee in contract.fees}
    if contract.gain_share:
        levels[f"gain_share:{contract.gain_share.id}"] = contract.gain_share.cap
    levels = {CONTRACT: sum(levels.values(), nothing), **levels}
    for ceiling in contract.ceilings:
        level = CONTRACT if ceiling.level == CONTRACT else level_of(contract, ceiling.level)
        levels[level] = min(levels[level], ceiling.amount, key=lambda amount: amount.minor)
    return levels


def level_of(contract: Contract, fee: str) -> str:
    """The level of a fee line's id, or of the gain share's."""
    share = contract.gain_share
    return f"gain_share:{fee}" if share and share.id == fee else f"fee:{fee}"


def by_level(contract: Contract, parts: Iterable[tuple[str, Money]]) -> dict[str, Money]:
    """What amounts of fee lines come to at each level that they touch, `contract` among them."""
    levels: defaultdict[str, Money] = defaultdict(lambda: Money(0, contract.currency))
    for fee, amount in parts:
        for level in (CONTRACT, level_of(contract, fee)):
            levels[level] += amount
    return dict(levels)


def counted(
    contract: Contract, priced: Draft, document: Kind, purpose: Purpose
) -> dict[str, Money]:
    """What a document adds at each level; a credit note is below zero, for it gives value back."""
    sign = 1 if document == "invoice" else -1
    return by_level(
        contract,
        (
            (line.fee, price(contract, purpose, line.fee, Taxed(line.net, line.tax), sign))
            for line in priced.lines
        ),
    )


def price(contract: Contract, purpose: Purpose, fee: str, part: Taxed, sign: int) -> Money:
    """What a line counts for: the price that the contract states, so that the parts come to the fee."""
    if purpose in COUNTED_ELSEWHERE:
        return Money(0, contract.currency)
    gross = any(line.id == fee and line.prices == "gross" for line in contract.fees)
    return Money(sign * (part.gross if gross else part.net).minor, contract.currency)


def changes(before: Mapping[str, Money], after: Mapping[str, Money]) -> dict[str, Money]:
    """What to add at each level to come from one authorisation to the next."""
    levels = list(dict.fromkeys((*before, *after)))
    nothing = Money(0, next(iter(after.values())).currency)
    return {level: after.get(level, nothing) - before.get(level, nothing) for level in levels}
