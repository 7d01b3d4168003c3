-- A decision that is read as another one, or as none, would hide a difference. Fails with the row and what is wrong with it.
with

read as (

    select
        concat_ws(', ', discrepancy_id, reconciliation, bucket, field, cause, decision) as entry,
        case
            when decision is null or decision not in ('accept', 'quarantine', 'release', 'fix')
                then 'decision must be accept, quarantine, release or fix'
            when decided_by is null then 'decided_by is blank'
            when decided_at is null or try_cast(decided_at as timestamptz) is null then 'decided_at is no time'
            when not regexp_full_match(until, '\d{4}-\d\d-\d\d') or (until is not null and try_cast(until as date) is null)
                then 'until is no date such as 2026-12-31'
            when discrepancy_id is not null and concat(reconciliation, bucket, field, cause) != ''
                then 'it names a difference and a kind; leave one of them blank'
            when discrepancy_id is null and concat(reconciliation, bucket, field, cause) = ''
                then 'it names neither a difference nor a kind'
            when discrepancy_id is not null and not regexp_full_match(discrepancy_id, '[0-9a-f]{32}') then 'discrepancy_id is none'
            {{ unreadable_kind('decisions') }}
        end as wrong
    from {{ ref('decisions') }} as decisions

)

select entry, wrong
from read
where wrong is not null and error(format('seeds/decisions.csv, {}: {}', entry, wrong)) is null
