-- Open differences that a trusted run did not see, and what it saw instead. Only evidence closes one: where the key can't be compared
-- this time (it now stands twice, or the field's currency differs), there is no resolution and the difference stays.
{{ config(database='snapshot') }}

with

was_open as (

    select
        history.discrepancy_id, history.reconciliation, history.record_key, history.bucket, history.field, history.stale_side,
        history.out_of_step_since
    from {{ source('published_marts', 'discrepancy_history') }} as history
    inner join {{ ref('verdicts') }} as verdicts
        on verdicts.reconciliation = history.reconciliation and verdicts.verdict = 'trusted'
    anti join {{ ref('sightings') }} as sightings on sightings.discrepancy_id = history.discrepancy_id
    where history.resolved_at is null

),

-- One row a key: reconcile() reads every key with an open difference again, so a key without a row is on neither side.
records as (

    select
        reconciliation, record_key,
        any_value(bucket) as bucket,
        any_value(lag_hours) as lag_hours,
        any_value(left_updated_at) as left_updated_at,
        any_value(right_updated_at) as right_updated_at,
        bool_or(bucket = 'unreconcilable') as is_unreconcilable,
        list(field) filter (state = 'not_compared') as fields_not_compared
    from {{ ref('comparisons') }}
    where record_key is not null
    group by all

),

-- What a person found under another key stands there from then on.
mapped as (

    select reconciliation, {{ normalise_identifier('left_key') }} as record_key from {{ ref('key_map') }}
    union
    select reconciliation, {{ normalise_identifier('right_key') }} from {{ ref('key_map') }}

)

select
    was_open.discrepancy_id,
    records.lag_hours,
    case
        when records.record_key is null and was_open.bucket = 'left_only' and mapped.record_key is not null
            then 'superseded: mapped to another key'
        when records.record_key is null then 'gone from both sides'
        when records.is_unreconcilable or list_contains(records.fields_not_compared, was_open.field) then null
        when records.bucket = 'out_of_scope' then 'out of scope on both sides'
        when records.bucket != was_open.bucket and records.bucket != 'matched' then 'superseded: now ' || replace(records.bucket, '_', ' ')
        else 'both sides agree'
    end as resolution,
    -- When what was missing came, as the side that had lacked it tells; what a person mapped did not come.
    case was_open.stale_side when 'left' then records.left_updated_at when 'right' then records.right_updated_at end as changed_at,
    case
        when resolution = 'both sides agree' and mapped.record_key is null
            and changed_at > was_open.out_of_step_since and changed_at <= this_run.as_of then changed_at
    end as arrived_at
from was_open
left join records on records.reconciliation = was_open.reconciliation and records.record_key = was_open.record_key
left join mapped on mapped.reconciliation = was_open.reconciliation and mapped.record_key = was_open.record_key
cross join {{ ref('this_run') }} as this_run
