-- One row a difference that this run saw: which side is stale, since when, why, and on what evidence.
{{ config(database='snapshot') }}

with

causes as (

    select
        *,
        case when left_updated_at > right_updated_at then 'left' when right_updated_at > left_updated_at then 'right' end as changed_last,
        case
            when bucket = 'left_only' and sides_before = 'neither' then coalesce(left_created_at, left_updated_at)
            when bucket = 'right_only' and sides_before = 'neither' then coalesce(right_created_at, right_updated_at)
            when rule in ('moved', 'ended') then mover_changed_at
            when rule = 'right is behind' then left_updated_at
            when rule = 'left is behind' then right_updated_at
        end as told_since
    from {{ ref('evidence') }}

),

judged as (

    select
        causes.*,
        case
            when rule = 'as before' then cause_before
            when rule = 'two keys' then 'one record under two keys'
            when rule = 'never arrived' then 'created here, never arrived there'
            when rule in ('removed', 'ended') then 'removed or ended there, still here'
            when rule in ('moved', 'right is behind', 'left is behind') then 'changed here, never arrived there'
            when rule = 'both moved' then 'changed on both sides'
            when rule = 'older value' then 'an older value overwrote a newer one'
            when rule = 'left holds older' and changed_last = 'left' then 'an older value overwrote a newer one'
            when rule = 'right holds older' and changed_last = 'right' then 'an older value overwrote a newer one'
            when rule in ('left holds older', 'right holds older') then 'changed here, never arrived there'
            when rule = 'gone' then 'agreed before, gone now'
            when rule = 'unmapped word' then 'a status word nobody mapped'
            else 'unknown'
        end as cause,
        case
            when rule = 'as before' then stale_side_before
            when rule = 'never arrived' then case when bucket = 'left_only' then 'right' else 'left' end
            when rule in ('removed', 'gone') then case when bucket = 'left_only' then 'left' else 'right' end
            when rule in ('moved', 'ended') then case when mover = 'left' then 'right' else 'left' end
            when rule = 'older value' then mover
            when rule in ('left is behind', 'left holds older') then 'left'
            when rule in ('right is behind', 'right holds older') then 'right'
            when rule = 'both moved' then 'both'
            else 'unknown'
        end as stale_side,
        is_opening and told_since > coalesce(agreed_at, before_as_of) and told_since <= as_of as is_told
    from causes

)

select
    discrepancy_id, reconciliation, record_key, bucket, field, left_value, right_value, left_compared, right_compared,
    left_is_unreadable, right_is_unreadable, left_in_scope, right_in_scope, is_status, is_value, left_updated_at, right_updated_at,
    value_at_risk, currency, lag_hours, sides_before, agreed_at, base_value, left_base, right_base, last_agreed, candidate_key,
    candidate_score, stale_side, cause, cause_evidence,
    case
        when not is_opening then coalesce(since_before, opened_at)
        when is_told then told_since
        -- Neither record has changed since the later of the two, so what differs now differed then.
        when coalesce(agreed_at, before_as_of) is null and left_updated_at is not null and right_updated_at is not null
            then least(as_of, greatest(left_updated_at, right_updated_at))
        else as_of
    end as out_of_step_since,
    case when is_opening then coalesce(is_told, false) else coalesce(is_since_exact_before, false) end as is_since_exact
from judged
