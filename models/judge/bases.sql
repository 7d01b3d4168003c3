-- One row a difference that this run saw, with what was known when it opened: the base of the three-way judgement. It is read from
-- the last trusted run's snapshot on that night, and from then on the history carries it. While one side lacks the record, the history of
-- that difference carries what its fields agreed on last, for the night on which it comes back.
{{ config(materialized='view', database='snapshot') }}

with

sightings as (

    select
        *,
        before_as_of is not null and in_left_before and in_right_before as on_both_before,
        case when bucket = 'conflict' then state_before = 'agrees' else agreed_before end as agreed,
        -- One side alone had it, and the other one came back as that one was.
        coalesce(case
            when in_left_before and not in_right_before then right_compared is not distinct from left_before
            when in_right_before and not in_left_before then left_compared is not distinct from right_before
        end, false) as came_as_it_was
    from {{ ref('sightings') }}

),

still_open as (

    select
        discrepancy_id, opened_at, last_seen_at, sides_before, agreed_at, base_value, left_base, right_base,
        left_value, right_value, left_compared, right_compared, out_of_step_since, is_since_exact, stale_side, cause, cause_evidence
    from {{ source('published_marts', 'discrepancy_history') }}
    where resolved_at is null

)

select
    sightings.* exclude (
        on_both_before, agreed, came_as_it_was, fields_agreed_before, left_before, right_before, left_value_before, right_value_before
    ),
    still_open.discrepancy_id is null as is_opening,
    remembered.field is not null as is_remembered,
    last_agreed.last_agreed,

    case
        when not is_opening then still_open.sides_before
        when is_remembered then 'both'
        when before_as_of is null then null
        when on_both_before and bucket = 'left_only' and not right_in_scope_before then 'both, ended'
        when on_both_before and bucket = 'right_only' and not left_in_scope_before then 'both, ended'
        when on_both_before then 'both'
        when in_left_before then 'left'
        when in_right_before then 'right'
        else 'neither'
    end as sides_before,
    case
        when not is_opening then still_open.agreed_at
        when on_both_before and agreed then before_as_of
        else remembered.agreed_at
    end as agreed_at,
    case
        when not is_opening then still_open.base_value
        when on_both_before and agreed then left_value_before
        else remembered.left_value
    end as base_value,
    case when not is_opening then still_open.left_base when is_remembered then remembered.left_base else left_before end as left_base,
    case when not is_opening then still_open.right_base when is_remembered then remembered.right_base else right_before end as right_base,
    case
        when not is_opening then still_open.base_value when is_remembered then remembered.left_value else left_value_before
    end as left_value_before,
    case
        when not is_opening then still_open.base_value when is_remembered then remembered.right_value else right_value_before
    end as right_value_before,

    still_open.opened_at,
    still_open.last_seen_at as seen_last_at,
    still_open.left_compared as left_seen_last,
    still_open.right_compared as right_seen_last,
    still_open.left_value as left_value_last,
    still_open.right_value as right_value_last,
    still_open.out_of_step_since as since_before,
    still_open.is_since_exact as is_since_exact_before,
    still_open.stale_side as stale_side_before,
    still_open.cause as cause_before,
    still_open.cause_evidence as cause_evidence_before
from sightings
left join still_open on still_open.discrepancy_id = sightings.discrepancy_id
left join {{ ref('remembered_bases') }} as remembered
    on remembered.reconciliation = sightings.reconciliation
    and remembered.record_key = sightings.record_key
    and remembered.field = sightings.field
    and still_open.discrepancy_id is null
    and not sightings.on_both_before
    and not sightings.came_as_it_was
left join {{ ref('last_agreed') }} as last_agreed on last_agreed.discrepancy_id = sightings.discrepancy_id
