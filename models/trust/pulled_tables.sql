-- One row a pair, side and table that the pair needs, with the evidence of its pull; nulls where none arrived.
with

needed as (

    {% for name, pair in var('reconciliations').items() %}
    {%- set outer = loop -%}
    {%- for side in ['left', 'right'] %}
    {%- set side_loop = loop -%}
    {%- for table in pair[side].tables %}
    select '{{ name }}' as reconciliation, '{{ side }}' as side, '{{ pair[side].system }}' as system, '{{ table }}' as table_name, {{ loop.first }} as holds_the_records
    {% if not (outer.last and side_loop.last and loop.last) %}union all{% endif %}
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}

),

pulled as (

    select * from {{ source('pulls', 'tables') }}

)

select
    needed.*,
    pulled.table_name is not null as was_pulled,
    pulled.* exclude (system, table_name)
from needed
left join pulled on pulled.system = needed.system and pulled.table_name = needed.table_name
