-- Is the comparison itself plausible, and does it account for every record? The gate, second half.
with

buckets as (

    select pairs.*, bucket_counts.* exclude (reconciliation)
    from {{ ref('pairs') }} as pairs
    inner join {{ ref('bucket_counts') }} as bucket_counts on bucket_counts.reconciliation = pairs.reconciliation

),

sides as (

    select
        reconciliation, most_unreconcilable_share, least_records_for_a_ratio,
        unnest([
            {side: 'left', system: left_system, unreconcilable: unreconcilable_left,
                accounted: matched + conflicts + left_only + out_of_scope_left + unreconcilable_left},
            {side: 'right', system: right_system, unreconcilable: unreconcilable_right,
                accounted: matched + conflicts + right_only + out_of_scope_right + unreconcilable_right}
        ], recursive := true)
    from buckets

),

landed as (

    select reconciliation, side, sum(landed) as records
    from {{ ref('pulled_tables') }}
    where holds_the_records
    group by reconciliation, side

),

checks_of_evidence as (

    select sides.reconciliation, sides.side, 'every_record_is_counted' as check_name, accounted as observed, landed.records as expected,
        accounted = landed.records as passed,
        format('{:,} records of {} landed and {:,} are in exactly one bucket', landed.records::bigint, system, accounted::bigint) as explanation,
        false as can_be_accepted
    from sides left join landed on landed.reconciliation = sides.reconciliation and landed.side = sides.side
    union all
    select sides.reconciliation, sides.side, 'at_most_a_tenth_unreconcilable', round(unreconcilable / landed.records, 4), most_unreconcilable_share,
        landed.records < least_records_for_a_ratio or unreconcilable <= most_unreconcilable_share * landed.records,
        format('{:,} of {:,} records of {} have no usable key; at most {:.0f} % may', unreconcilable::bigint, landed.records::bigint, system, 100 * most_unreconcilable_share),
        true
    from sides left join landed on landed.reconciliation = sides.reconciliation and landed.side = sides.side
    union all
    select reconciliation, 'both', 'not_hopelessly_different', round(different / nullif(in_scope, 0), 4), most_share_different,
        in_scope < least_records_for_a_ratio or different <= most_share_different * in_scope,
        format('{:,} of {:,} records in scope differ; past {:.0f} % it is the comparison that is wrong', different::bigint, in_scope::bigint, 100 * most_share_different),
        true
    from (
        select *, conflicts + left_only + right_only as different, matched + conflicts + left_only + right_only as in_scope
        from buckets
    )

),

{{ judged_checks('checks_of_evidence', can_be_accepted='checks.can_be_accepted') }}
