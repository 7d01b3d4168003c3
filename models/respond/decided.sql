-- One row a difference that this run saw and that a person decided on: by its identity, or else by a pattern. A decision takes hold with
-- the two values of that moment, and lapses when either changes or the difference comes back: what was decided was another thing. One to
-- fix it takes hold with what its policy row says to write where, too.
{{ config(materialized='view', database='snapshot') }}

with

judged as (

    select discrepancy_id, reconciliation, bucket, field, cause, left_compared, right_compared from {{ ref('judgements') }}

),

decisions as (

    select * from {{ ref('standing_decisions') }} where not is_expired and not is_superseded

),

matched as (

    select
        judged.*,
        coalesce(by_identity.decision_id, kinds.decision_id) as decision_id,
        kinds.operation || ' in ' || kinds.writes_to as fixed_by
    from judged
    inner join {{ ref('kinds') }} as kinds on {{ same_kind('kinds', 'judged') }}
    left join decisions as by_identity on by_identity.discrepancy_id = judged.discrepancy_id

),

-- Who decides has seen the values of the last sighting; from then on they are what was decided on.
known as (

    select
        matched.*,
        before.discrepancy_id is not null as was_seen,
        before.resolved_at is not null as was_resolved,
        before.decision_state as state_before,
        coalesce(before.decision_id = matched.decision_id and before.resolved_at is null, false) as is_same_decision,
        case when is_same_decision then before.decided_left else before.left_compared end as known_left,
        case when is_same_decision then before.decided_right else before.right_compared end as known_right,
        case when is_same_decision then before.decided_fix end as known_fix
    from matched
    left join {{ source('published_marts', 'discrepancy_history') }} as before on before.discrepancy_id = matched.discrepancy_id

)

select
    known.discrepancy_id,
    known.decision_id,
    decisions.decision,
    decisions.decided_by,
    decisions.until,
    case
        -- Of one that is not in the history nobody knows any more what was decided on.
        when not was_seen then case when decisions.is_pattern then 'in force' else 'values changed' end
        when was_resolved then case when decisions.is_pattern then 'in force' else 'resolved since' end
        when is_same_decision and state_before != 'in force' then state_before
        when (known_left is distinct from left_compared) or (known_right is distinct from right_compared) then 'values changed'
        -- Who said fix when its policy row said end has not said delete.
        when known_fix != fixed_by then 'policy changed'
        else 'in force'
    end as decision_state,
    case when is_same_decision then known_left else left_compared end as decided_left,
    case when is_same_decision then known_right else right_compared end as decided_right,
    case when decisions.decision = 'fix' then coalesce(known_fix, fixed_by) end as decided_fix
from known
inner join decisions on decisions.decision_id = known.decision_id
