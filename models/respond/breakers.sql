-- One row a breaker of this run: what was seen, what is allowed. One that trips stops every write of the run. `reconciliation` is '' for
-- the run as a whole, `policy` is '' for a pair as a whole.
{{ config(materialized='view', database='snapshot') }}

with

smaller_sides as (

    select reconciliation, min(records_in_scope) as records from {{ ref('baselines') }} group by reconciliation

),

planned as (

    select planned_writes.*, smaller.records
    from {{ ref('planned_writes') }} as planned_writes
    inner join smaller_sides as smaller on smaller.reconciliation = planned_writes.reconciliation

),

-- A pair as a whole may have as many as the widest of its policies: splitting a kind into many rows does not multiply what is allowed.
caps as (

    select
        reconciliation, coalesce(policy, '') as policy,
        count(*) as planned, any_value(records) as records,
        max(most_rows) as most_rows, max(most_share) as most_share,
        coalesce('the policy for ' || policy, reconciliation) as whose
    from planned
    group by grouping sets ((reconciliation, policy), (reconciliation))

),

totals as (

    select (select count(*) from planned) as planned, coalesce(max(planned), 0) as most_before
    from (
        select sum(fixes_planned) as planned from {{ source('published_marts', 'runs') }}
        where run_id not in (select run_id from {{ ref('this_run') }})
        group by run_id
    )

),

waves as (

    select reconciliation, count(*) filter (is_wave is not false) as kinds, bool_or(is_wave is null) as are_unknown
    from {{ ref('waves') }}
    group by reconciliation

),

of_waves as (

    select reconciliation, count(*) as writes from planned where is_of_a_wave group by reconciliation

),

looked_at as (

    select
        '' as reconciliation, '' as policy, 'every_pair_is_trusted' as breaker,
        count(*) filter (verdict != 'trusted') as observed, 0 as most, false as can_be_accepted,
        format('{} of {} pairs not trusted', observed, count(*)) as explanation
    from {{ ref('verdicts') }}
    union all
    select
        waves.reconciliation, '', 'no_wave', waves.kinds + coalesce(of_waves.writes, 0), 0, true,
        concat_ws(
            '; ',
            case
                when waves.are_unknown then 'there are too few runs to tell a wave by'
                when waves.kinds > 0 or of_waves.writes is null then format('kinds of difference that came as a wave: {}', waves.kinds)
            end,
            format('planned of a wave of before, or listed when nobody could tell one: {}', of_waves.writes)
        )
    from waves
    left join of_waves on of_waves.reconciliation = waves.reconciliation
    union all
    select
        reconciliation, policy, 'no_more_rows_than_allowed', planned, most_rows, false,
        format('{} planned under {}, most_rows allows {}', planned, whose, most_rows)
    from caps
    union all
    select
        reconciliation, policy, 'no_greater_share_than_allowed', planned / records as observed, most_share, false,
        format(
            '{} planned under {} are {:.2f} % of {} records, most_share allows {:.2f} %',
            planned, whose, 100 * observed, records, 100 * most_share
        )
    from caps
    union all
    select
        '', '', 'no_more_than_any_run_before', planned, most_before, true,
        format('{} planned, at most {} in any run before', planned, most_before)
    from totals

)

select reconciliation, policy, breaker, observed::double as observed, most::double as most, can_be_accepted, explanation
from looked_at
