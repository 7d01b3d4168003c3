{# The chance of `count` or more where `expected` are expected and counts spread as a negative binomial of that shape (the smaller, the
   wider): one less the terms below `count`, each by its logarithm. Right to nine decimals; as many terms as there are differences. #}
{% macro chance_of_at_least(count, expected, shape) -%}
    greatest(0, 1 - coalesce(list_sum([
        exp(
            lgamma(i + {{ shape }}) - lgamma({{ shape }}) - lgamma(i + 1)
            + {{ shape }} * ln({{ shape }} / ({{ shape }} + {{ expected }})) + i * ln({{ expected }} / ({{ shape }} + {{ expected }}))
        )
        for i in range({{ count }})
    ]), 0))
{%- endmacro %}
