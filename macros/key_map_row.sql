{# A line for seeds/key_map.csv, every cell quoted. None where a key would be a formula in a spreadsheet or holds a control character:
   that line is a person's to write. #}
{% macro key_map_row(reconciliation, left_key, right_key, note) -%}
    case
        when {{ is_plain_text(left_key) }} and {{ is_plain_text(right_key) }}
            then concat_ws(',', {{ quoted(reconciliation) }}, {{ quoted(left_key) }}, {{ quoted(right_key) }}, {{ quoted(note) }})
    end
{%- endmacro %}

{% macro is_plain_text(text) -%} regexp_full_match({{ text }}, '[^=+@\-＝＋＠－\x00-\x1F\x7F][^\x00-\x1F\x7F]*') {%- endmacro %}
{% macro quoted(text) -%} '"' || replace({{ text }}, '"', '""') || '"' {%- endmacro %}
