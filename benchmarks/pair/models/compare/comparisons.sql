select * from {{ ref('compare_records') }}
