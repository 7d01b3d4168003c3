{# Relations as the pair's last trusted run left them: the same names in `before_<pair>`. Where there was no such run, or one of them
   was made of other columns then, all of them are without rows: half of what was known would look like records that came and went. #}
{% macro before(reconciliation, relations) %}
    {%- if not execute -%} {{ return(relations) }} {%- endif -%}
    {%- set earlier = [] -%}
    {%- set differing = [] -%}
    {%- for relation in relations -%}
        {%- do earlier.append(api.Relation.create(database='before_' ~ reconciliation, schema=relation.schema, identifier=relation.identifier)) -%}
        {%- if flags.WHICH in ('build', 'run') -%}
            {%- do differing.extend(run_query(columns_of(relation) ~ ' except ' ~ columns_of(earlier[-1])).rows) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set without_rows = [] -%}
    {%- for relation in relations -%} {%- do without_rows.append('(select * from ' ~ relation ~ ' where false)') -%} {%- endfor -%}
    {{ return(without_rows if differing else earlier) }}
{% endmacro %}

{% macro columns_of(relation) -%}
    select column_name, data_type from duckdb_columns()
    where database_name = '{{ relation.database }}' and schema_name = '{{ relation.schema }}' and table_name = '{{ relation.identifier }}'
{%- endmacro %}

{# Each pair's last trusted snapshot, as `before_<pair>`. Its views know their own file as `snapshot`, which is tonight's by now, so
   they are made again on theirs, each after those it reads. The file itself is only read. #}
{% macro open_before() %}
{% if execute and flags.WHICH in ('build', 'run') %}
    {% set folder = run_query("select parse_dirpath(path) from duckdb_databases() where database_name = 'snapshot'").rows[0][0] %}
    {% for reconciliation in var('reconciliations') %}
        {% do run_query("attach '" ~ folder ~ "/before/" ~ reconciliation ~ ".duckdb' as kept_" ~ reconciliation ~ " (read_only)") %}
        {% do run_query("attach ':memory:' as before_" ~ reconciliation) %}
        {% for row in run_query(made_again(reconciliation)).rows %} {{ row[0] }}; {% endfor %}
    {% endfor %}
{% endif %}
{% endmacro %}

{% macro made_again(reconciliation) %}
    with recursive views as (

        select view_name, sql from duckdb_views() where database_name = 'kept_{{ reconciliation }}' and schema_name = 'staging'

    ),

    stacked as (

        select view_name, 1 as height from views
        union all
        select reader.view_name, stacked.height + 1
        from stacked
        inner join views as reader
            on reader.view_name != stacked.view_name
            and regexp_matches(reader.sql, 'staging[.]"?' || stacked.view_name || '\b')

    ),

    statements as (

        select 0 as height, 'create schema before_{{ reconciliation }}."' || schema_name || '"' as statement
        from duckdb_schemas() where database_name = 'kept_{{ reconciliation }}' and schema_name != 'main'
        union all
        select
            1, format('create view before_{{ reconciliation }}."{0}"."{1}" as from kept_{{ reconciliation }}."{0}"."{1}"', schema_name, table_name)
        from duckdb_tables()
        where database_name = 'kept_{{ reconciliation }}'
            and (schema_name not in ('pulls', 'trust', 'compare', 'judge') or table_name = 'this_run')
        union all
        select
            1 + max(height), regexp_replace(
                replace(any_value(sql), 'CREATE VIEW staging.', 'create view snapshot.staging.'),
                '"?snapshot"?[.]("?[a-z][a-z0-9_]*"?[.])', 'before_{{ reconciliation }}.\1', 'g'
            )
        from views inner join stacked on stacked.view_name = views.view_name
        group by views.view_name

    )

    select statement from statements order by height
{% endmacro %}
