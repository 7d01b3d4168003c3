{# In flight: a side's record changed less than the lag ago, and the difference was first seen less than the lag ago as well, so that a
   record which is touched every hour can't hide it. No timestamp is never young. #}
{% macro within_lag(left_updated_at, right_updated_at, first_seen_at, as_of, lag_hours) -%}
    case
        when greatest({{ left_updated_at }}, {{ right_updated_at }}) > {{ as_of }} - to_seconds(({{ lag_hours }} * 3600)::bigint)
            and {{ first_seen_at }} > {{ as_of }} - to_seconds(({{ lag_hours }} * 3600)::bigint) then 'in_flight'
        else 'open'
    end
{%- endmacro %}
