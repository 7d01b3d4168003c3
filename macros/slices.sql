{# The columns by which a pair's new differences are told apart, as dbt_project.yml lists them; the creation week comes of itself. #}
{% macro slices_of(reconciliation) %}
    {{ return(var('reconciliations')[reconciliation].slices or []) }}
{% endmacro %}

{# The Monday of it. #}
{% macro creation_week(created_at) -%}
    strftime(date_trunc('week', ({{ created_at }})::timestamptz), '%Y-%m-%d')
{%- endmacro %}

{# How many of the left's records in scope each slice holds, where the pair has news. One scan of the left, of these columns alone.
   `scope` and `created` as in reconcile(). #}
{% macro count_slices(reconciliation, left, scope='is_in_scope', created='null') -%}
{%- set slices = slices_of(reconciliation) -%}
select
    '{{ reconciliation }}' as reconciliation,
    case when grouping(creation_week) = 0 then 'creation week' {% for slice in slices %}when grouping({{ slice }}) = 0 then '{{ slice }}' {% endfor %}end as slice,
    case when grouping(creation_week) = 0 then creation_week {% for slice in slices %}when grouping({{ slice }}) = 0 then {{ slice }} {% endfor %}end as value,
    count(*) as records
from (
    select {% for slice in slices %}{{ slice }}::varchar as {{ slice }}, {% endfor %}{{ creation_week(created) }} as creation_week
    from {{ left }}
    where {{ scope }} and {{ has_news(reconciliation) }}
)
group by grouping sets ({% for slice in slices %}({{ slice }}), {% endfor %}(creation_week))
{%- endmacro %}

{# Whether this run has news of the pair, told before the model that asks is made; true while only compiling. #}
{% macro has_news(reconciliation) %}
    {%- set news = ref('news') -%}
    {%- if not execute or flags.WHICH not in ('build', 'run') -%} {{ return('true') }} {%- endif -%}
    {%- set query = "select count(*) > 0 from " ~ news ~ " where reconciliation = '" ~ reconciliation ~ "'" -%}
    {{ return(run_query(query).rows[0][0] | string | lower) }}
{% endmacro %}
