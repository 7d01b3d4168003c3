-- One row a pair, with its sides' systems and its thresholds, as dbt_project.yml states them.
{% for name, pair in var('reconciliations').items() %}
select
    '{{ name }}' as reconciliation,
    '{{ pair.left.system }}' as left_system,
    '{{ pair.right.system }}' as right_system,
    {{ "'" ~ pair.bills ~ "'" if pair.bills else 'null' }}::varchar as bills
    {%- for threshold, value in var('thresholds').items() %},
    {{ (pair.thresholds or {}).get(threshold, value) }}::double as {{ threshold }}
    {%- endfor %}
{% if not loop.last %}union all{% endif %}
{% endfor %}
