-- One row a difference that this run saw and that a policy row says how to fix: what would be written where, and what speaks against it.
-- A fix has to be clear: the first `objection` that holds, in words, makes it a report.
{{ config(database='snapshot') }}

with

aimed as (

    select
        judged.*,
        kinds.* exclude (reconciliation, bucket, field, cause, decision_id),
        pairs.left_system,
        pairs.right_system,
        case kinds.writes_to when pairs.left_system then 'left' when pairs.right_system then 'right' end as written_side,
        case judged.bucket when 'left_only' then 'left' when 'right_only' then 'right' end as holding_side,
        case written_side when 'left' then judged.left_value else judged.right_value end as from_value,
        case written_side when 'left' then judged.right_value else judged.left_value end as source_value,
        case written_side when 'left' then judged.right_compared else judged.left_compared end as source_compared,
        case written_side
            when 'left' then judged.left_in_scope and not judged.right_in_scope
            else judged.right_in_scope and not judged.left_in_scope
        end as source_has_ended,
        judged.is_status and judged.bucket = 'conflict' and source_has_ended as would_end
    from {{ ref('judgements') }} as judged
    inner join {{ ref('kinds') }} as kinds on {{ same_kind('kinds', 'judged') }}
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = judged.reconciliation
    where kinds.operation is not null

),

worded as (

    select
        aimed.*,
        case
            when operation in ('create', 'delete') then null
            when is_status or operation = 'end' then words.word
            when is_value then regexp_replace(source_compared, '([.][0-9]*[1-9])0+$|[.]0*$', '\1')
            else source_value
        end as to_value
    from aimed
    left join {{ ref('written_words') }} as words
        on words.reconciliation = aimed.reconciliation
        and words.system = aimed.writes_to
        and words.status = case when aimed.bucket = 'conflict' then aimed.source_compared else 'inactive' end

)

select
    discrepancy_id, operation, writes_to, from_value, to_value,
    case
        when cause in ('one record under two keys', 'a status word nobody mapped', 'changed on both sides') then 'its cause is: ' || cause
        when candidate_key is not null then 'it may be the same record as ' || candidate_key
        -- A record that vanished is what half of a pull looks like, too.
        when cause in ('unknown', 'agreed before, gone now') and policy_cause is null
            then format('its cause is: {}, and the policy does not name that cause', cause)
        when stale_side = 'both' then 'both sides are out of date'
        when stale_side not in ('unknown', written_side) then format('by the evidence it is {} that is out of date', system_of_record)
        when left_is_unreadable or right_is_unreadable then 'a value can not be read'
        when operation = 'update' and would_end then format('it would end the record in {}, and the policy does not say end', writes_to)
        when operation = 'end' and bucket = 'conflict' and not would_end then 'it would end nothing, and the policy only ends'
        when operation = 'create' and written_side = holding_side then format('{} has the record', writes_to)
        when operation in ('end', 'delete') and written_side != holding_side then format('{} does not have the record', writes_to)
        when (is_status or operation = 'end') and to_value is null
            then format('seeds/status_map.csv marks no word that is written to {} for it', writes_to)
        when operation in ('update', 'end') and to_value is null then format('{} says nothing there', system_of_record)
    end as objection
from worded
