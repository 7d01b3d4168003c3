{# What the records of `which` are worth together, and in what currency: null and 'several' where adding up would mix currencies. #}
{% macro in_one_currency(which) -%}
    {%- set valued = which ~ ' and value_at_risk is not null' -%}
    case
        when count(distinct currency) filter ({{ valued }}) = 1 and count(*) filter ({{ valued }} and currency is null) = 0
            then sum(value_at_risk) filter ({{ valued }})
    end::decimal(38, 8) as value_at_risk,
    case
        when count(distinct coalesce(currency, '')) filter ({{ valued }}) > 1 then 'several'
        else any_value(currency) filter ({{ valued }})
    end as currency
{%- endmacro %}
