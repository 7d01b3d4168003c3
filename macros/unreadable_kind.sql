{# What is wrong with the cells by which a row of a seed names a kind of difference; for use inside a `case`. #}
{% macro unreadable_kind() -%}
    when not list_contains({{ var('reconciliations') | list }}, reconciliation) then 'there is no pair ' || reconciliation
            when not list_contains(['left_only', 'right_only', 'conflict'], bucket) then 'bucket must be left_only, right_only or conflict'
            when not list_contains({{ causes() }}, cause) then 'there is no cause ' || cause
            when bucket != 'conflict' and field is not null then 'a record that stands on one side has no field'
{%- endmacro %}
