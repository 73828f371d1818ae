"""Periods that close, the chain of hashes with its checkpoints, reversals: on a real PostgreSQL."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import activities.books.seals
from activities.approvals import Approvals
from activities.books.journal import Journal, digest, post_to
from activities.books.seals import GROUP, POSTING, head_of, seal
from activities.closing import Books
from activities.postgres import Connection, Pool, once, transaction, write_effect
from contracts.errors import (
    NotAuthorised,
    NotFound,
    TermsError,
    TransitionError,
)
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.approval import RequestState
from lifecycle.ledger import Group, credit_applied, earned, received, written_off
from lifecycle.orders import Done, Order
from lifecycle.orders.approvals import SignRequest
from lifecycle.orders.books import AskReversal, ClosePeriod, PeriodClosed
from tollkeeper.checkpoints import Checkpoint, checkpoints_in, compare, leave, seal_books
from tollkeeper.sealing import sealing
from tollkeeper.signing import signer_of
from tollkeeper.verify import verify
from tollkeeper.views.books import periods

IN_MARCH, IN_APRIL = "2025-03-20", "2025-04-02"
OF_THE_JOURNAL = {
    "groups-balance", "groups-unaltered", "trial-balance", "accounts-not-negative",
    "periods-closed", "chain-verifies", "reversals-mirror",
}  # fmt: skip


class Booking(Order[Done]):
    """Any posting, where the test is about none in particular."""


def at(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T10:00:00+08:00")


def yuan(amount: int) -> Money:
    return Money(amount * 100, "CNY")


def some_money(receipt: str, amount: int = 100) -> Group:
    return received(yuan(amount), receipt=receipt)


def order(kind: Any, key: str, day: str, **fields: Any) -> Any:
    defaults = {"engagement_id": "E1", "workflow_id": "eng.E1", "by": "chen.yu"}
    return kind(**defaults | {"key": key, "at": at(day)} | fields)


async def booked(
    pool: Pool,
    key: str,
    day: str = IN_MARCH,
    group: Group | None = None,
    *,
    book: Book = Book.LIVE,
    entity: str = "QM",
    engagement_id: str | None = None,
) -> str:
    """Post a group in a transaction of its own; its key."""
    posting = order(Booking, key, day, engagement_id=engagement_id or "")
    group = group or some_money(key)
    where = Journal(book, entity, "HD", date.fromisoformat(day), engagement_id)

    async def effect(connection: Connection) -> Done:
        await post_to(connection, posting, where, group)
        return Done()

    await once(pool, posting, effect)
    return f"{key}:{group.code}"


async def dates(pool: Pool, key: str) -> tuple[date, datetime]:
    """The day a group counts for, and when it happened."""
    row = await pool.fetchrow("select * from journal_group where key = $1", key)
    assert row is not None
    return row["effective_on"], row["occurred_at"]


def closing(month: str = "2025-03", day: str = IN_APRIL, **fields: Any) -> ClosePeriod:
    defaults = {"entity": "QM", "by": "sun.hao", "book": Book.LIVE} | fields
    key = f"books.{defaults['book']}.{defaults['entity']}.{month}:close"
    return ClosePeriod(key=key, at=at(day), month=month, **defaults)


async def faults(pool: Pool) -> dict[str, tuple[str, ...]]:
    """Of the journal: the postings here have no receipt or document beside them."""
    checks = [check for check in (await verify(pool)).checks if check.id in OF_THE_JOURNAL]
    assert len(checks) == len(OF_THE_JOURNAL)
    return {check.id: check.violations for check in checks if not check.ok}


@pytest.fixture
async def books(pool, story) -> Books:
    """The contract of the seller QM is on record, and in the live book something of March."""
    await story("S1", clock=ClockKind.TEST).opened()
    await booked(pool, "first")
    return Books(pool)


# Periods.


async def test_a_closed_month_moves_a_posting_to_the_first_open_day_and_keeps_when_it_happened(
    pool, books
):
    assert await books.close_period(closing()) == PeriodClosed(
        entity="QM", month="2025-03", sealed=1
    )
    for key, day, counts_on in [
        ("late", "2025-03-31", "2025-04-01"),
        ("later", "2025-02-11", "2025-04-01"),
        ("usual", "2025-04-03", "2025-04-03"),
    ]:
        group = await booked(pool, key, day)
        assert await dates(pool, group) == (date.fromisoformat(counts_on), at(day))
    assert await faults(pool) == {}
    rows = [
        (row.month, row.groups, row.closed_by)
        for row in await periods(pool, "QM")
        if row.book is Book.LIVE
    ]
    assert rows == [("2025-03", 1, "sun.hao"), ("2025-04", 3, None)]


async def test_each_book_and_each_seller_closes_its_own_periods(pool, books):
    await booked(pool, "sandbox", book=Book.SANDBOX)
    await books.close_period(closing())
    elsewhere: list[tuple[str, dict[str, Any]]] = [
        ("s", {"book": Book.SANDBOX}),
        ("o", {"entity": "OTHER"}),
    ]
    for key, where in elsewhere:
        group = await booked(pool, key, "2025-03-31", **where)
        assert (await dates(pool, group))[0] == date(2025, 3, 31)
    assert await faults(pool) == {}


async def test_the_database_itself_refuses_a_date_in_a_closed_period(pool, books):
    await books.close_period(closing())
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="in a closed period of QM"):
        await pool.execute(
            """
            insert into journal_group
                (key, effect_key, code, entity, customer, book, occurred_at, effective_on, digest)
            select 'forged', effect_key, code, entity, customer, book, occurred_at, '2025-03-31',
                   digest
            from journal_group where key = 'first:E07'
            """
        )


async def test_a_period_is_not_opened_again(pool, books):
    await books.close_period(closing())
    for statement in ("delete from period_close", "update period_close set month = '2025-01-01'"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="written once"):
            await pool.execute(statement)


async def test_closing_twice_is_done_once(pool, books):
    closed = await books.close_period(closing())
    await booked(pool, "next", IN_APRIL)
    assert await books.close_period(closing()) == closed
    with pytest.raises(
        TransitionError, match=r"2025-03 of QM: found it closed by sun.hao at 2025-04-02 02:00 UTC"
    ):
        await books.close_period(closing(by="chen.yu"))
    with pytest.raises(NotAuthorised, match=r"found 'wang\.fang'"):
        await books.close_period(closing(by="wang.fang"))
    assert await pool.fetchval("select count(*) from period_close") == 1


@pytest.mark.parametrize(
    ("order", "error", "words"),
    [
        (closing("2025-3"), TermsError, "expected a month such as 2025-03"),
        (closing("2025-04"), TransitionError, "expected a day after 2025-04-30, when it is over"),
        (closing(entity="QN"), NotFound, "found no postings of 'QN' in the live book.*: QM"),
        (closing(by="wang.fang"), NotAuthorised, "expected one of the people of QM"),
        (closing("2025-01"), TransitionError, "closed with 2025-02 by sun.hao at .* a later month"),
        (closing("2024-11"), TransitionError, "closed with 2025-02 by sun.hao at .* a later month"),
    ],
)
async def test_a_close_that_is_not_possible_says_why_and_writes_nothing(
    pool, books, order, error, words
):
    await books.close_period(closing("2025-02"))
    with pytest.raises(error, match=words):
        await books.close_period(order)
    assert await pool.fetchval("select count(*) from period_close") == 1


@asynccontextmanager
async def not_committed(pool: Pool, key: str, day: str):
    """A posting whose transaction is open until the block ends."""
    posting = order(Booking, key, day, engagement_id="")
    where = Journal(Book.LIVE, "QM", "HD", date.fromisoformat(day))

    async with transaction(pool) as connection:
        await write_effect(connection, posting, posting.activity(), "{}", Done())
        await post_to(connection, posting, where, some_money(key))
        yield


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.01)


async def somebody_waits(pool: Pool) -> bool:
    waits: bool = await pool.fetchval("select exists (select from pg_locks where not granted)")
    return waits


async def test_closing_waits_for_a_posting_that_is_under_way_and_seals_it(pool, books):
    async with not_committed(pool, "slow", "2025-03-31"):
        close = asyncio.create_task(books.close_period(closing()))
        await until(lambda: somebody_waits(pool))
        assert not close.done()
    assert (await close).sealed == 2
    assert (await dates(pool, "slow:E07"))[0] == date(2025, 3, 31)
    assert await faults(pool) == {}


async def test_nothing_slips_into_a_period_that_is_being_closed(pool, books):
    """Forty postings of March race with the close; each is in March and sealed, or in April."""
    postings = [booked(pool, f"r{number}", "2025-03-31") for number in range(40)]
    told = await asyncio.gather(*postings[:20], books.close_period(closing()), *postings[20:])
    closed, keys = told[20], told[:20] + told[21:]
    days = [(await dates(pool, key))[0] for key in keys]
    assert set(days) <= {date(2025, 3, 31), date(2025, 4, 1)}
    assert closed.sealed == 1 + days.count(date(2025, 3, 31))
    assert await faults(pool) == {}


# The chain.


async def sealed(pool: Pool) -> int:
    async with transaction(pool) as connection:
        return (await seal(connection, Book.LIVE)).seq


async def test_sealing_chains_what_is_new_and_nothing_twice(pool, books, monkeypatch):
    monkeypatch.setattr(activities.books.seals, "BATCH", 2)
    for number in range(4):
        await booked(pool, f"g{number}")
    assert [await sealed(pool), await sealed(pool)] == [5, 5]
    await booked(pool, "g5")
    assert await sealed(pool) == 6
    keys = await pool.fetch(
        "select key from journal_seal s join journal_group g on g.id = s.group_id order by seq"
    )
    assert [row["key"] for row in keys][-2:] == ["g3:E07", "g5:E07"]
    assert await faults(pool) == {}


async def test_a_group_that_commits_after_later_ones_were_sealed_is_not_skipped(pool, books):
    async with not_committed(pool, "slow", IN_MARCH):
        await booked(pool, "quick")
        assert await sealed(pool) == 2
    assert await sealed(pool) == 3
    ids = [row["group_id"] for row in await pool.fetch("select * from journal_seal order by seq")]
    assert ids[2] < ids[1]
    assert await faults(pool) == {}


async def test_many_may_seal_at_once(pool, books):
    postings = [booked(pool, f"g{number}") for number in range(20)]
    await asyncio.gather(*postings, *(sealed(pool) for _ in range(6)))
    assert await sealed(pool) == 21
    assert await faults(pool) == {}


@pytest.mark.parametrize(("table", "covered"), [("journal_group", GROUP), ("posting", POSTING)])
async def test_the_hash_covers_every_column(pool, table, covered):
    columns = await pool.fetch(
        "select column_name from information_schema.columns where table_name = $1", table
    )
    assert {row["column_name"] for row in columns} - {"group_id"} == set(covered)


# Checkpoints.

UNSEEN = "set local session_replication_role = replica"
"""What whoever owns the database can do: no trigger runs, no foreign key holds."""


@pytest.fixture
def signer(tmp_path):
    return signer_of(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


async def history(pool: Pool, folder: Path, signer) -> None:
    """Nine groups with checkpoints after the third, the sixth and the ninth."""
    for number in range(2, 10):
        await booked(pool, f"g{number}")
        if number % 3 == 0:
            await seal_books(pool, folder, signer)


def of_live(folder: Path) -> list[Path]:
    return [path for path in checkpoints_in(folder) if path.name.startswith("live-")]


async def compared(pool: Pool, folder: Path, signer) -> tuple[str, ...]:
    return (await compare(pool, folder, signer.fingerprint)).violations


async def test_every_sealing_leaves_a_checkpoint_that_the_chain_agrees_with(
    pool, books, folder, signer
):
    await history(pool, folder, signer)
    await seal_books(pool, folder, signer)
    names = [f"live-00000000000{seq}.json" for seq in (3, 6, 9)]
    assert [path.name for path in of_live(folder)] == names
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    check = await compare(pool, folder, signer.fingerprint)
    assert (check.ok, check.checked) == (True, 3 + 1)  # and one of the sandbox


async def rewritten(connection: Connection) -> None:
    """An amount altered in both of its lines, its digest made anew, and every seal as well."""
    await connection.execute(UNSEEN)
    await connection.execute(
        """
        update posting set amount_minor = 9999
        where group_id = (select id from journal_group where key = 'g5:E07')
        """
    )
    await connection.execute(
        "update journal_group set digest = $1 where key = 'g5:E07'",
        digest(received(Money(9999, "CNY"), receipt="g5")),
    )
    await connection.execute("delete from journal_seal where book = 'live'")
    await seal(connection, Book.LIVE)


async def test_a_rewritten_history_that_holds_in_itself_is_found_by_a_checkpoint(
    pool, books, folder, signer
):
    await history(pool, folder, signer)
    async with transaction(pool) as connection:
        await rewritten(connection)
    assert await faults(pool) == {}
    (found,) = await compared(pool, folder, signer)
    assert found.startswith("live-000000000006.json: found hash ")
    assert "of group 6 (g6:E07)" in found
    assert found.endswith("groups 4 to 6 were rewritten, one or more of them")


async def test_the_sealing_that_follows_a_rewriting_refuses_to_go_on(pool, books, folder, signer):
    await history(pool, folder, signer)
    async with transaction(pool) as connection:
        await rewritten(connection)
    with pytest.raises(TransitionError, match="the journal was rewritten"):
        await seal_books(pool, folder, signer)
    assert (await compared(pool, folder, signer)) != ()


CUT = "group_id in (select id from journal_group where key in ('g8:E07', 'g9:E07'))"


async def test_newest_groups_that_were_cut_off_are_missed(pool, books, folder, signer):
    await history(pool, folder, signer)
    async with transaction(pool) as connection:
        await connection.execute(UNSEEN)
        await connection.execute(f"delete from journal_seal where {CUT}")
        await connection.execute(f"delete from posting where {CUT}")
        await connection.execute("delete from journal_group where key in ('g8:E07', 'g9:E07')")
        await connection.execute("delete from effect where key in ('g8', 'g9')")
    assert await faults(pool) == {}
    (found,) = await compared(pool, folder, signer)
    assert found.startswith("live-000000000009.json: found no group 9 in the chain, expected hash ")
    assert found.endswith("groups after 6 were cut off")


async def test_groups_that_were_put_in_place_of_those_cut_off_are_found(
    pool, books, folder, signer
):
    await history(pool, folder, signer)
    async with transaction(pool) as connection:
        await connection.execute(UNSEEN)
        await connection.execute(f"delete from journal_seal where {CUT}")
        await connection.execute(f"delete from posting where {CUT}")
        await connection.execute("delete from journal_group where key in ('g8:E07', 'g9:E07')")
    await booked(pool, "new8")
    await booked(pool, "new9")
    await sealed(pool)
    (found,) = await compared(pool, folder, signer)
    assert "of group 9 (new9:E07)" in found


async def test_a_checkpoint_counts_only_as_it_was_signed_and_by_whom(
    pool, books, folder, signer, tmp_path
):
    await history(pool, folder, signer)
    other = signer_of(tmp_path / "other")
    (foreign,) = (await compare(pool, folder, other.fingerprint)).violations[:1]
    assert f"found a checkpoint signed by {signer.fingerprint}, expected one signed by" in foreign

    third, sixth, _ = of_live(folder)
    forged = json.loads(third.read_text())
    forged["checkpoint"]["hash"] = "0" * 64
    third.unlink()
    third.write_text(json.dumps(forged))
    sixth.rename(folder / "live-000000000005.json")
    violations = await compared(pool, folder, signer)
    assert [each.partition(", expected")[0] for each in violations] == [
        "live-000000000003.json: found a signature of something else",
        "live-000000000005.json: found the checkpoint live-000000000006.json under this name",
    ]
    third.unlink()
    third.write_text("{}")
    assert (await compared(pool, folder, signer))[0].startswith("live-000000000003.json: ")


async def test_a_folder_without_checkpoints_is_not_taken_for_agreement(pool, folder, signer):
    with pytest.raises(NotFound, match="found no checkpoint in"):
        await compare(pool, folder, signer.fingerprint)


async def test_a_checkpoint_lost_in_a_crash_is_written_by_the_next_sealing(
    pool, books, folder, signer
):
    await sealed(pool)
    assert checkpoints_in(folder) == []
    await seal_books(pool, folder, signer)
    async with transaction(pool) as connection:
        head = await head_of(connection, Book.LIVE)
    leave(folder, head, signer)
    (path,) = of_live(folder)
    kept = Checkpoint.model_validate(json.loads(path.read_text())["checkpoint"])
    assert (kept.seq, kept.hash, kept.sealed_at) == (1, head.hash, head.sealed_at)


async def test_an_office_that_runs_seals_by_itself(pool, books, folder, signer, tmp_path):
    async def left() -> bool:
        return bool(checkpoints_in(folder))

    async with sealing(pool, tmp_path, folder):
        await until(left)
    assert await compared(pool, folder, signer) == ()


# Reversals.


@pytest.fixture
async def money(books: Books, story) -> Books:
    """The engagement E1 is open in the live book."""
    await story("E1", clock=ClockKind.LIVE).opened()
    return books


async def came_in(pool: Pool, amount: int = 100) -> str:
    """A receipt of the customer, as the bank says, in the books."""
    group = await booked(pool, "R1", IN_MARCH, some_money("R1", amount))
    await pool.execute(
        """
        insert into receipt (receipt_id, book, seller, account, reference, received_on, currency,
            amount_minor, payer, text, digest, recorded_by, key)
        values ('R1', 'live', 'QM', 'main', 'R1', '2025-03-20', 'CNY', $1, '', '', '', 'x', 'R1')
        """,
        amount * 100,
    )
    return group


def asking(group: str, request: str = "RQ1", day: str = IN_APRIL, **fields: Any) -> AskReversal:
    defaults = {"group": group, "reason": "booked twice", "by": "chen.yu"}
    asked: AskReversal = order(AskReversal, f"eng.E1.request.{request}", day, **defaults | fields)
    return asked


async def approved(pool: Pool, money: Books, group: str, request: str = "RQ1", **fields: Any):
    asked = await money.ask_reversal(asking(group, request, **fields))
    for person in ("gao.feng", "li.wei"):
        signature = order(
            SignRequest, f"{asked.request}:sign.{person}", "2025-04-03", by=person,
            request=asked.request, digest=asked.digest,
        )  # fmt: skip
        asked = await Approvals(pool).sign_request(signature)
    return asked


async def lines(pool: Pool, key: str) -> list[tuple[Any, ...]]:
    rows = await pool.fetch(
        """
        select p.account, p.side, p.amount_minor, p.item, p.invoice, p.fee
        from posting p join journal_group g on g.id = p.group_id where g.key = $1 order by line
        """,
        key,
    )
    return [tuple(row) for row in rows]


async def test_a_reversal_is_the_exact_mirror_once_two_others_have_approved(pool, money):
    group = await came_in(pool)
    done = await approved(pool, money, group)
    assert (done.state, done.decided_by) == (RequestState.APPROVED, "gao.feng, li.wei")
    mirrored = await lines(pool, f"{group}:reversed:E30")
    assert mirrored == [
        (account, {"D": "C", "C": "D"}[side], *rest)
        for account, side, *rest in await lines(pool, group)
    ]
    row = await pool.fetchrow("select * from journal_group where code = 'E30'")
    original = await pool.fetchrow("select * from journal_group where key = $1", group)
    assert row["reverses"] == original["id"]
    assert (row["engagement_id"], row["customer"], row["entity"]) == (None, "HD", "QM")
    assert row["effective_on"] == date(2025, 4, 3)
    assert await pool.fetchval("select count(*) from event where type = 'posting.reversed'") == 1
    assert await faults(pool) == {}


async def test_a_group_is_reversed_once_and_a_reversal_never(pool, money):
    group = await came_in(pool)
    await approved(pool, money, group)
    with pytest.raises(TransitionError, match=r"found it reversed by .*E30, expected it not to be"):
        await money.ask_reversal(asking(group, "RQ2"))
    with pytest.raises(TransitionError, match="a reversal is not reversed"):
        await money.ask_reversal(asking(f"{group}:reversed:E30", "RQ3"))


async def test_two_reversals_at_once_are_one(pool, money):
    group = await came_in(pool)
    asks = [money.ask_reversal(asking(group, f"RQ{number}")) for number in range(10)]
    told = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(each) for each in told if isinstance(each, Exception)] == [TransitionError] * 9


async def test_a_closed_period_keeps_its_receipt_and_the_mirror_counts_in_the_open_one(pool, money):
    group = await came_in(pool)
    await money.close_period(closing())
    await approved(pool, money, group)
    assert (await dates(pool, f"{group}:reversed:E30"))[0] == date(2025, 4, 3)
    assert (await dates(pool, group))[0] == date.fromisoformat(IN_MARCH)


@pytest.mark.parametrize("code", ["E08", "E26"])
async def test_what_was_applied_or_written_off_by_mistake_is_open_again(pool, money, story, code):
    one = story("E1", clock=ClockKind.LIVE)
    number = (await one.consulted()).number
    await came_in(pool)
    owed = await claimed(pool, number)
    group = {
        "E08": credit_applied(yuan(60), source="R1", invoice=number),
        "E26": written_off(yuan(60), {}, invoice=number),
    }[code]
    key = await booked(pool, "mistake", IN_MARCH, group, engagement_id="E1")
    assert await claimed(pool, number) == owed - 6_000
    await approved(pool, money, key)
    assert await claimed(pool, number) == owed
    assert await faults(pool) == {}


async def claimed(pool: Pool, number: str) -> int:
    minor: int = await pool.fetchval(
        """
        select sum(case side when 'D' then amount_minor else -amount_minor end)::bigint
        from posting where invoice = $1 and account = '1100'
        """,
        number,
    )
    return minor


async def test_a_receipt_that_is_used_cannot_be_taken_back(pool, money):
    group = await came_in(pool)
    spent = await booked(pool, "use", IN_MARCH, refund_like("R1", 40), engagement_id=None)
    with pytest.raises(
        TransitionError, match=r"found 60.00 CNY left of R1, expected all of its 100"
    ):
        await money.ask_reversal(asking(group))
    assert spent


def refund_like(receipt: str, amount: int) -> Group:
    """Credit that leaves the customer."""
    taken = received(yuan(amount), receipt=receipt)
    lines = [line.model_copy(update={"side": line.side.other}) for line in taken.postings]
    return Group(code="E20", postings=tuple(lines))


async def test_credit_used_while_the_request_waits_stops_the_last_signature(pool, money):
    group = await came_in(pool)
    asked = await money.ask_reversal(asking(group))
    await booked(pool, "use", IN_MARCH, refund_like("R1", 1))
    for person, refused in [("gao.feng", False), ("li.wei", True)]:
        signature = order(
            SignRequest, f"{asked.request}:sign.{person}", "2025-04-03", by=person,
            request=asked.request, digest=asked.digest,
        )  # fmt: skip
        if not refused:
            await Approvals(pool).sign_request(signature)
            continue
        with pytest.raises(TransitionError, match="take back first what uses it"):
            await Approvals(pool).sign_request(signature)
    state = await pool.fetchval("select state from approval_request")
    assert state == "pending"


async def test_what_has_a_correction_of_its_own_is_refused_with_it(pool, money):
    group = await booked(pool, "m1", IN_MARCH, earned(yuan(100), fee="project"), engagement_id="E1")
    with pytest.raises(TransitionError, match=r"E01 asked for, expected .*credit note, or sign"):
        await money.ask_reversal(asking(group))


async def test_a_group_of_another_engagement_is_not_found(pool, money, story):
    await story("E2", clock=ClockKind.LIVE).opened()
    group = await booked(pool, "w", IN_MARCH, earned(yuan(100), fee="project"), engagement_id="E2")
    with pytest.raises(NotFound, match="expected one of engagement E1"):
        await money.ask_reversal(asking(group))
    with pytest.raises(NotFound, match="found journal group 'x'"):
        await money.ask_reversal(asking("x"))


# What the verification finds.

DAMAGES = [
    (
        "periods-closed",
        """
        update journal_group set effective_on = '2025-03-31' where key = 'late:E07'
        """,
        "QM 2025-03, live book: found late:E07 in 2025-03 or before, booked after the period",
    ),
    (
        "chain-verifies",
        """
        update posting set item = 'x'
        where group_id = (select id from journal_group where key = 'first:E07')
        """,
        "live book, 1: first:E07: found hash ",
    ),
    (
        "chain-verifies",
        "update journal_group set occurred_at = occurred_at + interval '1 us' where key = 'first:E07'",
        "live book, 1: first:E07: found hash ",
    ),
    (
        "chain-verifies",
        "delete from journal_seal where seq = 1",
        "found place 2, expected 1",
    ),
    (
        "reversals-mirror",
        "update posting set amount_minor = 1 where group_id = (select max(id) from journal_group)",
        "R1:E07:reversed:E30: found the postings ",
    ),
    (
        "reversals-mirror",
        "update journal_group set reverses = null where code = 'E30'",
        "found no group that it reverses, expected one",
    ),
]


@pytest.mark.parametrize(("id", "damage", "words"), DAMAGES)
async def test_each_kind_of_damage_is_named(pool, money, id, damage, words):
    group = await came_in(pool)
    await money.close_period(closing())
    await booked(pool, "late", "2025-03-31")
    await approved(pool, money, group)
    await sealed(pool)
    assert id not in await faults(pool)
    async with transaction(pool) as connection:
        await connection.execute(UNSEEN)
        await connection.execute(damage)
    assert any(words in violation for violation in (await faults(pool))[id])
