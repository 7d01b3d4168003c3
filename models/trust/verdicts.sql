-- One row a pair. Trusted: every gate reported on it, and every check passed.
with

pairs as (

    select reconciliation from {{ ref('pairs') }}

),

reported as (

    select reconciliation, bool_and(passed) as has_passed_all, list(distinct check_name) as check_names
    from {{ ref('checks') }}
    group by reconciliation

)

select
    pairs.reconciliation,
    case
        when reported.has_passed_all and list_has_all(reported.check_names, {{ gate_names() }}) then 'trusted'
        else 'not trustworthy'
    end as verdict
from pairs
left join reported on pairs.reconciliation = reported.reconciliation
