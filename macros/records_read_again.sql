{# Second pass of reconcile(): the records of unsettled keys, and which of those keys can be laid beside anything. #}
{% macro records_read_again(scope, value, currency) -%}
left_records as materialized (

    {{ records_to_read('left_side', scope, value, currency) }}

),

right_records as materialized (

    {{ records_to_read('right_side', scope, value, currency) }}

),

-- A key that is empty, or stands twice on either side, can't be laid beside anything: its whole group is set apart.
unusable_keys as (

    select record_key from left_records where is_unusable
    union
    select record_key from right_records where is_unusable

),

left_usable as (

    select * from left_records where not is_unusable and record_key not in (select record_key from unusable_keys where record_key is not null)

),

right_usable as (

    select * from right_records where not is_unusable and record_key not in (select record_key from unusable_keys where record_key is not null)

)
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
