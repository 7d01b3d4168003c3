-- One row a trusted pair and kind (bucket and field) of difference ever seen in it: what this run changed, and what is there after it.
{{ config(database='snapshot') }}

with

this_run as (

    select run_id, as_of from {{ ref('this_run') }}

),

trusted as (

    select reconciliation from {{ ref('verdicts') }} where verdict = 'trusted'

),

differences as (

    select
        history.*,
        this_run.run_id,
        history.status = 'open' as is_open,
        date_diff('second', history.first_seen_at, this_run.as_of) / 3600.0 as age_hours
    from {{ ref('discrepancy_history') }} as history
    cross join this_run
    semi join trusted on trusted.reconciliation = history.reconciliation

)

select
    reconciliation,
    bucket,
    field,
    count(*) filter (opened_in_run = run_id) as opened,
    count(*) filter (opened_in_run = run_id and times_reopened > 0) as reopened,
    count(*) filter (listed_in_run = run_id) as listed,
    count(*) filter (resolved_in_run = run_id) as resolved,
    count(*) filter (is_open) as still_open,
    count(*) filter (status = 'in_flight') as in_flight,
    count(*) filter (status = 'quarantined') as quarantined,
    count(*) filter (status = 'accepted') as accepted,
    round(median(age_hours) filter (is_open), 2)::double as median_age_hours,
    round(max(age_hours) filter (is_open), 2)::double as oldest_age_hours,
    count(*) filter (is_open and age_hours > 24) as older_than_a_day,
    count(*) filter (is_open and age_hours > 24 * 7) as older_than_a_week,
    count(*) filter (is_open and age_hours > 24 * 30) as older_than_a_month,
    {{ in_one_currency('is_open') }}
from differences
group by all
