{{ config(materialized='view', database='snapshot') }}

{{ records_as_json('records', ref('records_in_crm'), ref('records_in_billing'), key='record_number') }}
