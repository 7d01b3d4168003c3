{# The join of reconcile(): every record read again falls into one bucket, a row a differing field. #}
{% macro laid_side_by_side(fields) -%}
joined as (

    select
        coalesce(left_record.record_key, right_record.record_key) as record_key,
        left_record.record_key is not null as in_left,
        right_record.record_key is not null as in_right,
        coalesce(left_record.counts, false) or coalesce(right_record.counts, false) as is_in_scope,
        left_record.updated_at as left_updated_at,
        right_record.updated_at as right_updated_at,
        coalesce(left_record.record_value, right_record.record_value) as value_at_risk,
        case when left_record.record_value is null then right_record.record_currency else left_record.record_currency end as currency,
        [
            {%- for field in fields %}
            {{ compared_field(field) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ] as compared
    from left_usable as left_record
    full outer join right_usable as right_record on left_record.record_key = right_record.record_key

),

classified as (

    select
        *,
        case
            when not is_in_scope then 'out_of_scope'
            when not in_right then 'left_only'
            when not in_left then 'right_only'
            when list_contains([c.state for c in compared], 'differs') then 'conflict'
            else 'matched'
        end as bucket
    from joined

),

read_again as (

    select
        * exclude (compared, is_in_scope),
        unnest(
            case
                when bucket = 'conflict' then [c for c in compared if c.state != 'agrees']
                else [{field: '', left_value: null, right_value: null, state: bucket}]
            end
        ) as compared
    from classified

)
{%- endmacro %}

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

