-- Is what each side holds plausible after what it held in the last trusted run, and in the last month?
with

sides as (

    select
        baselines.*,
        pairs.* exclude (reconciliation),
        case baselines.side when 'left' then left_system else right_system end as system,
        format('{} holds {:,} records', system, records) as holding,
        coalesce(last_records >= least_records_for_a_ratio, false) as has_baseline,
        case
            when last_records is null then 'no baseline yet: no run of this pair was trusted before; '
            when last_records < least_records_for_a_ratio then 'the last trusted run had too few records to judge a ratio by; '
            else ''
        end as caveat,
        records_in_scope / nullif(records, 0) as active_share,
        last_records_in_scope / nullif(last_records, 0) as last_active_share,
        silent_columns.column_name as silent_column,
        silent_columns.null_share,
        silent_columns.last_null_share
    from {{ ref('baselines') }} as baselines
    inner join {{ ref('pairs') }} as pairs on baselines.reconciliation = pairs.reconciliation
    left join {{ ref('silent_columns') }} as silent_columns
        on baselines.reconciliation = silent_columns.reconciliation and baselines.side = silent_columns.side

),

checks as (

    select
        reconciliation, side, 'no_implausible_drop' as check_name,
        records as observed,
        ceil(last_records * least_share_of_last_run) as expected,
        not has_baseline or records >= last_records * least_share_of_last_run as passed,
        caveat || holding || coalesce(
            format('; the last trusted run had {:,}, ', last_records)
            || format('at least {:.0f} % of that is expected', 100 * least_share_of_last_run), ''
        ) as explanation
    from sides
    union all
    select
        reconciliation, side, 'no_implausible_jump',
        records,
        floor(last_records * most_share_of_last_run),
        not has_baseline or records <= last_records * most_share_of_last_run,
        caveat || holding || coalesce(
            format('; the last trusted run had {:,}, ', last_records)
            || format('at most {:.0f} % of that is expected', 100 * most_share_of_last_run), ''
        )
    from sides
    union all
    select
        reconciliation, side, 'no_slow_erosion',
        records,
        ceil(high_water_records * least_share_of_high_water),
        coalesce(high_water_records, 0) < least_records_for_a_ratio or records >= high_water_records * least_share_of_high_water,
        caveat || holding || coalesce(
            format('; the most in {:.0f} days was {:,}, ', high_water_days, high_water_records)
            || format('at least {:.0f} % of that is expected', 100 * least_share_of_high_water), ''
        )
    from sides
    union all
    select
        reconciliation, side, 'active_share_is_stable',
        round(active_share, 4),
        round(last_active_share, 4),
        not has_baseline or abs(active_share - last_active_share) <= most_active_share_change,
        caveat || format('{:.0f} % of the records of {} are in scope', 100 * coalesce(active_share, 0), system) || coalesce(
            format('; in the last trusted run {:.0f} % were, ', 100 * last_active_share)
            || format('a change of {:.0f} points is allowed', 100 * most_active_share_change), ''
        )
    from sides
    union all
    select
        reconciliation, side, 'no_column_went_silent',
        round(null_share, 4),
        round(last_null_share + most_null_share_rise, 4),
        not has_baseline or null_share - last_null_share <= most_null_share_rise,
        caveat || coalesce(
            format('{:.0f} % of {} in {} has no usable value; ', 100 * null_share, silent_column, system)
            || format('in the last trusted run {:.0f} % was', 100 * last_null_share), 'nothing to hold the columns against'
        )
    from sides

),

{{ judged_checks('checks', can_be_accepted=true) }}
