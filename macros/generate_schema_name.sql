{# The schema is the folder's, as written: no target prefix, for the file itself is the target. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
