-- The words of the names that no e-mail matched, each with its weight: the rarer among the one-sided records of its pair, the heavier.
-- Fewer than 100 names tell little about what is rare.
{{ config(database='snapshot') }}

with

matched_by_email as (

    select reconciliation, unnest(['left', 'right']) as side, unnest([left_key, right_key]) as record_key
    from {{ ref('shared_emails') }}

),

records as (

    select one_sided.reconciliation, one_sided.side, one_sided.record_key, {{ name_words('one_sided.name') }} as words
    from {{ ref('one_sided_records') }} as one_sided
    anti join matched_by_email
        on matched_by_email.reconciliation = one_sided.reconciliation
        and matched_by_email.side = one_sided.side
        and matched_by_email.record_key = one_sided.record_key
    where one_sided.name is not null

),

population as (

    select reconciliation, count(*) as names from records group by reconciliation

),

words as (

    select reconciliation, side, record_key, unnest(words) as word from records

),

vocabulary as (

    select
        reconciliation,
        word,
        count_if(side = 'left') as left_names,
        count_if(side = 'right') as right_names,
        word in {{ words_that_name_nobody() }} as names_nobody
    from words
    group by reconciliation, word

)

select
    words.reconciliation,
    words.side,
    words.record_key,
    words.word,
    vocabulary.names_nobody,
    vocabulary.left_names + vocabulary.right_names as names,
    case when vocabulary.names_nobody then 0.2 else ln(1 + greatest(population.names, 100) / (left_names + right_names)) end as weight,
    -- Few enough on each side that the names that share it can be compared one by one.
    not vocabulary.names_nobody
    and greatest(left_names, right_names) <= 20
    and left_names + right_names <= greatest(2, population.names / 10) as is_rare
from words
inner join vocabulary on vocabulary.reconciliation = words.reconciliation and vocabulary.word = words.word
inner join population on population.reconciliation = words.reconciliation
