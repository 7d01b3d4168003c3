-- Did this run list more than its pair lists as a rule? One row a trusted pair and kind, and one a pair as a whole: its bucket and field
-- are null. What is expected is null where there is no history to judge by. docs/waves.md explains the model.
{{ config(database='snapshot') }}

with

listed_tonight as (

    select reconciliation, bucket, field, listed from {{ ref('drift_tonight') }}
    union all
    select verdicts.reconciliation, null, null, coalesce(sum(drift.listed), 0)::bigint
    from {{ ref('verdicts') }} as verdicts
    left join {{ ref('drift_tonight') }} as drift on drift.reconciliation = verdicts.reconciliation
    where verdicts.verdict = 'trusted'
    group by all

),

runs as (

    select * from {{ ref('listing_runs') }}

),

-- What was a wave is no rule.
history as (

    select
        tonight.reconciliation, tonight.bucket, tonight.field, runs.seconds,
        case when tonight.bucket is null then runs.listed else coalesce(drift.listed, 0) end as listed
    from listed_tonight as tonight
    inner join runs on runs.reconciliation = tonight.reconciliation and not runs.is_this_run
    left join {{ source('published_marts', 'drift_daily') }} as drift
        on drift.run_id = runs.run_id
        and drift.reconciliation = tonight.reconciliation
        and drift.bucket = tonight.bucket
        and drift.field = tonight.field
    where (case when tonight.bucket is null then runs.has_wave else drift.is_wave end) is not true

),

paced as (

    select *, (sum(listed) over kind + 0.5) / sum(seconds) over kind as pace, pace * seconds as usual
    from history
    window kind as (partition by reconciliation, bucket, field)

),

spread as (

    select
        reconciliation, bucket, field,
        any_value(pace) as pace,
        sum(listed) + 0.5 as weight,
        count(*) as runs,
        greatest(0, (count(*) / greatest(count(*) - 1, 1) * sum(pow(listed - usual, 2)) - sum(usual)) / sum(pow(usual, 2))) as spread
    from paced
    group by all

),

expected as (

    select
        tonight.*, pairs.least_listed_for_a_wave, pairs.least_times_expected_for_a_wave, pairs.most_chance_of_a_wave,
        round(spread.pace * runs.seconds, 6) as expected_listed,
        round(1 / (1 / spread.weight + (pairs.least_spread + spread.spread) * (1 + 1 / spread.runs)), 6) as shape
    from listed_tonight as tonight
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = tonight.reconciliation
    left join runs on runs.reconciliation = tonight.reconciliation and runs.is_this_run
    left join spread
        on spread.reconciliation = tonight.reconciliation
        and spread.bucket is not distinct from tonight.bucket
        and spread.field is not distinct from tonight.field

)

select
    reconciliation, bucket, field, listed, expected_listed,
    case when expected_listed is not null then {{ chance_of_at_least('listed', 'expected_listed', 'shape') }} end as wave_probability,
    case
        when expected_listed is not null then
            listed >= least_listed_for_a_wave
            and listed >= least_times_expected_for_a_wave * expected_listed
            and wave_probability < most_chance_of_a_wave
    end as is_wave
from expected
