-- A policy writes into somebody's system: it must say in so many words what and where. Fails with the row and what is missing.
with

systems as (
    {% for reconciliation, pair in var('reconciliations').items() %}
    select '{{ reconciliation }}' as reconciliation, '{{ pair.left.system }}' as left_system, '{{ pair.right.system }}' as right_system
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

read as (

    select
        {{ kind_in_words('policies.') }} as entry,
        case
            when response is null or response not in ('report', 'fix', 'quarantine') then 'response must be report, fix or quarantine'
            {{ unreadable_kind('policies') }}
            when least_runs < 1 or most_rows < 0 or most_share < 0 or most_share > 1
                then 'least_runs must be at least 1, most_rows at least 0, most_share between 0 and 1'
            when response = 'quarantine' and operation is not null then 'what is quarantined is not written: leave operation blank'
            when operation is null and concat(writes_to, system_of_record) = '' then case when response = 'fix'
                then 'a fix needs operation, writes_to and system_of_record' end
            when operation is null or writes_to is null or system_of_record is null
                then 'operation, writes_to and system_of_record are needed together'
            when policies.reconciliation is null or bucket is null then 'what is written must name its pair and bucket'
            when writes_to = system_of_record or not list_contains([left_system, right_system], writes_to)
                or not list_contains([left_system, right_system], system_of_record)
                then format('writes_to and system_of_record must be {} and {}, one each', left_system, right_system)
            when bucket = 'conflict' and operation not in ('update', 'end') then 'a conflict is fixed by update or end'
            when bucket = 'conflict' and field is null then 'what is written must name its field'
            when bucket != 'conflict' and operation not in ('create', 'end', 'delete')
                then 'a record on one side is fixed by create, end or delete'
            when bucket != 'conflict' and (operation = 'create') = (writes_to = case bucket when 'left_only' then left_system else right_system end)
                then 'create is written to the side that lacks the record, end and delete to the side that has it'
        end as wrong
    from {{ ref('response_policies') }} as policies
    left join systems on systems.reconciliation = policies.reconciliation

)

select entry, wrong
from read
where wrong is not null and error(format('seeds/response_policies.csv, {}: {}', entry, wrong)) is null
