-- What baselines may rest on: earlier runs of each pair that were trusted, one row a run and side.
with

this_run as (

    select run_seq from {{ ref('this_run') }}

),

trusted as (

    select * from {{ source('published_marts', 'runs') }}
    where verdict = 'trusted' and run_seq < (select run_seq from this_run)

),

sides as (

    select
        run_id, run_seq, as_of, reconciliation,
        unnest([
            {side: 'left', records: left_rows, records_in_scope: left_in_scope},
            {side: 'right', records: right_rows, records_in_scope: right_in_scope}
        ], recursive := true)
    from trusted

)

select
    *,
    row_number() over (partition by reconciliation, side order by run_seq desc) = 1 as is_last
from sides
