-- Candidates by e-mail: one left and one right record have the address, and no other one-sided record has it. An address that more of
-- them share (info@, an agency's) says nothing of which is which.
{{ config(database='snapshot') }}

select
    reconciliation,
    any_value(record_key) filter (side = 'left') as left_key,
    any_value(record_key) filter (side = 'right') as right_key,
    any_value(name) filter (side = 'left') as left_name,
    any_value(name) filter (side = 'right') as right_name
from {{ ref('one_sided_records') }}
where email is not null
group by reconciliation, email
having count_if(side = 'left') = 1 and count_if(side = 'right') = 1
