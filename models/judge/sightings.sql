-- What a trusted run saw of each difference; nothing of a pair that was not trusted.
{{ config(materialized='view', database='snapshot') }}

select
    md5(concat_ws(chr(31), comparisons.reconciliation, record_key, bucket, field)) as discrepancy_id,
    comparisons.* exclude (records, state, slices, match_name, reason, record)
from {{ ref('comparisons') }} as comparisons
inner join {{ ref('verdicts') }} as verdicts
    on verdicts.reconciliation = comparisons.reconciliation and verdicts.verdict = 'trusted'
where bucket in ('left_only', 'right_only') or (bucket = 'conflict' and state = 'differs')
