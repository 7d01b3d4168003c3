"""Measures what follows a published run, each step of pipelines/after.py and all side by side; writes results-seen.md.

Two warehouses: the sample's first night as a run leaves it, and the same with 10,000 open differences more, each with a record, values and
evidence of its own. A step is a process that has imported what a run has by then, so what a step imports itself is counted. The
share is of the whole run on the sample, told by the command itself from outside.
"""

import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from measure import gigabytes, machine, median, must

ROOT = Path(__file__).resolve().parents[1]
TURNS, DIFFERENCES, MOST_SECONDS, MOST_BYTES, MOST_SHARE = 5, 10_000, 10, 1_000_000_000, 0.25
COMMAND = [sys.executable, "-c", "from pipelines.cli import main; main()"]
FOLLOW = """
import json, sys, time
from pathlib import Path
import pipelines.cli
from pipelines import after
state, name = Path(sys.argv[1]), sys.argv[2]
stages = [[step for step in steps if name in ("all", step.__name__)] for steps in after.STAGES]
began, worked = time.perf_counter(), time.process_time()
failed = after.follow(state, *stages)
print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - worked}))
assert not failed, failed
"""
MANY = f"""
insert into marts.discrepancies by name
select base.* exclude (place) replace (
    md5(discrepancy_id || number) as discrepancy_id, record_key || '-' || number as record_key, 'open' as status,
    left_value || hash(number) % 10000 as left_value, age_hours + number % 1000 as age_hours,
    hash(-number) % 1000000 / 100 as value_at_risk,
    cause_evidence || ', ' || hash(number) % 100000 as cause_evidence
)
from (select *, row_number() over () as place from marts.discrepancies) as base
inner join range({DIFFERENCES}) as numbers (number) on place = 1 + number % (select count(*) from marts.discrepancies)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "sample")
        runs = [must([*COMMAND, "reconcile", "--quiet"], environment(sample), cwd=ROOT).seconds for _ in range(TURNS)]
        many = Path(shutil.copytree(sample, Path(folder, "many")))
        with duckdb.connect(many / "warehouse.duckdb") as connection:
            connection.execute(MANY)
        steps = [*names(), "all"]
        rows = [(what, name, turns(state, name)) for what, state in (("the sample", sample), ("10,000 more", many)) for name in steps]
        sizes = {file.name: file.stat().st_size for file in sorted(many.rglob("*")) if file.name == "report.html"}
    written = Path(__file__).with_name("results-seen.md")
    written.write_text(report(median(runs), rows, sizes))
    print(written.read_text())


def names() -> list[str]:
    sys.path.insert(0, str(ROOT))
    from pipelines import after

    return [step.__name__ for steps in after.STAGES for step in steps]


def turns(state: Path, name: str) -> list[dict]:
    measured = [must([sys.executable, "-c", FOLLOW, state, name], environment(state), cwd=ROOT) for _ in range(TURNS)]
    return [{"peak": turn.peak_bytes, **turn.told} for turn in measured]


def environment(state: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "TALLYSTICK_STATE": str(state)}


def report(run: float, rows: list[tuple[str, str, list[dict]]], sizes: dict[str, int]) -> str:
    about = machine()
    of = {(what, name): measured for what, name, measured in rows}
    share = median(turn["seconds"] for turn in of["the sample", "all"]) / run
    slowest = max(turn["seconds"] for turn in of["10,000 more", "all"])
    peak = max(turn["peak"] for turn in of["10,000 more", "all"])
    lines = "\n".join(
        f"| {what} | {name} | {median(turn['seconds'] for turn in measured):.2f} | {median(turn['cpu'] for turn in measured):.2f} |"
        f" {gigabytes(max(turn['peak'] for turn in measured))} |"
        for what, name, measured in rows
    )
    met = {True: "met", False: "MISSED"}
    return f"""# What follows a run

{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {about["cores"]} cores of {about["processor"]}, {about["memory"]} of memory, {about["system"]}.
Commit {about["commit"]}. Load of the machine when it ended: {about["load"]:.1f}.

Made by `python benchmarks/seen.py`, which says what is measured and how. {TURNS} turns; seconds are medians.

| open differences | step | seconds | CPU | largest peak |
| --- | --- | ---: | ---: | ---: |
{lines}

Share of the run on the sample, {run:.2f} s with it (≤ {MOST_SHARE:.0%}): {share:.0%} ({met[share <= MOST_SHARE]}).
10,000 more: slowest {slowest:.2f} s (≤ {MOST_SECONDS} s, {met[slowest <= MOST_SECONDS]}), largest peak {gigabytes(peak)}
(≤ {gigabytes(MOST_BYTES)}, {met[peak <= MOST_BYTES]}); {", ".join(f"{name} {size:,} bytes" for name, size in sizes.items())}.
"""


if __name__ == "__main__":
    main()
