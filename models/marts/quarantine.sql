-- One row a quarantined difference, with both sides' whole records: what a person needs to decide, and what releases it. It is never fixed.
-- As of the last run in which its pair was trusted.
with

this_run as (

    select run_id, as_of from {{ ref('this_run') }}

),

trusted as (

    select reconciliation from {{ ref('verdicts') }} where verdict = 'trusted'

),

earlier as (

    select * from {{ source('published_marts', 'quarantine') }}

),

quarantined as (

    select discrepancies.*
    from {{ ref('discrepancies') }} as discrepancies
    semi join trusted on trusted.reconciliation = discrepancies.reconciliation
    where discrepancies.status = 'quarantined'

),

now_quarantined as (

    select
        quarantined.discrepancy_id, quarantined.reconciliation, quarantined.record_key, quarantined.bucket, quarantined.field,
        quarantined.left_value, quarantined.right_value, quarantined.value_at_risk, quarantined.currency,
        quarantined.owner, quarantined.due_at,
        quarantined.response_reason as reason,
        coalesce(earlier.since, this_run.as_of) as since,
        records.left_record,
        records.right_record,
        format('tallystick decide release {} --by "…" --note "…"', quarantined.discrepancy_id) as release_action,
        this_run.run_id
    from quarantined
    cross join this_run
    left join earlier on earlier.discrepancy_id = quarantined.discrepancy_id
    left join {{ ref('quarantined_records') }} as records
        on records.reconciliation = quarantined.reconciliation and records.record_key = quarantined.record_key

),

all_quarantined as (

    select * from earlier where reconciliation not in (select reconciliation from trusted)
    union all by name
    select * from now_quarantined

)

select
    discrepancy_id, reconciliation, record_key, bucket, field, left_value, right_value, value_at_risk, currency, owner, due_at,
    reason, since, left_record, right_record, release_action, run_id
from all_quarantined
