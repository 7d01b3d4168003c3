-- Are the counts plausible as they stand: against a page's size, against the other side, and with what has ended?
with

pairs as (

    select * from {{ ref('pairs') }}

),

-- A total that comes with the list may be cut where the list is: caps are round thousands. One that was counted apart can't be.
tables as (

    select
        *,
        list_contains([{{ var('page_sizes') | join(', ') }}], fetched)
        and (declared_total is null or (fetched >= 1000 and not is_counted_apart)) as is_page_shaped
    from {{ ref('pulled_tables') }}

),

pulled as (

    select
        reconciliation, side, system,
        coalesce(max(fetched) filter (is_page_shaped), max(fetched)) as fetched,
        string_agg(table_name, ', ') filter (is_page_shaped) as page_shaped_tables
    from tables
    group by all

),

sides as (

    select *, records - records_in_scope as ended, ended / nullif(records, 0) as ended_share
    from {{ ref('baselines') }}

),

facing as (

    select reconciliation, min(records_in_scope) as smaller, max(records_in_scope) as larger
    from sides
    group by reconciliation

),

ended as (

    select
        pairs.*,
        sides.side,
        case sides.side when 'left' then left_system else right_system end as system,
        sides.ended_share,
        other.ended_share as other_ended_share,
        other.ended_share * least_ended_share_of_other_side as least_ended_share,
        other.ended < least_records_for_a_ratio or sides.ended_share >= least_ended_share as passed
    from sides
    inner join pairs on sides.reconciliation = pairs.reconciliation
    inner join sides as other on sides.reconciliation = other.reconciliation and sides.side <> other.side

),

checks as (

    select
        reconciliation, side, 'not_page_shaped' as check_name,
        fetched as observed,
        null as expected,
        page_shaped_tables is null as passed,
        case
            when page_shaped_tables is null then 'no table of ' || system || ' looks like a cut-off page'
            else page_shaped_tables || ' of ' || system || ' holds exactly as many records as a page might, and no total was counted apart'
        end as explanation
    from pulled
    union all
    select
        facing.reconciliation, 'both', 'sides_are_plausible',
        smaller,
        ceil(larger * least_share_of_other_side),
        larger < least_records_for_a_ratio or smaller >= larger * least_share_of_other_side,
        format('{:,} records in scope against {:,}; ', smaller, larger)
        || format('the smaller side should hold at least {:.0f} % of the larger', 100 * least_share_of_other_side)
    from facing
    inner join pairs on facing.reconciliation = pairs.reconciliation
    union all
    select
        reconciliation, side, 'ended_records_are_there',
        round(ended_share, 4),
        round(least_ended_share, 4),
        passed,
        format('{:.1f} % of the records of {} have ended, ', 100 * ended_share, system)
        || format('{:.1f} % of the other side; ', 100 * other_ended_share)
        || format('at least {:.1f} % are expected, or they were filtered out', 100 * least_ended_share)
    from ended

),

{{ judged_checks('checks', can_be_accepted=true) }}
