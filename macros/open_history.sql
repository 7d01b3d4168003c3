{# History is read from `published`, a copy of yesterday's warehouse. Where a table or a column is not there yet
   (the first run, a newer version of this project), it is made empty from the model's own contract. #}
{% macro open_history() %}
{% if execute and flags.WHICH in ('build', 'run') %}
    {% for source in graph.sources.values() | selectattr('database', 'equalto', 'published') %}
        {% set columns = graph.nodes['model.tallystick.' ~ source.name].columns.values() %}
        create schema if not exists published.{{ source.schema }};
        create table if not exists published.{{ source.schema }}.{{ source.identifier }} (
            {% for column in columns %}{{ column.name }} {{ column.data_type }}{{ ',' if not loop.last }}{% endfor %}
        );
        {% for column in columns %}
        alter table published.{{ source.schema }}.{{ source.identifier }} add column if not exists {{ column.name }} {{ column.data_type }};
        {% endfor %}
    {% endfor %}
{% endif %}
{% endmacro %}
