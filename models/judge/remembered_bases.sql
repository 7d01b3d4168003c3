-- One row a field of a record with an open difference: what both sides agreed on last, as the history carries it. Of a conflict it is the
-- base of that conflict, of a record that one side lacks that of each field. It is asked where the night before has no answer.
{{ config(materialized='view', database='snapshot') }}

with

still_open as (

    select reconciliation, record_key, field, agreed_at, base_value, left_base, right_base, last_agreed
    from {{ source('published_marts', 'discrepancy_history') }}
    where resolved_at is null

),

of_one_side as (

    select
        reconciliation, record_key,
        unnest(from_json(last_agreed, '[{
            "field": "varchar", "agreed_at": "timestamptz", "left_value": "varchar", "right_value": "varchar",
            "left_base": "varchar", "right_base": "varchar"
        }]')) as last
    from still_open
    where last_agreed is not null

)

select reconciliation, record_key, field, agreed_at, base_value as left_value, base_value as right_value, left_base, right_base
from still_open
where field != '' and agreed_at is not null
union all
select
    reconciliation, record_key, last.field, last.agreed_at, last.left_value, last.right_value, last.left_base, last.right_base
from of_one_side
