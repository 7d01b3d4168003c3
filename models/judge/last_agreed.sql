-- One row a difference of a record that one side lacks tonight and that is known of before: what each of its fields agreed on last, as
-- JSON, for the night on which the record comes back.
{{ config(materialized='view', database='snapshot') }}

with

one_sided as (

    select * from {{ ref('sightings') }} where bucket != 'conflict'

),

fields as (

    select discrepancy_id, before_as_of as agreed_at, unnest(fields_agreed_before, recursive := true)
    from one_sided
    where before_as_of is not null
    union by name
    select one_sided.discrepancy_id, remembered.* exclude (reconciliation, record_key)
    from {{ ref('remembered_bases') }} as remembered
    inner join one_sided on one_sided.reconciliation = remembered.reconciliation and one_sided.record_key = remembered.record_key

)

select
    discrepancy_id,
    to_json(list({
        field: field, agreed_at: agreed_at,
        left_value: left_value, right_value: right_value, left_base: left_base, right_base: right_base
    } order by field))::varchar as last_agreed
from fields
group by discrepancy_id
