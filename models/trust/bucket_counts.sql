-- One row a compared pair: how many records of each side fell into each bucket.
with

pairs as (

    select reconciliation from {{ ref('comparable_pairs') }}

),

comparisons as (

    select * from {{ ref('comparisons') }}

)

select
    pairs.reconciliation,
    coalesce(sum(records) filter (bucket = 'matched'), 0)::bigint as matched,
    count(distinct record_key) filter (bucket = 'conflict') as conflicts,
    count(*) filter (bucket = 'left_only') as left_only,
    count(*) filter (bucket = 'right_only') as right_only,
    coalesce(sum(records) filter (bucket = 'out_of_scope' and in_left), 0)::bigint as out_of_scope_left,
    coalesce(sum(records) filter (bucket = 'out_of_scope' and in_right), 0)::bigint as out_of_scope_right,
    count(*) filter (bucket = 'unreconcilable' and in_left) as unreconcilable_left,
    count(*) filter (bucket = 'unreconcilable' and in_right) as unreconcilable_right
from pairs
left join comparisons on comparisons.reconciliation = pairs.reconciliation
group by pairs.reconciliation
