-- How many records in scope the left of each pair with news holds, slice by slice. Like comparisons, one line a pair.
{{ config(database='snapshot') }}

{{ count_slices('customers', ref('customers_in_crm'), created='created_at') }}
union all
{{ count_slices('contracts', ref('contracts_in_crm'), created='created_at') }}
