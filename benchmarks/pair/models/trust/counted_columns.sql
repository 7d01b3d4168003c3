{{ count_side('records', 'left', ref('records_in_crm')) }}
union all
{{ count_side('records', 'right', ref('records_in_billing')) }}
