"""Databases as a side: PostgreSQL and MariaDB servers of the tests' own, and what is refused."""

import csv
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import servers
from conftest import ROOT, World, new_world
from servers import PASSWORD, Server

from pipelines import pull, settings
from pipelines.failures import BadConfiguration, SourceFailed, Stopped
from pipelines.sources import sql

AS_OF = "2026-03-03T03:00:00Z"
TIMES = {"postgresql": "timestamptz", "mariadb": "datetime"}
TYPES = {"created_at": "{time}", "updated_at": "{time}", "starts_on": "date", "amount": "numeric(12, 2)"}
KEYS = {"customers": "customer_number", "deals": "contract_number"}


@pytest.fixture(scope="module")
def postgresql():
    with servers.postgresql() as server:
        fill_with_the_sample(server)
        yield server


@pytest.fixture(scope="module")
def mariadb():
    with servers.mariadb() as server:
        fill_with_the_sample(server)
        yield server


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request) -> Server:
    return request.getfixturevalue(request.param)


def fill_with_the_sample(server: Server, exports: Path = ROOT / "sample/night-1/crm") -> None:
    """The CRM's first night, typed as a database would have it."""
    for table, columns in settings.needed_columns("crm").items():
        kinds = {column: TYPES.get(column, "varchar(200)").format(time=TIMES[server.kind]) for column in columns}
        server.run(f"create table {table} ({', '.join(f'{server.quoted(column)} {kind}' for column, kind in kinds.items())})")
        with (exports / f"{table}.csv").open(newline="") as exported:
            rows = [tuple(typed(column, row[column]) for column in columns) for row in csv.DictReader(exported)]
        server.fill(table, columns, rows)


def typed(column: str, value: str):
    if not value:
        return None
    if column in ("created_at", "updated_at"):
        return datetime.fromisoformat(value)
    return Decimal(value) if column == "amount" else value


class Side:
    """The CRM alone, pulled from a server without the command around it."""

    def __init__(self, folder: Path, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch

    def read(self, url: str, **tables: str) -> None:
        self.monkeypatch.setenv("SOURCES__CRM__CREDENTIALS", url)
        for table, stated in tables.items():
            self.monkeypatch.setenv(f"SOURCES__CRM__TABLES__{table.upper()}", stated)
        self.work = Path(tempfile.mkdtemp(dir=self.folder))
        pull.pull(self.work)

    def declare(self, **tables: list[str]) -> None:
        self.monkeypatch.setattr(settings, "needed_columns", lambda system: tables)

    def query(self, statement: str) -> list[tuple]:
        with duckdb.connect(self.work / "snapshot.duckdb", read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(statement).fetchall()

    def types(self, table: str) -> dict[str, str]:
        return dict(
            self.query(
                f"select column_name, data_type from information_schema.columns where table_name = '{table}' and table_schema = 'crm'"
            )
        )

    def evidence(self, columns: str) -> list[tuple]:
        return self.query(f"select {columns} from pulls.tables order by table_name")


@pytest.fixture
def side(tmp_path, monkeypatch) -> Side:
    crm_alone = {"reconciliations": {"customers": {"left": {"system": "crm"}, "right": {"system": "crm"}}}}
    monkeypatch.setattr(settings, "project_vars", lambda: crm_alone)
    monkeypatch.setenv("SOURCES__CRM__CONNECTOR", "sql")
    monkeypatch.delenv("TALLYSTICK_AS_OF", raising=False)
    return Side(tmp_path, monkeypatch)


def from_database(url: str, **tables: str) -> dict[str, str]:
    """What the command is told when the CRM is a database."""
    stated = {f"SOURCES__CRM__TABLES__{table.upper()}": query for table, query in tables.items()}
    return {"SOURCES__CRM__CONNECTOR": "sql", "SOURCES__CRM__CREDENTIALS": url, "TALLYSTICK_AS_OF": AS_OF, **stated}


def exported_now(world: World) -> World:
    """Without manifests, so that both sides are as old as their pull."""
    for path in world.folder.glob("*/*.*"):
        path.unlink() if path.name == "manifest.json" else os.utime(path)
    return world


@pytest.fixture(scope="module")
def by_files(tmp_path_factory) -> list[tuple]:
    world = exported_now(new_world(tmp_path_factory.mktemp("by_files")))
    ran = world.reconcile(TALLYSTICK_AS_OF=AS_OF)
    assert ran.code == 0, ran.err
    return differences(world)


def differences(world: World) -> list[tuple]:
    """All there is but the runs' names, which hold a hash of what was pulled."""
    return world.query("select * exclude (run_id, opened_in_run, listed_in_run) from marts.discrepancies order by all")


def test_the_same_records_give_the_same_differences_as_their_export(server, by_files, world):
    ran = exported_now(world).reconcile(**from_database(server.url))
    assert ran.code == 0, ran.err
    assert len(by_files) > 61
    assert differences(world) == by_files
    assert PASSWORD not in ran.out + ran.err
    assert not holding(world.state, PASSWORD)


def test_the_whole_side_is_read_and_the_evidence_says_how(server, side):
    side.read(server.url)
    counts = [len((ROOT / f"sample/night-1/crm/{table}.csv").read_text().splitlines()) - 1 for table in ("customers", "deals")]
    assert side.evidence("connector, declared_total, fetched, landed, declared_by, end_seen") == [
        ("sql", records, records, records, "count(*) in the same snapshot", True) for records in counts
    ]
    assert all("READ ONLY transaction" in said for (said,) in side.evidence("end_evidence"))
    assert side.types("deals")["amount"].startswith("DECIMAL(")
    assert side.types("deals")["starts_on"] == "DATE"
    assert side.query("select amount::varchar, starts_on::varchar from crm.deals where contract_number = 'K-2022-00001'") == [
        ("234.17", "2022-01-15")
    ]


def test_a_first_look_reads_a_few_records_and_counts_all(server, world):
    looked = world.run("check-sources", **from_database(server.url))
    assert (looked.code, looked.err) == (0, "")
    assert "crm customers by sql: 1,366 declared (count(*) in the same snapshot), 100 records read" in looked.out


def test_where_the_other_side_has_failed_no_more_is_read(server, side, monkeypatch):
    monkeypatch.setattr(sql, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(pull, "Event", AlreadySet)
    with pytest.raises(Stopped, match="crm: stopped, as the other side failed"):
        side.read(server.url)


class AlreadySet(threading.Event):
    def is_set(self) -> bool:
        return True


def test_batches_are_one_table(server, side, monkeypatch):
    monkeypatch.setattr(sql, "ROWS_AT_ONCE", 100)
    side.read(server.url)
    assert side.evidence("fetched, landed, pages") == [(1366, 1366, 14), (1446, 1446, 15)]
    assert side.query("select count(distinct deals) from crm.deals") == [(1446,)]


# While a slow query runs, another connection adds a customer and a deal every few milliseconds.
SLOW = {
    "postgresql": "select * from deals where (select pg_sleep(1)) is not null",
    "mariadb": "select deals.* from (select sleep(1) as slept limit 1) as pause, deals",
}


@contextmanager
def somebody_writing(server: Server):
    """Counts in `written` the customers and deals added; takes them away again."""
    ended, written = threading.Event(), []

    def write():
        with closing(server.admin(autocommit=False)) as connection, closing(connection.cursor()) as cursor:
            while not ended.wait(0.02):
                for table, key in KEYS.items():
                    cursor.execute(f"insert into {table} ({key}) values ('new')")
                connection.commit()
                written.append(time.monotonic())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield written
    finally:
        ended.set()
        writer.join()
        server.run(*(f"delete from {table} where {key} = 'new'" for table, key in KEYS.items()))


def read_under_writes(server: Server, side: Side) -> tuple[list[tuple], int, int, int]:
    """Declared and fetched of both tables, the additions among the customers, among the deals, and how many there were."""
    with somebody_writing(server) as written:
        side.read(server.url, deals=SLOW[server.kind])
    added = [side.query(f"select count(*) from crm.{table} where {key} = 'new'")[0][0] for table, key in KEYS.items()]
    return side.evidence("declared_total, fetched"), *added, len(written)


def test_what_is_committed_while_the_pull_runs_makes_no_mixture(server, side):
    evidence, customers, deals, written = read_under_writes(server, side)
    assert all(declared == fetched for declared, fetched in evidence)
    assert customers == deals
    assert written > deals + 20


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_without_the_snapshot_it_would_be_one(kind, request, side, monkeypatch):
    begin = {"postgresql": ("begin",), "mariadb": ("set session transaction isolation level read committed", "begin")}
    monkeypatch.setitem(sql.DATABASES, kind, replace(sql.DATABASES[kind], begin=begin[kind]))
    evidence, customers, deals, _ = read_under_writes(request.getfixturevalue(kind), side)
    assert any(declared != fetched for declared, fetched in evidence)
    assert customers != deals


WORDS = [
    None, "", " ", "NULL", "null", "\\N", "\\.", "\\0", "\\x00", "\\u0000", "a\\", '"', '""', "'", "a,b", "a\nb", "a\r\nb", "\r", "\t",
    "t", "f", "NaN", "00123", "é", "e\u0301", "東京", "🦉", "\u202eright", "\ufeffbom", "\x01", "\x1b[31m", "=cmd", "{{ x }}", "100 %s",
]  # fmt: skip


def test_text_lands_as_it_is(server, side):
    words = [*WORDS, "long " * 2_000_000]
    kind = "text" if server.kind == "postgresql" else "longtext"
    server.run("drop table if exists words", f"create table words (n integer, word {kind})")
    server.fill("words", ["n", "word"], list(enumerate(words)))
    side.declare(words=["n", "word"])
    side.read(server.url)
    landed = side.query("select n, word from crm.words order by n")
    assert [n for n, (_, word) in zip(range(len(words)), landed, strict=True) if word != words[n]] == []


VALUES = {
    "postgresql": [
        ("'t'::boolean", "BOOLEAN", True),
        ("7::smallint", "SMALLINT", 7),
        ("(-2147483648)::integer", "INTEGER", -2147483648),
        ("9223372036854775807::bigint", "BIGINT", 9223372036854775807),
        ("0.1::real", "DOUBLE", 0.1),
        ("0.30000000000000004::double precision", "DOUBLE", 0.30000000000000004),
        ("234.10::numeric(12, 2)", "DECIMAL(12,2)", Decimal("234.10")),
        (f"{'9' * 38}::numeric(38)", "DECIMAL(38,0)", Decimal("9" * 38)),
        ("1.50::numeric", "VARCHAR", "1.50"),
        (f"{'9' * 39}::numeric(39)", "VARCHAR", "9" * 39),
        ("'0001-01-01'::date", "DATE", date(1, 1, 1)),
        (
            "'2026-03-29 02:30:00.123456'::timestamp",
            "TIMESTAMP WITH TIME ZONE",
            datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=UTC),
        ),
        ("'2026-03-03 04:00+05:30'::timestamptz", "TIMESTAMP WITH TIME ZONE", datetime(2026, 3, 2, 22, 30, tzinfo=UTC)),
        ("""'{"a": [1, 2.50], "b": "é"}'::json""", "VARCHAR", '{"a": [1, 2.50], "b": "é"}'),
        ("""'{"a": 2.50}'::jsonb""", "VARCHAR", '{"a": 2.50}'),
        ("'{1,NULL}'::integer[]", "VARCHAR", "{1,NULL}"),
        ("'6b0d9f5e-0d0b-4c6a-8f0e-111111111111'::uuid", "VARCHAR", "6b0d9f5e-0d0b-4c6a-8f0e-111111111111"),
        ("'DE  '::char(4)", "VARCHAR", "DE  "),
        ("null::integer", "INTEGER", None),
        ("null::jsonb", "VARCHAR", None),
    ],
    "mariadb": [
        ("cast(1 as int)", "BIGINT", 1),
        ("cast(-9223372036854775808 as signed)", "BIGINT", -9223372036854775808),
        ("cast(234.10 as decimal(12, 2))", "DECIMAL(38,2)", Decimal("234.10")),
        (f"cast('{'9' * 38}' as decimal(38, 0))", "VARCHAR", "9" * 38),
        ("cast('0.00000001' as decimal(65, 8))", "VARCHAR", "0.00000001"),
        ("cast(0.30000000000000004 as double)", "DOUBLE", 0.30000000000000004),
        ("cast('0001-01-01' as date)", "DATE", date(1, 1, 1)),
        (
            "cast('2026-03-29 02:30:00.123456' as datetime(6))",
            "TIMESTAMP WITH TIME ZONE",
            datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=UTC),
        ),
        ("from_unixtime(1772506800)", "TIMESTAMP WITH TIME ZONE", datetime(2026, 3, 3, 3, 0, tzinfo=UTC)),
        ("""cast('{"a": 2.50, "b": "é"}' as char)""", "VARCHAR", '{"a": 2.50, "b": "é"}'),
        ("unhex('00ff')", "VARCHAR", "00ff"),
        ("cast(null as date)", "DATE", None),
    ],
}


def test_common_types_are_kept_and_others_land_as_text(server, side):
    values = VALUES[server.kind]
    columns = [f"value_{n}" for n in range(len(values))]
    side.declare(things=columns)
    written = ", ".join(f"{value} as {column}" for column, (value, _, _) in zip(columns, values, strict=True))
    side.read(server.url, things=f"select {written}")
    types = side.types("things")
    row = side.query(f"select {', '.join(columns)} from crm.things")[0]
    assert [(types[column], value) for column, value in zip(columns, row, strict=True)] == [(kind, value) for _, kind, value in values]


def test_json_and_boolean_columns_of_mariadb_are_told_as_it_keeps_them(mariadb, side):
    mariadb.run(
        "drop table if exists things",
        "create table things (document json, is_active boolean, zoned timestamp)",
        "set time_zone = '+05:30'",
        """insert into things values ('{"a": [1, 2.50]}', true, '2026-03-03 04:00:00')""",
    )
    side.declare(things=["document", "is_active", "zoned"])
    side.read(mariadb.url)
    assert side.query("select * from crm.things") == [('{"a": [1, 2.50]}', 1, datetime(2026, 3, 2, 22, 30, tzinfo=UTC))]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("postgresql", "'infinity'::timestamptz"),
        ("postgresql", "'infinity'::date"),
        ("postgresql", "'0044-03-15 BC'::date"),
        ("postgresql", "'NaN'::numeric(5, 2)"),
        ("mariadb", "cast('0000-00-00' as date)"),
        ("mariadb", "cast(18446744073709551615 as unsigned)"),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_refused_and_lands_as_text_where_it_is_cast(request, side, kind, value):
    server = request.getfixturevalue(kind)
    side.declare(things=["value"])
    with pytest.raises(SourceFailed, match=r"crm: things, after 0 records: a value can't be kept exactly .* cast that column to text"):
        side.read(server.url, things=f"select {value} as value")
    side.read(server.url, things=f"select cast({value} as {'text' if kind == 'postgresql' else 'char'}) as value")
    assert side.types("things") == {"value": "VARCHAR"}
    assert side.query("select value is not null from crm.things") == [(True,)]


def test_a_query_or_another_table_can_stand_for_a_table(postgresql, side):
    postgresql.run(
        "drop schema if exists sales cascade",
        "create schema sales",
        'create table sales."Kunden" as select *, 1 as one_more from customers limit 3',
        f"grant usage on schema sales to {servers.READER}",
        f"grant select on all tables in schema sales to {servers.READER}",
    )
    query = "with won as (select * from deals where stage like 'wo%')\nselect * from won -- only these\n;"
    side.read(postgresql.url, customers="sales.Kunden", deals=query)
    won = postgresql.run("select count(*) from deals where stage = 'won'")[0][0]
    assert side.evidence("declared_total, landed, unmapped_columns") == [(3, 3, "one_more"), (won, won, "")]


def test_an_empty_table_lands_as_one(server, side):
    side.read(server.url, deals="select * from deals where 1 = 0")
    assert side.evidence("declared_total, fetched, landed, end_seen")[1] == (0, 0, 0, True)
    assert side.types("deals")["starts_on"] == "DATE"


def test_a_missing_column_names_table_column_and_what_there_is(server, side):
    with pytest.raises(SourceFailed, match=r"crm: deals has no column 'contract_number'; it has: 'amount', 'plan'\."):
        side.read(server.url, deals="select plan, amount from deals")


def test_a_missing_table_is_named(server, side):
    with pytest.raises(SourceFailed, match=r"crm: deals, after 0 records: the database failed: .*no_such_table"):
        side.read(server.url, deals="no_such_table")


def test_a_table_that_may_not_be_read_is_named(server, side):
    if server.kind == "postgresql":
        server.run("create table if not exists secret as select * from deals", f"revoke select on secret from {servers.READER}")
    else:
        server.run("create database if not exists vault", "create table if not exists vault.secret as select * from deals")
    with pytest.raises(SourceFailed, match=r"crm: deals, after 0 records: the database failed: .*denied.*secret"):
        side.read(server.url, deals="secret" if server.kind == "postgresql" else "vault.secret")


def test_rows_that_a_policy_hides_are_no_smaller_table(postgresql, side):
    postgresql.run(
        "drop table if exists guarded",
        "create table guarded as select * from deals",
        "alter table guarded enable row level security",
        "create policy won_alone on guarded using (stage = 'won')",
    )
    with pytest.raises(SourceFailed, match="row-level security policy"):
        side.read(postgresql.url, deals="guarded")


def test_nothing_can_be_written(server, side):
    server.run("drop table if exists scratch", "create table scratch (n integer)")
    writes = "create function writes() returns integer {} insert into scratch values (1) {}"
    if server.kind == "postgresql":
        server.run("drop function if exists writes", writes.format("language sql security definer as $$", "returning n $$"))
    else:
        server.run("drop function if exists writes", writes.format("sql security definer begin", "; return 1; end"))
        server.run("grant execute on shop.* to reader@'127.0.0.1'")
    side.declare(things=["n"])
    with pytest.raises(SourceFailed, match=re.compile(r"read.only", re.I)):
        side.read(server.url, things="select writes() as n")
    assert server.run("select count(*) from scratch") in ([(0,)], [[0]])


@pytest.mark.parametrize(
    "stated",
    [
        "reader:canary-in-no-url@host/shop",
        "postgresql://reader:canary@host:canary-port/shop",
        "postgresql://reader:can@ry-host@host/shop",
        "postgresql://reader:can@ry/part@host/shop",
        "canarydb://reader:canary@host/shop",
        "",
    ],
)
def test_what_is_no_url_is_bad_configuration_and_not_shown(side, stated):
    with pytest.raises(BadConfiguration, match=r"sources\.crm\.credentials") as refused:
        side.read(stated)
    assert not re.search(r"canary|ry-host|ry/part", str(refused.value))


def test_a_driver_that_is_not_installed_is_bad_configuration(side):
    with pytest.raises(BadConfiguration, match=r"sources\.crm needs the driver pyodbc; install it"):
        side.read("mssql+pyodbc://reader:canary@host/shop")


def test_a_server_that_is_not_there_fails_the_source(side):
    for kind in ("postgresql", "mariadb"):
        with pytest.raises(SourceFailed, match=r"crm: the database failed: ") as failed:
            side.read(Server(kind, servers.free_port()).url)
        assert PASSWORD not in str(failed.value) and "://" not in str(failed.value)


def holding(folder: Path, canary: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if canary.encode() in path.read_bytes()]


def test_a_wrong_password_fails_the_run_and_is_written_nowhere(server, yesterday):
    before, canary = yesterday.fingerprint(), "canary-wrong-password-9"
    ran = yesterday.reconcile(**from_database(server.url_with(canary)))
    assert (ran.code, yesterday.fingerprint()) == (3, before)
    assert ran.says("crm: the database failed")
    assert len(ran.err.strip().splitlines()) == 1 and "://" not in ran.err
    assert canary not in ran.out + ran.err
    assert not holding(yesterday.folder, canary)


TRICKLE = {
    "postgresql": "select deals.*, pg_sleep(0.002) from deals",
    "mariadb": "select * from deals where sleep(0.002) = 0",
}
READERS = {
    "postgresql": (
        "select pid from pg_stat_activity where application_name = 'tallystick' and query ilike 'copy%%deals%%'",
        "select pg_terminate_backend({})",
    ),
    "mariadb": ("select id from information_schema.processlist where user = 'reader' and info like 'select contract_number%%'", "kill {}"),
}


def test_a_connection_lost_in_mid_read_leaves_yesterday(server, yesterday):
    before = yesterday.fingerprint()
    process = yesterday.start("reconcile", **from_database(server.url, deals=TRICKLE[server.kind]))
    readers, kill = READERS[server.kind]
    ends_at = time.monotonic() + 60
    while not (found := server.run(readers)):
        assert process.poll() is None and time.monotonic() < ends_at, process.communicate()
        time.sleep(0.05)
    time.sleep(0.5)
    server.run(kill.format(found[0][0]))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, yesterday.fingerprint()) == (3, before), out + err
    assert "crm: deals, after 0 records: the database failed: " in err
    assert "Traceback" not in err and PASSWORD not in err
    assert not holding(yesterday.folder, PASSWORD)


@pytest.fixture
def sqlite(tmp_path) -> Path:
    database = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        for table, columns in settings.needed_columns("crm").items():
            connection.execute(f"create table {table} ({', '.join(columns)})")
            connection.execute(f"insert into {table} ({KEYS[table]}, created_at) values ('00123', 1.5)")
        connection.commit()
    return database


def test_sqlite_lands_as_text_and_is_left_as_it_is(side, sqlite):
    before = sqlite.read_bytes()
    side.read(f"sqlite:///{sqlite}")
    assert side.query("select contract_number, created_at, plan from crm.deals") == [("00123", "1.5", None)]
    assert side.evidence("end_evidence")[0] == ("the result was read to its end in one deferred transaction",)
    assert sqlite.read_bytes() == before


def test_an_sqlite_file_that_is_not_there_is_not_made(side, tmp_path):
    with pytest.raises(SourceFailed, match="there is no such SQLite file"):
        side.read(f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert not (tmp_path / "none.sqlite").exists()


def test_a_database_without_a_known_snapshot_is_counted_twice_and_says_so(side, sqlite, monkeypatch):
    monkeypatch.delitem(sql.DATABASES, "sqlite")
    side.read(f"sqlite:///{sqlite}")
    assert side.evidence("declared_total, declared_after, declared_by")[0] == (1, 1, "count(*) in the same transaction")
    assert "may be no snapshot" in side.evidence("end_evidence")[0][0]


def test_sqlalchemy_is_imported_for_this_connector_alone():
    for name, imported in (("files", 0), ("sql", 1)):
        script = f"import sys, pipelines.pull, pipelines.sources.{name}; sys.exit('sqlalchemy' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == imported
