{# A name as the words that tell it from others: lower case, without accents, dots, apostrophes and punctuation, each word once.
   ae, oe and ue are what systems without umlauts write for ä, ö and ü. A name is read up to its 200th character. #}
{% macro name_words(name) -%}
    {%- set plain = "replace(translate(strip_accents(lower(left(" ~ name ~ ", 200))), 'øłđ', 'old'), 'ß', 'ss')" -%}
    {%- set joined = "regexp_replace(" ~ plain ~ ", '[.''’`´]', '', 'g')" -%}
    list_distinct(regexp_extract_all(regexp_replace({{ joined }}, '([aou])e', '\1', 'g'), '[\p{L}\p{M}\p{N}]+'))
{%- endmacro %}

{# Words that name nobody. Among thousands of names rarity alone finds them; a usual night has a few dozen, where any word looks rare.
   As name_words() writes them. #}
{% macro words_that_name_nobody() -%}
    (
        'ab', 'ag', 'and', 'aps', 'as', 'bv', 'co', 'company', 'corp', 'corporation', 'der', 'die', 'ek', 'et', 'ev', 'gbr', 'gmbh', 'inc',
        'incorporated', 'kft', 'kg', 'limited', 'llc', 'llp', 'ltd', 'mbh', 'nv', 'of', 'ohg', 'oy', 'oyj', 'plc', 'pte', 'pty', 'sa', 'sarl',
        'sas', 'se', 'sl', 'spa', 'sro', 'srl', 'the', 'ug', 'und', 'y'
    )
{%- endmacro %}

{# Short words and numbers are other words, not misspelt ones; no word of a language has more than 30 letters that matter. #}
{% macro may_be_misspelt(word) -%} (length({{ word }}) between 5 and 30 and not regexp_matches({{ word }}, '[0-9]')) {%- endmacro %}

{# 1 for the same word, the Jaro-Winkler similarity for a misspelling, else 0. A misspelt word stands in one name alone: two words that
   both stand in several are two words, however alike. #}
{% macro word_similarity(left, right) -%}
    case
        when {{ left }}.word = {{ right }}.word then 1
        when least({{ left }}.names, {{ right }}.names) = 1
            and {{ may_be_misspelt(left ~ '.word') }}
            and {{ may_be_misspelt(right ~ '.word') }}
            and damerau_levenshtein({{ left }}.word, {{ right }}.word) = 1
            then jaro_winkler_similarity({{ left }}.word, {{ right }}.word)
        else 0
    end
{%- endmacro %}
