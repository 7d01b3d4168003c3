-- One row a pair with news, slice and value: the records that are compared. Those that count on the left, and those that count on the
-- right alone.
{{ config(materialized='view', database='snapshot') }}

with

on_the_left as (

    select * from {{ ref('counted_slices') }}

),

on_the_right_alone as (

    select reconciliation, record_key, any_value(slices) as slices
    from {{ ref('comparisons') }}
    where right_in_scope and not left_in_scope and reconciliation in (select reconciliation from {{ ref('news') }})
    group by all

),

records as (

    select reconciliation, slice, value, records from on_the_left
    union all
    select reconciliation, unnest(slices, recursive := true), 1 from on_the_right_alone

)

select reconciliation, slice, value, sum(records)::bigint as records
from records
group by all
