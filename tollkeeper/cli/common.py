"""What the commands share: settings, who asks, when it happened, and running them."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import asyncpg
import uvloop
from cyclopts import Parameter, Token
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from activities.postgres import Pool
from contracts.commands import Command, Receipt
from contracts.errors import TermsError, Unavailable
from contracts.fields import DAY, read_day, read_instant, short_id
from contracts.problems import PATTERNS
from lifecycle.orders import A, Order
from lifecycle.orders.approvals import Requested
from tollkeeper.cli.screen import Output, busy, dump, out, when
from tollkeeper.office import Office, records
from tollkeeper.settings import Settings
from tollkeeper.views.base import timezone_of

T = TypeVar("T")
C = TypeVar("C", bound=Command)

SHORT = re.compile(
    r"(?P<day>[0-9-]{10})[Tt ](?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9.]+)?"
    r"(?P<zone>[Zz]|[+-][0-9:]+)?",
    re.ASCII,
)
"""A time as people write it: without seconds, without a zone."""


def _moment(_: object, tokens: Sequence[Token]) -> datetime:
    text = tokens[0].value
    if DAY.fullmatch(text):
        return datetime.combine(read_day(text), time(), UTC)
    if short := SHORT.fullmatch(text):
        second, zone = short["second"] or ":00", short["zone"] or "Z"
        text = f"{short['day']}T{short['minute']}{second}{zone}"
    return read_instant(text)


def _days(_: object, tokens: Sequence[Token]) -> list[date]:
    return [read_day(token.value) for token in tokens]


Moment = Annotated[datetime, Parameter(converter=_moment)]
"""`2024-08-30`, or `2024-08-30T09:00`; a time without a zone is UTC."""

OneDay = Annotated[date, Parameter(converter=lambda kind, tokens: _days(kind, tokens)[0])]
Days = Annotated[list[date], Parameter(converter=_days)]


@Parameter(name="*")
@dataclass(frozen=True)
class Asked:
    """Who asks, and when it happened."""

    by: str
    """The person's id, as the contract names it."""
    at: Moment | None = None
    """When it happened; an engagement's clock, unless said. A time without a zone is UTC."""
    command_id: str | None = None
    """Repeat a command under its id, and it is done once."""


@contextmanager
def well_formed() -> Iterator[None]:
    """Name each value that a command or a setting does not take.

    Raises:
        TermsError: there is one.
    """
    try:
        yield
    except ValidationError as wrong:
        raise TermsError("; ".join(map(_fault, wrong.errors()))) from wrong


def _fault(error: ErrorDetails) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}"
    pattern: str = error.get("ctx", {}).get("pattern", "")
    expected = PATTERNS.get(pattern) or f"it to {error['msg'].rpartition(' should ')[2]}"
    return f"{where}: found {error['input']!r}, expected {expected}"


def settings(**given: Any) -> Settings:
    """The settings of this call: those given, and what the environment says.

    Raises:
        TermsError: one is not well-formed.
    """
    with well_formed():
        return Settings(**given)


def running(coroutine: Awaitable[T]) -> T:
    """Run a command's coroutine to its end.

    Raises:
        Unavailable: the database refuses.
    """

    async def main() -> T:
        try:
            return await coroutine
        except asyncpg.PostgresError as failed:
            raise Unavailable(f"the database refuses: {failed}") from failed

    return uvloop.run(main()) if sys.platform != "win32" else asyncio.run(main())


def at_the_desk(work: Callable[[Office], Awaitable[T]]) -> T:
    """Do something at the desk of the office that runs."""
    # Imported here, for all commands: those that only read need no Temporal, which is long to load.
    from tollkeeper.visit import visit

    async def visiting() -> T:
        with busy("at the desk"), well_formed():
            async with visit(settings()) as office:
                return await work(office)

    return running(visiting())


def in_the_records(look: Callable[[Pool], Awaitable[T]]) -> T:
    """Look something up in the database."""

    async def looking() -> T:
        with busy("reading"):
            async with records(settings()) as pool:
                return await look(pool)

    return running(looking())


def contract_time(id: str, instant: datetime) -> str:
    """An instant for people, in the contract's own time.

    Args:
        id: of a request, a hold, or whatever is named `eng.ENGAGEMENT.` and so on.
    """
    engagement = id.split(".")[1]
    return when(instant, in_the_records(lambda pool: timezone_of(pool, engagement)))


async def signed(office: Office, engagement: str, asked: Asked) -> dict[str, Any]:
    """The part of a command that says who, when, and under which id."""
    return {
        "command_id": asked.command_id or uuid4().hex,
        "by": asked.by,
        "at": asked.at or (await office.desk.clock(engagement)).now,
    }


async def instruction(office: Office, engagement: str, asked: Asked, key: str) -> dict[str, Any]:
    """The part of an order by a person that says who, when, and under which key."""
    return {
        "key": key,
        "engagement_id": engagement,
        "workflow_id": f"eng.{engagement}",
        "by": asked.by,
        "at": asked.at or (await office.desk.clock(engagement)).now,
    }


def ask(
    output: Output,
    engagement: str,
    asked: Asked,
    update: str,
    make: Callable[[dict[str, Any]], Command],
    *path: str,
) -> None:
    """Hand in a command and print what it caused."""

    async def asking(office: Office) -> Receipt:
        where = path
        if path == MICRO:
            where = await office.desk.micro_consulting(engagement)
        command = make(await signed(office, engagement, asked))
        return await office.desk.ask(update, command, engagement, *where)

    receipt = at_the_desk(asking)
    if output.json:
        dump({"command_id": receipt.command_id, "events": list(receipt.events)})
    else:
        out.print(f"done: {', '.join(receipt.events) or 'accepted'}")


async def booked(office: Office, order: Order[A]) -> A:
    """Have an order about money carried out, and tell whoever waits for news of it."""
    # Imported here, for all commands, as above.
    from tollkeeper.orders import carry_out

    return await office.desk.book(lambda order: carry_out(office.pool, order), order)


def told(requested: Requested, output: Output) -> None:
    """Print where a request stands after what was done."""
    if output.json:
        return dump(requested)
    name = short_id(requested.request)
    if requested.document:
        out.print(
            f"{name}: {requested.state.value} by {requested.decided_by}: {requested.document}"
        )
    elif requested.decided_by:
        out.print(f"{name}: {requested.state.value} by {requested.decided_by}")
    else:
        signed = ", ".join(requested.signed) or "nobody yet"
        until = contract_time(requested.request, requested.expires_at)
        out.print(
            f"{name}: pending, signed by {signed}; can be signed by "
            f"{', '.join(requested.missing) or 'nobody'} until {until}"
        )


MICRO = ("micro",)
"""The path of whichever micro-consulting runs now."""


def pairs(texts: list[str]) -> dict[str, str]:
    """`kind=reference` arguments as a mapping.

    Raises:
        TermsError: one without a `=`.
    """
    parts = {}
    for text in texts:
        kind, equals, reference = text.partition("=")
        if not equals or not kind or not reference:
            raise TermsError(
                f"found {text!r}, expected KIND=REFERENCE, such as test-report=r17.pdf"
            )
        parts[kind] = reference
    return parts
