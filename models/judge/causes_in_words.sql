-- The words of which each cause's evidence is made, one row a difference that this run saw.
{{ config(materialized='view', database='snapshot') }}

select
    causes.*,
    this_run.as_of,
    left_system,
    right_system,
    case when bucket = 'left_only' then left_system else right_system end as here,
    case when bucket = 'left_only' then right_system else left_system end as there,
    case when mover = 'left' then left_system else right_system end as moving,
    case when mover = 'left' then right_system else left_system end as staying,
    {{ if_judged_anew(told("case
        when mover_moved_on and mover = 'left' then left_value_last
        when mover_moved_on then right_value_last
        when mover = 'left' then left_value_before
        else right_value_before
    end")) }} as moved_from,
    {{ if_judged_anew(told("case when mover = 'left' then right_value_last else left_value_last end")) }} as went_back_from,
    {{ if_judged_anew(told("case when mover = 'left' then left_value else right_value end")) }} as moved_to_value,
    {{ if_judged_anew(told("case when mover = 'left' then right_value else left_value end")) }} as stayed_at,
    {{ if_judged_anew(told('left_value')) }} as left_told,
    {{ if_judged_anew(told('right_value')) }} as right_told,
    {{ if_judged_anew(told('base_value')) }} as base_told,
    case
        when not right_is_unreadable then format('{} says {}, {} says {}', right_system, right_told, left_system, left_told)
        else format('{} says {}, {} says {}', left_system, left_told, right_system, right_told)
    end as what_is_not_read,
    {{ if_judged_anew(on_day('agreed_at')) }} as agreed_on,
    {{ if_judged_anew(between_times(
        'case when mover_moved_on then seen_last_at else coalesce(agreed_at, before_as_of) end', 'as_of'
    )) }} as when_it_moved,
    coalesce(case when is_opening then before_as_of end, opened_at, as_of) as known_at,
    {{ if_judged_anew("concat_ws(
        ', ',
        case when in_left then left_system || " ~ last_change('left_updated_at') ~ " end,
        case when in_right then right_system || " ~ last_change('right_updated_at') ~ " end
    )") }} as last_changes
from {{ ref('causes') }} as causes
inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = causes.reconciliation
cross join {{ ref('this_run') }} as this_run
