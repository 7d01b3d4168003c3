{{ config(materialized='view') }}
select * from {{ ref('compare_records') }}
