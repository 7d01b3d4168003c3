-- One row a decision that people took, by the clock of this run. Expired or superseded ones stand here too, so that they can be told.
{{ config(materialized='view', database='snapshot') }}

with

stated as (

    select
        decisions.* replace (decisions.decided_at::timestamptz as decided_at, decisions.until::date as until),
        md5(concat_ws(
            chr(31), coalesce(discrepancy_id, ''), coalesce(reconciliation, ''), coalesce(bucket, ''), coalesce(field, ''),
            coalesce(cause, ''), decision, decided_by, decisions.decided_at
        )) as decision_id,
        discrepancy_id is null as is_pattern,
        coalesce(decisions.until::date < this_run.as_of::date, false) as is_expired
    from {{ ref('decisions') }} as decisions
    cross join {{ ref('this_run') }} as this_run

)

select
    *,
    row_number() over (
        partition by is_expired, discrepancy_id, reconciliation, bucket, field, cause order by decided_at desc, decision_id asc
    ) > 1 as is_superseded
from stated
