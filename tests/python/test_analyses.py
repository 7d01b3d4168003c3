"""analyses/*.sql: every file runs, on DuckDB and on PostgreSQL alike, and answers what it asks of worlds whose truth is known."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from operator import itemgetter

import duckdb
import psycopg
import pytest
import servers
from conftest import ROOT, house
from engine import Engine
from psycopg.rows import namedtuple_row
from test_docs import exports

FILES = {path.stem: path.read_text() for path in sorted((ROOT / "analyses").glob("*.sql"))}
GRAFANA = json.loads((ROOT / "docs/bi/grafana/dashboard.json").read_text())
PANELS = {panel["title"]: panel["targets"][0]["rawSql"] for panel in GRAFANA["panels"]}
DUCKDB_ONLY = {"kinds_by_how_people_decided"}
AT_THIS_MOMENT = "hours_old"
KIND = ("reconciliation", "cause", "stale")
LET_STAND = {
    "reconciliation": "customers", "bucket": "conflict", "field": "country", "decision": "accept", "decided_by": "Ana",
    "decided_at": "2026-03-02T09:00:00Z", "until": "2026-12-31", "note": "moves in January",
}  # fmt: skip
ENDED = "running in billing but ended in crm (billed after the end)"
NOT_BILLED = "active in crm but ended in billing (used but not billed)"
UNKNOWN = "running in billing but not in crm (billed, and unknown there)"


def at(day: int) -> datetime:
    return datetime(2026, 3, day, 3, tzinfo=UTC)


def as_of(day: int) -> dict:
    """Sixty customers as both systems have them in the night of that day in March: what is wrong here is the truth of the fortnight."""
    tables = house(range(60))
    customers, deals, bills = tables["crm"]["customers"], tables["crm"]["deals"], tables["billing"]["subscriptions"]
    customers[1]["status"], deals[1]["stage"] = "churned", "terminated"
    bills[2] |= {"amount_minor": "1250", "interval": "year"}
    bills[10]["amount_minor"] = "1250" if day < 8 else "1000"
    bills[11] |= {"amount_minor": "1100", "status": "canceled"}
    deals[3]["currency"] = bills[3]["currency"] = "USD"
    if day >= 3:
        bills[3]["amount_minor"] = "800"
    of_another_address = {5: day == 9, 6: day in (2, 3) or day >= 9, 7: day < 8, 8: day == 10}
    for number, is_so in of_another_address.items():
        if is_so:
            customers[number]["email"] = "another@example.org"
    customers[9]["country"] = "BE"
    if day == 10:
        for deal in deals[20:28]:
            deal["starts_on"] = "2025-02-01"
    if day >= 2:
        del customers[4], deals[4]
    return tables


def first_night(engine: Engine) -> None:
    engine.night(at(3), **exports(ROOT / "sample/night-1"))


def sample(engine: Engine) -> None:
    first_night(engine)
    engine.night(at(4), **exports(ROOT / "sample/night-2"))


def fortnight(engine: Engine) -> None:
    engine.seed("decisions", [LET_STAND, LET_STAND | {"field": "company", "decided_by": "Ben"}])
    for day in range(1, 11):
        engine.night(at(day), **as_of(day))


def twins(engine: Engine) -> None:
    tables = as_of(1)
    tables["crm"]["customers"].append(tables["crm"]["customers"][50] | {"email": "twin@example.org"})
    engine.night(at(1), **tables)


def untrusted(engine: Engine) -> None:
    engine.night(at(1), **as_of(1))
    engine.night(at(2), crm={}, billing=as_of(2)["billing"])


def empty(engine: Engine) -> None:
    for (table,) in engine.connection.execute(TABLES, ["warehouse"]).fetchall():
        engine.connection.execute(f"truncate warehouse.marts.{table}")


WORLDS = {world.__name__: world for world in (first_night, sample, fortnight, twins, untrusted, empty)}
TABLES = "select table_name from duckdb_tables() where schema_name = 'marts' and database_name = ?"
COLUMNS = """
select table_name, column_name, data_type from duckdb_columns()
where schema_name = 'marts' and database_name = ? order by table_name, column_index
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Each world's marts in a database of its name."""
    with Engine() as engine:
        for world, play in WORLDS.items():
            play(engine)
            engine.connection.execute(f"attach ':memory:' as {world}; create schema {world}.marts")
            for (table,) in engine.connection.execute(TABLES, ["warehouse"]).fetchall():
                engine.connection.execute(f"create table {world}.marts.{table} as from warehouse.marts.{table}")
            engine.forget()
        yield engine


@pytest.fixture(scope="module")
def answer(engine) -> Callable[..., list[tuple]]:
    """A file's rows, or of each the columns that are named."""

    def answered(name: str, *columns: str, world: str = "fortnight") -> list[tuple]:
        engine.connection.execute(f"use {world}")
        return [tuple(row[column] for column in columns or row) for row in engine.rows(FILES[name])]

    return answered


@pytest.fixture(scope="module")
def postgresql(engine) -> Iterator[psycopg.Connection]:
    """Each world's marts in a schema of its name."""
    with servers.postgresql() as server, server.admin() as connection:
        for world in WORLDS:
            copy(engine.connection, world, connection, world)
        yield connection


def copy(warehouse: duckdb.DuckDBPyConnection, database: str, connection: psycopg.Connection, schema: str) -> None:
    connection.execute(f"create schema {schema}")
    for table, columns in groupby(warehouse.execute(COLUMNS, [database]).fetchall(), itemgetter(0)):
        kinds = {f'"{name}"': kind.replace("DOUBLE", "double precision") for _, name, kind in columns}
        connection.execute(f"create table {schema}.{table} ({', '.join(map(' '.join, kinds.items()))})")
        with connection.cursor().copy(f"copy {schema}.{table} from stdin") as rows:
            for row in warehouse.execute(f"select {', '.join(kinds)} from {database}.marts.{table}").fetchall():
                rows.write_row(row)


@pytest.mark.parametrize("name", FILES)
def test_a_file_opens_with_its_question_and_the_page_lists_it(name):
    question, when, _ = FILES[name].split("\n", 2)
    assert question.startswith("-- ") and when.startswith("-- ")
    assert f"| {question[3:].split('?')[0]}? | `{name}.sql` |" in (ROOT / "docs/bi.md").read_text()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_runs_as_it_stands(answer, name, world):
    assert not (answer(name, world=world) and world == "empty")


@pytest.mark.parametrize("name", sorted(FILES.keys() - DUCKDB_ONLY))
def test_postgresql_answers_the_same(answer, postgresql, name):
    for world in WORLDS:
        found = postgresql.execute(FILES[name].replace("marts.", f"{world}."))
        columns = [column.name for column in found.description if column.name != AT_THIS_MOMENT]
        found.row_factory = namedtuple_row
        assert [tuple(getattr(row, column) for column in columns) for row in found] == answer(name, *columns, world=world)


def test_which_44(answer):
    for night in ("first_night", "sample"):
        found = Counter(answer("which_44", "reconciliation", "direction", world=night))
        assert found == {(pair, what): records for pair in ("customers", "contracts") for what, records in ((ENDED, 31), (UNKNOWN, 13))}


def test_why_the_counts_differ(answer):
    of_customers = [row[1:] for row in answer("why_do_the_counts_differ", world="sample") if row[0] == "customers"]
    assert of_customers == [
        ("crm counts", "", 1181),
        (ENDED, "open", 31),
        (UNKNOWN, "open", 13),
        ("not explained by the list", "", 0),
        ("billing counts", "", 1225),
    ]


def test_what_is_in_flight_counts_too(answer):
    """The first night: 1,180 and 1,224 are 44 apart although 47 run in billing alone, as 3 that are new run in the CRM alone."""
    steps = [row[1:] for row in answer("why_do_the_counts_differ", "reconciliation", "status", "records", world="first_night")][:7]
    assert steps[0] == ("", 1180) and steps[-2:] == [("", 0), ("", 1224)]
    assert sorted(steps[1:-2]) == [("in_flight", -3), ("in_flight", 3), ("open", 13), ("open", 31)]


def test_the_counts_are_those_of_the_last_trusted_run(answer):
    steps = answer("why_do_the_counts_differ", "what", "records", world="untrusted")
    assert [records for what, records in steps if what.endswith(" counts")] == [59] * 4


def test_records_of_one_key_are_left_unexplained_and_named(answer):
    steps = answer("why_do_the_counts_differ", "reconciliation", "what", "records", world="twins")
    assert ("customers", "not explained by the list", -1) in steps
    assert answer("what_can_not_be_compared", "system", "records", "for_example", world="twins") == [
        ("crm", 2, "C-0050"),
        ("billing", 1, "C-0050"),
    ]


def test_since_when(answer):
    rows = answer("since_when", "record_key", "field", "out_of_step_since", "known", "days_known")
    assert ("K-0003", "amount", at(3), "at the latest", 7) in rows
    assert ("C-0008", "email", at(10), "at the latest", 0) in rows
    since = [row[2] for row in rows]
    assert since == sorted(since) and len(rows) == 20


def test_who_owns_it(answer):
    assert answer("who_owns_it", "owner", "reconciliation", "open", "overdue", "next_due_at") == [
        ("Finance", "contracts", 15, 6, at(10)),
        ("RevOps", "customers", 5, 3, at(16)),
    ]
    assert answer("who_owns_it", "owner", "open", "quarantined", world="sample") == [("Finance", 53, 6), ("RevOps", 44, 0)]


def test_what_it_costs_by_currency_and_each_record_once(answer):
    rows = answer("what_does_it_cost", "currency", "direction", "records", "value_at_risk")
    assert [row for row in rows if row[0]] == [
        ("EUR", "starts_on differs", 8, Decimal("80.00")),
        ("EUR", NOT_BILLED, 1, Decimal("10.00")),
        ("EUR", "billing bills more than crm says", 1, Decimal("10.00")),
        ("EUR", ENDED, 1, Decimal("10.00")),
        ("EUR", UNKNOWN, 1, Decimal("10.00")),
        ("USD", "billing bills less than crm says", 1, Decimal("10.00")),
    ]


def test_what_is_in_flight_costs_nothing_yet(answer):
    records = answer("what_does_it_cost", "reconciliation", "records", world="first_night")
    assert sum(number for pair, number in records if pair == "contracts") == 53


def test_how_much_is_billed_wrongly(answer):
    assert answer("how_much_is_billed_wrongly", "currency", "direction", "difference", world="sample") == [
        ("EUR", "billing bills less than crm says", Decimal("125.00")),
        ("EUR", "billing bills more than crm says", Decimal("17.40")),
    ]
    assert answer("how_much_is_billed_wrongly", "currency", "difference") == [("EUR", Decimal("2.50")), ("USD", Decimal("2.00"))]


def test_what_started_this_week(answer):
    """Nothing of the first night, nothing of the second to the third; the addresses of 5, 6 and 8 and the wave."""
    rows = answer("what_started_this_week", "reconciliation", "field", "started", "gone_again", "had_been_there")
    assert rows == [("contracts", "starts_on", 8, 0, 0), ("customers", "email", 3, 1, 1)]
    assert answer("what_started_this_week", world="sample") == []


def test_what_went_this_week(answer):
    rows = answer("what_went_this_week", "resolution", "field", "differences", "median_days")
    assert rows == [("both sides agree", "email", 2, 4), ("both sides agree", "amount", 1, 7)]
    assert answer("what_went_this_week", world="sample") == []


def test_what_is_new_today(answer):
    assert {row[0] for row in answer("what_is_new_today", "record_key")} == {"C-0008", *(f"K-{number:04}" for number in range(20, 28))}
    assert answer("what_is_new_today", world="sample") == []


def test_what_came_back(answer):
    assert answer("what_came_back", "record_key", "field", "times_reopened", "opened_at") == [("C-0006", "email", 1, at(9))]


def test_what_to_do_first(answer):
    rows = answer("what_to_do_first", "record_key", "is_overdue", "due_at")
    assert [row[0] for row in rows[:2]] == ["K-0001", "K-0011"]
    assert len(answer("what_to_do_first", world="first_night")) == 44 + 53
    late = [row[1] for row in rows]
    assert late == sorted(late, reverse=True) and late.count(True) == 9


def test_what_we_let_stand(answer):
    rows = answer("what_did_we_let_stand", "status", "record_key", "decided_by", "until", "note")
    assert rows == [("accepted", "C-0009", "Ana", date(2026, 12, 31), "moves in January")]
    assert Counter(answer("what_did_we_let_stand", "status", "field", world="sample")) == {("quarantined", "plan"): 6}


def test_why(answer):
    causes = Counter({(pair, cause, stale): records for pair, cause, stale, records in answer("why", *KIND, "records")})
    assert causes == {
        ("contracts", "changed here, never arrived there", "billing"): 8,
        ("contracts", "changed here, never arrived there", "crm"): 1,
        ("contracts", "agreed before, gone now", "billing"): 1,
        ("contracts", "unknown", "unknown"): 3,
        ("customers", "changed here, never arrived there", "billing"): 2,
        ("customers", "agreed before, gone now", "billing"): 1,
        ("customers", "unknown", "unknown"): 2,
    }


def test_which_system_is_out_of_date(answer):
    stale = answer("which_system_is_out_of_date", "stale", "field", "differences")
    assert stale[0] == ("billing", "starts_on", 8) and ("crm", "amount", 1) in stale and ("unknown", "amount", 2) in stale


def test_is_it_getting_better(answer):
    weeks = [date(2026, 2, 23), date(2026, 3, 2), date(2026, 3, 9)]
    rows = answer("is_it_getting_better", "reconciliation", "week", "came", "went", "open")
    assert [row[1:] for row in rows if row[0] == "customers"] == [(weeks[0], 4, 0, 3), (weeks[1], 2, 2, 3), (weeks[2], 3, 1, 5)]
    sample = answer("is_it_getting_better", "reconciliation", "came", "went", "open", world="sample")
    assert sample == [("customers", 44, 17, 44), ("contracts", 59, 6, 53)]
    assert [row[1:] for row in rows if row[0] == "contracts"] == [(weeks[0], 6, 0, 6), (weeks[1], 2, 1, 7), (weeks[2], 8, 0, 15)]


def test_did_something_break(answer):
    assert answer("did_something_break", "as_of", "reconciliation", "field", "listed") == [(at(10), "contracts", "starts_on", 8)]


def test_can_i_trust_it(answer):
    told = ("verdict", "last_run_of", "list_is_of", "what_failed")
    assert answer("can_i_trust_it", *told) == [("trusted", at(10), at(10), None)] * 2
    for verdict, last_run, of_the_list, failed in answer("can_i_trust_it", *told, world="untrusted"):
        assert (verdict, last_run, of_the_list) == ("not trustworthy", at(2), at(1))
        assert "left: crm holds 0 records" in failed


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_of_grafanas_runs_on_postgresql(postgresql, title):
    for world in WORLDS:
        found = postgresql.execute(PANELS[title].replace("marts.", f"{world}.")).fetchall()
        assert found if world == "fortnight" else not (found and world == "empty")


def test_grafanas_tables_are_the_questions():
    asked = {title.split("?")[0]: sql for title, sql in PANELS.items() if "?" in title}
    assert len(asked) == 4 and set(asked.values()) <= set(FILES.values())


def test_grafanas_line_is_what_was_open(postgresql):
    rows = postgresql.execute(PANELS["Open after each trusted run"].replace("marts.", "sample.")).fetchall()
    assert [tuple(row) for row in rows] == [
        (at(day), pair, open) for day in (3, 4) for pair, open in (("contracts", 53), ("customers", 44))
    ]


def test_the_notebook_runs_from_above_to_below(engine, tmp_path, monkeypatch):
    engine.connection.execute(f"attach '{tmp_path}/warehouse.duckdb' as written; create schema written.marts")
    for (table,) in engine.connection.execute(TABLES, ["sample"]).fetchall():
        engine.connection.execute(f"create table written.marts.{table} as from sample.marts.{table}")
    engine.connection.execute("detach written")
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path))
    monkeypatch.chdir(ROOT / "docs/bi")
    cells = json.loads((ROOT / "docs/bi/notebook.ipynb").read_text())["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102
    assert len(names["which"].fetchall()) == 2 * 44
    names["warehouse"].close()
