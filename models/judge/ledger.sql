-- Every difference ever seen, one row each: what it was yesterday, what a trusted run saw of it, what that closed.
-- marts.discrepancy_history holds it, and is what the next run reads.
{{ config(materialized='view', database='snapshot') }}

with

this_run as (

    select run_id, as_of from {{ ref('this_run') }}

),

not_seen as (

    select
        before.* exclude (status, lag_hours, resolved_at, resolved_in_run, resolution, arrived_at, last_agreed),
        case
            when unseen.resolution is not null then 'resolved'
            when unseen.discrepancy_id is null or before.status in ('accepted', 'quarantined') then before.status
            when
                {{ within_lag('left_updated_at', 'right_updated_at', 'first_seen_at', 'this_run.as_of', 'unseen.lag_hours') }} = 'in_flight'
                then 'in_flight'
            when before.response = 'quarantine' then 'quarantined'
            else 'open'
        end as status,
        unseen.discrepancy_id is not null as is_judged,
        coalesce(unseen.lag_hours, before.lag_hours) as lag_hours,
        case when unseen.resolution is null then before.resolved_at else this_run.as_of end as resolved_at,
        case when unseen.resolution is null then before.resolved_in_run else this_run.run_id end as resolved_in_run,
        coalesce(unseen.resolution, before.resolution) as resolution,
        coalesce(unseen.arrived_at, before.arrived_at) as arrived_at,
        case when unseen.resolution is null then before.last_agreed end as last_agreed   -- nobody asks for it any more
    from {{ source('published_marts', 'discrepancy_history') }} as before
    cross join this_run
    left join {{ ref('unseen') }} as unseen on unseen.discrepancy_id = before.discrepancy_id
    anti join {{ ref('responses') }} as responses on responses.discrepancy_id = before.discrepancy_id   -- one a difference seen

),

after as (

    select *, true as is_judged from {{ ref('seen') }}
    union all by name
    select * from not_seen

)

select
    discrepancy_id, reconciliation, record_key, bucket, field, left_value, right_value, status, left_updated_at, right_updated_at,
    value_at_risk, currency, direction, first_seen_at, last_seen_at, last_seen_run, runs_seen, times_reopened, opened_at, opened_in_run,
    -- Listed: the first run of this opening in which it had outlived the lag.
    coalesce(listed_at, case when is_judged and status not in ('in_flight', 'resolved') then this_run.as_of end) as listed_at,
    coalesce(listed_in_run, case when is_judged and status not in ('in_flight', 'resolved') then this_run.run_id end) as listed_in_run,
    lag_hours, resolved_at, resolved_in_run, resolution, arrived_at,
    stale_side, cause, cause_evidence, out_of_step_since, is_since_exact, agreed_at, base_value, candidate_key, candidate_score,
    sides_before, left_base, right_base, last_agreed, left_compared, right_compared,
    owner, days_to_decide, response, response_reason, fix_objection, decision_id, decision_state, decided_left, decided_right, decided_fix
from after
cross join this_run
