"""Stripe's connector against localstripe, a server that others wrote after Stripe's documentation.

localstripe is not Stripe. The connector follows Stripe; what of localstripe differs is made up for in its records:
- a subscription's item has a `plan` and no `price`, and a subscription no `currency`: both are added to the records;
- it creates subscriptions of one item only, without a payment incomplete, and leaves canceled_at empty where it cancels: items, status
  and time are put into its store;
- it lists the oldest record first, Stripe the newest; it gives more than 100 a page where asked; it takes no notice of the version;
- a record that is to be gone on after and isn't there is an error to Stripe; localstripe begins at its first record again;
- its /v1/subscription_items does not know `subscription`: what a subscription does not carry is tested on the fake alone.
"""

import csv
import json
from pathlib import Path

import duckdb
import pytest
import servers
from conftest import World, new_world
from localstripe_peer import KEY, Peer, localstripe
from test_sql_source import AS_OF, differences, exported_now, fill_with_the_sample, from_database

from pipelines.evidence import Pulled
from pipelines.failures import SourceFailed
from pipelines.pull import connector, root_cause
from pipelines.sources.side import Only, Side
from pipelines.targets.target import Write, target_of

FEW_TRIES = {"RUNTIME__REQUEST_MAX_ATTEMPTS": "2", "RUNTIME__REQUEST_BACKOFF_FACTOR": "0"}


def pull(peer: Peer, monkeypatch, only: Only | None = None, **changes: str) -> tuple[dict[str, list[dict]], list[Pulled]]:
    for name, value in (peer.environment | FEW_TRIES | changes).items():
        monkeypatch.setenv(name, value)
    side = Side("billing", Path(), [], only=only)
    try:
        tables = {name: list(resource) for name, resource in connector(side)(side).resources.items()}
    except Exception as error:
        raise root_cause(error, "billing") from error
    return {name: [row for table in pages for row in table.to_pylist()] for name, pages in tables.items()}, side.pulled


@pytest.fixture(scope="module")
def peer(tmp_path_factory) -> Peer:
    """Everything in it was created through its API: 320 customers, and as many subscriptions, every tenth of which is cancelled."""
    with localstripe(tmp_path_factory.mktemp("localstripe")) as peer:
        peer.create("plans", id="team", amount=0, currency="eur", interval="month", product={"name": "Team"})
        for number in range(320):
            customer = peer.create("customers", name=f"Customer {number}", metadata={"customer_number": f"C-{number}"})
            terms = {"items": [{"plan": "team"}], "metadata": {"contract_number": f"K-{number}"}}
            subscription = peer.create("subscriptions", customer=customer["id"], **terms)
            if number % 10 == 0:
                peer.delete(f"subscriptions/{subscription['id']}")
        yield peer


def test_all_that_was_created_is_read_page_by_page_what_was_cancelled_too(peer, monkeypatch):
    tables, pulled = pull(peer, monkeypatch)
    assert sorted(row["customer_number"] for row in tables["customers"]) == sorted(f"C-{number}" for number in range(320))
    assert {row["contract_number"]: row["status"] for row in tables["subscriptions"]} == {
        f"K-{number}": "canceled" if number % 10 == 0 else "active" for number in range(320)
    }
    assert {row["customer"] for row in tables["subscriptions"]} == {row["id"] for row in tables["customers"]}
    told = [(table.pages, table.page_size_served, table.fetched, table.declared_total, table.end_evidence) for table in pulled]
    assert told == [(4, 100, 320, None, "has_more was false")] * 2


def test_a_key_that_it_does_not_take_gives_3(peer, monkeypatch):
    with pytest.raises(SourceFailed, match=r"customers, page 1, attempt 1: status 401; check that the token is valid"):
        pull(peer, monkeypatch, SOURCES__BILLING__API_KEY="rk_another")


def test_what_the_target_writes_it_takes_and_what_is_read_again_shows_it(tmp_path, monkeypatch):
    """It knows no idempotency keys, has no search and gives no code with a 404: these are tested on the fake alone."""
    with localstripe(tmp_path) as peer:
        peer.create("plans", id="team", amount=0, currency="eur", interval="month", product={"name": "Team"})
        kept, gone = (peer.create("customers", name=name, metadata={"customer_number": f"C-{name}"}) for name in ("kept", "gone"))
        ended = peer.create("subscriptions", customer=kept["id"], items=[{"plan": "team"}], metadata={"contract_number": "K-1"})
        for name, value in (peer.environment | FEW_TRIES).items():
            monkeypatch.setenv(name, value)
            monkeypatch.setenv(name.replace("SOURCES", "TARGETS"), value)
        target, new = target_of("billing"), {"customer_number": "C-new", "company": "New Ltd", "country": "DE"}
        for operation, pair, field, value, ids in (
            ("update", "customers", "email", "new@example.org", {"customers": [kept["id"]]}),
            ("update", "customers", "country", "FR", {"customers": [kept["id"]]}),
            ("end", "contracts", "status", "canceled", {"subscriptions": [ended["id"]]}),
            ("delete", "customers", "", None, {"customers": [gone["id"]]}),
            ("create", "customers", "", None, {}),
        ):
            write = Write(f"{operation} {field}", pair, operation, "C", field, None, value, ids, {} if ids else new)
            assert (target.refuses(write), target.write(write)) == (None, "status 200")
        again, _ = pull(peer, monkeypatch, Only({}, {"customers": [kept["id"]]}))
        everything, _ = pull(peer, monkeypatch)
    [customer], [subscription] = again["customers"], again["subscriptions"]
    assert (customer["email"], json.loads(customer["address"])["country"]) == ("new@example.org", "FR")
    assert (subscription["id"], subscription["status"]) == (ended["id"], "canceled")
    assert sorted(row["customer_number"] for row in everything["customers"]) == ["C-kept", "C-new"]


# The whole way, by the command.


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> World:
    """The sample as Stripe has it: without the times of changes, currencies in lower case, every third contract of two items."""
    world = exported_now(new_world(tmp_path_factory.mktemp("exported") / "world"))
    for path in (*world.crm.glob("*.csv"), *world.billing.glob("*.csv")):
        rows = read(path)
        for row in rows:
            if "plan" in row and row["contract_number"].strip().endswith(("0", "3", "6", "9")):
                row["plan"] += " + support"
            if path.parent == world.billing:
                row |= {"updated_at": ""} | ({"currency": row["currency"].lower()} if "currency" in row else {})
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return world


@pytest.fixture(scope="module")
def records(exported) -> dict[str, list[dict]]:
    return {path.stem: read(path) for path in exported.billing.glob("*.csv")}


def read(path: Path) -> list[dict]:
    with path.open(newline="") as rows:
        return list(csv.DictReader(rows))


@pytest.fixture(scope="module")
def by_files(exported, records) -> list[tuple]:
    ran = exported.reconcile(TALLYSTICK_AS_OF=AS_OF)
    assert ran.code == 0, ran.err
    return differences(exported)


def test_postgresql_and_localstripe_give_the_same_differences_as_their_exports(exported, records, by_files, tmp_path):
    world = World(tmp_path / "world")
    with servers.postgresql() as server, localstripe(tmp_path, records) as peer:
        fill_with_the_sample(server, exported.crm)
        ran = world.reconcile(**from_database(server.url), **peer.environment)
    assert ran.code == 0, ran.err
    assert by_files and differences(world) == by_files
    with duckdb.connect(world.state / "snapshot.duckdb", read_only=True) as snapshot:
        pulled = snapshot.execute(
            "select system, table_name, connector, pages, landed from pulls.tables where system = 'billing' order by all"
        )
        assert pulled.fetchall() == [("billing", "customers", "stripe", 13, 1293), ("billing", "subscriptions", "stripe", 15, 1413)]
        of_two_items = "select count(*) from billing.subscriptions where json_array_length(items, '$.data') = 2"
        assert snapshot.execute(of_two_items).fetchone() > (400,)
    assert KEY not in ran.out + ran.err
    assert [path for path in world.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


def test_localstripe_cut_off_after_page_one_gives_3_and_leaves_what_is_published(exported, records, by_files, tmp_path):
    world = exported.copy(tmp_path / "world")
    before = world.fingerprint()
    with localstripe(tmp_path, records, dies_at_page_two=True) as peer:
        ran = world.reconcile(TALLYSTICK_AS_OF=AS_OF, **peer.environment, **FEW_TRIES)
    assert (ran.code, world.fingerprint()) == (3, before)
    assert ran.says("page 2, attempt 2: no whole answer came")
