-- How alike two names are: the weight of the words that both say, as a share of the weight of all words of both. A misspelt word
-- counts by its Jaro-Winkler similarity, and a word that both say weighs what its more common spelling weighs.
{{ config(database='snapshot') }}

with

words as (

    select * from {{ ref('name_words') }}

),

names as (

    select reconciliation, side, record_key, sum(weight) as weight, count_if(not names_nobody) as words
    from words
    group by reconciliation, side, record_key

),

-- Materialised, so that the words of two names meet, and not a common word of the left all of the right.
words_of_left as materialized (

    select to_compare.*, words.* exclude (reconciliation, record_key)
    from {{ ref('names_to_compare') }} as to_compare
    inner join words
        on words.reconciliation = to_compare.reconciliation and words.side = 'left' and words.record_key = to_compare.left_key

),

word_by_word as (

    select
        left_word.reconciliation, left_word.left_key, left_word.right_key,
        left_word.word as left_word, left_word.weight as left_weight, not left_word.names_nobody as left_names,
        right_word.word as right_word, right_word.weight as right_weight, not right_word.names_nobody as right_names,
        {{ word_similarity('left_word', 'right_word') }} as similarity
    from words_of_left as left_word
    inner join words as right_word
        on right_word.reconciliation = left_word.reconciliation
        and right_word.side = 'right'
        and right_word.record_key = left_word.right_key

),

-- One word is said again by one word at most.
said_by_both as (

    select *
    from word_by_word
    where similarity > 0
    qualify row_number() over (partition by reconciliation, left_key, right_key, left_word order by similarity desc, right_word asc) = 1
        and row_number() over (partition by reconciliation, left_key, right_key, right_word order by similarity desc, left_word asc) = 1

),

agreement as (

    select
        reconciliation, left_key, right_key,
        sum(2 * similarity * least(left_weight, right_weight)) as weight_of_both,
        sum(abs(left_weight - right_weight)) as weight_of_misspelling,
        count_if(left_names) as left_words,
        count_if(right_names) as right_words
    from said_by_both
    group by reconciliation, left_key, right_key

)

select
    agreement.reconciliation, agreement.left_key, agreement.right_key,
    -- Names that each say a word of their own are two names: Müller Nord and Müller Süd.
    case
        when agreement.left_words = left_name.words or agreement.right_words = right_name.words
            then round(weight_of_both / (left_name.weight + right_name.weight - weight_of_misspelling), 3)
        else 0
    end as score
from agreement
inner join names as left_name
    on left_name.reconciliation = agreement.reconciliation and left_name.side = 'left' and left_name.record_key = agreement.left_key
inner join names as right_name
    on right_name.reconciliation = agreement.reconciliation and right_name.side = 'right' and right_name.record_key = agreement.right_key
