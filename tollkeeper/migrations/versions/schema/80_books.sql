-- Accounting periods that close, and the chain of hashes over the journal.

create table journal_seal (                -- written once: each group's place in the chain of its book
    book      text not null check (book in ('live', 'sandbox')),
    seq       bigint not null check (seq > 0),
    group_id  bigint not null unique references journal_group,
    previous  text not null,               -- hash of the seal before; empty for the first
    hash      text not null,
    sealed_at timestamptz not null default now(),
    primary key (book, seq)
);

create table period_close (                -- written once: a month, and all before it
    key        text primary key references effect deferrable initially deferred,
    book       text not null check (book in ('live', 'sandbox')),
    entity     text not null,
    month      date not null check (month = date_trunc('month', month)),  -- its first day
    closed_by  text not null,
    closed_at  timestamptz not null,
    sealed_seq bigint not null,            -- every group of the entity was sealed up to here
    booked_at  timestamptz not null default now(),
    unique (book, entity, month),
    foreign key (book, sealed_seq) references journal_seal
);

-- Who posts holds this lock together with all others who post; who closes a period holds it alone.
create function period_lock(book text, entity text) returns bigint language sql immutable as $$
    select hashtextextended(book || '.' || entity, 2)
$$;

create function closed_through(of_book text, of_entity text) returns date language plpgsql as $$
begin
    -- The lock first: the statement after it sees what was closed while this one waited.
    perform pg_advisory_xact_lock_shared(period_lock(of_book, of_entity));
    return (
        select (max(month) + interval '1 month')::date - 1
        from period_close where book = of_book and entity = of_entity
    );
end $$;

create function require_open_period() returns trigger language plpgsql as $$
begin
    if new.effective_on <= closed_through(new.book, new.entity) then
        raise exception 'journal group % is dated %, in a closed period of %',
            new.key, new.effective_on, new.entity using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create trigger open_period before insert on journal_group
    for each row execute function require_open_period();

select written_once('journal_seal');
select written_once('period_close');
