-- One row a difference that this run saw, and the rule of the three-way judgement under which it falls. A side has moved where its
-- value is another than when both agreed; docs/judgement.md has the table of rules.
{{ config(materialized='view', database='snapshot') }}

with

bases as (

    select
        *,
        -- What a system still writes as it did has not moved, whatever an edited map now reads in it.
        (left_compared is distinct from left_base and not (is_opening and left_value is not distinct from left_value_before)) as left_moved,
        (right_compared is distinct from right_base and not (is_opening and right_value is not distinct from right_value_before))
            as right_moved,
        case when left_moved and not right_moved then 'left' when right_moved and not left_moved then 'right' end as mover,
        case when mover = 'left' then left_compared else right_compared end as moved_to,
        case when mover is not null then record_key end as moved_key,
        case when mover = 'left' then right_in_scope and not left_in_scope else left_in_scope and not right_in_scope end as mover_has_ended,
        case when mover = 'left' then left_updated_at else right_updated_at end as mover_changed_at,
        coalesce(
            case when mover = 'left' then right_updated_at else left_updated_at end > greatest(mover_changed_at, agreed_at), false
        ) as other_changed_later,

        (left_compared is distinct from left_seen_last and left_value is distinct from left_value_last) as left_moved_on,
        (right_compared is distinct from right_seen_last and right_value is distinct from right_value_last) as right_moved_on,
        not is_opening and case mover when 'left' then left_moved_on when 'right' then right_moved_on end as mover_moved_on,
        not is_opening and case mover when 'left' then right_moved_on when 'right' then left_moved_on end as other_went_back,
        (not is_opening and right_moved_on and left_compared is not distinct from right_seen_last) as left_holds_older,
        (not is_opening and left_moved_on and right_compared is not distinct from left_seen_last) as right_holds_older
    from {{ ref('bases') }}

),

earlier_values as (

    select * from {{ ref('agreed_values') }}
    qualify row_number() over (partition by reconciliation, record_key, field, value order by agreed_until desc) = 1

),

candidates as (

    select reconciliation, 'left_only' as bucket, left_key as record_key, right_key as candidate_key, score, rests_on
    from {{ ref('key_candidates') }}
    union all
    select reconciliation, 'right_only' as bucket, right_key, left_key, score, rests_on
    from {{ ref('key_candidates') }}

)

select
    bases.* exclude (
        match_email, state_before, agreed_before, in_left_before, in_right_before, left_in_scope_before, right_in_scope_before,
        left_seen_last, right_seen_last, moved_key, other_changed_later
    ),
    candidates.candidate_key,
    candidates.score as candidate_score,
    earlier_values.agreed_until as moved_to_agreed_until,
    case
        when bases.bucket != 'conflict' then case
            -- An address alone is a suggestion where the names speak against it; 0.8 is what it counts where there are none.
            when candidates.rests_on = 'e-mail' and (candidates.score = 0.8 or candidates.score >= 0.94) then 'two keys'
            when not is_opening and cause_before != 'one record under two keys' then 'as before'
            when sides_before is null then 'no before'
            when sides_before = 'both' and agreed_at is not null then 'gone'
            when sides_before in ('both', 'both, ended') then 'removed'
            when sides_before = case bases.bucket when 'left_only' then 'right' else 'left' end then 'other side before'
            else 'never arrived'
        end
        when is_status and (left_is_unreadable or right_is_unreadable) then 'unmapped word'
        when left_is_unreadable or right_is_unreadable then 'unreadable'
        when not is_opening and cause_before != 'a status word nobody mapped' and not left_moved_on and not right_moved_on then 'as before'
        when sides_before is null then 'no before'
        when sides_before = 'left' and left_moved and (right_compared is not distinct from left_base) then 'right is behind'
        when sides_before = 'right' and right_moved and (left_compared is not distinct from right_base) then 'left is behind'
        when agreed_at is null then 'never agreed'
        when other_went_back then 'the other went back'
        -- It may have ended on both sides and come back on one: to say that it ended would end a customer who has returned.
        when mover is not null and is_status and mover_has_ended
            then case when other_changed_later then 'ended or came back' else 'ended' end
        -- A status comes back for good reasons: to say that it came back by mistake would end a customer who has returned.
        when mover is not null and earlier_values.led_by != mover and not is_status then 'older value'
        when mover is not null and earlier_values.agreed_until is not null and (led_by is distinct from mover)
            then 'older value or change back'
        when mover is not null then 'moved'
        when not left_moved then 'nobody moved'
        when left_holds_older and not right_holds_older then 'left holds older'
        when right_holds_older and not left_holds_older then 'right holds older'
        else 'both moved'
    end as rule
from bases
left join earlier_values
    on earlier_values.reconciliation = bases.reconciliation
    and earlier_values.record_key = bases.moved_key
    and earlier_values.field = bases.field
    and earlier_values.value is not distinct from bases.moved_to
left join candidates
    on candidates.reconciliation = bases.reconciliation
    and candidates.bucket = bases.bucket
    and candidates.record_key = bases.record_key
