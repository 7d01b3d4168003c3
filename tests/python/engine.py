"""The project's own models on an in-memory DuckDB: what a run builds, in a fraction of a second and without dbt or dlt.

dbt compiles once a session; a night is then the compiled SQL of every model, in order. Planning it takes four times as long as
running it, so the nights after an engine's first fill the same tables again by prepared statements. Not covered here: the pull,
the lock, the swap and dbt's tests, which have tests of their own.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow

from pipelines.evidence import DDL
from pipelines.settings import ROOT

Row = Mapping[str, Any]  # column → value; a column that is left out is null
Table = tuple[str, str]  # system, table
IDLE: dict[tuple, list["Engine"]] = defaultdict(list)  # thresholds → engines that `lent` was given back
READ_BEFORE = re.compile(r'"before_(\w+)"[.]("\w+"[.]"\w+")')


@dataclass(frozen=True)
class Model:
    name: str
    relation: str  # "database"."schema"."name", quoted
    kind: str  # table or view
    columns: dict[str, str]  # name → type of the contract; empty where there is none
    sql: str


@dataclass(frozen=True)
class Project:
    models: list[Model]  # every one after those it reads
    history: dict[str, Model]  # relation in `published` → the model whose copy it is
    systems: dict[Table, list[str]]  # → columns an export must have
    seeds: dict[str, tuple[str, Path, dict[str, str]]]  # name → relation, CSV, column types
    assertions: dict[str, str]  # singular dbt test → its SQL
    gates: list[str]  # check names that have a dbt test
    before: dict[str, tuple[str, str]]  # relation as a pair's last trusted run left it → the pair, the relation it was then


@cache
def project() -> Project:
    """The project as dbt compiles it now. About seven seconds, once a session."""
    with tempfile.TemporaryDirectory() as state:
        Path(state, "next").mkdir()
        environment = os.environ | {
            "TALLYSTICK_STATE": state,
            "DBT_TARGET_PATH": f"{state}/target",
            "DBT_LOG_PATH": f"{state}/logs",
            "DBT_PROJECT_DIR": str(ROOT),
            "DBT_PROFILES_DIR": str(ROOT),
            "DO_NOT_TRACK": "1",
            "TZ": "UTC",
        }
        dbt = [sys.executable, "-m", "dbt.cli.main", "--quiet", "compile", "--no-introspect"]
        done = subprocess.run(dbt, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"dbt compile failed:\n{done.stdout}{done.stderr}")
        manifest = json.loads(Path(state, "target/manifest.json").read_text())
    nodes, sources = manifest["nodes"], manifest["sources"].values()
    # A connector's source is named otherwise than the schema it lands in. Nights are of exports, so its models have nothing to read.
    landed = [source for source in sources if source["database"] == "snapshot"]
    connectors = {source["source_name"] for source in landed if source["source_name"] != source["schema"]}
    models = {
        name: as_model(node) for name, node in nodes.items() if node["resource_type"] == "model" and not connectors & set(node["fqn"])
    }
    order = TopologicalSorter({name: nodes[name]["depends_on"]["nodes"] for name in models}).static_order()
    read_before = {found for model in models.values() for found in READ_BEFORE.findall(model.sql)}
    return Project(
        models=[models[name] for name in order if name in models],
        history={
            source["relation_name"]: models[f"model.tallystick.{source['name']}"] for source in sources if source["database"] == "published"
        },
        systems={
            (source["schema"], source["identifier"]): list(source["columns"])
            for source in landed
            if source["schema"] != "pulls" and source["source_name"] not in connectors
        },
        seeds={
            node["name"]: (
                node["relation_name"],
                ROOT / node["original_file_path"],
                node["config"]["column_types"],
            )
            for node in nodes.values()
            if node["resource_type"] == "seed"
        },
        assertions={
            node["name"]: node["compiled_code"]
            for node in nodes.values()
            if node["resource_type"] == "test" and not node.get("test_metadata")
        },
        gates=[
            node["test_metadata"]["kwargs"]["check_name"]
            for node in nodes.values()
            if (node.get("test_metadata") or {}).get("name") == "trust_check_passes"
        ],
        before={f'"before_{pair}".{relation}': (pair, f'"snapshot".{relation}') for pair, relation in read_before},
    )


def as_model(node: dict) -> Model:
    has_contract = node["config"]["contract"]["enforced"]
    return Model(
        name=node["name"],
        relation=node["relation_name"],
        kind=node["config"]["materialized"],
        columns={column["name"]: column["data_type"] for column in node["columns"].values() if has_contract},
        sql=node["compiled_code"],
    )


class Engine:
    """One state folder's worth of history. `with Engine() as engine`, then night after night."""

    def __init__(self, **thresholds: float) -> None:
        """`thresholds` override those of dbt_project.yml for both pairs: Engine(most_share_different=1)."""
        self.thresholds = thresholds
        self.made: dict[str, str] = {}  # relation → the prepared statement that fills it, where there is one yet
        self.landed: dict[str, pyarrow.Schema] = {}  # relation → what landed there last
        self.connection = duckdb.connect()
        self._run("set TimeZone = 'UTC'")
        self._run("set preserve_insertion_order = false")
        self._run("set threads = 1")  # the tables are small, and the tests share the machine
        for database in ("warehouse", "snapshot", "published", *{f"before_{pair}" for pair, _ in project().before.values()}):
            self._run(f"attach ':memory:' as {database}")
        relations = [model.relation for model in project().models] + list(project().history) + list(project().before)
        relations += [relation for relation, _, _ in project().seeds.values()]
        for schema in {relation.rpartition(".")[0] for relation in relations}:
            self._run(f"create schema if not exists {schema}")
        for system in {system for system, _ in project().systems}:
            self._run(f"create schema snapshot.{system}")
        self._run(f"use snapshot; {DDL}; use memory")
        for relation, model in project().history.items():
            columns = ", ".join(f"{name} {kind}" for name, kind in model.columns.items())
            self._run(f"create table {relation} ({columns})")
        for name, (relation, _, types) in project().seeds.items():
            self._run(f"create table {relation} ({', '.join(f'{column} {kind}' for column, kind in types.items())})")
            self.seed(name)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def seed(self, name: str, rows: Iterable[Row] | None = None) -> None:
        """Fills a seed from its CSV, or with `rows` in its place, for every night to come."""
        relation, path, types = project().seeds[name]
        from_file = self.connection.read_csv(str(path), header=True, all_varchar=True)
        given = from_file if rows is None else as_arrow(list(rows), list(types))
        columns = ", ".join(types)
        self._run(f"truncate {relation}; insert into {relation} ({columns}) select {columns} from given", given=given)

    def forget(self) -> None:
        """No run was ever made and every seed is as it is committed: a new engine, but for its plans."""
        for relation in [*project().history, *(before for before in project().before if before in self.made)]:
            self._run(f"truncate {relation}")
        for name in project().seeds:
            self.seed(name)

    def night(
        self,
        as_of: str | datetime,
        *,
        evidence: Mapping[Table, Row] | None = None,
        gates: Mapping[str, bool | None] | None = None,
        skip: Iterable[Table] = (),
        started_at: str | datetime | None = None,
        publish: bool = True,
        **systems: Mapping[str, Sequence[Row]],
    ) -> None:
        """One run. `systems` are crm={"customers": [row, …], "deals": […]} and billing={…}; a table left out is empty.

        `evidence` overrides columns of pulls.tables, by (system, table): {("crm", "deals"): {"end_seen": False}}.
        `gates` overrides whether a check's test is in force; None: there is no such test. `skip` are tables that never
        arrived. With publish=False the run is one that was killed: its tables stand in `warehouse`, and no more.
        """
        self._run("truncate snapshot.pulls.runs; truncate snapshot.pulls.tables; truncate snapshot.pulls.gates")
        for (system, table), columns in project().systems.items():
            rows = systems.get(system, {}).get(table, [])
            self._land(f"snapshot.{system}.{table}", as_arrow(rows, columns))
            if (system, table) not in skip:
                self._record(system, table, rows, as_of, (evidence or {}).get((system, table), {}))
        self._run("insert into snapshot.pulls.runs values (?, 'test', ?)", as_of, started_at or as_of)
        in_force = dict.fromkeys(project().gates, True) | dict(gates or {})
        in_force = [[name, state] for name, state in in_force.items() if state is not None]
        if in_force:
            self.connection.executemany("insert into snapshot.pulls.gates values (?, ?)", in_force)
        # As profiles.yml has it; and a prepared plan would keep the least and greatest values of the night it was made in.
        self._run(f"set disabled_optimizers = 'common_subplan{', statistics_propagation' if self.made else ''}'")
        for model in project().models:
            self._make(model.relation, self._sql(model), model.kind)
            for before, (_, relation) in project().before.items():
                if relation == model.relation and before not in self.made:
                    self._run(f"create table if not exists {before} as from {relation} where false")
        if publish:
            for relation, model in project().history.items():
                self._make(relation, f"from {model.relation}")
            trusted = {row["reconciliation"] for row in self.rows("from snapshot.trust.verdicts where verdict = 'trusted'")}
            for before, (pair, relation) in project().before.items():
                if pair in trusted:
                    self._make(before, f"from {relation}")

    def make_again(self, *models: str) -> None:
        """The last run's models of these names, of what the tables hold by now: the same night with other seeds."""
        for model in project().models:
            if model.name in models:
                self._make(model.relation, self._sql(model), model.kind)

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Rows as dicts. Names: warehouse.marts.…, snapshot.compare.…, snapshot.trust.…"""
        found = self.connection.execute(sql, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def refusals(self) -> list[str]:
        """Why the last run was not trusted: pair, side, check and its sentence, one string each. Empty: it was."""
        return [
            f"{check['reconciliation']}, {check['side']}, {check['check_name']}: {check['explanation']}"
            for check in self.rows("from snapshot.trust.checks where not passed order by all")
        ]

    def _sql(self, model: Model) -> str:
        sql = model.sql
        if model.columns:  # the contract's order wins, as dbt has it
            sql = f"select {', '.join(model.columns)} from ({sql}\n)"
        if model.name == "pairs" and self.thresholds:
            replaced = ", ".join(f"{value}::double as {name}" for name, value in self.thresholds.items())
            sql = f"select * replace ({replaced}) from ({sql}\n)"
        return sql

    def _land(self, relation: str, given: pyarrow.Table) -> None:
        if self.landed.get(relation) == given.schema:
            self._run(f"truncate {relation}; insert into {relation} from given", given=given)
        else:
            self._run(f"create or replace table {relation} as from given", given=given)
            self.landed[relation] = given.schema
            self.made.clear()  # other types may make other types

    def _make(self, relation: str, sql: str, kind: str = "table") -> None:
        if relation not in self.made:
            self._run(f"create or replace {kind} {relation} as {sql}")
            self.made[relation] = ""
        elif kind == "table":
            if not self.made[relation]:
                self.made[relation] = '"fill ' + relation.replace('"', "") + '"'
                self._run(f"prepare {self.made[relation]} as insert into {relation} {sql}")
            self._run(f"truncate {relation}; execute {self.made[relation]}")

    def _record(self, system: str, table: str, rows: Sequence[Row], as_of: str | datetime, override: Row) -> None:
        values = {
            "system": system, "table_name": table, "connector": "test", "files": 1, "bytes": 0,
            "digest": hashlib.sha256(repr(rows).encode(errors="surrogatepass")).hexdigest(),
            "declared_total": None, "fetched": len(rows), "landed": len(rows),
            "end_seen": True, "end_evidence": "the list ended", "unmapped_columns": "",
            "exported_at": as_of, "started_at": as_of, "finished_at": as_of,
        } | override  # fmt: skip
        names = ", ".join(f"${name} as {name}" for name in values)
        self.connection.execute(f"insert into snapshot.pulls.tables by name select {names}", values)

    def _run(self, sql: str, *values: object, given: object = None) -> None:
        # DuckDB finds `given` by its name in this frame.
        self.connection.execute(sql, values)


@contextmanager
def lent(**thresholds: float) -> Iterator[Engine]:
    """An engine without history, and with its plans where one is idle: for a test that plays nights and reads, and changes nothing else."""
    idle = IDLE[tuple(sorted(thresholds.items()))]
    engine = idle.pop() if idle else Engine(**thresholds)
    yield engine
    engine.forget()
    idle.append(engine)


def as_arrow(rows: Sequence[Row], columns: Sequence[str]) -> pyarrow.Table:
    """Text stays text, and what is typed keeps its type, as the pull lands it. KeyError: a column nobody declared."""
    unknown = {name for row in rows for name in row} - set(columns)
    if unknown:
        raise KeyError(f"{sorted(unknown)} not among {columns}")
    values = {column: [row.get(column) for row in rows] for column in columns}
    return pyarrow.table(
        {
            column: pyarrow.array(cells, None if any(type(cell) not in (str, type(None)) for cell in cells) else pyarrow.string())
            for column, cells in values.items()
        }
    )
