-- Every difference ever seen, one row each: what it was yesterday, what a trusted run saw of it, what that closed.
-- marts.discrepancy_history holds it, and is what the next run reads.
{{ config(materialized='view', database='snapshot') }}

with

this_run as (

    select run_id, as_of from {{ ref('this_run') }}

),

before as (

    select * from {{ source('published_marts', 'discrepancy_history') }}

),

sightings as (

    select * from {{ ref('sightings') }}

),

unseen as (

    select * from {{ ref('unseen') }}

),

seen as (

    select
        sightings.*,
        before.discrepancy_id is null as is_new,
        before.resolved_at is not null as is_reopened,
        coalesce(before.first_seen_at, this_run.as_of) as first_seen_at,
        case when before.resolved_at is null then before.opened_at end as still_open_since,
        case when before.resolved_at is null then before.opened_in_run end as still_open_in_run,
        case when before.resolved_at is null then before.listed_at end as listed_at,
        case when before.resolved_at is null then before.listed_in_run end as listed_in_run,
        coalesce(before.runs_seen, 0) + (before.last_seen_run is distinct from this_run.run_id)::integer as runs_seen,
        coalesce(before.times_reopened, 0) as times_reopened,
        this_run.*
    from sightings
    cross join this_run
    left join before on before.discrepancy_id = sightings.discrepancy_id

),

after as (

    select
        discrepancy_id, reconciliation, record_key, bucket, field, left_value, right_value,
        {{ within_lag('left_updated_at', 'right_updated_at', 'first_seen_at', 'as_of', 'lag_hours') }} as status,
        left_updated_at, right_updated_at, value_at_risk, currency,
        first_seen_at, as_of as last_seen_at, run_id as last_seen_run, runs_seen,
        times_reopened + is_reopened::integer as times_reopened,
        coalesce(still_open_since, as_of) as opened_at,
        case when is_new or is_reopened then run_id else still_open_in_run end as opened_in_run,
        listed_at, listed_in_run, true as is_judged, lag_hours,
        null::timestamptz as resolved_at, null::varchar as resolved_in_run, null::varchar as resolution
    from seen
    union all by name
    select
        before.* exclude (left_system, right_system, status, lag_hours, resolved_at, resolved_in_run, resolution),
        case
            when unseen.resolution is not null then 'resolved'
            when unseen.discrepancy_id is not null then
                {{ within_lag('left_updated_at', 'right_updated_at', 'first_seen_at', 'this_run.as_of', 'unseen.lag_hours') }}
            else before.status
        end as status,
        unseen.discrepancy_id is not null as is_judged,
        coalesce(unseen.lag_hours, before.lag_hours) as lag_hours,
        case when unseen.resolution is null then before.resolved_at else this_run.as_of end as resolved_at,
        case when unseen.resolution is null then before.resolved_in_run else this_run.run_id end as resolved_in_run,
        coalesce(unseen.resolution, before.resolution) as resolution
    from before
    cross join this_run
    left join unseen on unseen.discrepancy_id = before.discrepancy_id
    anti join sightings on sightings.discrepancy_id = before.discrepancy_id

)

select
    discrepancy_id, reconciliation, record_key, bucket, field, left_value, right_value, status, left_updated_at, right_updated_at,
    value_at_risk, currency, first_seen_at, last_seen_at, last_seen_run, runs_seen, times_reopened, opened_at, opened_in_run,
    resolved_at, resolved_in_run, resolution,
    -- Listed: the first run of this opening in which it had outlived the lag.
    coalesce(listed_at, case when is_judged and status = 'open' then this_run.as_of end) as listed_at,
    coalesce(listed_in_run, case when is_judged and status = 'open' then this_run.run_id end) as listed_in_run,
    lag_hours
from after
cross join this_run
