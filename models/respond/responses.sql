-- One row a difference that this run saw: who owns it and what is done about it, with the reason in one sentence. A person's decision comes
-- before the policy; nothing is a fix unless its policy row says what to write where and nothing speaks against it.
{{ config(database='snapshot') }}

with

judged as (

    select discrepancy_id, reconciliation, bucket, field, cause, left_compared, right_compared from {{ ref('judgements') }}

),

still_open as (

    select discrepancy_id, opened_in_run from {{ source('published_marts', 'discrepancy_history') }} where resolved_at is null

),

answered as (

    select
        judged.discrepancy_id,
        decided.* exclude (discrepancy_id),
        case when decided.decision_state = 'in force' then decided.decision end as standing,
        format('{} by {}', decided.decision, decided.decided_by) || coalesce(' until ' || strftime(decided.until, '%-d %B %Y'), '')
            as decision_in_words,
        case
            when decided.decision_state != 'in force' then format('; {} lapsed, {}', decision_in_words, case decided.decision_state
                when 'values changed' then 'a value changed since'
                when 'policy changed' then 'its policy row says to write something else since'
                else 'it was resolved since' end)
            else ''
        end as lapsed,
        kinds.owner, kinds.days_to_decide, kinds.policy_response, kinds.policy, kinds.least_runs, kinds.most_rows, kinds.most_share,
        intended.operation, intended.writes_to, intended.from_value, intended.to_value, intended.objection,
        md5(concat_ws(
            chr(31), judged.discrepancy_id, coalesce(still_open.opened_in_run, this_run.run_id), intended.operation, intended.writes_to,
            coalesce(intended.to_value, chr(30)), coalesce(judged.left_compared, chr(30)), coalesce(judged.right_compared, chr(30))
        )) as idempotency_key
    from judged
    cross join {{ ref('this_run') }} as this_run
    inner join {{ ref('kinds') }} as kinds on {{ same_kind('kinds', 'judged') }}
    left join {{ ref('decided') }} as decided on decided.discrepancy_id = judged.discrepancy_id
    left join {{ ref('intended_writes') }} as intended on intended.discrepancy_id = judged.discrepancy_id
    left join still_open on still_open.discrepancy_id = judged.discrepancy_id

),

failed as (

    select idempotency_key, any_value(verified_in_run) as in_run from {{ ref('attempts') }} where verification = 'failed' group by all

)

select
    answered.* exclude (decided_by, until, standing, decision_in_words, lapsed, policy_response, objection),
    case
        when operation is null then 'no policy row says what to write where'
        when objection is not null then objection
        when failed.in_run is not null then format('it was written, and run {} saw it still there', failed.in_run)
    end as fix_objection,
    case
        when standing in ('accept', 'release') then 'report'
        when standing = 'quarantine' or (policy_response = 'quarantine' and standing is null) then 'quarantine'
        when coalesce(standing, policy_response) = 'fix' and fix_objection is null then 'fix'
        else 'report'
    end as response,
    case
        when standing in ('accept', 'release', 'quarantine') then decision_in_words
        when policy_response = 'quarantine' and standing is null then format('policy for {}: quarantine', policy)
        when coalesce(standing, policy_response, '') != 'fix'
            then coalesce(format('policy for {}: report', policy), 'reported, as no policy says otherwise')
        when fix_objection is not null then 'not fixed: ' || fix_objection
        when standing = 'fix' then format('{}, as the policy for {} allows', decision_in_words, policy)
        else format('policy for {}: {} in {}', policy, operation, writes_to)
    end || coalesce(lapsed, '') as response_reason,
    case
        when standing = 'accept' then 'accepted'
        when response = 'quarantine' then 'quarantined'
        else 'open'
    end as answered_status
from answered
left join failed on failed.idempotency_key = answered.idempotency_key
