-- One row a pair and side that has a baseline: the column that lost most of its values since the last trusted run.
with

baselines as (

    select * from {{ ref('baselines') }}

),

shares as (

    select
        now_counted.reconciliation,
        now_counted.side,
        now_counted.column_name,
        1 - now_counted.records_with_value / nullif(now_counted.records, 0) as null_share,
        1 - last_counted.records_with_value / nullif(last_counted.records, 0) as last_null_share
    from {{ ref('counted_columns') }} as now_counted
    inner join baselines
        on now_counted.reconciliation = baselines.reconciliation and now_counted.side = baselines.side
    inner join {{ source('published_trust', 'side_counts') }} as last_counted
        on baselines.last_run_id = last_counted.run_id
        and now_counted.reconciliation = last_counted.reconciliation
        and now_counted.side = last_counted.side
        and now_counted.column_name = last_counted.column_name

)

select *
from shares
qualify row_number() over (partition by reconciliation, side order by null_share - last_null_share desc, column_name) = 1
