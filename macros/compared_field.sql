{# The parts of reconcile() that speak of one field or one side. #}

{# The system wrote something there, and it could not be read as what it should be. #}
{% macro unreadable(side, field) -%}
    {%- if field.stated -%} ({{ side }}.{{ field.stated }} is not null and {{ side }}.{{ field.field }} is null)
    {%- else -%} false {%- endif -%}
{%- endmacro %}

{% macro compared_field(field) -%}
    {%- set left, right = normalised('left_record.' ~ field.field, field.normalise), normalised('right_record.' ~ field.field, field.normalise) -%}
    {%- set shown = field.stated or field.field -%}
    {
        field: '{{ field.field }}',
        left_value: left_record.{{ shown }}::varchar,
        right_value: right_record.{{ shown }}::varchar,
        state: case
            when {{ unreadable('left_record', field) }} or {{ unreadable('right_record', field) }} then 'differs'
            {%- if field.same %}
            when left_record.{{ field.same }} is distinct from right_record.{{ field.same }} then 'not_compared'
            {%- endif %}
            {%- if field.tolerance %}
            when abs({{ left }} - {{ right }}) <= {{ field.tolerance }} then 'agrees'
            {%- endif %}
            when {{ left }} is distinct from {{ right }} then 'differs'
            else 'agrees'
        end
    }
{%- endmacro %}

{% macro records_to_read(side, scope, value, currency) -%}
    select
        *,
        {{ scope }} as counts,
        {{ value }} as record_value,
        {{ currency }} as record_currency,
        count(*) over (partition by record_key) as copies,
        record_key is null or copies > 1 as is_unusable
    from {{ side }}
    where hash(coalesce(record_key, '')) in (select key_hash from unsettled)
{%- endmacro %}

{% macro unreconcilable_records(side, key, fields) -%}
    select
        record_key,
        {{ side == 'left' }} as in_left,
        {{ side == 'right' }} as in_right,
        case
            when {{ key }} is null or {{ key }}::varchar = '' then 'the key is empty'
            when record_key is null then 'the key is blank: nothing but white space or zero-width characters'
            when copies > 1 then 'the key stands ' || copies || ' times on this side, once trimmed and in upper case'
            else 'the key stands more than once on the other side'
        end as reason,
        to_json({
            {{ key }}: {{ key }}::varchar
            {%- for field in fields %}, {{ field.field }}: {{ field.stated or field.field }}::varchar{% endfor %}
        })::varchar as record
    from {{ side }}_records
    where is_unusable or record_key in (select record_key from unusable_keys)
{%- endmacro %}
