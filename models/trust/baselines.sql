-- One row a pair and side: what it holds now, what it held in the last trusted run, and its high-water mark.
with

this_run as (

    select * from {{ ref('this_run') }}

),

trusted_runs as (

    select * from {{ ref('trusted_runs') }}

),

counted as (

    select reconciliation, side, any_value(records) as records, any_value(records_in_scope) as records_in_scope
    from {{ ref('counted_columns') }}
    group by reconciliation, side

),

-- Where a system wrote something (x_stated) that could not be read as what it should be (x).
unreadable as (

    select parsed.reconciliation, parsed.side, sum(greatest(stated.records_with_value - parsed.records_with_value, 0))::bigint as unreadable
    from {{ ref('counted_columns') }} as parsed
    inner join {{ ref('counted_columns') }} as stated
        on parsed.reconciliation = stated.reconciliation
        and parsed.side = stated.side
        and parsed.column_name || '_stated' = stated.column_name
    group by all

),

-- A shrink that a person accepted starts the high-water mark anew, or it would be refused again every night for a month.
accepted_shrinks as (

    select trust_checks.reconciliation, trust_checks.side, max(trusted_runs.run_seq) as run_seq
    from {{ source('published_marts', 'trust_checks') }} as trust_checks
    inner join trusted_runs
        on trusted_runs.run_id = trust_checks.run_id
        and trusted_runs.reconciliation = trust_checks.reconciliation
        and trusted_runs.side = trust_checks.side
    where trust_checks.accepted_by is not null and trust_checks.check_name in ('no_implausible_drop', 'no_slow_erosion')
    group by all

),

high_water as (

    select trusted_runs.reconciliation, trusted_runs.side, max(trusted_runs.records) as records
    from trusted_runs
    cross join this_run
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = trusted_runs.reconciliation
    anti join accepted_shrinks
        on accepted_shrinks.reconciliation = trusted_runs.reconciliation
        and accepted_shrinks.side = trusted_runs.side
        and accepted_shrinks.run_seq > trusted_runs.run_seq
    where trusted_runs.as_of >= this_run.as_of - to_days(pairs.high_water_days::integer)
    group by all

)

select
    counted.*,
    coalesce(unreadable.unreadable, 0) as unreadable,
    last_run.run_id as last_run_id,
    last_run.as_of as last_as_of,
    last_run.records as last_records,
    last_run.records_in_scope as last_records_in_scope,
    high_water.records as high_water_records
from counted
left join trusted_runs as last_run
    on last_run.reconciliation = counted.reconciliation and last_run.side = counted.side and last_run.is_last
left join unreadable on unreadable.reconciliation = counted.reconciliation and unreadable.side = counted.side
left join high_water on high_water.reconciliation = counted.reconciliation and high_water.side = counted.side
