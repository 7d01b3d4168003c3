-- The ledger's lines for what a trusted run saw: each difference with its judgement and its history so far.
{{ config(materialized='view', database='snapshot') }}

with

this_run as (

    select run_id, as_of from {{ ref('this_run') }}

),

before as (

    select
        discrepancy_id, first_seen_at, last_seen_run, runs_seen, times_reopened, resolved_at,
        -- What counts from the last opening starts anew where the difference had been resolved.
        case when resolved_at is null then opened_at end as opened_at,
        case when resolved_at is null then opened_in_run end as opened_in_run,
        case when resolved_at is null then listed_at end as listed_at,
        case when resolved_at is null then listed_in_run end as listed_in_run
    from {{ source('published_marts', 'discrepancy_history') }}

)

select
    directions.*,
    responses.owner,
    responses.days_to_decide,
    responses.response,
    responses.response_reason,
    responses.fix_objection,
    responses.decision_id,
    responses.decision_state,
    responses.decided_left,
    responses.decided_right,
    responses.decided_fix,
    this_run.as_of as last_seen_at,
    this_run.run_id as last_seen_run,
    coalesce(before.first_seen_at, this_run.as_of) as first_seen_at,
    coalesce(before.runs_seen, 0) + (before.last_seen_run is distinct from this_run.run_id)::integer as runs_seen,
    coalesce(before.times_reopened, 0) + (before.resolved_at is not null)::integer as times_reopened,
    case
        when {{ within_lag(
            'left_updated_at', 'right_updated_at', 'coalesce(before.first_seen_at, this_run.as_of)', 'this_run.as_of', 'directions.lag_hours'
        ) }} = 'in_flight' then 'in_flight'
        else responses.answered_status
    end as status,
    coalesce(before.opened_at, this_run.as_of) as opened_at,
    coalesce(before.opened_in_run, this_run.run_id) as opened_in_run,
    before.listed_at,
    before.listed_in_run
from {{ ref('directions') }} as directions
cross join this_run
inner join {{ ref('responses') }} as responses on responses.discrepancy_id = directions.discrepancy_id
left join before on before.discrepancy_id = directions.discrepancy_id
