-- On which of the last 28 runs came far more differences than usual, and where do they sit? A kind tells more than the pair as a whole,
-- which stands without bucket where none of its kinds is a wave.
with

recent as (

    select * from marts.runs where run_seq > (select max(latest.run_seq) - 28 from marts.runs as latest) and has_wave

),

waves as (

    select run_id, reconciliation, bucket, field, listed, expected_listed, wave_probability from marts.drift_daily where is_wave
    union all
    select run_id, reconciliation, null, null, listed, expected_listed, wave_probability
    from recent
    anti join marts.drift_daily as kind
        on kind.run_id = recent.run_id and kind.reconciliation = recent.reconciliation and kind.is_wave

)

select
    recent.run_seq, recent.as_of, recent.reconciliation, waves.bucket, waves.field, recent.left_system, recent.right_system,
    waves.listed, waves.expected_listed,
    recent.run_seq = (select max(latest.run_seq) from marts.runs as latest) as is_of_last_run,
    list(
        {'slice': slices.slice, 'value': slices.value, 'support': slices.support, 'news': slices.news, 'lift': slices.lift}
        order by slices.rank
    ) filter (slices.slice is not null) as slices
from waves
inner join recent on recent.run_id = waves.run_id and recent.reconciliation = waves.reconciliation
left join marts.drift_slices as slices
    on slices.run_id = waves.run_id and slices.reconciliation = waves.reconciliation and slices.is_over_represented
group by all
order by recent.run_seq desc, waves.listed desc, recent.reconciliation, waves.bucket, waves.field
