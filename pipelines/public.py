"""The public tables: which there are says the warehouse's catalogue, what a column means says its contract."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import yaml

from pipelines import settings

CONTRACTS = "models/marts/_marts__models.yml"


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # as DuckDB spells it
    label: str
    unit: str | None  # of a number; `currency` is the row's own column of that name
    description: str


@dataclass(frozen=True)
class Table:
    name: str
    description: str
    columns: list[Column]


@dataclass(frozen=True)
class Run:
    """The last run, and those of its pairs that it could not trust."""

    run_id: str
    as_of: datetime
    pairs: int
    untrusted: list[str]

    @property
    def has_trusted_pair(self) -> bool:
        return len(self.untrusted) < self.pairs

    def __str__(self) -> str:
        old = f" Not trusted in it, and so as of the last run in which they were: {', '.join(self.untrusted)}." if self.untrusted else ""
        return f"Run {self.run_id} as of {self.as_of:%Y-%m-%d %H:%M} UTC.{old}"


@contextmanager
def opened(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(state / "warehouse.duckdb", read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def last_run(connection: duckdb.DuckDBPyConnection) -> Run:
    return Run(*connection.execute(LAST_RUN).fetchone())


def tables(connection: duckdb.DuckDBPyConnection) -> list[Table]:
    declared = contracts()
    return [table(name, columns, declared.get(name, {})) for name, columns in connection.execute(CATALOGUE).fetchall()]


LAST_RUN = """
select
    run_id, max(as_of), count(*),
    coalesce(list(reconciliation order by reconciliation) filter (verdict is distinct from 'trusted'), [])
from marts.runs
where run_seq = (select max(run_seq) from marts.runs)
group by run_id
"""

CATALOGUE = """
select table_name, list((column_name, data_type) order by column_index)
from duckdb_columns()
where schema_name = 'marts' and database_name = current_database()
group by table_name
order by table_name
"""


def contracts() -> dict[str, dict]:
    """By the table's name. One that a newer or older version wrote may not be among them."""
    declared = yaml.load((settings.ROOT / CONTRACTS).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return {model["name"]: model for model in declared["models"]}


def table(name: str, columns: list[tuple[str, str]], contract: dict) -> Table:
    declared = {column["name"]: column for column in contract.get("columns", [])}
    return Table(name, contract.get("description", ""), [column(*named, declared.get(named[0], {})) for named in columns])


def column(name: str, kind: str, declared: dict) -> Column:
    meta = declared.get("config", {}).get("meta", {})
    return Column(name, kind, meta.get("label", name), meta.get("unit"), declared.get("description", ""))
