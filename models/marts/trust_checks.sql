-- One row a run, pair, side and check. The tests that stop the night hang on this table.
with

now_checked as (

    select * from {{ ref('checks') }}

),

earlier as (

    select * from {{ source('published_marts', 'trust_checks') }}
    where run_id not in (select run_id from {{ ref('this_run') }})

)

select run_id, reconciliation, side, check_name, observed, expected, passed, can_be_accepted, accepted_by, explanation from earlier
union all
select run_id, reconciliation, side, check_name, observed, expected, passed, can_be_accepted, accepted_by, explanation from now_checked
