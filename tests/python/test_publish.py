"""[publish.postgres] against a server of the test's own: what readers see, what they keep, and what a failure leaves."""

import math
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import marts
import psycopg
import pytest
import servers
from conftest import ROOT
from servers import OWNER, OWNERS_PASSWORD, PASSWORD, READER, Server

from pipelines import publish
from pipelines.failures import Failure
from pipelines.public import contracts

NEXT = marts.RUN | {"run_id": "000008-next", "run_seq": 8}


@pytest.fixture(scope="module")
def running():
    with servers.postgresql() as server:
        yield server


@pytest.fixture
def server(running, monkeypatch) -> Server:
    running.run("drop schema if exists tallystick cascade")
    monkeypatch.setenv("PUBLISH__POSTGRES__CREDENTIALS", url(running))
    return running


def url(server: Server) -> str:
    return f"postgresql://{OWNER}:{OWNERS_PASSWORD}@127.0.0.1:{server.port}/shop"


@pytest.fixture
def state(server, tmp_path) -> Path:
    """Published once."""
    publish.publish(marts.publish(tmp_path, discrepancies=marts.hostile()[:FEW]))
    return tmp_path


def run_ids(server: Server) -> list[tuple]:
    return server.run("select run_id from tallystick.runs")


FEW = 9
CANARY = "canary-of-postgres"
OLD, NEW = [(marts.RUN["run_id"],)], [("000008-next",)]


def test_every_table_is_there_with_every_value(server, tmp_path):
    publish.publish(state := marts.publish(tmp_path, discrepancies=marts.hostile()))
    for table, contract in contracts().items():
        columns = contract["columns"]
        names = ", ".join(f'"{c["name"]}"' + ("::text" if c["data_type"] in ("timestamptz", "date") else "") for c in columns)
        with psycopg.connect(url(server), options="-c timezone=UTC") as connection:
            there = connection.execute(f"select {names} from tallystick.{table}").fetchall()
        here = marts.read(state, f"select {names.replace('::text', '::varchar')} from marts.{table}")
        assert sorted(map(comparable, there), key=str) == sorted(map(comparable, here), key=str)


def comparable(row: tuple) -> list:
    """Alike where the two only spell it otherwise: a NUL, what is no number, a year before the first."""
    return ["nan" if isinstance(value, float) and math.isnan(value) else spelt(value) for value in row]


def spelt(value):
    return (
        value.replace("\x00", "\ufffd").replace("0044-03-15 (BC) 00:00:00+00", "0044-03-15 00:00:00+00 BC")
        if isinstance(value, str)
        else value
    )


def test_types_are_postgresqls_own(server, state):
    row = server.run(
        "select record_key, runs_seen, age_hours, is_overdue, value_at_risk from tallystick.discrepancies where runs_seen = -3"
    )[0]
    assert [type(value) for value in row] == [str, int, float, bool, Decimal]
    types = dict(server.run("select column_name, data_type from information_schema.columns where table_name = 'decision_status'"))
    assert (types["decided_at"], types["until"]) == ("timestamp with time zone", "date")


def test_descriptions_are_the_databases_comments(server, state):
    ((told,),) = server.run(
        "select col_description('tallystick.discrepancies'::regclass, attnum) from pg_attribute"
        " where attrelid = 'tallystick.discrepancies'::regclass and attname = 'age_hours'"
    )
    assert told == "Hours from the first sighting to the clock of run_id. Unit: hours."


def test_a_reader_in_a_transaction_goes_on_seeing_what_it_saw_and_waits_for_nobody(server, state):
    server.run(
        "create view tallystick.mine as select run_id from tallystick.runs",
        f"grant usage on schema tallystick to {READER}; grant select on tallystick.runs, tallystick.mine to {READER}",
    )
    reading = f"postgresql://{READER}:{PASSWORD}@127.0.0.1:{server.port}/shop"
    with psycopg.connect(reading) as reader, psycopg.connect(reading, autocommit=True) as newcomer:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert reader.execute("select run_id from tallystick.runs").fetchall() == OLD
        publish.publish(marts.publish(state, runs=[NEXT]))
        assert reader.execute("select run_id from tallystick.runs").fetchall() == OLD
        assert reader.execute("select run_id from tallystick.mine").fetchall() == OLD
        reader.rollback()
        assert reader.execute("select run_id from tallystick.mine").fetchall() == NEW
        assert newcomer.execute("select run_id from tallystick.runs").fetchall() == NEW


def test_who_reads_all_the_while_never_sees_less_than_one_whole_run(server, state):
    seen, published = set(), threading.Event()

    def read() -> None:
        with psycopg.connect(url(server), autocommit=True) as reader:
            while not published.is_set():
                seen.add(reader.execute(
                    "select (select min(run_id) from tallystick.runs), (select count(*) from tallystick.discrepancies)"
                ).fetchone())  # fmt: skip

    reader = threading.Thread(target=read)
    reader.start()
    publish.publish(marts.publish(state, runs=[NEXT], discrepancies=marts.hostile()[:5]))
    published.set()
    reader.join()
    assert seen <= {(marts.RUN["run_id"], FEW), ("000008-next", 5)}
    assert seen


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines import publish
real = publish.rows
def killed(warehouse, table):
    if table.name == {table!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(warehouse, table)
publish.rows = killed
publish.publish(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("table", ["candidate_keys", "trust_checks"])
def test_killed_it_leaves_what_was_there(server, state, table):
    marts.publish(state, runs=[NEXT])
    killed = subprocess.run([sys.executable, "-c", KILLED.format(table=table), state], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert run_ids(server) == OLD
    assert server.run("select count(*) from tallystick.discrepancies") == [(FEW,)]
    publish.publish(state)
    assert run_ids(server) == NEW


def test_a_lock_that_somebody_holds_is_not_waited_for_all_night(server, state, monkeypatch):
    monkeypatch.setattr(publish, "BEGIN", publish.BEGIN.replace("30s", "200ms"))
    marts.publish(state, runs=[NEXT])
    with server.admin(autocommit=False) as holder:
        holder.execute("lock table tallystick.runs in exclusive mode")
        with pytest.raises(Failure, match=r"lock timeout.*PostgreSQL holds what it held before; mend it and run tallystick publish\."):
            publish.publish(state)
        assert run_ids(server) == OLD


def test_two_that_publish_take_turns(server, state, monkeypatch):
    monkeypatch.setattr(publish, "BEGIN", publish.BEGIN.replace("30s", "200ms"))
    with server.admin(autocommit=False) as holder:
        holder.execute(publish.ONE_AT_A_TIME, ["tallystick"])
        with pytest.raises(Failure, match="lock timeout"):
            publish.publish(state)


def test_columns_of_another_version_are_changed_and_told(server, state, capsys):
    server.run(
        "alter table tallystick.runs drop column seconds",
        "alter table tallystick.runs alter column matched type text",
        "alter table tallystick.runs add column gone int",
    )
    publish.publish(state)
    assert capsys.readouterr().err.splitlines() == [
        'PostgreSQL: tallystick."runs" has no column gone any more.',
        'PostgreSQL: in tallystick."runs" the column matched is bigint and no longer text.',
        'PostgreSQL: tallystick."runs" has a new column seconds.',
    ]
    publish.publish(state)
    assert capsys.readouterr().err == ""


def test_a_column_that_a_view_reads_is_left_and_told(server, state):
    server.run("alter table tallystick.runs add column gone int", "create view tallystick.mine as select gone from tallystick.runs")
    with pytest.raises(Failure, match="other objects depend on it"):
        publish.publish(marts.publish(state, runs=[NEXT]))
    assert run_ids(server) == OLD


def test_a_run_that_trusted_no_pair_is_not_published(server, state):
    publish.publish(marts.publish(state, runs=[NEXT | {"verdict": "not trustworthy"}]))
    assert run_ids(server) == OLD


def test_nothing_is_set_nothing_is_done(tmp_path):
    publish.publish(tmp_path / "there is no warehouse")


def test_a_role_that_owns_its_schema_and_no_more_is_enough(server, state, monkeypatch):
    server.run("drop schema tallystick cascade", f"create schema tallystick authorization {READER}")
    monkeypatch.setenv("PUBLISH__POSTGRES__CREDENTIALS", f"postgresql://{READER}:{PASSWORD}@127.0.0.1:{server.port}/shop")
    publish.publish(state)
    publish.publish(state)
    assert run_ids(server) == OLD


def test_another_schema(server, state, monkeypatch):
    monkeypatch.setenv("PUBLISH__POSTGRES__SCHEMA", "finance")
    publish.publish(state)
    assert server.run("select run_id from finance.runs") == OLD


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("SCHEMA", 'x"; drop table y; --', "is not a plain lower-case name"),
        ("CREDENTIALS", "mysql://a:{secret}@127.0.0.1/b", "is no URL that begins with postgresql://"),
        ("CREDENTIALS", "127.0.0.1:{port}/{secret}", "is no URL such as"),
        ("CREDENTIALS", "postgresql://owner:{secret}@127.0.0.1:{port}/shop", "password authentication failed"),
        ("CREDENTIALS", "postgresql://owner:{secret}@127.0.0.1:1/shop", "Connection refused"),
        ("CREDENTIALS", "", "is not set; set it in .dlt/secrets.toml"),
    ],
    ids=["schema", "another database", "no URL", "password", "nobody there", "no credentials"],
)
def test_settings_that_can_not_be_are_told_without_the_password(server, state, monkeypatch, setting, value, told):
    monkeypatch.setenv("PUBLISH__POSTGRES__SCHEMA", "tallystick")
    monkeypatch.setenv(f"PUBLISH__POSTGRES__{setting}", value.format(secret=CANARY, port=server.port))
    if not value:
        monkeypatch.delenv(f"PUBLISH__POSTGRES__{setting}")
    with pytest.raises(Failure) as failure:
        publish.publish(state)
    assert told in str(failure.value) and CANARY not in str(failure.value)
    assert str(failure.value).endswith("PostgreSQL holds what it held before; mend it and run tallystick publish.")


def test_a_missing_driver_is_told(server, state, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Failure, match="needs psycopg, of Tallystick's extra sql"):
        publish.publish(state)


def test_a_lost_answer_to_the_commit_promises_nothing(server, state, monkeypatch):
    def lose(cursor, *arguments):
        put(cursor, *arguments)
        server.run(f"select pg_terminate_backend({cursor.connection.info.backend_pid})")
        return []

    put = publish.put
    monkeypatch.setattr(publish, "put", lose)
    with pytest.raises(Failure, match=r"It holds this run's tables or those before, whole; mend it and run tallystick publish\."):
        publish.publish(state)
