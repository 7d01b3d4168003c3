{# The join of reconcile(): every record read again falls into one bucket, a row a differing field. Beside both sides as they are
   stands what each held in the pair's last trusted run, for whoever judges the difference. #}
{% macro laid_side_by_side(fields, slices) -%}
joined as (

    select
        coalesce(left_record.record_key, right_record.record_key) as record_key,
        left_record.record_key is not null as in_left,
        right_record.record_key is not null as in_right,
        coalesce(left_record.counts, false) as left_in_scope,
        coalesce(right_record.counts, false) as right_in_scope,
        left_record.updated_at as left_updated_at,
        right_record.updated_at as right_updated_at,
        left_record.record_created_at::timestamptz as left_created_at,
        right_record.record_created_at::timestamptz as right_created_at,
        coalesce(left_record.record_value, right_record.record_value) as value_at_risk,
        case when left_record.record_value is null then right_record.record_currency else left_record.record_currency end as currency,
        coalesce(left_record.record_email, right_record.record_email)::varchar as stated_email,
        coalesce(left_record.record_name, right_record.record_name)::varchar as stated_name,
        [
            {%- for slice in slices %}
            {slice: '{{ slice }}', value: coalesce(left_record.{{ slice }}, right_record.{{ slice }})::varchar},
            {%- endfor %}
            {
                slice: 'creation week',
                value: {{ creation_week('coalesce(left_record.record_created_at, right_record.record_created_at)') }}
            }
        ] as slices,
        case
            when coalesce(left_record.record_key, right_record.record_key) not in (select record_key from unusable_keys_before)
                then last_trusted.as_of
        end as before_as_of,
        left_before.record_key is not null as in_left_before,
        right_before.record_key is not null as in_right_before,
        coalesce(left_before.counts, false) as left_in_scope_before,
        coalesce(right_before.counts, false) as right_in_scope_before,
        [
            {%- for field in fields %}
            {{ compared_field(field) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ] as compared
    from left_usable as left_record
    full outer join right_usable as right_record on left_record.record_key = right_record.record_key
    left join left_before on left_before.record_key = coalesce(left_record.record_key, right_record.record_key)
    left join right_before on right_before.record_key = coalesce(left_record.record_key, right_record.record_key)
    left join last_trusted on true

),

classified as (

    select
        *,
        case
            when not left_in_scope and not right_in_scope then 'out_of_scope'
            when not in_right then 'left_only'
            when not in_left then 'right_only'
            when list_contains([c.state for c in compared], 'differs') then 'conflict'
            else 'matched'
        end as bucket,
        not list_contains([c.state_before for c in compared], 'differs') as agreed_before,
        case when bucket in ('left_only', 'right_only') then [
            {
                field: c.field, left_value: c.left_value_before, right_value: c.right_value_before,
                left_base: c.left_before, right_base: c.right_before
            }
            for c in compared if c.state_before = 'agrees'
        ] end as fields_agreed_before
    from joined

),

-- A row for the record, or for each field that does not agree; and for each that agrees now on something else than before.
read_again as (

    select
        * exclude (compared),
        unnest(
            case when bucket = 'conflict' then [c for c in compared if c.state != 'agrees'] else [{{ whole_record() }}] end
            || [
                c for c in compared
                if c.state = 'agrees' and in_left and in_right and c.state_before in ('agrees', 'differs')
                    and (c.state_before = 'differs' or (
                        c.left_compared is distinct from c.left_before and c.right_compared is distinct from c.right_before
                    ))
            ]
        ) as compared
    from classified

)
{%- endmacro %}
