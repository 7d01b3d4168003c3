-- Every trust check of this run, one row a pair, side and check.
select * from {{ ref('pull_checks') }}
union all
select * from {{ ref('clock_checks') }}
union all
select * from {{ ref('gate_checks') }}
union all
select * from {{ ref('count_checks') }}
union all
select * from {{ ref('baseline_checks') }}
union all
select * from {{ ref('comparison_checks') }}
