-- Is the comparison itself plausible, and does it account for every record? The gate, second half.
with

buckets as (

    select
        pairs.*,
        bucket_counts.* exclude (reconciliation),
        conflicts + left_only + right_only as different,
        matched + different as in_scope
    from {{ ref('pairs') }} as pairs
    inner join {{ ref('bucket_counts') }} as bucket_counts on pairs.reconciliation = bucket_counts.reconciliation

),

landed as (

    select reconciliation, side, sum(landed) as landed
    from {{ ref('pulled_tables') }}
    where holds_the_records
    group by reconciliation, side

),

sides as (

    select
        landed.*,
        case when side = 'left' then left_system else right_system end as system,
        case when side = 'left' then unreconcilable_left else unreconcilable_right end as unreconcilable,
        matched + conflicts + case
            when side = 'left' then left_only + out_of_scope_left + unreconcilable_left
            else right_only + out_of_scope_right + unreconcilable_right
        end as counted,
        most_unreconcilable_share,
        least_records_for_a_ratio
    from landed
    inner join buckets on landed.reconciliation = buckets.reconciliation

),

checks as (

    select
        reconciliation, side, 'every_record_is_counted' as check_name,
        counted as observed,
        landed as expected,
        counted = landed as passed,
        format('{:,} records of {} landed and {:,} are in exactly one bucket', landed::bigint, system, counted::bigint) as explanation,
        false as is_plausibility
    from sides
    union all
    select
        reconciliation, side, 'at_most_a_tenth_unreconcilable',
        round(unreconcilable / landed, 4),
        most_unreconcilable_share,
        landed < least_records_for_a_ratio or unreconcilable <= most_unreconcilable_share * landed,
        format('{:,} of {:,} records of {} have no usable key; ', unreconcilable::bigint, landed::bigint, system)
        || format('{:.0f} % may', 100 * most_unreconcilable_share),
        true
    from sides
    union all
    select
        reconciliation, 'both', 'not_hopelessly_different',
        round(different / nullif(in_scope, 0), 4),
        most_share_different,
        in_scope < least_records_for_a_ratio or different <= most_share_different * in_scope,
        format('{:,} of {:,} records in scope differ; ', different::bigint, in_scope::bigint)
        || format('past {:.0f} % it is the comparison that is wrong', 100 * most_share_different),
        true
    from buckets
    union all
    select
        known_conflicts.reconciliation, 'both', 'known_records_are_still_there',
        still_there,
        ceil(known * least_share_still_there),
        known < least_records_for_a_ratio or still_there >= known * least_share_still_there,
        format('of {:,} records with an open conflict {:,} are still in either system; ', known, still_there)
        || format('under {:.0f} % the keys or the systems are others than before', 100 * least_share_still_there),
        true
    from {{ ref('known_conflicts') }} as known_conflicts
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = known_conflicts.reconciliation

),

{{ judged_checks('checks', can_be_accepted='checks.is_plausibility') }}
