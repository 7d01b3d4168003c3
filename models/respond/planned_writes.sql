-- One row a write that this run plans, before anything stops it: of differences that are to be fixed, have outlived the lag, were seen
-- often enough since they opened, and were not written yet.
{{ config(database='snapshot') }}

with

fixable as (

    select * from {{ ref('responses') }} where response = 'fix'

),

seen as (

    select * from {{ ref('seen') }}

),

-- A difference that stays open was seen by every trusted run since it opened.
seen_since as (

    select openings.*, 1 + count(earlier_runs.run_seq) as runs
    from (select distinct reconciliation, opened_in_run from seen) as openings
    left join {{ ref('trusted_runs') }} as earlier_runs
        on earlier_runs.reconciliation = openings.reconciliation
        and earlier_runs.side = 'left'
        and earlier_runs.run_seq >= left(openings.opened_in_run, 6)::integer
    group by all

),

written as (

    select idempotency_key from {{ ref('attempts') }} where outcome in ('written', 'unknown')

)

select
    fixable.*,
    seen.reconciliation,
    seen.record_key,
    seen.field,
    seen.left_value,
    seen.right_value,
    least(seen.runs_seen, seen_since.runs) as times_seen
from fixable
inner join seen on seen.discrepancy_id = fixable.discrepancy_id and seen.status = 'open'
inner join seen_since on seen_since.reconciliation = seen.reconciliation and seen_since.opened_in_run = seen.opened_in_run
anti join written on written.idempotency_key = fixable.idempotency_key
where times_seen >= fixable.least_runs
