"""Records read again by their keys and ids: the rows of a full pull, as they are now, and no search's word for it."""

from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from fake_api import FakeApi, Vendor
from fake_hubspot import HubSpot
from fake_pipedrive import ARCHIVED, code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_sources import APIS, CHARGEBEE, HUBSPOT, PIPEDRIVE, SALESFORCE, STRIPE, TOKEN, quick, refuse, served, usual_time  # noqa: F401

from pipelines.failures import SourceFailed
from pipelines.pull import connector, root_cause
from pipelines.sources.side import Only, Side

RECORDS = 25
NUMBERS = st.sets(st.integers(0, RECORDS - 1), max_size=4)
Tables = dict[str, list[dict]]


def read(api: Vendor, fake: FakeApi, only: Only | None = None) -> Tables:
    """Every table's rows in the order of their keys."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in api.environment(fake, TOKEN).items():
            patch.setenv(name, value)
        side = Side(api.system, Path(), [], only=only)
        try:
            landed = {name: pyarrow.concat_tables(resource).to_pylist() for name, resource in connector(side)(side).resources.items()}
        except Exception as error:
            raise root_cause(error, api.system) from error
    return {name: sorted(rows, key=lambda row: row[key(name)] or "") for name, rows in landed.items()}


def key(table: str) -> str:
    return "customer_number" if table == "customers" else "contract_number"


def only_some(tables: Tables, by_id: set[int], by_key: set[int]) -> Only:
    return Only(
        keys={name: [rows[number][key(name)] for number in sorted(by_key)] for name, rows in tables.items()},
        ids={name: [rows[number]["id"] for number in sorted(by_id)] for name, rows in tables.items()},
    )


def agreement(api: Vendor) -> str:
    return "subscriptions" if api.system == "billing" else "deals"


@pytest.fixture(scope="module", params=[STRIPE, HUBSPOT, SALESFORCE, PIPEDRIVE, CHARGEBEE], ids=lambda api: api.name)
def world(request):
    with served(request.param, RECORDS, cap=10) as fake:
        yield request.param, fake, read(request.param, fake)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(by_id=NUMBERS, by_key=NUMBERS)
def test_the_same_rows_come_as_in_a_full_pull(world, by_id, by_key):
    """A billing customer's subscription comes with the customer. Here records and agreements go in pairs, by their numbers."""
    api, fake, whole = world
    assert read(api, fake, only_some(whole, by_id, by_key)) == {
        name: [row for number, row in enumerate(rows) if number in by_id | by_key] for name, rows in whole.items()
    }


def test_nothing_wanted_is_nothing_read(world):
    api, fake, _ = world
    assert read(api, fake, Only({}, {})) == {"customers": [], agreement(api): []}


def test_a_subscription_made_meanwhile_comes_with_its_customer(world):
    """Also where the customer itself was made anew and is known by the key alone: its status is that of its subscriptions."""
    api, fake, whole = world
    if api.system == "billing":
        customer = whole["customers"][3]
        for only in (Only({}, {"customers": [customer["id"]]}), Only({"customers": [customer["customer_number"]]}, {})):
            assert [row["contract_number"] for row in read(api, fake, only)["subscriptions"]] == ["K-0003"]


def value(api: Vendor, record: dict) -> tuple[dict, str]:
    """Where a customer's e-mail stands."""
    held, _ = api.key_of(record)
    if api.system == "billing":
        return api.fields(record), "email"
    return held, {"salesforce": "Email__c", "pipedrive": code("Email")}.get(api.name, "email")


def gone(api: Vendor, fake: FakeApi, path: str, number: int) -> None:
    record = fake.tables[path][number]
    if api is SALESFORCE:
        record["IsDeleted"] = True
    elif api is HUBSPOT:
        record["archived"] = True
    else:
        fake.tables[path].remove(record)
        fake.remembered.setdefault("deleted", set()).update({api.id_of(record)} if path == api.path else set())


@APIS
def test_what_was_changed_deleted_or_made_meanwhile_is_seen(api):
    """Customer 0 is changed, 1 and its agreement are deleted, 4 is made, of which no id is known."""
    with served(api, 4) as fake, served(api, 5) as later:
        whole = read(api, fake)
        only = only_some(whole, {0, 1, 2}, {0, 1, 2})
        only.keys["customers"].append("c-0004 ")
        only.keys[agreement(api)].append("K-0004")
        order = [api.id_of(record) for record in fake.tables[api.path]]
        held, name = value(api, fake.tables[api.path][order.index(whole["customers"][0]["id"])])
        held[name] = "new@example.org"
        for path in (api.path, api.agreements):
            gone(api, fake, path, order.index(whole["customers"][1]["id"]))
        made = [record for record in later.tables[api.path] if api.id_of(record) not in order]
        fake.tables[api.path] += made
        now = read(api, fake, only)
    assert len(made) == 1
    assert now["customers"][1:2] == whole["customers"][2:3]
    assert [row["customer_number"] for row in now["customers"]] == ["C-0000", "C-0002", "C-0004"]
    assert "new@example.org" in str(now["customers"][0])
    assert [row["contract_number"] for row in now[agreement(api)]] == ["K-0000", "K-0002"]


@APIS
def test_a_record_that_lost_its_key_meanwhile_is_no_failure(api):
    """In a full pull it would be one that no record has the key: a setting is wrong then."""
    with served(api) as fake:
        only = only_some(read(api, fake), {1}, set())
        for record in fake.tables[api.path]:
            held, name = api.key_of(record)
            held[name] = None
        [row] = read(api, fake, only)["customers"]
        with pytest.raises(SourceFailed, match="no record of customers has"):
            read(api, fake)
    assert (row["id"], row["customer_number"]) == (only.ids["customers"][0], None)


HOSTILE = [
    "O'Neil",
    'Big "B" Ltd',
    "x') OR (Name != '",
    'x" OR metadata["customer_number"]:"C-0001',
    "back\\slash",
    "ends in \\",
    "two\nlines\tand a tab",
    "C-0001,C-0002",
    '["C-0001"]',
    "ключ & Ümläut=%",
]


@APIS
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_key_is_never_code(api, hostile):
    with served(api) as fake:
        assert read(api, fake, Only({"customers": [hostile]}, {}))["customers"] == []
        held, name = api.key_of(fake.tables[api.path][2])
        held[name] = hostile
        found = read(api, fake, Only({"customers": [hostile]}, {}))["customers"]
    assert [row["customer_number"] for row in found] == [hostile]


@APIS
def test_many_ids_and_keys_are_asked_for_in_batches(api):
    with served(api, 230, cap=None) as fake:
        whole = read(api, fake)
        only = Only({"customers": [row["customer_number"] for row in whole["customers"]]}, {})
        if api in (STRIPE, PIPEDRIVE, CHARGEBEE):  # a request each
            only.keys["customers"] = only.keys["customers"][:3]
        only.ids["customers"] = [row["id"] for row in whole["customers"]]
        before = len(fake.requests)
        assert read(api, fake, only)["customers"] == whole["customers"]
        targets = [len(request.path) for request in fake.requests[before:]]
    assert max(targets) < 2_000


@APIS
def test_a_failing_answer_ends_the_reading(api):
    """A record that is not told is not a record that is gone."""
    with served(api) as fake:
        whole = read(api, fake)
        asked = set(fake.asked)
        only = only_some(whole, {1}, {2})
        read(api, fake, only)
        for path in {*fake.asked} - asked | {api.path}:
            for answer in (1, *range(fake.asked[path] + 1, fake.asked[path] + 4)):  # a list's first page, or the next answers
                fake.spoil(path, answer, refuse(500))
        with pytest.raises(SourceFailed, match="status 500"):
            read(api, fake, only)


def test_a_404_that_does_not_say_that_the_record_is_gone_is_none():
    with served(STRIPE) as fake:
        fake.spoil("/v1/customers/cus_000001", 1, refuse(404))
        with pytest.raises(SourceFailed, match="neither that record nor that there is none"):
            read(STRIPE, fake, Only({}, {"customers": ["cus_000001"]}))


def test_a_record_that_hubspot_will_not_give_is_not_gone():
    def denied(answer):
        answer.status, answer.content["errors"] = 207, [{"status": "error", "category": "MISSING_SCOPES"}]

    with served(HUBSPOT) as fake:
        fake.spoil(HubSpot.path + "/batch/read", 1, denied)
        with pytest.raises(SourceFailed, match="can't be read, and not because they are gone"):
            read(HUBSPOT, fake, Only({}, {"customers": ["1001"]}))


def test_archived_records_are_read_again_where_they_are_pulled(monkeypatch):
    monkeypatch.setenv("SOURCES__CRM__ARCHIVED", "true")
    with served(HUBSPOT) as fake:
        fake.tables[HUBSPOT.path][2]["archived"] = True
        assert [row["id"] for row in read(HUBSPOT, fake, Only({}, {"customers": ["1001", "1002"]}))["customers"]] == ["1001", "1002"]
    with served(PIPEDRIVE, 25) as fake:
        assert [row["id"] for row in read(PIPEDRIVE, fake, Only({"deals": ["K-0009"]}, {"deals": ["20"]}))["deals"]] == ["10", "20"]
        assert [str(deal["id"]) for deal in fake.tables[ARCHIVED]] == ["10", "20"]


def test_a_search_that_finds_more_than_a_page_ends_the_reading():
    with served(HUBSPOT, 110) as fake:
        for record in fake.tables[HUBSPOT.path]:
            record["properties"]["customer_number"] = "C"
        with pytest.raises(SourceFailed, match="in more records than a page holds"):
            read(HUBSPOT, fake, Only({"customers": ["C"]}, {}))


def test_without_it_everything_is_read():
    assert Side("crm", Path(), []).only is None
    assert replace(Side("crm", Path(), []), only=Only({}, {})).only == Only({}, {})
