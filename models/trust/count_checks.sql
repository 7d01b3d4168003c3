-- Are the counts plausible? Held against the last trusted run, the high-water mark, and the other side.
with

sides as (

    select
        baselines.*,
        pairs.* exclude (reconciliation),
        case baselines.side when 'left' then left_system else right_system end as system,
        last_records >= least_records_for_a_ratio as has_baseline,
        case
            when last_records is null then 'no baseline yet: this is the first run, or none was trusted before; '
            when last_records < least_records_for_a_ratio then 'the last trusted run had too few records to judge a ratio by; '
            else ''
        end as caveat,
        records_in_scope / nullif(records, 0) as active_share,
        last_records_in_scope / nullif(last_records, 0) as last_active_share
    from {{ ref('baselines') }} as baselines
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = baselines.reconciliation

),

pulled as (

    select reconciliation, side, bool_or(declared_total is null and list_contains([{{ var('page_sizes') | join(', ') }}], fetched)) as is_page_shaped, any_value(fetched) as fetched
    from {{ ref('pulled_tables') }}
    group by reconciliation, side

),

facing as (

    select
        reconciliation, any_value(least_share_of_other_side) as least_share, any_value(least_records_for_a_ratio) as floor,
        min(records_in_scope) as smaller, max(records_in_scope) as larger
    from sides
    group by reconciliation

),

-- The column that lost most: the share of its values that are null, now and in the last trusted run.
columns as (

    select now_counted.reconciliation, now_counted.side, now_counted.column_name,
        1 - now_counted.records_with_value / nullif(now_counted.records, 0) as null_share,
        1 - last_counted.records_with_value / nullif(last_counted.records, 0) as last_null_share
    from {{ ref('counted_columns') }} as now_counted
    inner join sides on sides.reconciliation = now_counted.reconciliation and sides.side = now_counted.side and sides.has_baseline
    inner join {{ source('published_trust', 'side_counts') }} as last_counted
        on last_counted.run_id = sides.last_run_id and last_counted.reconciliation = now_counted.reconciliation
        and last_counted.side = now_counted.side and last_counted.column_name = now_counted.column_name
    qualify row_number() over (partition by now_counted.reconciliation, now_counted.side order by null_share - last_null_share desc, now_counted.column_name) = 1

),

checks as (

    select reconciliation, side, 'no_implausible_drop' as check_name, records as observed, ceil(last_records * least_share_of_last_run) as expected,
        not coalesce(has_baseline, false) or records >= last_records * least_share_of_last_run as passed,
        caveat || format('{} holds {:,} records', system, records)
            || coalesce(format('; the last trusted run had {:,}, at least {:.0f} % of that is expected', last_records, 100 * least_share_of_last_run), '') as explanation
    from sides
    union all
    select reconciliation, side, 'no_slow_erosion', records, ceil(high_water_records * least_share_of_high_water),
        coalesce(high_water_records, 0) < least_records_for_a_ratio or records >= high_water_records * least_share_of_high_water,
        caveat || format('{} holds {:,} records', system, records)
            || coalesce(format('; its high-water mark of {:.0f} days is {:,}, at least {:.0f} % of that is expected', high_water_days, high_water_records, 100 * least_share_of_high_water), '')
    from sides
    union all
    select reconciliation, side, 'no_implausible_jump', records, floor(last_records * most_share_of_last_run),
        not coalesce(has_baseline, false) or records <= last_records * most_share_of_last_run,
        caveat || format('{} holds {:,} records', system, records)
            || coalesce(format('; the last trusted run had {:,}, at most {:.0f} % of that is expected', last_records, 100 * most_share_of_last_run), '')
    from sides
    union all
    select reconciliation, side, 'active_share_is_stable', round(active_share, 4), round(last_active_share, 4),
        not coalesce(has_baseline, false) or abs(active_share - last_active_share) <= most_active_share_change,
        caveat || format('{:.0f} % of the records of {} are in scope', 100 * coalesce(active_share, 0), system)
            || coalesce(format('; they were {:.0f} % in the last trusted run, {:.0f} points of change are allowed', 100 * last_active_share, 100 * most_active_share_change), '')
    from sides
    union all
    select sides.reconciliation, sides.side, 'no_column_went_silent', round(null_share, 4), round(last_null_share + most_null_share_rise, 4),
        coalesce(null_share - last_null_share <= most_null_share_rise, not coalesce(has_baseline, false)),
        caveat || coalesce(format('{:.0f} % of {} in {} is empty; it was {:.0f} % in the last trusted run', 100 * null_share, column_name, system, 100 * last_null_share), 'nothing to compare with')
    from sides left join columns on columns.reconciliation = sides.reconciliation and columns.side = sides.side
    union all
    select sides.reconciliation, sides.side, 'not_page_shaped', fetched, null, not is_page_shaped,
        case when is_page_shaped then format('a table of {} has a page-shaped number of records and no declared total: it may be the first page only', system)
            else 'no table of ' || system || ' looks like a cut-off page' end
    from sides inner join pulled on pulled.reconciliation = sides.reconciliation and pulled.side = sides.side
    union all
    select reconciliation, 'both', 'sides_are_plausible', smaller, ceil(larger * least_share), larger < floor or smaller >= larger * least_share,
        format('{:,} records in scope against {:,}; the smaller side should hold at least {:.0f} % of the larger', smaller, larger, 100 * least_share)
    from facing

),

{{ judged_checks('checks', can_be_accepted=true) }}
