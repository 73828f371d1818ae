"""Postings against the agreed value, by level: `contract`, and `fee:<id>` for each fee line. Pure."""

from lifecycle.ledger.accounts import Account
from lifecycle.ledger.journal import NOTHING, Amounts, Group, Posting, credit, debit, group


def value_authorised(levels: Amounts) -> Group:
    """E28: value is agreed, or raised by a change order."""
    return group("E28", _moved(levels, Account.AUTHORISED, Account.AUTHORISED_CONTRA))


def value_lowered(levels: Amounts) -> Group:
    """E28: a change order lowers the agreed value."""
    return group("E28", _moved(levels, Account.AUTHORISED_CONTRA, Account.AUTHORISED))


def value_reserved(levels: Amounts) -> Group:
    """E27: value is reserved for what is committed and not billed."""
    return group("E27", _moved(levels, Account.RESERVED, Account.RESERVED_CONTRA))


def value_freed(levels: Amounts) -> Group:
    """E27: a reservation is void."""
    return group("E27", _moved(levels, Account.RESERVED_CONTRA, Account.RESERVED))


def value_billed(levels: Amounts, *, invoice: str, reserved: Amounts = NOTHING) -> Group:
    """E27: an invoice uses value; `reserved` is what of it was reserved before."""
    return group(
        "E27",
        [
            *_moved(reserved, Account.RESERVED_CONTRA, Account.RESERVED),
            *_moved(levels, Account.BILLED, Account.BILLED_CONTRA, invoice),
        ],
    )


def value_credited(levels: Amounts, *, invoice: str) -> Group:
    """E27: a credit note gives value back that its invoice used."""
    return group("E27", _moved(levels, Account.BILLED_CONTRA, Account.BILLED, invoice))


def _moved(
    levels: Amounts, debited: Account, credited: Account, invoice: str | None = None
) -> list[Posting]:
    return [
        line
        for level, amount in levels.items()
        for line in (
            debit(debited, amount, invoice=invoice, item=level),
            credit(credited, amount, invoice=invoice, item=level),
        )
    ]
