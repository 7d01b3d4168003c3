{# Times and values as a sentence says them; all times are UTC. #}
{% macro on_day(time) -%} strftime({{ time }}, '%-d %B %Y') {%- endmacro %}
{% macro at_minute(time) -%} strftime({{ time }}, '%-d %B %Y %H:%M') {%- endmacro %}

{% macro between_times(earlier, later) -%}
    'between ' || case
        when {{ earlier }}::date = {{ later }}::date then strftime({{ earlier }}, '%H:%M') || ' and ' || strftime({{ later }}, '%H:%M on %-d %B %Y')
        when date_trunc('month', {{ earlier }}) = date_trunc('month', {{ later }}) then strftime({{ earlier }}, '%-d') || ' and ' || {{ on_day(later) }}
        when year({{ earlier }}) = year({{ later }}) then strftime({{ earlier }}, '%-d %B') || ' and ' || {{ on_day(later) }}
        else {{ on_day(earlier) }} || ' and ' || {{ on_day(later) }}
    end
{%- endmacro %}

{% macro last_change(time) -%}
    coalesce('''s record last changed ' || {{ at_minute(time) }}, '''s record tells no time')
{%- endmacro %}

{# A value on one line, and no longer than a line can take. Most are short and plain, and to see that is cheaper than to replace. #}
{% macro told(value) -%}
    case
        when {{ value }} is null then 'nothing'
        when length({{ value }}) <= 60 and regexp_full_match({{ value }}, '[!-~]+( [!-~]+)*') then '''' || {{ value }} || ''''
        when length({{ value }}) > 60 then '''' || regexp_replace(left({{ value }}, 60), '[\p{C}\p{Z}]+', ' ', 'g') || '…'''
        else '''' || regexp_replace({{ value }}, '[\p{C}\p{Z}]+', ' ', 'g') || ''''
    end
{%- endmacro %}

{# Words of a cause. One that stays as it was keeps its evidence and needs none: most of a night's differences. #}
{% macro if_judged_anew(words) -%} case when rule != 'as before' then {{ words }} end {%- endmacro %}
