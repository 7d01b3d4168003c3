-- One line a pair: this list is what a run reconciles.
{{ config(materialized='view') }}

select * from {{ ref('compare_customers') }}
union all
select * from {{ ref('compare_contracts') }}
