-- One row a pair, slice and value with news: how many of the news records sit there, of how many, and how many a fair share would be.
-- g_squared is the log-likelihood ratio of the four cells: news or not, in the slice or not.
{{ config(materialized='view', database='snapshot') }}

with

news as (

    select reconciliation, record_key, unnest(slices, recursive := true) from {{ ref('news') }}

),

supports as (

    select reconciliation, slice, value, count(*) as support from news group by all

),

totals as (

    select *, sum(support) over (partition by reconciliation, slice)::bigint as news from supports

),

populations as (

    select reconciliation, slice, sum(records) as records from {{ ref('slice_populations') }} group by all

),

-- Where the sides disagree on the slice itself, its records may be counted under the other value: a slice holds at least its news.
counted as (

    select
        totals.*,
        greatest(slices.records, support)::double as in_slice,
        greatest(populations.records, news + in_slice - support)::double as population
    from totals
    left join {{ ref('slice_populations') }} as slices
        on slices.reconciliation = totals.reconciliation
        and slices.slice = totals.slice
        and slices.value is not distinct from totals.value
    left join populations
        on populations.reconciliation = totals.reconciliation and populations.slice = totals.slice

),

crossed as (

    select
        *,
        [
            {seen: support, fair: in_slice * news / population},
            {seen: news - support, fair: (population - in_slice) * news / population},
            {seen: in_slice - support, fair: in_slice * (population - news) / population},
            {seen: population - in_slice - news + support, fair: (population - in_slice) * (population - news) / population}
        ] as cells
    from counted

)

select
    reconciliation, slice, value, support, news,
    support / news as share,
    in_slice / population as population_share,
    share / population_share as lift,
    2 * list_sum([case when cell.seen > 0 then cell.seen * ln(cell.seen / cell.fair) else 0 end for cell in cells]) as g_squared
from crossed
