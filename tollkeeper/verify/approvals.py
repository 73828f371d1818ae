"""Requests: approved by enough people of authority, or by a policy or clause of the contract."""

from collections.abc import Iterator

from activities.approvals import read_request
from contracts.contract import Contract
from lifecycle.approval import (
    Request,
    RequestState,
    complete,
    digest_of,
    needed,
    with_authority,
)
from tollkeeper.queries import Row
from tollkeeper.verify.core import contract_from, differs, invariant


@invariant(
    "approvals-distinct",
    "c.5-13",
    "A decision about money was approved by enough people, none of whom asked, or by a clause",
    """
    select q.request_id as name, q.*, c.document::text as contract,
           coalesce(s.people, '{}') as people, coalesce(s.digests, '{}') as digests
    from approval_request q
    join engagement e using (engagement_id)
    join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    left join (
        select request_id, array_agg(person order by signed_at, person) as people,
               array_agg(distinct digest) as digests
        from approval_signature group by request_id
    ) s using (request_id)
    order by q.request_id
    """,
)
def _approvals_distinct(row: Row) -> Iterator[str]:
    request = read_request(row, tuple(row["people"]))
    contract = contract_from(row["contract"])
    yield from differs("a payload with digest", digest_of(request.payload), request.digest)
    for digest in row["digests"]:
        yield from differs("a signature of", digest, request.digest)
    if request.requested_by in request.signed:
        yield f"found it signed by {request.requested_by}, who asked for it"
    able = {entry.person for entry in with_authority(contract, request.amount)}
    if others := sorted(set(request.signed) - able):
        yield f"found it signed by {', '.join(others)}, expected people with that authority"
    if request.state is RequestState.APPROVED:
        yield from _decided(request, contract)


def _decided(request: Request, contract: Contract) -> Iterator[str]:
    how, _, name = (request.decided_by or "").partition(":")
    match how:
        case "policy":
            policies = {policy.id: policy for policy in contract.approvals.automatic}
            policy = policies.get(name)
            if policy is None or request.decision not in policy.decisions:
                yield f"found policy {name!r}, expected one that covers {request.decision.value}"
            elif policy.up_to is not None and request.amount.minor > policy.up_to.minor:
                yield f"found {request.amount} by policy {name}, expected at most {policy.up_to}"
        case "clause":
            yield from differs("signatures needed", request.needed, 0)
        case _:
            # In the order in which they signed, which two at the same instant do not tell.
            people = sorted((request.decided_by or "").split(", "))
            yield from differs("decided by", people, sorted(request.signed))
            yield from differs(
                "signatures needed", request.needed, needed(contract, request.decision)
            )
            if not complete(request, contract, request.signed):
                yield f"found {len(request.signed)} signatures, expected {request.needed}"


@invariant(
    "approvals-carried-out",
    "c.5-13",
    "What was approved is done, and nothing that was not approved",
    """
    select q.request_id as name, q.effect_key, q.state, q.digest, e.digest as done
    from approval_request q left join effect e on e.key = q.effect_key
    where q.state = 'approved' or not exists (
        select from approval_request other
        where other.effect_key = q.effect_key and other.state = 'approved'
    )
    order by q.request_id
    """,
)
def _carried_out(row: Row) -> Iterator[str]:
    expected = row["digest"] if row["state"] == RequestState.APPROVED else None
    yield from differs(f"effect {row['effect_key']} with digest", row["done"], expected)
