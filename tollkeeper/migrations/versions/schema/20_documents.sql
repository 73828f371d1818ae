-- Invoices and credit notes, their numbers, lines and tax groups.

create table invoice_series (
    series text not null,
    year   integer not null,
    last   integer not null check (last >= 0),
    primary key (series, year)
);

create table invoice (                     -- written once: invoices and credit notes
    number           text primary key,
    document         text not null check (document in ('invoice', 'credit_note')),
    purpose          text not null check (purpose in (
        'micro', 'milestone', 'holdback', 'release', 'forfeit', 'retention', 'advance', 'delta',
        'service_credit', 'gain_share', 'dispute', 'correction')),
    series           text not null,
    year             integer not null,
    sequence         integer not null check (sequence > 0),
    key              text not null references effect deferrable initially deferred,
    part             text not null default '',  -- tells apart the documents of one effect
    engagement_id    text not null references engagement,
    contract_id      text not null,
    contract_version integer not null,
    book             text not null check (book in ('live', 'sandbox')),
    customer         text not null,        -- the client's entity
    issued_on        date not null,
    due_on           date not null check (due_on >= issued_on),
    currency         char(3) not null,
    net_minor        bigint not null check (net_minor >= 0 and net_minor < 1000000000000000),
    tax_minor        bigint not null check ((tax_minor >= 0 or purpose = 'delta') and tax_minor < 1000000000000000),
    gross_minor      bigint not null check (gross_minor = net_minor + tax_minor),
    -- Of the gross, at issue: not to be paid yet, or paid before; of the net: taxed on a later document.
    retained_minor    bigint not null default 0 check (retained_minor >= 0),
    withheld_minor    bigint not null default 0 check (withheld_minor >= 0),
    advance_minor     bigint not null default 0 check (advance_minor >= 0),
    advance_tax_minor bigint not null default 0 check (advance_tax_minor between 0 and advance_minor),
    deferred_minor    bigint not null default 0 check (abs(deferred_minor) <= net_minor),
    corrects         text references invoice,  -- where it is one document
    booked_at        timestamptz not null default now(),
    unique (key, part),
    unique (series, year, sequence),
    check (retained_minor + withheld_minor + advance_minor <= gross_minor),
    foreign key (contract_id, contract_version) references contract_version
);
create index invoice_by_engagement on invoice (engagement_id);
create index invoice_by_customer on invoice (customer, book);
create index invoice_by_corrected on invoice (corrects) where corrects is not null;

create table invoice_line (                -- written once; a delta document has lines of both signs
    number           text not null references invoice,
    line             integer not null check (line > 0),
    claim            text not null unique, -- a tranche is billed, or credited, once
    clause           text not null,
    fee              text not null,
    title            jsonb not null,
    net_minor        bigint not null check (abs(net_minor) < 1000000000000000),
    tax_minor        bigint not null check (abs(tax_minor) < 1000000000000000),
    deferred_minor   bigint not null default 0 check (abs(deferred_minor) <= abs(net_minor)),
    tax_code         text not null,
    tax_rate         text not null,
    corrects_number  text,
    corrects_line    integer,
    explanation      jsonb not null,
    primary key (number, line),
    foreign key (corrects_number, corrects_line) references invoice_line,
    check (net_minor <> 0 or tax_minor <> 0),
    check ((corrects_number is null) = (corrects_line is null))
);
create index invoice_line_by_corrected on invoice_line (corrects_number, corrects_line)
    where corrects_number is not null;

create table invoice_tax (                 -- written once: one row a code and rate
    number      text not null references invoice,
    tax_code    text not null,
    tax_rate    text not null,
    net_minor   bigint not null,           -- what is taxed
    tax_minor   bigint not null,
    explanation jsonb not null,
    primary key (number, tax_code, tax_rate)
);

-- A line as far as it is taxed and as change orders made it, and what was taken back of that. What a
-- delta invoice bills more is a line of its own; what a delta document bills less is of the line corrected.
create view billed_line as
    select l.number, l.line, i.engagement_id, i.currency, l.fee, l.clause, l.title, l.tax_code,
           l.tax_rate, l.net_minor + t.changed_minor as net_minor,
           l.net_minor - l.deferred_minor + t.changed_minor as taxable_minor,
           l.tax_minor + t.changed_tax_minor as tax_minor,
           t.taken_minor, t.taken_taxable_minor, t.taken_tax_minor
    from invoice_line l
    join invoice i using (number)
    cross join lateral (
        select coalesce(-sum(sign * c.net_minor) filter (where delta), 0)::bigint as changed_minor,
               coalesce(-sum(sign * c.tax_minor) filter (where delta), 0)::bigint as changed_tax_minor,
               coalesce(sum(sign * c.net_minor) filter (where not delta), 0)::bigint as taken_minor,
               coalesce(sum(sign * (c.net_minor - c.deferred_minor)) filter (where not delta), 0)::bigint
                   as taken_taxable_minor,
               coalesce(sum(sign * c.tax_minor) filter (where not delta), 0)::bigint as taken_tax_minor
        from invoice_line c join invoice d on d.number = c.number
        cross join lateral (
            select case d.document when 'credit_note' then 1 else -1 end as sign,
                   d.purpose = 'delta' as delta
        ) s
        where c.corrects_number = l.number and c.corrects_line = l.line
          and not (delta and sign = -1 and (c.net_minor, c.tax_minor) > (0, 0))
    ) t
    where i.purpose <> 'delta'
       or i.document = 'invoice' and (l.net_minor, l.tax_minor) > (0, 0);

select written_once('invoice');
select written_once('invoice_line');
select written_once('invoice_tax');
