-- One row a pair, side and column of this run. Like comparisons, one line a side.
{{ count_side('customers', 'left', ref('customers_in_crm')) }}
union all
{{ count_side('customers', 'right', ref('customers_in_billing')) }}
union all
{{ count_side('contracts', 'left', ref('contracts_in_crm')) }}
union all
{{ count_side('contracts', 'right', ref('contracts_in_billing')) }}
