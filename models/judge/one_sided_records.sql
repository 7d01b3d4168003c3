-- Tonight's one-sided records of trusted pairs, with what else than the key may tell who they are. One that key_map already names is
-- left alone: a person has decided on it.
{{ config(materialized='view', database='snapshot') }}

with

decided as (

    select reconciliation, {{ normalise_identifier('right_key') }} as record_key from {{ ref('key_map') }}

)

select
    comparisons.reconciliation,
    case when comparisons.bucket = 'left_only' then 'left' else 'right' end as side,
    comparisons.record_key,
    {{ normalise_email('comparisons.match_email') }} as email,
    comparisons.match_name as name
from {{ ref('comparisons') }} as comparisons
inner join {{ ref('verdicts') }} as verdicts
    on verdicts.reconciliation = comparisons.reconciliation and verdicts.verdict = 'trusted'
anti join decided on decided.reconciliation = comparisons.reconciliation and decided.record_key = comparisons.record_key
where comparisons.bucket in ('left_only', 'right_only')
