{{ reconcile(
    reconciliation='contracts',
    left=ref('contracts_in_crm'),
    right=ref('contracts_in_billing'),
    key='contract_number',
    fields=[
        {'field': 'status', 'normalise': 'exact', 'stated': 'status_stated'},
        {'field': 'plan', 'normalise': 'text'},
        {'field': 'amount', 'normalise': 'exact', 'stated': 'amount_stated', 'tolerance': 0.01, 'same': 'currency'},
        {'field': 'currency', 'normalise': 'exact', 'stated': 'currency_stated'},
        {'field': 'interval', 'normalise': 'text'},
        {'field': 'starts_on', 'normalise': 'exact', 'stated': 'starts_on_stated'},
    ],
    lag_hours=24,
    scope='is_in_scope',
    value='amount',
    currency='currency',
    created='created_at',
) }}
