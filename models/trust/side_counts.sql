-- History of counted_columns: what `no_column_went_silent` holds the next run against.
{{ config(database='warehouse', contract={'enforced': true}) }}

with

this_run as (

    select run_id from {{ ref('this_run') }}

),

earlier as (

    select * from {{ source('published_trust', 'side_counts') }}
    where run_id not in (select run_id from this_run)

),

now_counted as (

    select this_run.run_id, counted_columns.*
    from {{ ref('counted_columns') }} as counted_columns
    cross join this_run

)

select run_id, reconciliation, side, column_name, records, records_in_scope, records_with_value from earlier
union all
select run_id, reconciliation, side, column_name, records, records_in_scope, records_with_value from now_counted
