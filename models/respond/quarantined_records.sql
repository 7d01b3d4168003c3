-- Both sides' whole records of every key that is quarantined tonight. Like comparisons, one line a pair.
{{ config(materialized='view', database='snapshot') }}

{{ records_as_json('customers', ref('customers_in_crm'), ref('customers_in_billing'), key='customer_number') }}
union all
{{ records_as_json('contracts', ref('contracts_in_crm'), ref('contracts_in_billing'), key='contract_number') }}
