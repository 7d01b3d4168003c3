-- The records behind what this run listed; where there is a wave, behind the wave's kinds alone.
{{ config(database='snapshot') }}

with

listed as (

    select history.reconciliation, history.record_key, history.bucket, history.field, history.cause
    from {{ ref('discrepancy_history') }} as history
    inner join {{ ref('this_run') }} as this_run on history.listed_in_run = this_run.run_id

),

kinds_in_a_wave as (

    select reconciliation, bucket, field from {{ ref('waves') }} where is_wave and bucket is not null

),

records as (

    select
        listed.reconciliation, listed.record_key,
        list(listed.field) as fields,
        bool_or(listed.cause = 'created here, never arrived there') as is_new
    from listed
    left join kinds_in_a_wave as wave
        on wave.reconciliation = listed.reconciliation and wave.bucket = listed.bucket and wave.field = listed.field
    where wave.reconciliation is not null
        or listed.reconciliation not in (select reconciliation from kinds_in_a_wave)
    group by all

)

-- The sides disagree on which slice of a differing field a record is in, and that a new record was made lately is no news.
select
    comparisons.reconciliation,
    comparisons.record_key,
    [
        slice for slice in any_value(comparisons.slices)
        if not list_contains(any_value(records.fields), slice['slice'])
            and not (bool_or(coalesce(records.is_new, false)) and slice['slice'] = 'creation week')
    ] as slices
from {{ ref('comparisons') }} as comparisons
inner join records
    on records.reconciliation = comparisons.reconciliation and records.record_key = comparisons.record_key
where comparisons.slices is not null
group by comparisons.reconciliation, comparisons.record_key
