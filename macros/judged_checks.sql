{# Ends a model of trust checks: adds the run, and lets through what a person accepted. `can_be_accepted`: evidence that a pull
   is whole can't be; a count that is unlikely but may be true can, as long as it is the count that was accepted (within 1 %)
   and no run of the pair has been trusted since. #}
{% macro judged_checks(checks, can_be_accepted) %}
this_run as (

    select run_id, run_seq from {{ ref('this_run') }}

),

acceptances as (

    select accepted.*
    from {{ ref('accepted_counts') }} as accepted
    where accepted.run_id in (select run_id from {{ source('published_marts', 'runs') }})
        and not exists (
            select 1 from {{ ref('trusted_runs') }} as trusted_runs
            where trusted_runs.reconciliation = accepted.reconciliation
                and trusted_runs.run_seq >= left(accepted.run_id, 6)::integer
        )
    qualify row_number() over (partition by reconciliation, side, check_name order by accepted_at desc) = 1

)

select
    this_run.run_id,
    checks.reconciliation,
    checks.side,
    checks.check_name,
    checks.observed::double as observed,
    checks.expected::double as expected,
    coalesce(checks.passed, false) or acceptances.accepted_by is not null as passed,
    {{ can_be_accepted }} as can_be_accepted,
    case when not coalesce(checks.passed, false) then acceptances.accepted_by end as accepted_by,
    case
        when not coalesce(checks.passed, false) and acceptances.accepted_by is not null
            then checks.explanation || ' (accepted by ' || acceptances.accepted_by || ': ' || acceptances.reason || ')'
        else coalesce(checks.explanation, 'nothing came to judge by')
    end as explanation
from {{ checks }} as checks
cross join this_run
left join acceptances
    on acceptances.reconciliation = checks.reconciliation
    and acceptances.side = checks.side
    and acceptances.check_name = checks.check_name
    and {{ can_be_accepted }}
    and abs(acceptances.observed - checks.observed) <= 0.01 * abs(acceptances.observed)
{% endmacro %}
