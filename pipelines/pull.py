"""Pulls both sides into a fresh snapshot file. The only place that runs a dlt pipeline."""

import gc
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from threading import Event, Lock
from types import MappingProxyType

import dlt
import duckdb
import pyarrow
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines import settings
from pipelines.evidence import DDL, Pulled
from pipelines.failures import OF_THIS_MACHINE, BadConfiguration, Failure, SourceFailed, first_line
from pipelines.sources.side import Only, Side

# The system each can be: staging turns what they land into that system's exports. None is any, as it lands the exports' own columns.
CONNECTORS = {
    "chargebee": "billing",
    "files": None,
    "hubspot": "crm",
    "pipedrive": "crm",
    "rest": None,
    "salesforce": "crm",
    "sql": None,
    "stripe": "billing",
}
LOOK_EVERY = 0.2  # seconds
UNORDERED = {"preserve_insertion_order": False}  # else the closing checkpoint writes all text again: twice the time and the size


def pull(
    folder: Path, watch: Callable[[list[Pulled]], None] = lambda _: None, only: Mapping[str, Only | None] = MappingProxyType({})
) -> list[str]:
    """Fills `folder`/snapshot.duckdb with one schema a system, and `pulls` with the evidence; `watch` is shown it as it grows.
    `only`: of a system the records that are wanted; of one that is not in it, all.

    Returns the connectors that staging knows and this pull did not use: their models have nothing to read.
    Raises SourceFailed or BadConfiguration; the snapshot is then incomplete and belongs thrown away.
    """
    started_at = datetime.now(UTC)
    fixed_clock = settings.fixed_clock()
    pulled: list[Pulled] = []
    systems = settings.systems()
    gc.set_threshold(50_000, 50, 50)  # pages are many small objects without cycles; looking for some took a quarter of the time
    loading, stopping = Lock(), Event()
    with ThreadPoolExecutor(len(systems)) as threads:
        sides = [Side(system, folder / "parsed" / system, pulled, stopping, only=only.get(system)) for system in systems]
        running = {threads.submit(load, side, folder, loading) for side in sides}
        try:
            while running:
                done, running = wait(running, LOOK_EVERY, FIRST_EXCEPTION)
                watch(pulled)
                for loaded in done:
                    loaded.result()
        finally:
            stopping.set()
    with duckdb.connect(folder / "snapshot.duckdb") as connection:
        record(connection, pulled, started_at, fixed_clock)
    return [name for name, system in CONNECTORS.items() if system and name not in {table.connector for table in pulled}]


def load(side: Side, folder: Path, loading: Lock) -> None:
    """One system into the schema of its name. Sides are read side by side; into the snapshot they go one after the other."""
    side.work.mkdir(parents=True)
    try:
        source = connector(side)
        pipeline = dlt.pipeline(
            f"tallystick_{side.system}",
            pipelines_dir=str(folder / "dlt"),
            destination=dlt.destinations.duckdb(DuckDbCredentials(str(folder / "snapshot.duckdb"), global_config=UNORDERED)),
            dataset_name=side.system,
            progress=None,
        )
        pipeline.extract(source(side), schema=dlt.Schema(side.system), schema_contract={"tables": "evolve", "columns": "evolve"})
        pipeline.normalize()
        with loading:
            pipeline.load()
    except PipelineStepFailed as error:
        raise root_cause(error, side.system) from error
    shutil.rmtree(side.work)


def connector(side: Side) -> Callable[[Side], DltSource]:
    """The source that `[sources.<system>] connector` names, imported only here: nobody waits for a library that isn't used."""
    side.refuse_unknown_words()
    name = side.setting("connector")
    if name not in CONNECTORS:
        raise BadConfiguration(f"sources.{side.system}.connector is {name!r}; there are {', '.join(CONNECTORS)}.")
    if CONNECTORS[name] not in (None, side.system):
        raise BadConfiguration(f"sources.{side.system}.connector is {name!r}, which can only be {CONNECTORS[name]}.")
    try:
        return getattr(import_module(f"pipelines.sources.{name}"), name)
    except ModuleNotFoundError as error:
        raise BadConfiguration(f"sources.{side.system} needs {error.name}, which is not installed; run make setup.") from error


def root_cause(error: BaseException, system: str) -> BaseException:
    """Our own failure from under dlt's; this machine's (disk, memory) as it is; anything else as a SourceFailed."""
    causes = [error]
    while following := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(following)
    ours = [cause for cause in causes if isinstance(cause, (Failure, *OF_THIS_MACHINE))]
    return ours[0] if ours else SourceFailed(f"{system}: loading failed: {first_line(causes[-1])}")


def record(
    connection: duckdb.DuckDBPyConnection,
    pulled: list[Pulled],
    started_at: datetime,
    fixed_clock: datetime | None,
) -> None:
    """Counts what landed and writes the evidence and the clock: the earlier of the two sides' own times unless it is fixed."""
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(DDL)
    for table in pulled:
        ids = f'count(distinct "{table.id_column}")' if table.id_column else "null"
        contents = "null" if table.digest else "coalesce(sum(hash(landed)), 0)::varchar"  # files have been hashed as they were read
        table.landed, table.distinct_ids, digest = connection.execute(
            f'select count(*), {ids}, {contents} from "{table.system}"."{table.table_name}" as landed'
        ).fetchone()
        table.digest = table.digest or digest
        values = vars(table)
        connection.execute(
            f"insert into pulls.tables by name select {', '.join(f'${name} as {name}' for name in values)}",
            values,
        )
    own_times = [table.exported_at or table.started_at for table in pulled]
    has_manifest = any(table.exported_at for table in pulled)
    as_of = fixed_clock or (min(own_times) if own_times else started_at)
    source = "TALLYSTICK_AS_OF" if fixed_clock else "exported_at in manifest.json" if has_manifest else "start of the pull"
    connection.execute("insert into pulls.runs values (?, ?, ?)", [as_of, source, started_at])


def record_asked(folder: Path, asked: list[tuple[str, str]]) -> None:
    """`asked` are pairs and keys: the snapshot is a second look at these records, and no run's."""
    with duckdb.connect(folder / "snapshot.duckdb") as connection:
        connection.executemany("insert into pulls.asked values (?, ?)", asked)


def record_attempts(folder: Path, attempts: list[dict]) -> None:
    """`attempts` are the journal's: what has been written by now, or may have been."""
    with duckdb.connect(folder / "snapshot.duckdb") as connection:
        if attempts:
            given = pyarrow.Table.from_pylist(attempts)  # DuckDB finds it by its name
            connection.execute("insert into pulls.fix_attempts by name from given")
            del given


def record_gates(folder: Path, gates: list[dict]) -> None:
    """`gates` are the dbt tests on trust checks: check_name, is_in_force."""
    with duckdb.connect(folder / "snapshot.duckdb") as connection:
        if gates:
            connection.executemany("insert into pulls.gates values ($check_name, $is_in_force)", gates)
