-- One line a pair: this list is what a run reconciles.
select * from {{ ref('compare_customers') }}
union all
select * from {{ ref('compare_contracts') }}
