-- Which way money runs where a record counts on one side and not on the other, in plain words, one row a difference. The pair says in
-- dbt_project.yml which of its sides bills; of a pair that bills nothing only the fact is said.
{{ config(materialized='view', database='snapshot') }}

with

sightings as (

    select
        sightings.*,
        pairs.left_system,
        pairs.right_system,
        pairs.bills,
        case when left_in_scope then left_system else right_system end as running_in,
        case when left_in_scope then right_system else left_system end as missing_in,
        case bills when 'left' then left_in_scope when 'right' then right_in_scope end as is_billed,
        case
            when bucket != 'conflict' then 'not in'
            when is_status and left_in_scope != right_in_scope then 'ended in'
        end as how_missing,
        case when is_value then try_cast(left_compared as decimal(38, 8)) > try_cast(right_compared as decimal(38, 8)) end as left_is_more
    from {{ ref('sightings') }} as sightings
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = sightings.reconciliation

)

select
    discrepancy_id,
    case
        when how_missing is not null and bills is null then format('active in {} but {} {}', running_in, how_missing, missing_in)
        when how_missing = 'ended in' and is_billed then format('running in {} but ended in {} (billed after the end)', running_in, missing_in)
        when how_missing = 'not in' and is_billed then format('running in {} but not in {} (billed, and unknown there)', running_in, missing_in)
        when how_missing is not null then format('active in {} but {} {} (used but not billed)', running_in, how_missing, missing_in)
        when bills = 'left' and left_is_more then format('{} bills more than {} says', left_system, right_system)
        when bills = 'right' and not left_is_more then format('{} bills more than {} says', right_system, left_system)
        when bills = 'left' then case when left_is_more is not null then format('{} bills less than {} says', left_system, right_system) end
        when bills = 'right' then case when left_is_more is not null then format('{} bills less than {} says', right_system, left_system) end
    end as direction
from sightings
