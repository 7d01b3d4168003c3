{# The system wrote something there, and it could not be read as what it should be. #}
{% macro unreadable(side, field) -%}
    {%- if field.stated -%} ({{ side }}.{{ field.stated }} is not null and {{ side }}.{{ field.field }} is null)
    {%- else -%} false {%- endif -%}
{%- endmacro %}

{# agrees, differs, or not_compared. #}
{% macro agreement(left, right, field) -%}
    {%- set left_canonical, right_canonical = normalised(left ~ '.' ~ field.field, field.normalise), normalised(right ~ '.' ~ field.field, field.normalise) -%}
    case
            when {{ unreadable(left, field) }} or {{ unreadable(right, field) }} then 'differs'
            {%- if field.same %}
            when {{ left }}.{{ field.same }} is distinct from {{ right }}.{{ field.same }} then 'not_compared'
            {%- endif %}
            {%- if field.tolerance %}
            when abs({{ left_canonical }} - {{ right_canonical }}) <= {{ field.tolerance }} then 'agrees'
            {%- endif %}
            when {{ left_canonical }} is distinct from {{ right_canonical }} then 'differs'
            else 'agrees'
        end
{%- endmacro %}

{% macro compared_field(field) -%}
    {%- set shown = field.stated or field.field -%}
    {
        field: '{{ field.field }}',
        {%- for side in ('left', 'right') %}
        {{ side }}_value: {{ side }}_record.{{ shown }}::varchar,
        {{ side }}_compared: ({{ normalised(side ~ '_record.' ~ field.field, field.normalise) }})::varchar,
        {{ side }}_is_unreadable: {{ unreadable(side ~ '_record', field) }},
        {{ side }}_value_before: {{ side }}_before.{{ shown }}::varchar,
        {{ side }}_before: ({{ normalised(side ~ '_before.' ~ field.field, field.normalise) }})::varchar,
        {%- endfor %}
        state: {{ agreement('left_record', 'right_record', field) }},
        state_before: case
            when left_before.record_key is null or right_before.record_key is null then 'absent'
            else {{ agreement('left_before', 'right_before', field) }}
        end
    }
{%- endmacro %}

{% macro whole_record() -%}
    {
        field: '',
        {%- for side in ('left', 'right') %}
        {{ side }}_value: null, {{ side }}_compared: null, {{ side }}_is_unreadable: false, {{ side }}_value_before: null, {{ side }}_before: null,
        {%- endfor %}
        state: bucket,
        state_before: null
    }
{%- endmacro %}
