"""Measures the project against hand-written DuckDB in the same run, and writes results.md and results.json.

compare   dbt build from the landed snapshot to the marts against the baseline: two nights, memory, a small memory limit
pull      both sides through dlt against DuckDB reading the same files straight into a table, Parquet and CSV
whole     `tallystick reconcile` against the baseline
peers     the same comparison by other tools, each ended past --peer-seconds or --peer-gigabytes
sample    a second `tallystick reconcile` of the sample against importing dlt plus an empty dbt build

Every figure is a median of --repeat runs that take turns with their baseline. A time counts only where the answer is
the baseline's.
"""

import argparse
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import project
import report
from generate import DATA, export
from measure import machine, median, must, run

HERE = Path(__file__).resolve().parent
PYTHON = Path(sys.executable)
PARTS = ["compare", "pull", "whole", "peers", "sample"]
RECONCILE = [PYTHON, "-c", "from pipelines.cli import main; main()", "reconcile", "--quiet"]
SMALL_MEMORY = "512MB"

STRAIGHT = """
import json, sys, time, duckdb
folder, kind, database = sys.argv[1:]
read = {"parquet": "read_parquet('%s')", "csv": "read_csv('%s', all_varchar = true)"}[kind]
began = time.perf_counter()
with duckdb.connect(database) as connection:
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    for system in ("crm", "billing"):
        connection.execute(f"create schema {system}")
        connection.execute(f"create table {system}.records as from {read % f'{folder}/{system}/records.{kind}'}")
print(json.dumps({"seconds": time.perf_counter() - began}))
"""


class Bench:
    """One size: its files, a copy of the project with the pair `records`, and a state folder that can be put back."""

    def __init__(self, records: int, repeat: int, work: Path):
        self.records, self.repeat, self.work = records, repeat, work
        self.project = project.with_the_pair_records(project.copy(work / "project"))
        self.state = work / "state"

    def say(self, text: str) -> None:
        print(f"{datetime.now():%H:%M:%S}  {self.records:>10,}  {text}", flush=True)

    def environment(self, exports: Path, **more: str) -> dict:
        sides = {f"SOURCES__{system.upper()}__PATH": exports / system for system in ("crm", "billing")}
        return {"PYTHONPATH": self.project, "TALLYSTICK_STATE": self.state, **sides, **more}

    def step(self, step: str, exports: Path, **more: str) -> dict:
        return must([PYTHON, HERE / "night.py", step], self.environment(exports, **more), self.project).told

    def baseline(self, exports: Path, *options: str) -> dict:
        database = self.work / "baseline.duckdb"
        database.unlink(missing_ok=True)
        return must([PYTHON, HERE / "baseline.py", exports, database, *options]).told

    def clear(self) -> None:
        shutil.rmtree(self.state, ignore_errors=True)

    def keep(self, name: str) -> None:
        shutil.copytree(self.state, self.work / name)

    def put_back(self, name: str) -> None:
        self.clear()
        shutil.copytree(self.work / name, self.state)
        subprocess.run(["sync"], check=True)

    def assert_same_answer(self) -> int:
        """The marts hold the baseline's rows and no other. Returns how many."""
        columns = "record_key, bucket, field, left_value, right_value"
        with duckdb.connect() as connection:
            connection.execute(f"attach '{self.work / 'baseline.duckdb'}' as baseline (read_only)")
            connection.execute(f"attach '{self.state / 'warehouse.duckdb'}' as warehouse (read_only)")
            ours = f"select {columns} from warehouse.marts.discrepancies"
            theirs = f"select {columns} from baseline.differences"
            more, fewer, rows = (
                connection.execute(f"select count(*) from ({query})").fetchone()[0]
                for query in (f"{ours} except all {theirs}", f"{theirs} except all {ours}", theirs)
            )
        if more or fewer:
            raise SystemExit(f"another answer than the baseline's: {more:,} rows more, {fewer:,} fewer, of {rows:,}")
        return rows


def compare(bench: Bench) -> dict:
    nights = [export(bench.records, "night-1"), export(bench.records, "night-2")]
    kinds = ("baseline", "raw", "first", "small_memory", "baseline_2", "second")
    measured = {kind: [] for kind in kinds}
    bench.clear()
    bench.step("parse", nights[0])
    bench.say("first night: pull")
    bench.step("pull", nights[0])
    bench.keep("first")
    for turn in range(bench.repeat):
        bench.say(f"first night: build under {SMALL_MEMORY}, raw, baseline, build ({turn + 1} of {bench.repeat})")
        bench.put_back("first")
        measured["small_memory"].append(bench.step("build", nights[0], TALLYSTICK_MEMORY_LIMIT=SMALL_MEMORY))
        measured["raw"].append(bench.baseline(nights[0], "--raw"))
        bench.put_back("first")
        measured["baseline"].append(bench.baseline(nights[0]))
        measured["first"].append(bench.step("build", nights[0]))
        rows = bench.assert_same_answer()
    bench.say("second night: pull")
    bench.step("pull", nights[1])
    bench.keep("second")
    for turn in range(bench.repeat):
        bench.say(f"second night: baseline, build ({turn + 1} of {bench.repeat})")
        bench.put_back("second")
        measured["baseline_2"].append(bench.baseline(nights[1]))
        measured["second"].append(bench.step("build", nights[1]))
        rows_2 = bench.assert_same_answer()
    for name in ("first", "second"):
        shutil.rmtree(bench.work / name)
    return {kind: middle(runs) for kind, runs in measured.items()} | {"rows": rows, "rows_2": rows_2}


def middle(runs: list[dict]) -> dict:
    """The run with the median time, with every run's time beside it."""
    ordered = sorted(runs, key=lambda measured: measured["seconds"])
    return ordered[len(runs) // 2] | {"all_seconds": [round(measured["seconds"], 3) for measured in runs]}


def pull(bench: Bench) -> dict:
    rates = {}
    for kind in ("parquet", "csv"):
        exports = export(bench.records, "night-1", kind)
        dlt, straight, peaks = [], [], []
        for turn in range(bench.repeat):
            bench.say(f"pull of {kind}: straight, dlt ({turn + 1} of {bench.repeat})")
            database = bench.work / "straight.duckdb"
            database.unlink(missing_ok=True)
            straight.append(must([PYTHON, "-c", STRAIGHT, exports, kind, database]).told["seconds"])
            bench.clear()
            pulled = must([PYTHON, HERE / "night.py", "pull"], bench.environment(exports), bench.project)
            dlt.append(pulled.told["seconds"])
            peaks.append(pulled.peak_bytes)
        database.unlink()
        rates[kind] = {
            "straight_per_second": 2 * bench.records / median(straight),
            "dlt_per_second": 2 * bench.records / median(dlt),
            "dlt_seconds": dlt,
            "straight_seconds": straight,
            "peak_bytes": max(peaks),
        }
    return rates


def whole(bench: Bench) -> dict:
    exports = export(bench.records, "night-1")
    runs, baselines = [], []
    for turn in range(bench.repeat):
        bench.say(f"whole run: baseline, reconcile ({turn + 1} of {bench.repeat})")
        baselines.append(bench.baseline(exports))
        bench.clear()
        runs.append(must(RECONCILE, bench.environment(exports), bench.project).record())
        bench.assert_same_answer()
    peak = max(measured["peak_bytes"] for measured in runs)
    return {"baseline": middle(baselines), "reconcile": middle(runs) | {"peak_bytes": peak}}


def peers(bench: Bench, most_seconds: float, most_bytes: float) -> dict:
    python = DATA / "peers/bin/python"
    pins = HERE / "requirements-peers.txt"
    stamp = DATA / "peers/pins.txt"
    if not stamp.exists() or stamp.read_text() != pins.read_text():
        bench.say("making the peers' venv")
        subprocess.run([PYTHON, "-m", "venv", "--clear", DATA / "peers"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", pins], check=True)
        stamp.write_text(pins.read_text())
    exports = export(bench.records, "night-1")
    bench.say("peers: baseline")
    results = {"baseline": bench.baseline(exports) | {"answer": "the answer"}}
    for peer in ("polars", "datacompy", "audit-helper"):
        bench.say(f"peers: {peer}")
        answer = bench.work / f"{peer}.parquet"
        limits = {"most_seconds": most_seconds, "most_bytes": most_bytes}
        measured = run([python, HERE / "peers.py", peer, exports, answer], **limits)
        results[peer] = {
            "seconds": measured.told.get("seconds"),
            "peak_bytes": measured.peak_bytes,
            "answer": measured.failure or held_against(bench.work / "baseline.duckdb", answer),
        }
        answer.unlink(missing_ok=True)
    return results


def held_against(database: Path, answer: Path) -> str:
    """How a peer's answer differs from the baseline's, in the columns that the peer gives."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{database}' as baseline (read_only)")
        given = [name for name, *_ in connection.execute(f"describe from '{answer}'").fetchall()]
        grain = ", ".join(name for name in ("record_key", "bucket", "field") if name in given)
        theirs, ours = f"select distinct {grain} from '{answer}'", f"select distinct {grain} from baseline.differences"
        more, fewer = connection.execute(
            f"select (select count(*) from ({theirs} except {ours})), (select count(*) from ({ours} except {theirs}))"
        ).fetchone()
    what = "fields" if "field" in grain else "records, no fields"
    return f"the same {what}" if not more and not fewer else f"other {what}: {more:,} more, {fewer:,} fewer"


def sample(repeat: int, work: Path) -> dict:
    """A second night after the first, from a copy of the project as it is. The first round of all three leaves their bytecode."""
    copied, empty, state, kept = project.copy(work / "project"), work / "empty", work / "state", work / "night-1"
    empty.mkdir()
    (empty / "dbt_project.yml").write_text("name: empty\nversion: '1.0'\nprofile: empty\nflags: {send_anonymous_usage_stats: false}\n")
    (empty / "profiles.yml").write_text("empty: {target: run, outputs: {run: {type: duckdb, path: empty.duckdb}}}\n")

    def reconcile(night: str) -> tuple:
        exports = {f"SOURCES__{name.upper()}__PATH": project.ROOT / "sample" / night / name for name in ("crm", "billing")}
        return RECONCILE, {"PYTHONPATH": copied, "TALLYSTICK_STATE": state, **exports}, copied

    commands = {
        "import_dlt": ([PYTHON, "-c", "import dlt"], {}, empty),
        "empty_dbt_build": ([PYTHON.with_name("dbt"), "build"], {}, empty),
        "reconcile": reconcile("night-2"),
    }
    must(*reconcile("night-1"))
    shutil.copytree(state, kept)
    seconds = {name: [] for name in commands}
    for turn in range(repeat + 1):
        print(f"{datetime.now():%H:%M:%S}  sample ({turn} of {repeat})", flush=True)
        for name, command in commands.items():
            shutil.rmtree(state)
            shutil.copytree(kept, state)
            took = must(*command).seconds
            if turn:
                seconds[name].append(took)
    return {name: {"seconds": median(took), "all_seconds": took} for name, took in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the sample takes two more")
    parser.add_argument("--peer-seconds", type=float, default=900)
    parser.add_argument("--peer-gigabytes", type=float, default=14)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="path of the results without suffix")
    arguments = parser.parse_args()
    work = DATA / "work"
    results = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "machine": machine(), "sizes": {}}
    results |= {"peer_limits": [arguments.peer_seconds, arguments.peer_gigabytes], "small_memory": SMALL_MEMORY}

    def write() -> None:
        arguments.out.with_suffix(".json").write_text(json.dumps(results, indent=2) + "\n")
        arguments.out.with_suffix(".md").write_text(report.written(results))

    for records in arguments.records if set(arguments.only) - {"sample"} else []:
        shutil.rmtree(work, ignore_errors=True)
        bench = Bench(records, arguments.repeat, work)
        size = results["sizes"][str(records)] = {}
        parts = {
            "compare": lambda bench=bench: compare(bench),
            "pull": lambda bench=bench: pull(bench),
            "whole": lambda bench=bench: whole(bench),
            "peers": lambda bench=bench: peers(bench, arguments.peer_seconds, arguments.peer_gigabytes * 1e9),
        }
        for name, measure in parts.items():
            if name in arguments.only:
                size[name] = measure()
                write()
    if "sample" in arguments.only:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        results["sample"] = sample(arguments.repeat + 2, work)
        write()
    shutil.rmtree(work, ignore_errors=True)
    print(arguments.out.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
