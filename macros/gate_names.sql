{# The gates of dbt_project.yml as a list. #}
{% macro gate_names() -%}
    [{% for gate in var('gates') %}'{{ gate }}'{{ ', ' if not loop.last }}{% endfor %}]
{%- endmacro %}
