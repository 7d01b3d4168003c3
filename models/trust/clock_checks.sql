-- Do the two pulls and the run's clock belong together? And is every gate in force?
with

run as (

    select * from {{ ref('this_run') }}

),

pairs as (

    select * from {{ ref('pairs') }}

),

pulls as (

    select
        reconciliation,
        -- whole minutes: two pulls of one run, started seconds apart, are the same again tomorrow
        date_diff('minute', min(coalesce(exported_at, started_at)), max(coalesce(exported_at, started_at))) / 60.0 as hours_apart
    from {{ ref('pulled_tables') }}
    group by reconciliation

),

last_runs as (

    select reconciliation, any_value(as_of) as as_of, any_value(run_id) as run_id
    from {{ ref('trusted_runs') }}
    where is_last
    group by reconciliation

),

-- A gate is a dbt test on trust_checks; one that is missing, switched off or softened to a warning is no gate.
gates as (

    select count(*) filter (not is_in_force) as missing, string_agg(check_name, ', ' order by check_name) filter (not is_in_force) as names
    from {{ source('pulls', 'gates') }}

),

checks as (

    select pairs.reconciliation, 'both' as side, 'pulled_close_together' as check_name, round(hours_apart, 2) as observed, most_hours_apart as expected,
        hours_apart <= most_hours_apart as passed,
        format('the two sides are {:.1f} hours apart, at most {:.1f} allowed', hours_apart, most_hours_apart) as explanation
    from pairs left join pulls on pulls.reconciliation = pairs.reconciliation
    union all
    select pairs.reconciliation, 'both', 'not_older_than_last_run', epoch(run.as_of), epoch(last_runs.as_of), last_runs.as_of is null or run.as_of >= last_runs.as_of,
        case
            when last_runs.as_of is null then 'no baseline yet: no run of this pair was trusted before'
            else format('the clock says {}, the last trusted run {} said {}', run.as_of, last_runs.run_id, last_runs.as_of)
        end
    from pairs cross join run left join last_runs on last_runs.reconciliation = pairs.reconciliation
    union all
    select pairs.reconciliation, 'both', 'clock_is_not_ahead', greatest(0, date_diff('hour', run.started_at, run.as_of)), 24, run.as_of <= run.started_at + to_days(1),
        format('the clock says {}; more than a day ahead of the machine it would make every later run look old', run.as_of)
    from pairs cross join run
    union all
    select pairs.reconciliation, 'both', 'every_gate_is_in_force', gates.missing, 0, gates.missing = 0,
        case when gates.missing = 0 then 'every trust check has its dbt test' else 'no dbt test that fails stands behind: ' || gates.names end
    from pairs cross join gates

),

{{ judged_checks('checks', can_be_accepted=false) }}
