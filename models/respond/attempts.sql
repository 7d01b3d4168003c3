-- One row an attempt to write a fix, as the journal has it, and what the next trusted run saw of it: the difference is gone, or still
-- there. What the journal no longer has stays as it was published.
{{ config(database='snapshot') }}

with

this_run as (

    select run_id, run_seq from {{ ref('this_run') }}

),

published as (

    select * from {{ source('published_marts', 'fix_log') }}

),

attempts as (

    select journal.*, published.verification, published.verified_in_run
    from {{ source('pulls', 'fix_attempts') }} as journal
    left join published on published.idempotency_key = journal.idempotency_key and published.attempt = journal.attempt
    union all by name
    select published.*
    from published
    anti join {{ source('pulls', 'fix_attempts') }} as journal
        on journal.idempotency_key = published.idempotency_key and journal.attempt = published.attempt

),

judged as (

    select
        attempts.*,
        verification is null
        and outcome in ('written', 'unknown')
        and verdicts.verdict = 'trusted'
        and this_run.run_seq > left(attempts.run_id, 6)::integer as is_due,
        case
            when not is_due then attempts.verification
            when sightings.discrepancy_id is not null then 'failed'
            when unseen.resolution is not null or history.resolved_at is not null then 'verified'
        end as verdict
    from attempts
    cross join this_run
    left join {{ ref('verdicts') }} as verdicts on verdicts.reconciliation = attempts.reconciliation
    left join {{ ref('sightings') }} as sightings on sightings.discrepancy_id = attempts.discrepancy_id
    left join {{ ref('unseen') }} as unseen on unseen.discrepancy_id = attempts.discrepancy_id
    left join {{ source('published_marts', 'discrepancy_history') }} as history on history.discrepancy_id = attempts.discrepancy_id

)

select
    judged.* exclude (is_due, verdict) replace (
        verdict as verification,
        case when is_due and verdict is not null then this_run.run_id else verified_in_run end as verified_in_run
    )
from judged
cross join this_run
