{{ reconcile(
    reconciliation='customers',
    left=ref('customers_in_crm'),
    right=ref('customers_in_billing'),
    key='customer_number',
    fields=[
        {'field': 'status', 'normalise': 'exact', 'stated': 'status_stated'},
        {'field': 'email', 'normalise': 'caseless'},
        {'field': 'country', 'normalise': 'text'},
    ],
    lag_hours=24,
    scope='is_in_scope',
    created='created_at',
    email='email',
    name='company',
) }}
