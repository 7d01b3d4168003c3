"""The whole way on the vendors' documented shapes: both sides pulled, a plan applied, and the next run sees that it holds."""

import plans
import pytest
from conftest import World, house, new_world
from fake_api import WRITES, FakeApi
from fake_hubspot import HubSpot
from fake_stripe import Stripe

TOKEN = "canary-3Hs8-of-both"  # noqa: S105
OPEN = """
select reconciliation, record_key, field, left_value, right_value, discrepancy_id from marts.discrepancies
where status = 'open' order by reconciliation, record_key, field
"""


def exports() -> dict:
    """Two customers were ended in billing alone, one in the CRM alone; one is unknown to the CRM, one has another address there."""
    tables = house(range(60))
    for number in (1, 2):
        tables["billing"]["subscriptions"][number]["status"] = "canceled"
    tables["crm"]["deals"][3]["stage"], tables["crm"]["customers"][3]["status"] = "lost", "churned"
    tables["crm"]["customers"][5]["email"] = "new@example.org"
    del tables["crm"]["customers"][4]
    return tables


@pytest.fixture
def fakes():
    tables = exports()
    with (
        FakeApi(HubSpot(), TOKEN, tables=HubSpot().tables(tables["crm"])) as crm,
        FakeApi(Stripe(), TOKEN, tables=Stripe().tables(tables["billing"])) as billing,
    ):
        yield crm, billing


def environment(crm: FakeApi, billing: FakeApi) -> dict[str, str]:
    """Each target finds its system where the source does; the key that writes is its own."""
    read = HubSpot().environment(crm, TOKEN) | Stripe().environment(billing, TOKEN)
    written = {"CRM__CONNECTOR": "hubspot", "CRM__ACCESS_TOKEN": TOKEN, "BILLING__CONNECTOR": "stripe", "BILLING__API_KEY": TOKEN}
    return read | {f"TARGETS__{name}": value for name, value in written.items()}


def plan_all(world: World) -> None:
    """Whoever is right, each kind of write once: ended and made in the CRM, ended and changed in billing."""
    rows = []
    for pair, key, field, left, right, discrepancy_id in world.query(OPEN):
        told = {"reconciliation": pair, "left_value": left, "right_value": right, "discrepancy_id": discrepancy_id}
        if not field:
            rows.append(plans.write("crm", "create", key, **told))
        elif field == "email":
            rows.append(plans.write("billing", "update", key, field, **told, from_value=right, to_value=left))
        elif right == "canceled":
            word = "churned" if pair == "customers" else "terminated"
            rows.append(plans.write("crm", "update", key, field, **told, from_value=left, to_value=word))
        else:
            rows.append(plans.write("billing", "end", key, field, **told, from_value=right, to_value="canceled"))
    plans.plan(world.warehouse, rows)


@pytest.mark.sweep  # test_fix_way.py has the sample on the same two
def test_what_is_applied_is_gone_at_the_next_run_and_nothing_else_changed(fakes, tmp_path):
    crm, billing = fakes
    world, settings = new_world(tmp_path / "world"), environment(crm, billing)
    assert world.reconcile(**settings).code == 0
    plan_all(world)
    before = world.query(OPEN)
    assert len(before) == 8, before
    asked = len(crm.requests), len(billing.requests)
    ran = world.run("fix", "--apply", **settings)
    assert ran.code == 0, ran.out + ran.err
    assert "7 written, 1 refused" in ran.out, ran.out
    assert "refused: billing end C-0003 status: a customer's status is that of its subscriptions" in ran.out
    writes = [request for fake, start in zip(fakes, asked, strict=True) for request in fake.requests[start:] if is_write(request)]
    assert len(writes) == 7
    ran = world.reconcile(**settings)
    assert ran.code == 0, ran.out + ran.err
    assert world.query(OPEN) == []
    logged = world.query("select outcome, verification, count(*) from marts.fix_log group by all order by all")
    assert logged == [("refused", None, 1), ("written", "verified", 7)]


def is_write(request) -> bool:
    return request.method in WRITES and not request.path.partition("?")[0].endswith(("/search", "/batch/read"))
