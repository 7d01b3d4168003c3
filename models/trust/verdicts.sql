-- One row a pair. Trusted: every gate reported on it, on both its sides where it is about sides, and every check passed.
with

pairs as (

    select reconciliation from {{ ref('pairs') }}

),

reported as (

    select reconciliation, check_name, bool_and(passed) as has_passed
    from {{ ref('checks') }}
    group by reconciliation, check_name
    having bool_or(side = 'both') or count(distinct side) = 2

),

gates as (

    select unnest({{ gate_names() }}) as check_name
    union
    select check_name from {{ source('pulls', 'gates') }}

),

silent_or_failed as (

    select pairs.reconciliation
    from pairs
    cross join gates
    left join reported on pairs.reconciliation = reported.reconciliation and gates.check_name = reported.check_name
    where reported.has_passed is not true
    union
    select reconciliation from {{ ref('checks') }} where not passed

)

select
    reconciliation,
    case
        when reconciliation in (select reconciliation from silent_or_failed) then 'not trustworthy'
        else 'trusted'
    end as verdict
from pairs
