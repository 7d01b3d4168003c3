-- The judgements, and in plain words which way money runs where a record counts on one side and not on the other. The pair says in
-- dbt_project.yml which of its sides bills; of a pair that bills nothing only the fact is said.
{{ config(materialized='view', database='snapshot') }}

with

judged as (

    select
        judgements.*,
        pairs.left_system,
        pairs.right_system,
        pairs.bills,
        case when left_in_scope then left_system else right_system end as running_in,
        case when left_in_scope then right_system else left_system end as missing_in,
        case when bills = 'left' then left_system else right_system end as billing,
        case when bills = 'left' then right_system else left_system end as not_billing,
        case bills when 'left' then left_in_scope when 'right' then right_in_scope end as is_billed,
        case when is_billed then 'running' else 'active' end as running,
        case
            when bucket != 'conflict' then 'not in'
            when is_status and left_in_scope != right_in_scope then 'ended in'
        end as how_missing,
        case when is_value then try_cast(left_compared as decimal(38, 8)) > try_cast(right_compared as decimal(38, 8)) end as left_is_more
    from {{ ref('judgements') }} as judgements
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = judgements.reconciliation

)

select
    judged.* exclude (
        left_system, right_system, bills, running_in, missing_in, billing, not_billing, is_billed, running, how_missing, left_is_more
    ),
    case
        when how_missing is not null then format('{} in {} but {} {}', running, running_in, how_missing, missing_in) || case
            when bills is null then ''
            when not is_billed then ' (used but not billed)'
            when how_missing = 'ended in' then ' (billed after the end)'
            else ' (billed, and unknown there)'
        end
        when left_is_more is not null and bills is not null then format(
            '{} bills {} than {} says', billing, case when left_is_more = (bills = 'left') then 'more' else 'less' end, not_billing
        )
    end as direction
from judged
