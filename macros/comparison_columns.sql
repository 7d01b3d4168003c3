{# What every compare model gives beside the pair's name, column by column, with its type. #}
{% macro comparison_columns() %}
    {%- set left_and_right = {
        '_value': 'varchar', '_compared': 'varchar', '_is_unreadable': 'boolean', '_value_before': 'varchar', '_before': 'varchar',
        '_updated_at': 'timestamptz', '_created_at': 'timestamptz',
        '_in_scope': 'boolean', '_in_scope_before': 'boolean',
    } -%}
    {%- set columns = {
        'bucket': 'varchar', 'record_key': 'varchar', 'in_left': 'boolean', 'in_right': 'boolean', 'records': 'bigint', 'field': 'varchar',
        'state': 'varchar', 'value_at_risk': 'decimal(38, 8)', 'currency': 'varchar', 'slices': 'struct(slice varchar, value varchar)[]',
        'match_email': 'varchar', 'match_name': 'varchar', 'before_as_of': 'timestamptz', 'in_left_before': 'boolean',
        'in_right_before': 'boolean', 'agreed_before': 'boolean', 'state_before': 'varchar',
        'fields_agreed_before': 'struct(field varchar, left_value varchar, right_value varchar, left_base varchar, right_base varchar)[]',
        'reason': 'varchar', 'record': 'varchar',
    } -%}
    {%- for side in ('left', 'right') %}{% for name, type in left_and_right.items() %}{% do columns.update({side ~ name: type}) %}{% endfor %}{% endfor -%}
    {{ return(columns) }}
{% endmacro %}
