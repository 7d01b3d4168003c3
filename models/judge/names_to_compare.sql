-- Left and right records whose names share a rare word, or one that may be a misspelling of the other: one letter apart.
-- Cost: three words of a name count at most, a rare word stands in at most 20 names a side, and a misspelling is found by what is left
-- of both words without a letter, about ten rows a word. So what is compared grows with the names, not with their square.
{{ config(database='snapshot') }}

with

words as (

    select *
    from {{ ref('name_words') }}
    where is_rare
    qualify row_number() over (partition by reconciliation, side, record_key order by names asc, word asc) <= 3

),

vocabulary as (

    select distinct reconciliation, side, word, names from words

),

without_a_letter as (

    select
        *,
        unnest(list_distinct([word] || [left(word, i - 1) || word[i + 1:] for i in range(1, length(word) + 1)])) as rest
    from vocabulary
    where {{ may_be_misspelt('word') }}

),

telling as (

    select * from without_a_letter
    qualify count(*) over (partition by reconciliation, side, rest) <= 20

),

similar_words as (

    select reconciliation, word as left_word, word as right_word
    from vocabulary
    group by reconciliation, word
    having count(*) = 2
    union all
    select distinct left_word.reconciliation, left_word.word as left_word, right_word.word as right_word
    from telling as left_word
    inner join telling as right_word
        on right_word.reconciliation = left_word.reconciliation and right_word.rest = left_word.rest
    where left_word.side = 'left'
        and right_word.side = 'right'
        and left_word.word != right_word.word
        and {{ word_similarity('left_word', 'right_word') }} > 0

)

select distinct similar_words.reconciliation, left_words.record_key as left_key, right_words.record_key as right_key
from similar_words
inner join words as left_words
    on left_words.reconciliation = similar_words.reconciliation and left_words.word = similar_words.left_word
inner join words as right_words
    on right_words.reconciliation = similar_words.reconciliation and right_words.word = similar_words.right_word
where left_words.side = 'left' and right_words.side = 'right'
