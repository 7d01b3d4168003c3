-- Do the two pulls and the run's clock belong together?
with

run as (

    select * from {{ ref('this_run') }}

),

pairs as (

    select * from {{ ref('pairs') }}

),

tables as (

    select *, coalesce(exported_at, written_at, started_at) as own_time
    from {{ ref('pulled_tables') }}

),

-- In whole minutes: two pulls of one run that start seconds apart must look the same when the run is repeated.
pulls as (

    select
        reconciliation,
        date_diff('minute', min(own_time), max(own_time)) / 60.0 as hours_apart,
        arg_min(system, own_time) as earlier_system,
        case when count(exported_at) between 1 and count(*) - 1 then ' (only one has a manifest)' else '' end as caveat
    from tables
    group by reconciliation

),

last_runs as (

    select reconciliation, as_of, run_id
    from {{ ref('trusted_runs') }}
    where is_last and side = 'left'

),

checks as (

    select
        pairs.reconciliation, 'both' as side, 'pulled_close_together' as check_name,
        round(hours_apart, 2) as observed,
        most_hours_apart as expected,
        hours_apart <= most_hours_apart as passed,
        format('{} is {:.1f} hours earlier than the other side{}, ', earlier_system, hours_apart, caveat)
        || format('{:.1f} are allowed', most_hours_apart) as explanation
    from pairs
    left join pulls on pairs.reconciliation = pulls.reconciliation
    union all
    select
        pairs.reconciliation, 'both', 'not_older_than_last_run',
        greatest(0, date_diff('hour', run.as_of, last_runs.as_of)),
        0,
        last_runs.as_of is null or run.as_of >= last_runs.as_of,
        coalesce(
            format('the clock says {}, the last trusted run {} said {}', run.as_of, last_runs.run_id, last_runs.as_of),
            'no baseline yet: no run of this pair was trusted before'
        )
    from pairs
    cross join run
    left join last_runs on pairs.reconciliation = last_runs.reconciliation
    union all
    select
        pairs.reconciliation, 'both', 'clock_is_not_ahead',
        greatest(0, date_diff('hour', run.started_at, run.as_of)),
        24,
        run.as_of <= run.started_at + to_days(1),
        format('the clock says {}; a day ahead of the machine it would make later runs look old', run.as_of)
    from pairs
    cross join run

),

{{ judged_checks('checks', can_be_accepted=false) }}
