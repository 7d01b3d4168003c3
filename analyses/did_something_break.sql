-- Did something break, and where does it sit? Nights on which far more was listed than expected, the latest first.
-- When the list is suddenly long. Over-represented is not caused by: docs/waves.md.
with

waves as (

    select run_id, run_seq, as_of, reconciliation, bucket, field, listed, expected_listed
    from marts.drift_daily
    where is_wave
    union all
    select run_id, run_seq, as_of, reconciliation, 'all kinds', '', listed, expected_listed
    from marts.runs
    where has_wave and not exists (
        select 1 from marts.drift_daily as kinds
        where kinds.run_id = runs.run_id and kinds.reconciliation = runs.reconciliation and kinds.is_wave
    )

)

select
    waves.as_of, waves.reconciliation, waves.bucket, waves.field,
    waves.listed, round(cast(waves.expected_listed as decimal(18, 6)), 1) as expected,
    slices.slice, slices.value, slices.support, slices.news
from waves
left join marts.drift_slices as slices
    on slices.run_id = waves.run_id and slices.reconciliation = waves.reconciliation and slices.rank = 1 and slices.is_over_represented
order by waves.run_seq desc, waves.reconciliation, waves.listed desc, waves.bucket, waves.field
