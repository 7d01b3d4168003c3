{# Of the rows that people stated for kinds of differences the one that fits each kind best. A blank cell fits anything. The row that
   states most wins; where two state as much, a field tells more than a cause, a cause more than a bucket, a bucket more than a pair. #}
{% macro most_specific(kinds, stated, latest=none) -%}
    select kinds.*, stated.* rename (reconciliation as for_reconciliation, bucket as for_bucket, field as for_field, cause as for_cause)
    from {{ kinds }} as kinds
    inner join {{ stated }} as stated
        on coalesce(stated.reconciliation, kinds.reconciliation) = kinds.reconciliation
        and coalesce(stated.bucket, kinds.bucket) = kinds.bucket
        and coalesce(stated.field, kinds.field) = kinds.field
        and coalesce(stated.cause, kinds.cause) = kinds.cause
    qualify row_number() over (
        partition by kinds.reconciliation, kinds.bucket, kinds.field, kinds.cause
        order by {{ specificity('stated') }} desc {%- if latest %}, stated.{{ latest }} desc{% endif %}
    ) = 1
{%- endmacro %}

{% macro same_kind(one, other) -%}
    {{ one }}.reconciliation = {{ other }}.reconciliation and {{ one }}.bucket = {{ other }}.bucket
    and {{ one }}.field = {{ other }}.field and {{ one }}.cause = {{ other }}.cause
{%- endmacro %}

{% macro specificity(stated) -%}
    [
        ({{ stated }}.reconciliation is not null)::integer + ({{ stated }}.bucket is not null)::integer
        + ({{ stated }}.field is not null)::integer + ({{ stated }}.cause is not null)::integer,
        ({{ stated }}.field is not null)::integer, ({{ stated }}.cause is not null)::integer, ({{ stated }}.bucket is not null)::integer
    ]
{%- endmacro %}

{# A row's kind as a sentence names it. #}
{% macro kind_in_words(prefix='') -%}
    coalesce(nullif(concat_ws(', ', {{ prefix }}reconciliation, {{ prefix }}bucket, {{ prefix }}field, {{ prefix }}cause), ''), 'everything')
{%- endmacro %}
