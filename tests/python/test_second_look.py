"""The second look: both systems' records of a plan, read again and laid side by side by the pairs' own models."""

import csv
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import duckdb
import plans
import pyarrow
import pytest
from conftest import copy_project, house
from rich.console import Console

from pipelines import settings
from pipelines.failures import SourceFailed
from pipelines.fix.apply import look
from pipelines.fix.second_look import only
from pipelines.fix.standing import Looked
from pipelines.progress import Plain
from pipelines.run import locked

AS_PLANNED = {"from_value": "active", "to_value": "churned", "left_value": "active", "right_value": "canceled"}
A_PLAN = {"from_value": "team", "to_value": "pro", "left_value": "pro", "right_value": "team", "reconciliation": "contracts"}


def change(exports: dict, system: str, table: str, number: int, **values) -> None:
    for row in exports[system][table]:
        if row["customer_number"] == f"C-{number:04}":
            row.update(values)


def drop(exports: dict, system: str, number: int) -> None:
    for table, rows in exports[system].items():
        exports[system][table] = [row for row in rows if row["customer_number"] != f"C-{number:04}"]


def now() -> dict:
    """Both systems at the second look. Planned for each was to end it in the CRM, as billing had ended it, unless a test says otherwise."""
    exports = house(range(1, 21))
    for number in range(1, 10):
        change(exports, "billing", "subscriptions", number, status="canceled")
    change(exports, "crm", "customers", 2, status="paused")
    change(exports, "billing", "subscriptions", 3, status="past_due")
    drop(exports, "crm", 4)
    drop(exports, "billing", 5)
    exports["crm"]["customers"] += [row for row in exports["crm"]["customers"] if row["customer_number"] == "C-0006"]
    change(exports, "crm", "deals", 17, plan="pro")
    change(exports, "crm", "customers", 7, status="churned")
    change(exports, "billing", "subscriptions", 8, status="paused")
    change(exports, "crm", "customers", 8, status="paused")
    for number in (10, 12):
        drop(exports, "crm", number)
    for number in (14, 16):
        drop(exports, "billing", number)
    change(exports, "crm", "customers", 19, status="lead")
    change(exports, "crm", "customers", 20, customer_number=" l-20 ")
    change(exports, "billing", "subscriptions", 20, status="canceled")
    change(exports, "billing", "subscriptions", 19, status="canceled")
    return exports


def update(number: int, **values) -> dict:
    return plans.write("crm", "update", f"C-{number:04}", "status", **(AS_PLANNED | values))


PLAN = {
    "as planned": update(1),
    "changed in the target": update(2),
    "changed in the other": update(3),
    "gone from the target": update(4),
    "gone from the other": update(5),
    "twice": update(6),
    "ended by now": update(7),
    "agree on something else": update(8),
    "to create": plans.write("crm", "create", "C-0010"),
    "to create, and there by now": plans.write("crm", "create", "C-0011"),
    "to create, and gone": plans.write("crm", "create", "C-0099"),
    "to delete": plans.write("crm", "delete", "C-0014"),
    "to delete, and gone": plans.write("crm", "delete", "C-0012"),
    "to delete, and in both by now": plans.write("crm", "delete", "C-0015"),
    "to end alone": plans.write("crm", "end", "C-0016", to_value="churned"),
    "over on both sides": update(19, left_value="lead"),
    "a contract": plans.write("billing", "update", "K-0017", "plan", **A_PLAN),
    "known by another key": update(20),
    "no such field": plans.write("crm", "update", "C-0018", "colour"),
}  # fmt: skip


def written(folder: Path, exports: dict) -> None:
    for system, tables in exports.items():
        (folder / system).mkdir(parents=True)
        for table, rows in tables.items():
            with (folder / system / f"{table}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, settings.needed_columns(system)[table])
                writer.writeheader()
                writer.writerows(rows)


def looked_at(folder: Path, monkeypatch) -> dict[str, Looked]:
    state = folder / "state"
    for system in ("crm", "billing"):
        monkeypatch.setenv(f"SOURCES__{system.upper()}__CONNECTOR", "files")
        monkeypatch.setenv(f"SOURCES__{system.upper()}__PATH", str(folder / system))
    monkeypatch.setenv("TALLYSTICK_STATE", str(state))
    state.mkdir(exist_ok=True)
    plans.plan(state / "warehouse.duckdb", PLAN.values())
    rows = [row | {"run_id": "000001-test"} for row in PLAN.values()]
    with locked(state) as (_, lock):
        found = look(state, lock, rows, Plain(Console(quiet=True)))
    return {name: found[row["idempotency_key"]] for name, row in PLAN.items()}


@pytest.fixture(scope="module")
def looked(tmp_path_factory, project_template):
    """By a project in which a person said that one customer has another number in the CRM."""
    folder = tmp_path_factory.mktemp("looked")
    written(folder, now())
    project = copy_project(project_template, folder / "project")
    with (project / "seeds/key_map.csv").open("a") as seed:
        seed.write("customers,L-20,C-0020,merged\n")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(settings, "ROOT", project)
        yield looked_at(folder, monkeypatch)


@pytest.mark.parametrize("name", ["as planned", "to create", "to delete", "to end alone", "a contract", "known by another key"])
def test_what_is_as_it_was_stands(looked, name):
    assert looked[name].dropped_because is None
    assert not looked[name].is_as_written


@pytest.mark.parametrize(
    ("name", "why"),
    {
        "changed in the target": "crm says paused by now, not active",
        "changed in the other": "billing says past_due by now, not canceled",
        "gone from the target": "it is gone from crm",
        "gone from the other": "it is gone from billing",
        "twice": "the key stands more than once in crm",
        "ended by now": "it has ended in both by now",
        "agree on something else": "crm says paused by now, not active",
        "to create, and there by now": "it is in crm by now",
        "to create, and gone": "it is gone from billing",
        "to delete, and gone": "it is gone from crm",
        "to delete, and in both by now": "it is in billing by now",
        "over on both sides": "it has ended in both by now",
        "no such field": "it was not read again",
    }.items(),
)
def test_what_no_longer_stands_says_why(looked, name, why):
    assert looked[name].dropped_because == why


def test_what_stands_as_it_was_to_become_is_told_from_what_does_not(looked):
    assert {name for name, found in looked.items() if found.is_as_written} == {
        "ended by now", "to create, and there by now", "to delete, and gone", "over on both sides",
    }  # fmt: skip


def test_a_record_to_create_is_as_the_other_system_has_it_in_the_targets_words(looked):
    record = looked["to create"].record
    assert set(record) == {"customer_number", "company", "email", "status", "country", "created_at"}
    assert (record["status"], record["country"], record["email"]) == ("active", "NL", "C-0010@example.org")
    assert looked["as planned"].record == {}


def test_a_record_is_known_by_the_targets_own_key_and_ids(looked):
    assert looked["as planned"].stated_key == "C-0001"
    assert looked["as planned"].key == "customer_number"
    assert (looked["a contract"].key, looked["a contract"].stated_key) == ("contract_number", "K-0017")
    assert looked["a contract"].ids == {"subscriptions": ["sub_17"]}
    assert looked["to create"].stated_key is None
    assert looked["known by another key"].stated_key == " l-20 "


def test_both_systems_are_asked_for_these_records_alone(looked, tmp_path):
    planned = [PLAN["as planned"] | {"run_id": "x"}, PLAN["a contract"] | {"run_id": "x"}]
    plans.keep(tmp_path / "before/x.duckdb")
    asked = only(tmp_path, planned, pyarrow.Table.from_pylist(planned))
    assert asked["crm"].keys == {"customers": ["C-0001"], "deals": ["K-0017"]}
    assert asked["billing"].keys == {"customers": ["C-0001"], "subscriptions": ["K-0017"]}


def test_where_a_side_can_not_be_read_nothing_is_written(tmp_path, monkeypatch):
    written(tmp_path, now())
    (tmp_path / "billing/customers.csv").unlink()
    with pytest.raises(SourceFailed, match=r"Nothing was written.*make fix APPLY=1") as failed:
        looked_at(tmp_path, monkeypatch)
    assert failed.value.exit_code == 3


def test_a_side_that_was_not_read_to_its_end_says_nothing(tmp_path, monkeypatch):
    """A part is missing: whether a record is there, nobody can tell."""
    written(tmp_path, now())
    (tmp_path / "crm/customers.csv").rename(tmp_path / "crm/customers-2.csv")
    with pytest.raises(SourceFailed, match="customers was not read to its end: part 1 of customers is missing"):
        looked_at(tmp_path, monkeypatch)


def test_the_command_reads_again_writes_and_tells(yesterday):
    key, left, right = yesterday.query(
        """
        select record_key, left_value, right_value from marts.discrepancies
        where reconciliation = 'customers' and field = 'status' and status = 'open' order by record_key limit 1
        """
    )[0]
    stale = plans.write("crm", "update", key, "email", from_value="a@b", to_value="c@d", left_value="a@b", right_value="c@d")
    fresh = plans.write("crm", "update", key, "status", from_value=left, to_value="active", left_value=left, right_value=right)
    plans.plan(yesterday.warehouse, [fresh, stale])
    ran = yesterday.run("fix", "--apply", TARGETS__CRM__CONNECTOR="files")
    assert ran.code == 0, ran.err
    assert "1 written, 1 dropped" in ran.out
    (file,) = (yesterday.state / "fixes").iterdir()
    with file.open(newline="") as rows:
        (row,) = csv.DictReader(rows)
    assert (row["record_key"], row["field"], row["from_value"], row["to_value"]) == (key, "status", left, "active")
    with duckdb.connect(yesterday.warehouse, read_only=True) as connection:
        assert connection.execute("select outcome, count(*) from marts.fix_log group by all order by all").fetchall() == [
            ("dropped", 1), ("written", 1),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "column"),
    [("decisions", "field"), ("response_policies", "field"), ("status_map", "word"), ("key_map", "left_key")],
)
def test_what_people_said_after_the_plan_was_made_stops_it(yesterday, seed, column):
    (key,) = yesterday.query("select any_value(record_key) from marts.discrepancies where field = 'status' and status = 'open'")[0]
    plans.plan(yesterday.warehouse, [plans.write("crm", "update", key, "status", to_value="active")])
    (made_of,) = (yesterday.state / "before").iterdir()
    with duckdb.connect(made_of) as connection:
        connection.execute(f"insert into seeds.{seed} ({column}) values ('status')")
    printed = yesterday.run("fix")
    assert f"seeds/{seed}.csv has changed since. Nothing was written; make reconcile plans anew." in " ".join(printed.out.split())
    ran = yesterday.run("fix", "--apply", TARGETS__CRM__CONNECTOR="files")
    assert ran.code == 4, ran.err
    assert ran.says(f"seeds/{seed}.csv has changed since", "make reconcile plans anew")
    made_of.unlink()
    printed, ran = yesterday.run("fix"), yesterday.run("fix", "--apply", TARGETS__CRM__CONNECTOR="files")
    assert f"{made_of.name} with the decisions and policies that it was made of is no longer in state/before" in " ".join(
        printed.out.split()
    )
    assert ran.code == 4 and ran.says("is no longer in state/before", "make reconcile plans anew")
    assert not (yesterday.state / "fixes").exists()


@pytest.fixture
def in_sqlite(yesterday, tmp_path) -> dict[str, str]:
    """The CRM as a database that is read and written, and counts what is written; the command's environment."""
    database = tmp_path / "crm.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in settings.needed_columns("crm").items():
            connection.execute(f"create table {table} ({', '.join(f'{column} text' for column in columns)})")
            with (yesterday.crm / f"{table}.csv").open(newline="") as exported:
                rows = [tuple(row[column] for column in columns) for row in csv.DictReader(exported)]
            connection.executemany(f"insert into {table} values ({', '.join('?' * len(columns))})", rows)
        connection.execute("create table writes (customer_number text)")
        connection.execute("create trigger counted after update on customers begin insert into writes values (new.customer_number); end")
    system = {"CONNECTOR": "sql", "CREDENTIALS": f"sqlite:///{database}"}
    return {f"{section}__CRM__{name}": value for section in ("SOURCES", "TARGETS") for name, value in system.items()}


@pytest.mark.sweep
@pytest.mark.parametrize(("writes", "seconds"), [(0, 1), (0, 3), (1, 0), (2, 0.01), (4, 0.05), (8, 0), (8, 0.2)])
def test_the_command_killed_at_any_time_writes_each_once(yesterday, in_sqlite, writes, seconds):
    """So long after so many writes: wherever that falls."""
    stale = yesterday.query(
        """
        select record_key, left_value, right_value from marts.discrepancies
        where reconciliation = 'customers' and field = 'status' and status = 'open' and left_value = 'churned' order by record_key limit 8
        """
    )
    keys = [key for key, *_ in stale]
    rows = [plans.write("crm", "update", key, "status", from_value=left, to_value="active", left_value=left, right_value=right)
            for key, left, right in stale]  # fmt: skip
    plans.plan(yesterday.warehouse, rows)
    process = yesterday.start("fix", "--apply", **in_sqlite)
    database = in_sqlite["TARGETS__CRM__CREDENTIALS"].removeprefix("sqlite:///")
    while process.poll() is None and len(written_to(database)) < writes:
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    ran = yesterday.run("fix", "--apply", **in_sqlite)
    assert ran.code == 0, ran.err
    assert sorted(written_to(database)) == sorted(keys)
    assert yesterday.query("select record_key, attempt, outcome from marts.fix_log order by record_key") == [
        (key, 1, "written") for key in sorted(keys)
    ]


def written_to(database: str) -> list[str]:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return [key for (key,) in connection.execute("select customer_number from writes")]
