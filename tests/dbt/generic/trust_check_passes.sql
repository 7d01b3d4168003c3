{#
Fails the run when a trust check of this run did not pass, or did not report on a pair that nothing else stopped.
What it is not: the gate. The gate is data (comparable_pairs, verdicts), so that one broken pair does not silence the others;
this test says it loudly, by name.
#}
{% test trust_check_passes(model, check_name) %}

with

this_run as (

    select run_id from {{ ref('this_run') }}

),

checks as (

    select * from {{ model }} where run_id in (select run_id from this_run)

)

select reconciliation, side, check_name, observed, expected, explanation
from checks
where check_name = '{{ check_name }}' and not passed
union all
select reconciliation, 'both', '{{ check_name }}', null, null, 'this check did not report'
from checks
group by reconciliation
having bool_and(passed) and count(*) filter (check_name = '{{ check_name }}') = 0

{% endtest %}
