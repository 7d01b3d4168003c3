-- One row a kind of difference (pair, bucket, field and cause) that this run saw: who owns it, what the policy says of it, and the
-- decision that people took for all of its kind. What people stated is held against kinds, which are few, and not against differences.
{{ config(database='snapshot') }}

with

kinds_seen as (

    select distinct reconciliation, bucket, field, cause from {{ ref('judgements') }}

),

owners as (

    {{ most_specific('kinds_seen', ref('owners')) }}

),

policies as (

    {{ most_specific('kinds_seen', ref('response_policies')) }}

),

patterns as (

    select * from {{ ref('standing_decisions') }} where is_pattern and not is_expired and not is_superseded

),

decided as (

    {{ most_specific('kinds_seen', 'patterns') }}

)

select
    kinds_seen.*,
    owners.owner,
    owners.days_to_decide,
    decided.decision_id,
    policies.response as policy_response,
    case when policies.response is not null then {{ kind_in_words('policies.for_') }} end as policy,
    policies.for_cause as policy_cause,
    policies.operation,
    policies.writes_to,
    policies.system_of_record,
    coalesce(policies.least_runs, {{ var('least_runs_of_a_fix') }}) as least_runs,
    coalesce(policies.most_rows, {{ var('most_fixes') }}) as most_rows,
    coalesce(policies.most_share, {{ var('most_share_fixed') }}) as most_share
from kinds_seen
left join owners on {{ same_kind('owners', 'kinds_seen') }}
left join policies on {{ same_kind('policies', 'kinds_seen') }}
left join decided on {{ same_kind('decided', 'kinds_seen') }}
