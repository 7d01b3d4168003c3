-- Left and right records that are probably one under two keys: by e-mail, else by name. One to one: where a second name comes as close,
-- nothing is suggested. Precision comes before recall: a wrong suggestion costs more trust than a missing one.
{{ config(database='snapshot') }}

with

records as (

    select * from {{ ref('one_sided_records') }}

),

-- The best of both records, 0.05 clear of the next best.
alike as (

    select *, (1000 * score)::integer as thousandths
    from {{ ref('similar_names') }}
    qualify score >= 0.92
        and count(*) over (
            partition by reconciliation, left_key order by thousandths range between 50 preceding and unbounded following
        ) = 1
        and count(*) over (
            partition by reconciliation, right_key order by thousandths range between 50 preceding and unbounded following
        ) = 1

),

candidates as (

    select
        reconciliation, left_key, right_key, 'e-mail' as rests_on,
        -- The address alone, and up to a fifth more for names that are alike.
        round(0.8 + 0.2 * coalesce(jaro_winkler_similarity(lower(left_name), lower(right_name)), 0), 3) as score,
        left_name, right_name
    from {{ ref('shared_emails') }}
    union all
    select
        alike.reconciliation, left_key, right_key, 'name' as rests_on, score,
        left_record.name as left_name, right_record.name as right_name
    from alike
    inner join records as left_record
        on left_record.reconciliation = alike.reconciliation and left_record.side = 'left' and left_record.record_key = alike.left_key
    inner join records as right_record
        on right_record.reconciliation = alike.reconciliation and right_record.side = 'right' and right_record.record_key = alike.right_key

)

select * from candidates
