-- What became of each invoice, from the ledger alone. A reversal (E30) counts as the group that it mirrors.

create view invoice_settlement as
    select i.number, i.engagement_id, i.book, i.customer, i.currency, i.issued_on, i.due_on,
           i.gross_minor, i.advance_minor, p.*,
           case
               when p.open_minor + p.retained_minor + p.withheld_minor + p.disputed_minor = 0 then case
                   when p.credited_minor > 0 and p.credited_minor = i.gross_minor - i.advance_minor
                       then 'CREDITED'
                   when p.written_off_minor > 0 then 'WRITTEN_OFF'
                   else 'SETTLED'
               end
               when p.disputed_minor > 0 then 'DISPUTED'
               when p.open_minor = 0 then 'WITHHELD'
               when p.paid_minor + p.credited_minor + p.written_off_minor > 0 then 'PARTLY_SETTLED'
               else 'OPEN'
           end as status
    from invoice i cross join lateral (
        select coalesce(sum(minor) filter (where account = '1100'), 0)::bigint as open_minor,
               coalesce(sum(minor) filter (where account = '1110'), 0)::bigint as retained_minor,
               coalesce(sum(minor) filter (where account = '1120'), 0)::bigint as withheld_minor,
               coalesce(sum(minor) filter (where account = '1130'), 0)::bigint as disputed_minor,
               coalesce(-sum(minor) filter (where code = 'E08' and claim), 0)::bigint as paid_minor,
               coalesce(-sum(minor) filter (where credits), 0)::bigint as credited_minor,
               -- Of what was credited, paid before: it went to the customer's credit.
               coalesce(-sum(minor) filter (where credits and not claim), 0)::bigint as returned_minor,
               coalesce(-sum(minor) filter (where code = 'E26' and claim), 0)::bigint as written_off_minor,
               -- Retained here without tax, and billed by another document with it.
               coalesce(-sum(minor) filter (where code = 'E10' and account = '1110'), 0)::bigint
                   as billed_again_minor
        from (
            select p.account, coalesce(r.code, g.code) as code,
                   case p.side when 'D' then p.amount_minor else -p.amount_minor end as minor,
                   p.account <> '2300' as claim,
                   coalesce(r.code, g.code) in ('E12', 'E13', 'E18', 'E22', 'E23', 'E25', 'E33')
                       as credits
            from posting p
            join journal_group g on g.id = p.group_id
            left join journal_group r on r.id = g.reverses
            where p.invoice = i.number and p.account in ('1100', '1110', '1120', '1130', '2300')
        ) moved
    ) p
    where i.document = 'invoice';

create function status_on(settlement invoice_settlement, day date) returns text language sql immutable as $$
    select case
        when settlement.status in ('OPEN', 'PARTLY_SETTLED') and settlement.due_on < day then 'OVERDUE'
        else settlement.status
    end
$$;

-- What an engagement earned outright, in the contract's prices: with its tax where a fee line has it inside.
-- A right to claim back (E32) and its end (E19) leave it as it is.
create view fixed_fee as
    select e.engagement_id, c.document->>'currency' as currency,
           (earned.minor + inside.minor + forgone.minor)::bigint as fixed_minor
    from engagement e
    join contract_version c on c.contract_id = e.contract_id and c.version = e.contract_version
    cross join lateral (
        select coalesce(sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end), 0) as minor
        from posting p join journal_group g on g.id = p.group_id
        where g.engagement_id = e.engagement_id and p.account = '4000' and g.code not in ('E19', 'E32')
    ) earned
    cross join lateral (
        select coalesce(sum(case i.document when 'invoice' then l.tax_minor else -l.tax_minor end), 0) as minor
        from invoice_line l
        join invoice i using (number)
        join jsonb_array_elements(c.document->'fees') f on f->>'id' = l.fee and f->>'prices' = 'gross'
        where i.engagement_id = e.engagement_id and i.purpose in ('milestone', 'delta')
    ) inside
    -- What was forfeited before it was invoiced has no document: its tax is the rest of the price.
    cross join lateral (
        select coalesce(sum(
            translate(split_part(m->>'amount', ' ', 1), '.', '')::bigint - first.net_minor - billed.minor
        ), 0) as minor
        from jsonb_array_elements(c.document->'milestones') m
        join jsonb_array_elements(c.document->'fees') f on f->>'id' = m->>'fee' and f->>'prices' = 'gross'
        join lateral (
            select p.amount_minor as net_minor
            from journal_group g join posting p on p.group_id = g.id and p.account = '4000'
            where g.effect_key = format('eng.%s.milestone.%s:evaluate', e.engagement_id, m->>'id')
              and g.code = 'E01' and p.fee = m->>'fee'
        ) first on true
        cross join lateral (  -- its tax, and what change orders made of both
            select coalesce(sum(b.net_minor + b.tax_minor) - max(of_m.net_minor), 0) as minor
            from invoice_line of_m
            join invoice_line l on (of_m.number, of_m.line)
                in ((l.number, l.line), (l.corrects_number, l.corrects_line))
            join invoice i on i.number = l.number
            join billed_line b on (b.number, b.line) = (l.number, l.line)
            where of_m.claim = format('eng.%s.milestone.%s', e.engagement_id, m->>'id')
              and i.document = 'invoice' and i.purpose in ('milestone', 'delta')
        ) billed
        where exists (
            select from hold_balance h
            where h.engagement_id = e.engagement_id and h.milestone = m->>'id'
              and h.effect = 'block_invoicing' and h.forfeited_minor > 0
        )
    ) forgone;
