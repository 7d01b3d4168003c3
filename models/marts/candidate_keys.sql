-- One row a left and a right record that are probably one under two keys. As of the last run in which its pair was trusted.
with

trusted as (

    select reconciliation from {{ ref('verdicts') }} where verdict = 'trusted'

),

now_found as (

    select
        candidates.*,
        {{ key_map_row('reconciliation', 'left_key', 'right_key', "'candidate by ' || rests_on || ', score ' || score") }} as key_map_row,
        this_run.run_id
    from {{ ref('key_candidates') }} as candidates
    cross join {{ ref('this_run') }} as this_run

),

earlier as (

    select * from {{ source('published_marts', 'candidate_keys') }}
    where reconciliation not in (select reconciliation from trusted)

)

select reconciliation, left_key, right_key, score, rests_on, left_name, right_name, key_map_row, run_id from earlier
union all
select reconciliation, left_key, right_key, score, rests_on, left_name, right_name, key_map_row, run_id from now_found
