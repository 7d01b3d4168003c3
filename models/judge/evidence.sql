-- Each cause's evidence in one line, one row a difference. A rule that can't say what it rests on is no rule.
{{ config(materialized='view', database='snapshot') }}

select
    *,
    case rule
        when 'as before' then cause_evidence_before
        when 'two keys' then format('{} has {} and {} has {}, both with the same e-mail address', here, record_key, there, candidate_key)
        when 'gone' then format('both had it and agreed on {}; gone from {} since, where it had not ended', agreed_on, there)
        when 'removed' then case
            when sides_before = 'both' then format('both had it on {}, not agreeing; gone from {} since', {{ on_day('known_at') }}, there)
            else format('it had ended in {} by {} and is gone there since; {} still has it', there, {{ on_day('known_at') }}, here)
        end
        when 'never arrived' then case
            when sides_before = 'neither'
                then format('new in {} since {}; never seen in {}', here, {{ on_day('known_at') }}, there)
            else format('in {} alone already on {}, and active since; never seen in {}', here, {{ on_day('known_at') }}, there)
        end || coalesce(format(', unless {} there is the same one', candidate_key), '')
        when 'other side before' then format('it stood in {} alone before, and stands in {} alone now', there, here)
        when 'unmapped word' then format('{}, which is not in seeds/status_map.csv', what_is_not_read)
        when 'unreadable' then format('{}, which can''t be read as {}', what_is_not_read, field)
        when 'right is behind' then format('{} says {}, as {} did before it said {}', right_system, right_told, left_system, left_told)
        when 'left is behind' then format('{} says {}, as {} did before it said {}', left_system, left_told, right_system, right_told)
        when 'never agreed' then format(
            'in the run before it opened, of {}, they were not seen to agree on {}; {}', {{ on_day('known_at') }}, field, last_changes
        )
        when 'the other went back' then format(
            '{} went back from {} to {} since {}, and {} says {}: who is behind can''t be told',
            staying, went_back_from, stayed_at, {{ on_day('seen_last_at') }}, moving, moved_to_value
        )
        when 'ended' then format(
            'ended in {} {} ({} became {}); {} still says {}, last agreed {}',
            moving, when_it_moved, moved_from, moved_to_value, staying, stayed_at, agreed_on
        )
        when 'ended or came back' then format(
            'ended in {} {} ({} became {}); {} says {}, and its record changed later: whether it came back can''t be told',
            moving, when_it_moved, moved_from, moved_to_value, staying, stayed_at
        )
        when 'older value' then format(
            '{} went back from {} to {} {}, which both had until {}; {}, which had changed it first, still has {}',
            moving, moved_from, moved_to_value, when_it_moved, {{ on_day('moved_to_agreed_until') }}, staying, stayed_at
        )
        when 'older value or change back' then format(
            '{} went back from {} to {} {}, which both had until {}; whether that was meant, nothing tells',
            moving, moved_from, moved_to_value, when_it_moved, {{ on_day('moved_to_agreed_until') }}
        )
        when 'moved' then format(
            '{} changed {} to {} {}; {} still has {}, last agreed {}',
            moving, moved_from, moved_to_value, when_it_moved, staying, stayed_at, agreed_on
        )
        when 'nobody moved' then format('neither value changed since both agreed on {}: a rule, a map or a tolerance did', agreed_on)
        when 'left holds older' then format(
            '{} has {}, as {} had before it changed to {}; {}', left_system, left_told, right_system, right_told, last_changes
        )
        when 'right holds older' then format(
            '{} has {}, as {} had before it changed to {}; {}', right_system, right_told, left_system, left_told, last_changes
        )
        when 'both moved' then format(
            'both said {} on {}; {} says {} since, {} says {}', base_told, agreed_on, left_system, left_told, right_system, right_told
        )
        else format('nothing is known of before {}, when it was first seen; {}', {{ on_day('coalesce(opened_at, as_of)') }}, last_changes)
    end as cause_evidence
from {{ ref('causes_in_words') }}
