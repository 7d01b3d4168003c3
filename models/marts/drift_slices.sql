-- One row a run, pair, slice and value: where what the run listed sits, held against all records of the pair. It says over-represented,
-- and no more: what else these records have in common is for a person to find.
{%- set least_support, least_lift, chance = 5, 1.5, 0.01 %}
with

this_run as (

    select run_id from {{ ref('this_run') }}

),

earlier as (

    select * from {{ source('published_marts', 'drift_slices') }}
    where run_id not in (select run_id from this_run)

),

-- The more values there are to look at, the more one of them has to stand out: no chance above 1 % that any does by accident.
-- exp(-g_squared / 2) is never below the chance of that g_squared.
now_sliced as (

    select
        this_run.run_id,
        sliced_news.*,
        row_number() over (partition by reconciliation order by lift > 1 desc, g_squared desc, slice asc, value asc) as rank,
        count(*) filter (support >= {{ least_support }}) over (partition by reconciliation) as values_tried,
        support >= {{ least_support }}
        and lift >= {{ least_lift }}
        and exp(-g_squared / 2) * values_tried <= {{ chance }} as is_over_represented
    from {{ ref('sliced_news') }} as sliced_news
    cross join this_run

)

select
    run_id, reconciliation, slice, value, support, news, share, population_share, lift, g_squared, rank, is_over_represented
from earlier
union all
select
    run_id, reconciliation, slice, value, support, news, share, population_share, lift, g_squared, rank, is_over_represented
from now_sliced
