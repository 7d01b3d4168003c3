{{ config(database='snapshot') }}

{{ count_slices('records', ref('records_in_crm')) }}
