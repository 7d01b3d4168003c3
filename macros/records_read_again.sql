{# Second pass of reconcile(): the records of unsettled keys, and which of those keys can be laid beside anything. #}
{% macro records_read_again(scope, columns) -%}
left_records as materialized (

    {{ records_to_read('left_side', scope, columns) }}

),

right_records as materialized (

    {{ records_to_read('right_side', scope, columns) }}

),

left_records_before as materialized (

    {{ records_to_read('left_side_before', scope, columns) }}

),

right_records_before as materialized (

    {{ records_to_read('right_side_before', scope, columns) }}

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

),

-- A key that stood twice then says nothing of before.
unusable_keys_before as (

    select record_key from left_records_before where record_key is not null and copies > 1
    union
    select record_key from right_records_before where record_key is not null and copies > 1

),

left_before as (

    select * from left_records_before where copies = 1

),

right_before as (

    select * from right_records_before where copies = 1

)
{%- endmacro %}

{% macro records_to_read(side, scope, columns) -%}
    select
        *,
        {{ scope }} as counts,
        {%- for name, expression in columns.items() %}
        {{ expression }} as record_{{ name }},
        {%- endfor %}
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
