{# The arms of a case that say why a row's pair, bucket, field or cause is none: it would fit nothing, in silence. #}
{% macro unreadable_kind(row) -%}
    {%- set pairs = var('reconciliations') | list -%}
    {%- set all_fields = [] -%}
    when not list_contains({{ pairs }}, {{ row }}.reconciliation) then 'there is no pair ' || {{ row }}.reconciliation
            when not list_contains(['left_only', 'right_only', 'conflict'], bucket) then 'bucket must be left_only, right_only or conflict'
            when not list_contains({{ causes() }}, cause) then 'there is no cause ' || cause
            when bucket != 'conflict' and field is not null then 'a record that stands on one side has no field'
            {%- for pair in pairs -%}
            {%- set fields = compared_fields(pair) -%}
            {%- do all_fields.extend(fields) -%}
            {%- if fields %}
            when {{ row }}.reconciliation = '{{ pair }}' and not list_contains({{ fields }}, field)
                then format('{{ pair }} has no field {}: {{ fields | join(", ") }}', field)
            {%- endif -%}
            {%- endfor %}
            when not list_contains({{ all_fields }}, field) then 'no pair has a field ' || field
{%- endmacro %}

{# What a pair compares, as its model names it to reconcile(). #}
{% macro compared_fields(reconciliation) -%}
    {%- if execute -%}
        {%- set models = graph.nodes.values() | selectattr('name', 'eq', 'compare_' ~ reconciliation) -%}
        {{ return(modules.re.findall("['\"]field['\"]: *['\"](\w+)['\"]", models | map(attribute='raw_code') | join)) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}
