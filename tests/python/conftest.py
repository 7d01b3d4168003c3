"""Worlds to break: copies of the sample's exports, a state folder of their own, and the real console script run on them."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import warm

ROOT = Path(__file__).resolve().parents[2]
OURS = ("TALLYSTICK_", "SOURCES__", "DBT_", "DLT_", "DESTINATION__", "RUNTIME__", "PUBLISH__")
OF_THE_INTERPRETER = ("PYTHON", "LANG", "LC_")
TABLES = ("discrepancies", "discrepancy_history", "trust_checks", "unreconcilable", "runs")
STATE_AND_WAY_OUT = re.compile(
    r"(nothing was (published|touched|written)|holds what it held|left as it (is|was)).*\b(run|make|tallystick)\b", re.I | re.S
)
NOT_THE_PROJECT = shutil.ignore_patterns(
    ".git", ".venv", "state", "target", "logs", "data", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__"
)

# From about three minutes down to half of one. What is not named here follows.
LONGEST_FILES = [
    "test_commands", "test_runs", "test_sources", "test_fix_way", "test_simulator", "test_oracle", "test_disaster", "test_fix",
    "test_three_way", "test_drift", "test_rest", "test_object_stores",
    "test_judged_worlds", "test_nights", "test_before", "test_trust", "test_sql_source", "test_files", "test_metamorphic",
]  # fmt: skip

# A shell's background jobs ignore Ctrl-C and so would all that the tests start: those that interrupt would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, or at the end one worker is alone with one."""
    places = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@dataclass
class Ran:
    code: int
    out: str
    err: str

    def says(self, *sentences: str) -> bool:
        """Whether the error is one for a person: what failed, what state was left, what to do next."""
        assert all(sentence in self.err for sentence in sentences), self.err
        assert STATE_AND_WAY_OUT.search(self.err), f"no state or no next command: {self.err}"
        assert "Traceback" not in self.out + self.err
        return True


@dataclass
class World:
    """Exports to break, a state folder, and the command that reads them. `project` is where the code is."""

    folder: Path
    project: Path = ROOT
    under: tuple[str, ...] = ()  # what the command runs under: ("nice", "-n", "19")

    @property
    def crm(self) -> Path:
        return self.folder / "crm"

    @property
    def billing(self) -> Path:
        return self.folder / "billing"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def warehouse(self) -> Path:
        return self.state / "warehouse.duckdb"

    def environment(self, **changes: str | None) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        clean |= {
            "TALLYSTICK_STATE": str(self.state),
            "SOURCES__CRM__PATH": str(self.crm),
            "SOURCES__BILLING__PATH": str(self.billing),
        }
        if self.project != ROOT:
            clean["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self.project), os.environ.get("PYTHONPATH"))))
        clean |= changes
        return {name: value for name, value in clean.items() if value is not None}

    def command(self, *arguments: str) -> list[str]:
        if self.project == ROOT:
            return [*self.under, str(ROOT / ".venv/bin/tallystick"), *arguments]
        return [*self.under, sys.executable, "-c", "from pipelines.cli import main; main()", *arguments]

    def start(self, *arguments: str, **changes: str | None) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.project,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            text=True,
        )

    def run(self, *arguments: str, **changes: str | None) -> Ran:
        if not self.under and not any(name.startswith(OF_THE_INTERPRETER) for name in changes):
            return Ran(*warm.run([*arguments], self.project, self.environment(**changes), seconds=120))
        process = self.start(*arguments, **changes)
        out, err = process.communicate(timeout=120)
        return Ran(process.returncode, out, err)

    def reconcile(self, *arguments: str, **changes: str | None) -> Ran:
        return self.run("reconcile", *arguments, **changes)

    def query(self, sql: str, *values) -> list[tuple]:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql, values).fetchall()

    def differences(self) -> list[tuple]:
        return self.query("select * from marts.discrepancies order by all")

    def failed_checks(self) -> set[tuple[str, str, str]]:
        """Pair, side and name of every check that the last run did not pass."""
        return set(
            self.query(
                """
                select reconciliation, side, check_name from marts.trust_checks
                where not passed and run_id = (select arg_max(run_id, run_seq) from marts.runs)
                """
            )
        )

    def verdicts(self) -> dict[str, str]:
        """Of the last run."""
        return dict(self.query("select reconciliation, verdict from marts.runs where run_seq = (select max(run_seq) from marts.runs)"))

    def fingerprint(self) -> str | None:
        """Hash of the published file's bytes; None where nothing is published."""
        return hashlib.sha256(self.warehouse.read_bytes()).hexdigest() if self.warehouse.exists() else None

    def use_night(self, night: int) -> None:
        for system in ("crm", "billing"):
            shutil.copytree(ROOT / f"sample/night-{night}/{system}", self.folder / system, dirs_exist_ok=True)

    def cut(self, table: Path, share: float) -> None:
        """Keeps the first `share` of the records, and lets the manifest declare what is left."""
        header, *records = table.read_text().splitlines(keepends=True)
        table.write_text(header + "".join(records[: int(len(records) * share)]))
        (table.parent / "manifest.json").unlink(missing_ok=True)

    def copy(self, folder: Path) -> "World":
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return World(folder, self.project)


def new_world(folder: Path, project: Path = ROOT) -> World:
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, project)
    world.use_night(1)
    return world


OLD = "2025-01-01T00:00:00Z"


def house(numbers: Iterable[int]) -> dict[str, dict[str, list[dict]]]:
    """Exports of both systems that agree on everything: a customer and its contract a number."""
    tables = {"crm": {"customers": [], "deals": []}, "billing": {"customers": [], "subscriptions": []}}
    for number in numbers:
        customer, contract = f"C-{number:04}", f"K-{number:04}"
        both = {"customer_number": customer, "updated_at": OLD}
        person = {"email": f"{customer}@example.org", "country": "NL", "created_at": OLD}
        terms = {"contract_number": contract, "plan": "team", "currency": "EUR", "interval": "month"}
        tables["crm"]["customers"].append(both | person | {"company": customer, "status": "active", "owner": "Ana"})
        tables["crm"]["deals"].append(both | terms | {"stage": "won", "amount": "10.00", "starts_on": "2025-01-01", "created_at": OLD})
        tables["billing"]["customers"].append(both | person | {"name": customer})
        tables["billing"]["subscriptions"].append(
            both | terms | {"subscription_id": f"sub_{number}", "status": "active", "amount_minor": "1000", "started_at": OLD}
        )
    return tables


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nothing published yet."""
    return new_world(tmp_path / "world")


@pytest.fixture(scope="session")
def first_night(tmp_path_factory) -> World:
    """One trusted run on night 1. For reading only; tests that run something copy it."""
    world = new_world(tmp_path_factory.mktemp("first_night"))
    ran = world.reconcile()
    assert ran.code == 0, ran.err
    (world.folder / "out.txt").write_text(ran.out)
    return world


def rewrite(table: Path, change: Callable[[dict], dict | None]) -> None:
    with table.open(newline="") as file:
        kept = [changed for row in csv.DictReader(file) if (changed := change(row))]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, kept[0])
        writer.writeheader()
        writer.writerows(kept)


def say(world: World, system: str, number: str, **values: str) -> None:
    rewrite(getattr(world, system) / "customers.csv", lambda row: row | values if row["customer_number"] == number else row)


def at(world: World, day: int) -> World:
    """The exports are of that day in March, and whole as they stand."""
    for folder in (world.crm, world.billing):
        records = {table.stem: len(list(csv.DictReader(table.open(newline="")))) for table in folder.glob("*.csv")}
        (folder / "manifest.json").write_text(json.dumps({"exported_at": f"2026-03-{day:02}T03:00:00Z", "records": records}))
    return world


def contents(world: World) -> dict[str, list[tuple]]:
    """The public tables; of runs without how long they took."""
    return {
        table: world.query(f"select * {'exclude (seconds)' if table == 'runs' else ''} from marts.{table} order by all") for table in TABLES
    }


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@dataclass
class Night:
    """What happened while a run was under way."""

    world: World
    ran: Ran
    second: Ran
    seen_by_reader: set[int]
    seen_by_newcomers: set[int]
    seconds: float


@pytest.fixture(scope="session")
def quiet_customers(first_night: World) -> list[str]:
    """Customers on both sides that nothing is the matter with."""
    with (first_night.crm / "customers.csv").open() as file:
        numbers = [row["customer_number"] for row in csv.DictReader(file) if row["status"] == "active"]
    differing = {key for (key,) in first_night.query("select record_key from marts.discrepancies where reconciliation = 'customers'")}
    return [number for number in numbers if number.strip().upper() not in differing]


@pytest.fixture(scope="session")
def quiet_customer(quiet_customers: list[str]) -> str:
    return quiet_customers[0]


@pytest.fixture(scope="session")
def second_night(first_night: World, tmp_path_factory) -> Night:
    """Night 2, with a reader attached all along, newcomers opening the file, a second run, and a lock file with a dead PID in it."""
    world = first_night.copy(tmp_path_factory.mktemp("second_night"))
    world.use_night(2)
    (world.state / "lock").write_text("999999\n")
    count = "select count(distinct run_id) from marts.runs"
    began = time.monotonic()
    with duckdb.connect(world.warehouse, read_only=True) as reader:
        process = world.start("reconcile")
        wait_for(world.state / "next", process)
        second = world.reconcile()
        seen_by_reader, seen_by_newcomers = set(), set()
        while process.poll() is None:
            seen_by_reader.add(reader.execute(count).fetchone()[0])
            seen_by_newcomers.add(world.query(count)[0][0])
            time.sleep(0.05)
        seen_by_reader.add(reader.execute(count).fetchone()[0])
    seen_by_newcomers.add(world.query(count)[0][0])
    out, err = process.communicate()
    return Night(world, Ran(process.returncode, out, err), second, seen_by_reader, seen_by_newcomers, time.monotonic() - began)


@pytest.fixture
def yesterday(first_night: World, tmp_path: Path) -> World:
    """A copy of a world with one trusted run behind it."""
    return first_night.copy(tmp_path / "yesterday")


@pytest.fixture(scope="session")
def project_template(tmp_path_factory) -> Path:
    """The project without what it builds but dbt's parse, once; tests copy it to break models, seeds and settings."""
    return copy_project(ROOT, tmp_path_factory.mktemp("template") / "project")


@pytest.fixture
def project(project_template: Path, tmp_path: Path) -> Path:
    return copy_project(project_template, tmp_path / "project")


def copy_project(source: Path, target: Path) -> Path:
    """With what a first run in a checkout leaves to all others."""
    shutil.copytree(source, target, ignore=NOT_THE_PROJECT)
    for kept in ("target/templates", "target/schemas"):
        if (source / kept).exists():
            shutil.copytree(source / kept, target / kept)
    parsed = Path("target/partial_parse.msgpack")
    if (source / parsed).exists():
        (target / parsed).parent.mkdir(exist_ok=True)
        shutil.copy(source / parsed, target / parsed)
    return target
