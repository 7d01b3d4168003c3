"""Pulls both sides into a fresh snapshot file. The only place that runs a dlt pipeline."""

from datetime import UTC, datetime
from pathlib import Path

import dlt
import duckdb
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines import settings
from pipelines.evidence import DDL, Pulled
from pipelines.failures import OF_THIS_MACHINE, BadConfiguration, Failure, SourceFailed, first_line
from pipelines.sources.files import files

UNORDERED = {"preserve_insertion_order": False}  # else the closing checkpoint writes all text again: twice the time and the size


def pull(folder: Path) -> None:
    """Fills `folder`/snapshot.duckdb with one schema a system, and `pulls` with the evidence.

    Raises SourceFailed or BadConfiguration; the snapshot is then incomplete and belongs thrown away.
    """
    started_at = datetime.now(UTC)
    fixed_clock = settings.fixed_clock()
    snapshot = folder / "snapshot.duckdb"
    try:
        pipeline = dlt.pipeline(
            "tallystick",
            pipelines_dir=str(folder / "dlt"),
            destination=dlt.destinations.duckdb(DuckDbCredentials(str(snapshot), global_config=UNORDERED)),
            progress=None,
        )
    except TomlProviderReadException as error:
        raise BadConfiguration(f"A settings file is no TOML: {' '.join(str(error).split())}.") from error
    pulled: list[Pulled] = []
    pairs = settings.project_vars()["reconciliations"].values()
    for system in sorted({side["system"] for pair in pairs for side in (pair["left"], pair["right"])}):
        load(pipeline, system, folder, pulled)
    with duckdb.connect(snapshot) as connection:
        record(connection, pulled, started_at, fixed_clock)


def load(pipeline: dlt.Pipeline, system: str, folder: Path, pulled: list[Pulled]) -> None:
    """One system into the schema of its name."""
    work = folder / "parsed"
    work.mkdir(exist_ok=True)
    connector = setting(system, "connector")
    if connector != "files":
        raise BadConfiguration(f"sources.{system}.connector is {connector!r}; this version knows 'files'.")
    source = files(
        system,
        settings.ROOT / setting(system, "path"),
        setting(system, "encoding", "utf-8"),
        settings.needed_columns(system),
        work,
        pulled,
    )
    try:
        pipeline.run(
            source,
            dataset_name=system,
            schema=dlt.Schema(system),
            schema_contract={"tables": "evolve", "columns": "evolve"},
        )
    except PipelineStepFailed as error:
        raise root_cause(error, system) from error
    for leftover in work.iterdir():
        leftover.unlink()


def setting(system: str, name: str, default: str | None = None) -> str:
    """`[sources.<system>]` of .dlt/config.toml or the environment, as dlt resolves it."""
    try:
        return dlt.config[f"sources.{system}.{name}"]
    except (KeyError, ConfigFieldMissingException):
        if default is not None:
            return default
        raise BadConfiguration(
            f"sources.{system}.{name} is not set; set it in .dlt/config.toml or as SOURCES__{system.upper()}__{name.upper()}."
        ) from None


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
        table.landed = connection.execute(f'select count(*) from "{table.system}"."{table.table_name}"').fetchone()[0]
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


def record_gates(folder: Path, gates: list[dict]) -> None:
    """`gates` are the dbt tests on trust checks: check_name, is_in_force."""
    with duckdb.connect(folder / "snapshot.duckdb") as connection:
        if gates:
            connection.executemany("insert into pulls.gates values ($check_name, $is_in_force)", gates)
