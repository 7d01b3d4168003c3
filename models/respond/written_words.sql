-- The word that a system is given for a status, one row a pair, system and status.
{{ config(materialized='view', database='snapshot') }}

{% for reconciliation, pair in var('reconciliations').items() %}{% for side in (pair.left, pair.right) %}
select '{{ reconciliation }}' as reconciliation, '{{ side.system }}' as system, status, min(word) as word
from {{ ref('status_map') }}
where is_written and system = '{{ side.system }}' and table_name in ('{{ side.tables | join("', '") }}')
group by status
{% if not loop.last %}union all{% endif %}
{% endfor %}{% if not loop.last %}union all{% endif %}{% endfor %}
