"""One run: lock, pull, build, swap. Everything is made in state/next/ and nothing is published before the end."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import after, notify, seeds, settings
from pipelines.failures import AlreadyRunning, BadConfiguration, Failure, NotTrustworthy
from pipelines.fix.journal import Journal
from pipelines.progress import Progress

PUBLISHED = "warehouse.duckdb"
SNAPSHOT = "snapshot.duckdb"
STORAGE_VERSION = "v1.0.0"
EVERYTHING = ["build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure"]


def reconcile(progress: Progress, stages: after.Stages = after.STAGES) -> list[str]:
    """Runs once and publishes; the verdicts stand in the published marts.runs. Returns what of the rest failed, a sentence each.

    Raises Failure; where it does, state/warehouse.duckdb is what it was before.
    """
    with locked(settings.state_folder()) as (state, lock):
        with Builder(state, lock) as builder:
            notify.refuse_bad_settings()
            seeds.refuse_other_columns()
            folder = prepare(state)
            progress.step("pulling both sides")
            gates, unused = pull_beside(builder, folder, progress)
            progress.step("reconciling")
            results = builder.build([*EVERYTHING, *unused])
        refuse_errors(results)
        refuse_silent_gates(results, gates)
        publish(folder, state)
        progress.step("telling")
        return after.follow(state, *stages)


def count(progress: Progress) -> list[tuple]:
    """Pulls and counts, publishes nothing. Rows of reconciliation, system left, records in scope, system right, records in scope."""
    with locked(settings.state_folder()) as (state, lock):
        with Builder(state, lock) as builder:
            folder = prepare(state)
            progress.step("pulling both sides")
            _, unused = pull_beside(builder, folder, progress)
            wanted = ["--select", "+counted_columns", "+pull_checks"]
            refuse_errors(builder.build(["build", "--exclude-resource-type", "test", *wanted, *unused]))
        with duckdb.connect(folder / SNAPSHOT, read_only=True) as connection:
            refused = connection.execute("select explanation from trust.pull_checks where not passed").fetchall()
            if refused:
                raise NotTrustworthy(f"The pull was not whole: {refused[0][0]}.", "Nothing was counted; mend the source and run again.")
            return connection.execute(
                """
                select pairs.reconciliation, left_system, any_value(records_in_scope) filter (side = 'left'),
                    right_system, any_value(records_in_scope) filter (side = 'right')
                from trust.pairs as pairs inner join trust.counted_columns as counted on counted.reconciliation = pairs.reconciliation
                group by all order by pairs.reconciliation desc
                """
            ).fetchall()


@contextmanager
def published() -> Iterator[duckdb.DuckDBPyConnection]:
    """The published warehouse, for reading. Raises BadConfiguration where there is none yet, Failure where it can't be read."""
    warehouse = settings.state_folder() / PUBLISHED
    if not warehouse.exists():
        raise BadConfiguration(f"There is no {warehouse} yet.", "Nothing was touched; run make reconcile first.")
    with readable(warehouse), duckdb.connect(warehouse, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


@contextmanager
def readable(warehouse: Path) -> Iterator[None]:
    """Raises Failure with the way out where DuckDB can't read the warehouse, or another process has it open for writing."""
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).splitlines()[0][:200]
        if "Could not set lock" in reason:
            raise Failure(f"{warehouse} is open for writing elsewhere.", "It was left as it is; close it there and run again.") from error
        raise Failure(
            f"{warehouse} can't be read ({reason}); it was left as it is.",
            "Put a backup in its place, or move it away to start a new history, and run again.",
        ) from error


def outcome(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Of the last run: pairs that were not trusted, and differences still open."""
    return connection.execute(
        """
        select count(*) filter (verdict is distinct from 'trusted'), sum(open)
        from marts.runs where run_seq = (select max(run_seq) from marts.runs)
        """
    ).fetchone()


def accept(refused: str, reason: str, by: str, why_not: str) -> tuple[list[dict], dict[str, str]]:
    """Appends what the last run refused (REFUSED_COUNTS or REFUSED_FIXES) to seeds/accepted_counts.csv, of the pairs that then pass.

    Returns the rows, and for each other pair the check that stands in its way; "" is the run as a whole.
    Raises BadConfiguration where nothing was refused, or nothing of it can be accepted; `why_not` ends the sentence that says so.
    """
    if not reason or not by:
        raise BadConfiguration("Accepting needs both --reason and --by.")
    with published() as connection:
        failed = connection.execute(refused).fetchall()
    beyond = {pair: check_name for pair, *_, check_name, _, can_be_accepted in failed if not can_be_accepted}
    acceptable = [row for row in failed if row[0] not in beyond]
    if not acceptable:
        why = f"{min(beyond.values())} {why_not}" if failed else "the last run refused nothing"
        raise BadConfiguration(f"There is nothing to accept: {why}.")
    what = [dict(zip(WHAT_IS_ACCEPTED, row, strict=False)) for row in acceptable]
    if all(seeds.states("accepted_counts", row) for row in what):
        raise BadConfiguration("It is accepted already.", "seeds/accepted_counts.csv was left as it is; run make reconcile.")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    accepted = [row | {"reason": reason, "accepted_by": by, "accepted_at": now} for row in what]
    seeds.append("accepted_counts", accepted)
    return accepted, beyond


WHAT_IS_ACCEPTED = ("reconciliation", "run_id", "side", "check_name", "observed")
REFUSED_COUNTS = """
select reconciliation, run_id, side, check_name, observed, can_be_accepted
from marts.trust_checks
where not passed and run_id = (select arg_max(run_id, run_seq) from marts.runs)
order by all
"""

# Where nothing is planned a breaker stops nothing, and a wave is no question yet, unless a pair is not trusted: then that is why, and what
# the run counted is nothing to go by. What was accepted holds for one run, so it is asked for again beside what tripped anew.
REFUSED_FIXES = """
select
    reconciliation, run_id, 'both', breaker, observed,
    can_be_accepted and not bool_or(breaker = 'every_pair_is_trusted') over ()
from marts.fix_breakers
where (tripped or accepted_by is not null)
    and run_id = (select arg_max(run_id, run_seq) from marts.runs)
    and (run_id in (select run_id from marts.fix_plan) or breaker = 'every_pair_is_trusted')
qualify bool_or(tripped) over ()
order by all
"""


@contextmanager
def locked(state: Path) -> Iterator[tuple[Path, int]]:
    """The state folder under a kernel lock, which ends with the processes that hold it. Raises AlreadyRunning."""
    os.umask(0o077)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunning(f"Another run holds {state / 'lock'}.") from None
    try:
        yield state, lock
    finally:
        os.close(lock)


def prepare(state: Path) -> Path:
    """An empty state/next/ with a copy of what is published, so that a reader of the published file blocks nobody."""
    folder = state / "next"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    with duckdb.connect() as connection:
        for name in (SNAPSHOT, PUBLISHED):  # DuckDB 2 would write files that the drivers of most BI tools can't read yet
            connection.execute(f"attach '{settings.quoted(folder / name)}' as \"{name}\" (storage_version '{STORAGE_VERSION}')")
    if (state / PUBLISHED).exists():
        shutil.copyfile(state / PUBLISHED, folder / "published.duckdb")
        read_through(folder / "published.duckdb", state / PUBLISHED)
    lay_out_before(folder, state)
    return folder


def lay_out_before(folder: Path, state: Path) -> None:
    """In before/ the snapshot of each pair's last trusted run, which judges what is new; an empty one where there is none."""
    (folder / "before").mkdir()
    last_trusted = {}
    if (folder / "published.duckdb").exists():
        with duckdb.connect(folder / "published.duckdb", read_only=True) as connection:
            last_trusted = dict(connection.execute(LAST_TRUSTED).fetchall())
    for pair in settings.project_vars()["reconciliations"]:
        kept, laid_out = state / "before" / f"{last_trusted.get(pair)}.duckdb", folder / "before" / f"{pair}.duckdb"
        if kept.exists():
            link(kept, laid_out)
        else:
            duckdb.connect(laid_out).close()


def read_through(copy: Path, published: Path) -> None:
    """Reads every block of yesterday's warehouse, so that damage is found before it becomes history."""
    with readable(published), duckdb.connect(copy) as connection:
        for schema, table in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall():
            connection.execute(f'select bit_xor(hash(t)) from "{schema}"."{table}" as t')
        version = connection.execute("select coalesce(max(history_version), 0) from marts.runs").fetchone()[0]
    if version > settings.project_vars()["history_version"]:
        raise Failure(
            f"{published} was written by a newer Tallystick (history version {version}); it was left as it is.",
            "Update this checkout, or set TALLYSTICK_STATE to another folder, and run again.",
        )


def keep(snapshot: Path, kept: Path) -> None:
    """Under the run's own name, so that whichever warehouse is published finds the snapshot it was made of."""
    kept.parent.mkdir(exist_ok=True)
    kept.unlink(missing_ok=True)
    link(snapshot, kept)


LAST_TRUSTED = """
select reconciliation, arg_max(run_id, run_seq) from marts.runs where verdict = 'trusted' group by reconciliation
"""


def link(file: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk knows no second names."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


class Builder:
    """The dbt process: started at once so that it is ready when the pull is, and gone when the block ends."""

    def __init__(self, state: Path, lock: int):
        environment = os.environ | {
            "TALLYSTICK_STATE": str(state),
            "DBT_TARGET_PATH": str(state / "target"),
            "DBT_LOG_PATH": str(state / "logs"),
            "DBT_PROJECT_DIR": str(settings.ROOT),
            "DBT_PROFILES_DIR": str(settings.ROOT),
            "DO_NOT_TRACK": "1",
            "TZ": "UTC",
        }
        self.process = subprocess.Popen(
            # Where the run fails it is killed, and Python's tracker would tell of what the system takes back anyway.
            [sys.executable, "-W", "ignore:resource_tracker", "-m", "pipelines.build"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=settings.ROOT,
            env=environment,
            pass_fds=[lock],
            process_group=0,  # Ctrl-C is for the run, which ends this one
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def gates(self) -> list[dict]:
        return self._hear()["gates"]

    def build(self, command: list[str]) -> list[dict]:
        """Every node's result: name, kind, gate, status, message, seconds. The process has ended after it."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        results = self._hear()["results"]
        self.process.wait()
        return results

    def _hear(self) -> dict:
        line = self.process.stdout.readline()
        message = json.loads(line) if line else {"failure": f"the dbt process ended with {self.process.wait()}"}
        if "failure" in message:
            raise Failure(f"dbt failed: {message['failure']}.", see_the_log())
        return message


def pull_beside(builder: Builder, folder: Path, progress: Progress) -> tuple[list[dict], list[str]]:
    """Pulls while dbt starts. Returns the gates, and the arguments that leave out the models of connectors not in use.

    dlt is imported only here: it takes half a second that dbt's start hides.
    """
    from pipelines.pull import pull, record_attempts, record_gates

    attempts = Journal(folder.parent).attempts()
    unused = pull(folder, progress.pulled)
    record_attempts(folder, attempts)
    gates = builder.gates()
    record_gates(folder, gates)
    return gates, [argument for name in unused for argument in ("--exclude", f"staging.{name}")]


def refuse_errors(results: list[dict]) -> None:
    """Raises BadConfiguration where a seed is wrong, Failure where another node that is no gate did not do its work."""
    failed = [result for result in results if result["gate"] is None and result["status"] not in ("success", "pass")]
    if failed:
        first = failed[0]
        reason = " ".join((first["message"] or first["status"]).split())
        if first["is_of_seeds"]:
            raise BadConfiguration(f"{of_seeds(first, reason)}.", see_the_log())
        raise Failure(f"dbt failed in {first['name']}: {reason[:300]}.", see_the_log())


def of_seeds(result: dict, reason: str) -> str:
    """What is wrong with what people wrote, without dbt's words around it."""
    if result["kind"] == "seed":
        file = f"seeds/{result['name']}.csv"
        reason = reason.rpartition(f"({file}) ")[2].partition(" > in macro")[0].rstrip(".")
        return f"{file} can't be read: {reason.rpartition('Error: ')[2]}"
    return reason.rpartition("Error: ")[2]


def refuse_silent_gates(results: list[dict], gates: list[dict]) -> None:
    """Raises NotTrustworthy where a trust check's dbt test neither passed nor failed."""
    reported = {result["gate"] for result in results if result["status"] in ("pass", "fail")}
    silent = sorted({gate["check_name"] for gate in gates if gate["is_in_force"]} - reported)
    if silent:
        raise NotTrustworthy(f"The gate {silent[0]} did not report.", see_the_log())


def see_the_log() -> str:
    return f"Nothing was published; {settings.state_folder()}/logs/dbt.log says more. Mend it and run make reconcile again."


def close(file: Path) -> None:
    """For good, so that it can be put in place whole."""
    with duckdb.connect(file) as connection:
        connection.execute("checkpoint")
    if file.with_name(f"{file.name}.wal").exists():
        raise Failure(f"{file} did not close.", "Nothing was published; run make reconcile again.")
    with file.open("rb") as content:
        os.fsync(content.fileno())
    file.chmod(0o600)


@contextmanager
def rewritten(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of what is published, to be changed; it takes the published file's place, whole, when the block has ended."""
    folder = state / "next"
    folder.mkdir(exist_ok=True)
    copy = folder / "rewritten.duckdb"
    shutil.copyfile(state / PUBLISHED, copy)
    with duckdb.connect(copy) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    close(copy)
    os.replace(copy, state / PUBLISHED)
    with suppress(OSError):  # an untrusted run's pull stays there
        folder.rmdir()


def publish(folder: Path, state: Path) -> None:
    """Closes both files for good and puts them in place, each whole. An untrusted pull stays in state/next/ instead."""
    for name in (SNAPSHOT, PUBLISHED):
        close(folder / name)
    with duckdb.connect(folder / PUBLISHED, read_only=True) as connection:
        untrusted, _ = outcome(connection)
        run_id = connection.execute("select arg_max(run_id, run_seq) from marts.runs").fetchone()[0]
        judged_by = set(dict(connection.execute(LAST_TRUSTED).fetchall()).values())
    is_whole = not untrusted
    if run_id in judged_by:
        keep(folder / SNAPSHOT, state / "before" / f"{run_id}.duckdb")
    if is_whole:
        os.replace(folder / SNAPSHOT, state / SNAPSHOT)
    os.replace(folder / PUBLISHED, state / PUBLISHED)
    for kept in (state / "before").glob("*.duckdb"):
        if kept.stem not in judged_by:
            kept.unlink()
    with suppress(OSError):  # published it is, whether or not the disk can still promise it
        directory = os.open(state, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    if is_whole:
        shutil.rmtree(folder, ignore_errors=True)
