"""Writing to databases: PostgreSQL and MariaDB servers of the tests' own, and SQLite."""

import sqlite3
from dataclasses import replace

import pytest
import servers
from servers import OWNER, OWNERS_PASSWORD, Server

from pipelines.failures import BadConfiguration, TargetFailed
from pipelines.targets.sql import Sql
from pipelines.targets.target import Refused, TargetSettings, Unavailable, Write

CUSTOMERS = [
    ("C-1", "active", "ann@example.org", "NL"),
    ("c-2 ", "churned", None, "DE"),
    ("C-3", "active", "x", "FR"),
    ("C-3", "paused", "y", "FR"),
]
UPDATE = Write("a" * 32, "customers", "update", "C-1", "status", "active", "churned", key="customer_number", stated_key="C-1")
AMOUNT = Write("b" * 32, "contracts", "update", "K-1", "amount", "10.00", "12.5", key="contract_number", stated_key="K-1")
CREATE = Write(
    "c" * 32, "customers", "create", "C-9", "", None, None, key="customer_number",
    record={"customer_number": "c-9", "status": "active", "email": "new@example.org", "country": None, "status_stated": "trialing"},
)  # fmt: skip


@pytest.fixture(scope="module")
def postgresql():
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb():
    with servers.mariadb() as server:
        yield server


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request) -> Server:
    server = request.getfixturevalue(request.param)
    server.run(
        "drop table if exists accounts",
        "drop table if exists deals",
        "create table accounts (customer_number varchar(20), state varchar(12), email varchar(50), country char(2) not null default 'XX')",
        "create table deals (contract_number varchar(20) primary key, amount numeric(12, 2), starts_on date, note varchar(20))",
        "insert into deals values ('K-1', 10.00, '2025-01-01', 'as it was')",
    )
    server.fill("accounts", ["customer_number", "state", "email", "country"], CUSTOMERS)
    return server


@pytest.fixture
def target(server, monkeypatch) -> Sql:
    return target_at(f"{server.kind}://{OWNER}:{OWNERS_PASSWORD}@127.0.0.1:{server.port}/shop", monkeypatch)


def target_at(url: str, monkeypatch) -> Sql:
    for name, value in {
        "CREDENTIALS": url,
        "TABLES__CUSTOMERS": "accounts",
        "CUSTOMERS__STATUS": "state",
        "CUSTOMERS__COMPANY": "",
    }.items():
        monkeypatch.setenv(f"TARGETS__CRM__{name}", value)
    return Sql(TargetSettings("crm"))


def test_an_update_changes_one_value_of_one_row(server, target):
    assert target.refuses(UPDATE) is None
    assert target.write(UPDATE) == "1 row updated"
    assert server.run("select state, email from accounts where customer_number = 'C-1'") == [("churned", "ann@example.org")]
    assert server.run("select count(*) from accounts where state = 'churned'") == [(2,)]


def test_a_value_keeps_its_type_and_is_told_as_text(server, target):
    assert target.write(AMOUNT) == "1 row updated"
    day = replace(AMOUNT, field="starts_on", from_value="2025-01-01", to_value="2025-02-28")
    assert target.write(day) == "1 row updated"
    assert server.run("select amount, starts_on, note from deals")[0][2] == "as it was"
    assert [str(value) for value in server.run("select amount, starts_on from deals")[0]] == ["12.50", "2025-02-28"]


def test_sent_twice_it_is_written_once(server, target):
    for write in (UPDATE, CREATE, replace(UPDATE, operation="delete", record_key="C-2", stated_key="c-2 ", to_value=None)):
        target.write(write)
        before = server.run("select * from accounts order by customer_number, state")
        assert target.write(write) in ("it was so", "it was there", "it was gone")
        assert server.run("select * from accounts order by customer_number, state") == before


def test_what_changed_meanwhile_is_left_as_it_is(server, target):
    server.run("update accounts set state = 'paused' where customer_number = 'C-1'")
    with pytest.raises(Refused, match=r"changed meanwhile: state is 'paused'"):
        target.write(UPDATE)
    assert server.run("select state from accounts where customer_number = 'C-1'") == [("paused",)]


def test_what_changes_between_reading_and_writing_is_left_as_it_is(server, target, monkeypatch):
    """Another session comes in after the value was compared: the statement itself must still see it."""
    read, change = target.change, "update accounts set state = 'paused' where customer_number = 'C-1'"
    monkeypatch.setattr(target, "change", lambda *arguments: (server.run(change), read(*arguments))[1])
    with pytest.raises(Refused, match="0 rows hit"):
        target.write(UPDATE)
    assert server.run("select state from accounts where customer_number = 'C-1'") == [("paused",)]


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (replace(UPDATE, record_key="C-3", stated_key="C-3"), "more than once"),
        (replace(UPDATE, record_key="C-8", stated_key="C-8"), "no such key"),
        (replace(UPDATE, to_value="much longer than twelve"), "rows hit|too long"),
        (replace(CREATE, stated_key="C-1", record={"status": "paused"}), "has that key"),
        (replace(CREATE, record={"status": "active", "country": "much longer"}), "other values|too long"),
        (replace(AMOUNT, to_value="12.555"), "rows hit"),
        (replace(AMOUNT, to_value="twelve"), "twelve|Incorrect|rows hit"),
        (replace(AMOUNT, field="plan", from_value=None, to_value="x"), "no column 'plan'"),
    ],
)
def test_what_is_refused_leaves_every_row_as_it_was(server, target, write, why):
    before = server.run("select * from accounts order by 1, 2"), server.run("select * from deals")
    with pytest.raises(Refused, match=why):
        target.write(write)
    assert (server.run("select * from accounts order by 1, 2"), server.run("select * from deals")) == before


def test_a_row_is_made_of_the_columns_that_are_known(server, target):
    assert target.write(CREATE) == "1 row inserted"
    assert server.run("select * from accounts where customer_number = 'C-9'") == [("C-9", "active", "new@example.org", "XX")]


def test_a_value_is_never_a_statement(server, target):
    evil = "x'; drop table deals; --"
    target.write(replace(UPDATE, field="email", from_value="ann@example.org", to_value=evil))
    assert server.run("select email from accounts where customer_number = 'C-1'") == [(evil,)]
    assert server.run("select count(*) from deals") == [(1,)]


def test_a_field_without_a_column_is_refused_before_anything_is_sent(monkeypatch, tmp_path):
    sqlite3.connect(tmp_path / "billing.db").close()
    monkeypatch.setenv("TARGETS__BILLING__CREDENTIALS", f"sqlite:///{tmp_path / 'billing.db'}")
    billing = Sql(TargetSettings("billing"))
    assert "[targets.billing.customers] names no column for status" in billing.refuses(replace(UPDATE, operation="end"))
    assert "[targets.billing.subscriptions] names no column for amount" in billing.refuses(AMOUNT)
    monkeypatch.setenv("TARGETS__BILLING__SUBSCRIPTIONS__AMOUNT", "monthly_amount")
    assert billing.refuses(AMOUNT) is None


def test_a_sqlite_file_is_written_and_one_that_is_not_there_is_not_made(monkeypatch, tmp_path):
    with sqlite3.connect(tmp_path / "crm.db") as connection:
        connection.execute("create table accounts (customer_number text, state text, email text, country text)")
        connection.executemany("insert into accounts values (?, ?, ?, ?)", CUSTOMERS)
    connection.close()
    assert target_at(f"sqlite:///{tmp_path / 'crm.db'}", monkeypatch).write(UPDATE) == "1 row updated"
    with pytest.raises(TargetFailed):
        target_at(f"sqlite:///{tmp_path / 'none.db'}", monkeypatch)
    assert not (tmp_path / "none.db").exists()


def test_a_database_that_is_down_has_written_nothing_and_no_password_is_told(monkeypatch):
    target = target_at(f"postgresql://{OWNER}:canary-4711@127.0.0.1:{servers.free_port()}/shop", monkeypatch)
    with pytest.raises(Unavailable) as told:
        target.write(UPDATE)
    assert "canary" not in str(told.value)
    with pytest.raises(BadConfiguration) as told:
        target_at("canary-4711", monkeypatch)
    assert "targets.crm.credentials" in str(told.value)
    assert "canary" not in str(told.value)
