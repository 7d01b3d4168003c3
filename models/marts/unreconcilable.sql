-- One row a record that has no usable key, as of the last run in which its pair was trusted.
with

trusted as (

    select reconciliation from {{ ref('verdicts') }} where verdict = 'trusted'

),

now_seen as (

    select
        comparisons.reconciliation,
        case when comparisons.in_left then 'left' else 'right' end as side,
        case when comparisons.in_left then pairs.left_system else pairs.right_system end as system,
        comparisons.record_key,
        comparisons.reason,
        comparisons.record,
        this_run.run_id
    from {{ ref('comparisons') }} as comparisons
    cross join {{ ref('this_run') }} as this_run
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = comparisons.reconciliation
    inner join trusted on trusted.reconciliation = comparisons.reconciliation
    where comparisons.bucket = 'unreconcilable'

),

earlier as (

    select * from {{ source('published_marts', 'unreconcilable') }}
    where reconciliation not in (select reconciliation from trusted)

)

select reconciliation, side, system, record_key, reason, record, run_id from earlier
union all
select reconciliation, side, system, record_key, reason, record, run_id from now_seen
