-- One row a run and pair: what was seen, whether it can be trusted, and what changed. Counts of an uncompared pair are null.
with

this_run as (

    select * from {{ ref('this_run') }}

),

earlier as (

    select * from {{ source('published_marts', 'runs') }}

),

baselines as (

    select
        reconciliation,
        any_value(records) filter (side = 'left') as left_rows,
        any_value(records) filter (side = 'right') as right_rows,
        any_value(records_in_scope) filter (side = 'left') as left_in_scope,
        any_value(records_in_scope) filter (side = 'right') as right_in_scope,
        any_value(unreadable) filter (side = 'left') as unreadable_left,
        any_value(unreadable) filter (side = 'right') as unreadable_right
    from {{ ref('baselines') }}
    group by reconciliation

),

changes as (

    select
        history.reconciliation,
        count(*) filter (status = 'open') as open,
        count(*) filter (status = 'in_flight') as in_flight,
        count(*) filter (status = 'quarantined') as quarantined,
        count(*) filter (status = 'accepted') as accepted,
        count(*) filter (opened_in_run = this_run.run_id) as opened,
        count(*) filter (resolved_in_run = this_run.run_id) as resolved
    from {{ ref('discrepancy_history') }} as history
    cross join this_run
    group by history.reconciliation

),

-- The pair as a whole, and whether it or any of its kinds is a wave.
waves as (

    select
        reconciliation,
        any_value(listed) filter (bucket is null) as listed,
        any_value(expected_listed) filter (bucket is null) as expected_listed,
        any_value(wave_probability) filter (bucket is null) as wave_probability,
        bool_or(is_wave) as has_wave
    from {{ ref('waves') }}
    group by reconciliation

),

planned as (

    select reconciliation, count(*) as fixes_planned from {{ ref('fix_plan') }} where not is_stopped group by reconciliation

),

now_run as (

    select
        this_run.run_id, this_run.run_seq, this_run.fingerprint, pairs.reconciliation, this_run.as_of, verdicts.verdict,
        pairs.left_system, pairs.right_system,
        baselines.* exclude (reconciliation),
        bucket_counts.* exclude (reconciliation),
        {{ var('history_version') }} as history_version,
        coalesce(changes.open, 0) as open,
        coalesce(changes.in_flight, 0) as in_flight,
        coalesce(changes.quarantined, 0) as quarantined,
        coalesce(changes.accepted, 0) as accepted,
        coalesce(planned.fixes_planned, 0) as fixes_planned,
        coalesce(changes.opened, 0) as opened,
        coalesce(changes.resolved, 0) as resolved,
        waves.* exclude (reconciliation),
        -- The same run again keeps its own figure: repeating a run changes nothing.
        coalesce(repeated.seconds, round(date_diff('millisecond', this_run.started_at, get_current_timestamp()) / 1000.0, 1)) as seconds
    from {{ ref('pairs') }} as pairs
    cross join this_run
    inner join {{ ref('verdicts') }} as verdicts on verdicts.reconciliation = pairs.reconciliation
    left join baselines on baselines.reconciliation = pairs.reconciliation
    left join {{ ref('bucket_counts') }} as bucket_counts on bucket_counts.reconciliation = pairs.reconciliation
    left join changes on changes.reconciliation = pairs.reconciliation
    left join waves on waves.reconciliation = pairs.reconciliation
    left join planned on planned.reconciliation = pairs.reconciliation
    left join earlier as repeated on repeated.run_id = this_run.run_id and repeated.reconciliation = pairs.reconciliation

),

all_runs as (

    select * from earlier where run_id not in (select run_id from this_run)
    union all by name
    select * from now_run

)

select
    run_id, run_seq, fingerprint, reconciliation, as_of, verdict, left_system, right_system,
    left_rows, right_rows, left_in_scope, right_in_scope,
    matched, conflicts, left_only, right_only, out_of_scope_left, out_of_scope_right,
    unreconcilable_left, unreconcilable_right, unreadable_left, unreadable_right,
    open, in_flight, quarantined, accepted, opened, resolved, fixes_planned,
    listed, expected_listed, wave_probability, has_wave, seconds, history_version
from all_runs
