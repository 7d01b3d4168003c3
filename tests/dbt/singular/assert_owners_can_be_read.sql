-- A row for a kind that there is not owns nothing, and whoever wrote it believes that it does. Fails with the row and what is wrong.
with

read as (

    select
        {{ kind_in_words('owners.') }} as entry,
        case
            when owner is null then 'owner is blank'
            when days_to_decide is null or days_to_decide < 0 then 'days_to_decide must be at least 0'
            {{ unreadable_kind('owners') }}
        end as wrong
    from {{ ref('owners') }} as owners

)

select entry, wrong
from read
where wrong is not null and error(format('seeds/owners.csv, {}: {}', entry, wrong)) is null
