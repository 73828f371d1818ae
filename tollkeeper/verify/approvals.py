"""Requests: approved by enough people of authority, or by a policy or clause of the contract."""

from collections.abc import Iterator

from activities.books.requests import read_request
from contracts.contract import Contract
from lifecycle.approval import (
    Request,
    RequestState,
    complete,
    digest_of,
    needed,
    with_authority,
)
from tollkeeper.verify.core import contract_from, differs, invariant
from tollkeeper.views.base import Row


@invariant(
    "approvals-distinct",
    "c.5-13",
    "A decision about money was approved by enough people, none of whom asked, or by a clause",
    """
    with terms as (  -- by the event that put them in force
        select t.engagement_id, t.id as since, c.document::text as contract
        from event t join contract_version c
          on t.facts->>'contract' = c.contract_id || '@v' || c.version
        where t.type in ('engagement.opened', 'change_order.applied')
    ), told as (
        select t.facts->>'request' as request_id, t.type, t.actor as person, (
            select contract from terms
            where terms.engagement_id = t.engagement_id and since < t.id order by since desc limit 1
        ) as contract
        from event t where t.type in ('approval.requested', 'approval.signed')
    )
    select q.request_id as name, q.*, asked.contract, coalesce(s.signatures, '[]') as signatures
    from approval_request q
    left join told asked
      on asked.request_id = q.request_id and asked.type = 'approval.requested'
    left join (
        select s.request_id, jsonb_agg(jsonb_build_object(
                   'person', s.person, 'digest', s.digest, 'contract', told.contract
               ) order by s.signed_at, s.place) as signatures
        from approval_signature s left join told
          on told.request_id = s.request_id and told.person = s.person
             and told.type = 'approval.signed'
        group by s.request_id
    ) s on s.request_id = q.request_id
    order by q.request_id
    """,
)
def _approvals_distinct(row: Row) -> Iterator[str]:
    """Each signature counts under the version that was in force when it was given."""
    signatures = row["signatures"]
    request = read_request(row, tuple(each["person"] for each in signatures))
    if row["contract"] is None or any(each["contract"] is None for each in signatures):
        yield "found it asked for or signed without an event, expected one of each"
        return
    yield from differs("a payload with digest", digest_of(request.payload), request.digest)
    if request.requested_by in request.signed:
        yield f"found it signed by {request.requested_by}, who asked for it"
    for each in signatures:
        yield from differs("a signature of", each["digest"], request.digest)
        able = with_authority(contract_from(each["contract"]), request.amount)
        if each["person"] not in {entry.person for entry in able}:
            yield f"found it signed by {each['person']}, expected people with that authority"
    if request.state is RequestState.APPROVED:
        last = signatures[-1]["contract"] if signatures else row["contract"]
        yield from _decided(request, contract_from(row["contract"]), contract_from(last))


def _decided(request: Request, contract: Contract, at_last: Contract) -> Iterator[str]:
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
            if not complete(request, at_last, request.signed):
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
