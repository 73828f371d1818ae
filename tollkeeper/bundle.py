"""A bundle: all that the other side needs to recompute one engagement, signed.

The same state gives the same bytes: files are sorted and stored as they are, without dates.
"""

import json
from collections import Counter
from datetime import date
from hashlib import sha256
from io import BytesIO
from typing import Any
from zipfile import ZipFile, ZipInfo

from activities.postgres import Connection, Pool
from contracts.contract import Contract
from contracts.errors import NotFound
from contracts.fields import canonical
from contracts.money import Money
from tollkeeper.signing import Signer
from tollkeeper.views.base import Row, money, snapshot
from tollkeeper.views.engagements import engagement

FORMAT = "tollkeeper-bundle/1"
GENESIS = "0" * 64
"""What the first group of the journal follows."""
START_OF_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Json = dict[str, Any]


async def bundle(pool: Pool, engagement_id: str, signer: Signer) -> bytes:
    """The zip of one engagement, as the records are now.

    Raises:
        NotFound: no such engagement.
    """
    await engagement(pool, engagement_id)  # refuses with the nearest names
    async with snapshot(pool) as connection:
        files = await _files(connection, engagement_id)
    texts = {
        name: content if isinstance(content, bytes) else _text(content)
        for name, content in files.items()
    }
    manifest = {
        "format": FORMAT,
        "engagement": engagement_id,
        "journal_head": _head(files["journal.json"]["groups"]),
        "files": [
            {"path": name, "bytes": len(text), "sha256": sha256(text).hexdigest()}
            for name, text in sorted(texts.items())
        ],
    }
    return archive(signed(texts, manifest, signer))


def signed(texts: dict[str, bytes], manifest: Json, signer: Signer) -> dict[str, bytes]:
    """The files with the manifest that names them, and the signature over it."""
    stated = _text(manifest)
    signature = {
        "algorithm": "Ed25519",
        "public_key": signer.public_key.hex(),
        "fingerprint": signer.fingerprint,
        "signature": signer.sign(stated).hex(),
    }
    return texts | {"manifest.json": stated, "signature.json": _text(signature)}


def archive(files: dict[str, bytes]) -> bytes:
    """A zip with nothing in it that could differ: stored, sorted, no dates, one mode."""
    target = BytesIO()
    with ZipFile(target, "w") as made:
        for name in sorted(files):
            entry = ZipInfo(name, START_OF_ZIP_TIME)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            made.writestr(entry, files[name])
    return target.getvalue()


def _text(content: Any) -> bytes:
    return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def hash_of(content: Json) -> str:
    return sha256(canonical(content).encode()).hexdigest()


async def _files(connection: Connection, engagement_id: str) -> dict[str, Any]:
    head = await connection.fetchrow(
        "select * from engagement where engagement_id = $1", engagement_id
    )
    if head is None:
        raise NotFound(f"found engagement {engagement_id!r}, expected one that was opened")
    versions = await _versions(connection, engagement_id)
    current = _contract(head)
    documents = {_contract(row): row["document"] for row in versions}
    calendar = Contract.model_validate(documents[current]).working_calendar()
    timeline = await _timeline(connection, engagement_id)
    return {
        "engagement.json": {
            "id": engagement_id,
            "contract": current,
            **_facts(head, "book", "clock", "phase", "opened_at", "proceeded_at", "closed_at"),
        },
        "contracts.json": [
            {"contract": _contract(row), **_facts(row, "digest", "effective_on", "indicators")}
            for row in versions
        ],
        # The very text that its digest is of.
        **{
            f"contracts/{name.replace('@', '-')}.json": canonical(document).encode()
            for name, document in documents.items()
        },
        "calendar.json": {
            "id": calendar.id,
            "timezone": calendar.timezone,
            "first_year": calendar.first_year,
            "last_year": calendar.last_year,
            "days_off": [day.isoformat() for day in calendar.days_off],
            "days_on": [day.isoformat() for day in calendar.days_on],
        },
        "timeline.json": timeline,
        "acceptances.json": _acceptances(timeline),
        "readings.json": await _readings(connection, engagement_id),
        "verdicts.json": await _verdicts(connection, engagement_id),
        "requests.json": await _requests(connection, engagement_id),
        "holds.json": await _holds(connection, engagement_id),
        "decisions.json": await _decisions(connection, engagement_id),
        "documents.json": await _documents(connection, engagement_id),
        "receipts.json": await _receipts(connection, engagement_id),
        "refunds.json": await _refunds(connection, engagement_id),
        "disputes.json": await _disputes(connection, engagement_id),
        "changes.json": await _changes(connection, engagement_id),
        "gain_share.json": await _gain_share(connection, engagement_id),
        "periods.json": await _periods(connection, engagement_id),
        "journal.json": await _journal(connection, engagement_id),
    }


async def _versions(connection: Connection, engagement_id: str) -> list[Row]:
    """Each contract version that something of the engagement was done under."""
    return await connection.fetch(
        """
        select c.* from contract_version c where (c.contract_id, c.version) in (
            select contract_id, contract_version from engagement where engagement_id = $1
            union select contract_id, contract_version from invoice where engagement_id = $1
            union select split_part(facts->>'contract', '@v', 1),
                         split_part(facts->>'contract', '@v', 2)::integer
            from event where engagement_id = $1 and type in ('engagement.opened', 'change_order.applied')
        ) order by c.contract_id, c.version
        """,
        engagement_id,
    )


async def _timeline(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        """
        select workflow_id as process, type, occurred_at, actor, command_id, facts
        from event where engagement_id = $1 order by id
        """,
        engagement_id,
    )
    return [_facts(row, *row.keys()) for row in rows]


def _acceptances(timeline: list[Json]) -> list[Json]:
    accepted, evidence = [], {}
    for event in timeline:
        if event["type"] == "milestone.submitted":
            evidence[event["facts"]["milestone"]] = event["facts"]["evidence"]
        if event["type"] == "milestone.accepted":
            milestone = event["facts"]["milestone"]
            accepted.append(
                {
                    "milestone": milestone,
                    "by": event["actor"],
                    "at": event["occurred_at"],
                    "deemed": event["facts"]["deemed"],
                    "evidence": evidence[milestone],
                }
            )
    return accepted


async def _readings(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        """
        select key, indicator, measured_on, value, sample, source, evidence, recorded_by, occurred_at
        from reading where engagement_id = $1 order by id
        """,
        engagement_id,
    )
    readings = [
        _facts(row, *row.keys()) | {"number": number, "value": f"{row['value']:f}"}
        for number, row in enumerate(rows, start=1)
    ]
    return [reading | {"sha256": hash_of(reading)} for reading in readings]


async def _verdicts(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        """
        select v.*, (
            select count(*) from reading r
            where r.engagement_id = v.engagement_id and r.id <= v.last_reading
        ) as readings_known
        from verdict v where v.engagement_id = $1 order by v.occurred_at, v.key
        """,
        engagement_id,
    )
    return [
        {
            "key": row["key"],
            "bet": row["bet"],
            "window": row["window_id"],
            "kind": row["kind"],
            "started_on": row["started_on"].isoformat(),
            "readings_known": row["readings_known"],
            "result": row["result"],
            "occurred_at": row["occurred_at"].isoformat(),
        }
        for row in rows
    ]


async def _requests(connection: Connection, engagement_id: str) -> list[Json]:
    requests = await connection.fetch(
        """
        select * from approval_request where engagement_id = $1
        order by requested_at, request_id collate "C"
        """,
        engagement_id,
    )
    signatures = await connection.fetch(
        """
        select s.* from approval_signature s join approval_request r using (request_id)
        where r.engagement_id = $1 order by s.signed_at, s.place
        """,
        engagement_id,
    )
    names = (
        "decision", "subject", "payload", "digest", "requested_by", "requested_at", "expires_at",
        "effect_key", "needed", "state", "decided_by", "decided_at", "reason", "document",
    )  # fmt: skip
    return [
        {
            "id": row["request_id"],
            **_facts(row, *names),
            **_amounts(row, "amount"),
            "signatures": [
                _facts(signature, "person", "digest", "signed_at")
                for signature in signatures
                if signature["request_id"] == row["request_id"]
            ],
        }
        for row in requests
    ]


async def _holds(connection: Connection, engagement_id: str) -> list[Json]:
    holds = await connection.fetch(
        "select * from hold_balance where engagement_id = $1 order by hold_id", engagement_id
    )
    movements = await connection.fetch(
        """
        select m.*, h.currency from hold_movement m join hold h using (hold_id)
        where h.engagement_id = $1 order by m.id
        """,
        engagement_id,
    )
    names = (
        "clause", "kind", "effect", "condition", "fee", "bet", "milestone", "invoice",
        "invoice_line", "reason", "evidence", "placed_by", "placed_at", "state", "disputed_at",
        "due_at", "extensions", "clocks",
    )  # fmt: skip
    return [
        {
            "id": hold["hold_id"],
            **_facts(hold, *names),
            "balance": _amounts(hold, "placed", "released", "forfeited", "held", "reserved"),
            "movements": [
                {**_facts(row, "movement", "key", "occurred_at"), **_amounts(row, "amount", "tax")}
                for row in movements
                if row["hold_id"] == hold["hold_id"]
            ],
        }
        for hold in holds
    ]


async def _decisions(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        'select * from decision_record where engagement_id = $1 order by key collate "C"',
        engagement_id,
    )
    names = (
        "key", "decision", "requested_by", "decided_by", "clause", "decided_on", "document",
        "explanations",
    )  # fmt: skip
    return [
        {
            **_facts(row, *names),
            **_amounts(row, "amount"),
            "hold": row["hold_id"],
            "request": row["request_id"],
        }
        for row in rows
    ]


async def _documents(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        """
        select * from invoice where engagement_id = $1
        order by series collate "C", year, sequence
        """,
        engagement_id,
    )
    lines = await connection.fetch(
        """
        select l.*, i.currency from invoice_line l join invoice i using (number)
        where i.engagement_id = $1 order by l.line
        """,
        engagement_id,
    )
    taxes = await connection.fetch(
        """
        select t.*, i.currency from invoice_tax t join invoice i using (number)
        where i.engagement_id = $1 order by t.tax_code collate "C", t.tax_rate collate "C"
        """,
        engagement_id,
    )
    names = (
        "number", "document", "purpose", "series", "year", "sequence", "key", "part", "customer",
        "issued_on", "due_on", "corrects",
    )  # fmt: skip
    amounts = (
        "net", "tax", "gross", "retained", "withheld", "advance", "advance_tax", "deferred",
    )  # fmt: skip
    return [
        {
            **_facts(row, *names),
            "contract": _contract(row),
            **_amounts(row, *amounts),
            "taxes": [_tax(tax) for tax in taxes if tax["number"] == row["number"]],
            "lines": [_line(line) for line in lines if line["number"] == row["number"]],
        }
        for row in rows
    ]


def _line(row: Row) -> Json:
    corrected = row["corrects_number"] and f"{row['corrects_number']}/{row['corrects_line']}"
    names = ("line", "claim", "clause", "fee", "title", "tax_code", "tax_rate", "explanation")
    return {
        **_facts(row, *names),
        **_amounts(row, "net", "tax", "deferred"),
        "corrects": corrected,
    }


def _tax(row: Row) -> Json:
    calculation = {"calculation": row["explanation"]}
    return {
        "code": row["tax_code"],
        "rate": row["tax_rate"],
        **_amounts(row, "net", "tax"),
    } | calculation


async def _receipts(connection: Connection, engagement_id: str) -> list[Json]:
    """What the bank said of the money that pays, or paid, invoices of the engagement."""
    rows = await connection.fetch(
        """
        select * from receipt where receipt_id in (
            select p.item from posting p join journal_group g on g.id = p.group_id
            where g.engagement_id = $1 and p.account = '2300'
        ) order by receipt_id collate "C"
        """,
        engagement_id,
    )
    names = ("account", "reference", "received_on", "payer", "text")
    return [
        {"id": row["receipt_id"], **_facts(row, *names), **_amounts(row, "amount")} for row in rows
    ]


async def _refunds(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        'select * from refund where engagement_id = $1 order by refund_id collate "C"',
        engagement_id,
    )
    names = (
        "source",
        "pay_to",
        "reason",
        "requested_by",
        "requested_at",
        "state",
        "since",
        "evidence",
    )
    return [
        {"id": row["refund_id"], **_facts(row, *names), **_amounts(row, "amount")} for row in rows
    ]


async def _disputes(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        'select * from dispute where engagement_id = $1 order by dispute_id collate "C"',
        engagement_id,
    )
    names = (
        "key", "invoice", "lines", "reason", "raised_by", "raised_at", "state", "closed_by",
        "closed_at", "ruling", "document",
    )  # fmt: skip
    return [
        {"id": row["dispute_id"], **_facts(row, *names), **_amounts(row, "amount", "upheld")}
        for row in rows
    ]


async def _changes(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        """
        select c.*, c.document->>'id' as contract_id from change_order c
        where engagement_id = $1 order by change_id collate "C"
        """,
        engagement_id,
    )
    names = (
        "digest", "retroactive", "reason", "effective_on", "state", "agreed_at", "ended_at",
        "refusal", "invoice",
    )  # fmt: skip
    return [
        {
            "id": row["change_id"],
            "request": row["request_id"],
            "contract": _contract(row),
            **_facts(row, *names),
        }
        for row in rows
    ]


async def _gain_share(connection: Connection, engagement_id: str) -> list[Json]:
    rows = await connection.fetch(
        "select * from gain_share where engagement_id = $1 order by id", engagement_id
    )
    names = ("key", "period", "evidence", "document", "settled_at", "explanation")
    return [
        {
            **_facts(row, *names),
            "request": row["request_id"],
            **_amounts(row, "benefit", "benefit_to_date", "fee_to_date", "amount"),
        }
        for row in rows
    ]


async def _periods(connection: Connection, engagement_id: str) -> list[Json]:
    """The closed months of the seller: what would be dated there counts on the first open day."""
    rows = await connection.fetch(
        """
        select distinct c.entity, c.month, c.closed_by, c.closed_at
        from period_close c join journal_group g on g.entity = c.entity and g.book = c.book
        where g.engagement_id = $1 order by c.entity, c.month
        """,
        engagement_id,
    )
    return [_facts(row, "entity", "month", "closed_by", "closed_at") for row in rows]


async def _journal(connection: Connection, engagement_id: str) -> Json:
    """The groups in the order of the journal, each with the hash of itself and the one before."""
    groups = await connection.fetch(
        """
        select g.*, r.key as reversed_key
        from journal_group g left join journal_group r on r.id = g.reverses
        where g.engagement_id = $1 order by g.id
        """,
        engagement_id,
    )
    postings = await connection.fetch(
        """
        select p.* from posting p join journal_group g on g.id = p.group_id
        where g.engagement_id = $1 order by p.group_id, p.line
        """,
        engagement_id,
    )
    lines: dict[int, list[Json]] = {}
    for row in postings:
        line = _facts(row, "account", "side", "fee", "hold", "invoice", "item")
        lines.setdefault(row["group_id"], []).append(line | _amounts(row, "amount"))
    names = ("key", "effect_key", "code", "entity", "customer", "occurred_at", "effective_on")
    chained = [
        {**_facts(row, *names), "reverses": row["reversed_key"], "postings": lines[row["id"]]}
        for row in groups
    ]
    return {"groups": chain(chained), "balances": _balances(postings)}


def chain(groups: list[Json]) -> list[Json]:
    """The groups, numbered, each with the hash of the one before inside its own."""
    previous, chained = GENESIS, []
    for number, group in enumerate(groups, start=1):
        content = group | {"number": number, "previous": previous}
        previous = hash_of(content)
        chained.append(content | {"hash": previous})
    return chained


def _head(groups: list[Json]) -> str:
    return str(groups[-1]["hash"]) if groups else GENESIS


def _balances(postings: list[Row]) -> list[Json]:
    sums = Counter[tuple[str, str]]()
    for row in postings:
        sums[row["account"], row["side"]] += row["amount_minor"]
    currency = postings[0]["currency"] if postings else ""
    return [
        {
            "account": account,
            "debit": _amount(money(sums[account, "D"], currency)),
            "credit": _amount(money(sums[account, "C"], currency)),
        }
        for account in sorted({account for account, _ in sums})
    ]


def _contract(row: Row) -> str:
    version = row["version"] if "version" in row else row["contract_version"]
    return f"{row['contract_id']}@v{version}"


def _facts(row: Row, *names: str) -> Json:
    """Those columns of a row, dates and instants as text."""
    return {
        name: value.isoformat() if isinstance(value := row[name], date) else value for name in names
    }


def _amounts(row: Row, *names: str) -> Json:
    return {name: _amount(money(row[f"{name}_minor"], row["currency"])) for name in names}


def _amount(amount: Money) -> str:
    return f"{amount} {amount.currency}"
