-- The gate, first half: pairs whose two sides may be laid side by side. A pair without a single check is not one of them.
with

checks as (

    select reconciliation, passed from {{ ref('pull_checks') }}
    union all
    select reconciliation, passed from {{ ref('clock_checks') }}
    union all
    select reconciliation, passed from {{ ref('gate_checks') }}
    union all
    select reconciliation, passed from {{ ref('count_checks') }}
    union all
    select reconciliation, passed from {{ ref('baseline_checks') }}

)

select reconciliation
from checks
group by reconciliation
having bool_and(passed)
