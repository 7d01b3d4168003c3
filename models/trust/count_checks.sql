-- Are the counts plausible as they stand: against a page's size, and against the other side?
with

pairs as (

    select * from {{ ref('pairs') }}

),

tables as (

    select *, declared_total is null and list_contains([{{ var('page_sizes') | join(', ') }}], fetched) as is_page_shaped
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

facing as (

    select reconciliation, min(records_in_scope) as smaller, max(records_in_scope) as larger
    from {{ ref('baselines') }}
    group by reconciliation

),

checks as (

    select
        reconciliation, side, 'not_page_shaped' as check_name,
        fetched as observed,
        null as expected,
        page_shaped_tables is null as passed,
        case
            when page_shaped_tables is null then 'no table of ' || system || ' looks like a cut-off page'
            else page_shaped_tables || ' of ' || system || ' holds exactly as many records as a page might, and gave no declared total'
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

),

{{ judged_checks('checks', can_be_accepted=true) }}
