-- One row a write that this run plans, before anything stops it: of differences that are to be fixed, have outlived the lag, were seen
-- often enough since they opened, and were not written yet.
{{ config(database='snapshot') }}

with

fixable as (

    select history.*
    from {{ ref('discrepancy_history') }} as history
    inner join {{ ref('this_run') }} as this_run on this_run.run_id = history.last_seen_run
    where history.response = 'fix' and history.status = 'open'

),

-- A difference that stays open was seen by every trusted run since it opened.
seen_since as (

    select openings.*, 1 + count(earlier_runs.run_seq) as runs
    from (select distinct reconciliation, opened_in_run from fixable) as openings
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
    responses.*,
    fixable.reconciliation,
    fixable.record_key,
    fixable.field,
    fixable.left_value,
    fixable.right_value,
    listing.run_id is not null and listing.has_wave is not false as is_of_a_wave,
    least(fixable.runs_seen, seen_since.runs) as times_seen
from fixable
inner join {{ ref('responses') }} as responses on responses.discrepancy_id = fixable.discrepancy_id
inner join seen_since on seen_since.reconciliation = fixable.reconciliation and seen_since.opened_in_run = fixable.opened_in_run
-- The run that listed it, where that was an earlier one: what came as a wave is no safer a night later.
left join {{ source('published_marts', 'runs') }} as listing
    on listing.reconciliation = fixable.reconciliation
    and listing.run_id = fixable.listed_in_run
    and listing.run_id != fixable.last_seen_run
anti join written on written.idempotency_key = responses.idempotency_key
where times_seen >= responses.least_runs
