"""The error tree: the class name is the code in every interface. Pure.

EngagementError
├─ TermsError            the agreement, or a value in a command, is not well-formed   422
│  ├─ CalendarNotCovered   the calendar does not know that year's working days
│  └─ DocumentRefused      the document is no contract; it holds every fault
├─ NotAuthorised         the contract does not give this person that right            403
├─ NotFound              no such engagement, milestone, hold or invoice               404
├─ TransitionError       well-formed, not possible in this state                      409
│  ├─ LossBoundExceeded    more than the loss bound before PROCEED (INV-05)
│  └─ CapExceeded          more than a level of the contract is authorised for (c.5-11)
├─ KeyReused             same idempotency key, different content                      409
└─ Unavailable           a system we depend on did not answer                         503, retried
"""

from typing import ClassVar


class Refused(ValueError):
    """A model refuses a value: what was found, what is expected, and the `rule` that asks for it.

    It becomes a fault of the document, at the place of that value, or at the key `at` inside it.
    """

    def __init__(
        self, message: str, rule: str, *, at: str | None = None, nearest: str | None = None
    ) -> None:
        super().__init__(message)
        self.rule, self.at, self.nearest = rule, at, nearest


class EngagementError(Exception):
    """Base of all refusals. The message names the thing, what was found and what is expected."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False


class TermsError(EngagementError):
    """The agreement, or a value in a command, is not well-formed."""

    status = 422


class CalendarNotCovered(TermsError):
    """The calendar does not know the working days of a year that a clock runs through."""


class NotAuthorised(EngagementError):
    """The contract does not give this person that right."""

    status = 403


class NotFound(EngagementError):
    """No such engagement, milestone, hold or invoice."""

    status = 404


class TransitionError(EngagementError):
    """The command is well-formed, but not possible in this state."""

    status = 409


class LossBoundExceeded(TransitionError):
    """Before PROCEED no more than the loss bound may be invoiced (INV-05)."""


class CapExceeded(TransitionError):
    """At no level more may be reserved and billed than is authorised (c.5-11)."""


class KeyReused(EngagementError):
    """The same idempotency key came with different content."""

    status = 409


class Unavailable(EngagementError):
    """A system we depend on did not answer; the one refusal that is retried."""

    status = 503
    retryable = True
