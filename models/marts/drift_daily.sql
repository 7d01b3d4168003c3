-- One row a trusted run, pair and kind of difference (bucket and field): what the run changed, what was there after it, and whether
-- what it listed is a wave. A kind has its row in every run from the first that saw it.
with

this_run as (

    select run_id, run_seq, as_of from {{ ref('this_run') }}

),

earlier as (

    select * from {{ source('published_marts', 'drift_daily') }}
    where run_id not in (select run_id from this_run)

),

tonight as (

    select
        this_run.*,
        drift.*,
        waves.expected_listed, waves.wave_probability, waves.is_wave
    from {{ ref('drift_tonight') }} as drift
    cross join this_run
    inner join {{ ref('waves') }} as waves
        on waves.reconciliation = drift.reconciliation and waves.bucket = drift.bucket and waves.field = drift.field

),

all_runs as (

    select * from earlier
    union all by name
    select * from tonight

)

select
    run_id, run_seq, as_of, reconciliation, bucket, field,
    opened, reopened, listed, resolved, still_open, in_flight, quarantined, accepted,
    median_age_hours, oldest_age_hours, older_than_a_day, older_than_a_week, older_than_a_month,
    value_at_risk, currency, expected_listed, wave_probability, is_wave
from all_runs
