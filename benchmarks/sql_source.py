"""Measures the sql connector against PostgreSQL's COPY … TO a file plus DuckDB reading that, and writes results-sql.md.

Both begin at the same two tables and end at them in a DuckDB file; ours also counts, proves and records. The server is the
tests' own. They take turns, and a ratio is the median of the turns'.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from measure import gigabytes, machine, median, must

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests/python"))

import servers  # noqa: E402

LEAST_RATIO, MOST_BYTES = 0.5, 600_000_000
TABLES = {
    "customers": """
        select 'C-' || lpad(n::text, 8, '0') as customer_number, 'Company ' || n as company, 'c' || n || '@example.org' as email,
            (array['active', 'trial', 'churned'])[1 + n % 3] as status, 'NL' as country, 'Ana Alder' as owner,
            timestamptz '2022-01-01Z' + n * interval '1 minute' as created_at,
            timestamptz '2024-01-01Z' + n * interval '1 minute' as updated_at
        from generate_series(1, {}) as n""",
    "deals": """
        select 'K-' || lpad(n::text, 8, '0') as contract_number, 'C-' || lpad(n::text, 8, '0') as customer_number, 'won' as stage,
            'team' as plan, (n % 100000 / 100.0)::numeric(12, 2) as amount, 'EUR' as currency, 'month' as interval,
            date '2022-01-01' + n % 1000 as starts_on, timestamptz '2022-01-01Z' + n * interval '1 minute' as created_at,
            timestamptz '2024-01-01Z' + n * interval '1 minute' as updated_at
        from generate_series(1, {}) as n""",
}
OURS = """
import json, sys, time
from pathlib import Path
import duckdb
from pipelines import settings
from pipelines.pull import pull
from pipelines.sources import sql
settings.project_vars = lambda: {"reconciliations": {"customers": {"left": {"system": "crm"}, "right": {"system": "crm"}}}}
folder = Path(sys.argv[1])
began = time.perf_counter()
pull(folder)
seconds = time.perf_counter() - began
with duckdb.connect(folder / "snapshot.duckdb") as connection:
    reading = "extract(epoch from max(finished_at) - min(started_at))"
    records, read = connection.execute(f"select sum(landed), {reading} from pulls.tables").fetchone()
print(json.dumps({"seconds": seconds, "read": float(read), "records": int(records)}))
"""


def copy_and_read(server: servers.Server, folder: Path) -> float:
    """Seconds of COPY … TO and of DuckDB reading what it wrote."""
    began = time.perf_counter()
    for table in TABLES:
        server.run(f"copy {table} to '{folder / table}.csv' (format csv, header)")
    with duckdb.connect(folder / "straight.duckdb") as connection:
        connection.execute("set preserve_insertion_order = false")
        for table in TABLES:
            connection.execute(f"create table {table} as from read_csv('{folder / table}.csv', all_varchar = true)")
    return time.perf_counter() - began


def ours(server: servers.Server, folder: Path) -> tuple[dict, int]:
    """What our process told, and its peak of memory. The fixed start of Python and its imports is not in its seconds."""
    measured = must(
        [sys.executable, "-c", OURS, folder],
        {
            "PYTHONPATH": ROOT,
            "DLT_PROJECT_DIR": ROOT,
            "SOURCES__CRM__CONNECTOR": "sql",
            "SOURCES__CRM__CREDENTIALS": server.url,
        },
    )
    return measured.told, measured.peak_bytes


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=1_000_000, help="of both tables together")
    arguments.add_argument("--repeat", type=int, default=5)
    chosen = arguments.parse_args()
    turns = []
    with servers.postgresql() as server:
        for table, query in TABLES.items():
            server.run(f"create table {table} as {query.format(chosen.records // 2)}", f"vacuum analyze {table}")
        for _ in range(chosen.repeat):
            with tempfile.TemporaryDirectory() as folder:
                Path(folder).chmod(0o777)  # the server writes there as somebody else
                straight = copy_and_read(server, Path(folder))
                told, peak = ours(server, Path(folder))
            assert told["records"] == chosen.records // 2 * 2, told
            turns.append({"straight": straight, "peak": peak, **told})
            print(turns[-1], flush=True)
    (HERE / "results-sql.md").write_text(report(chosen.records, turns))
    print((HERE / "results-sql.md").read_text())


def report(records: int, turns: list[dict]) -> str:
    about = machine()
    ratio = median(turn["straight"] / turn["seconds"] for turn in turns)
    peak = max(turn["peak"] for turn in turns)
    rates = {name: f"{records / median(turn[name] for turn in turns):,.0f}" for name in ("straight", "read", "seconds")}
    met = {True: "met", False: "MISSED"}
    return f"""# The sql connector

{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {about["cores"]} cores of {about["processor"]}, {about["memory"]} of memory, {about["system"]}.
python {about["python"]}, duckdb {about["duckdb"]}, dlt {about["dlt"]}, pyarrow {about["pyarrow"]}. Commit {about["commit"]}.
Load of the machine when it ended: {about["load"]:.1f}.

Made by `python benchmarks/sql_source.py`, which says what is measured and how. {records:,} records of two tables of a PostgreSQL on
the same machine, {len(turns)} turns; medians, of the peak the largest. All ends in a DuckDB file.

| | |
| --- | ---: |
| COPY … TO and DuckDB | {rates["straight"]} records/s |
| ours, read to Parquet | {rates["read"]} records/s |
| ours, loaded and recorded | {rates["seconds"]} records/s |
| its share of the first (≥ {LEAST_RATIO}) | {ratio:.2f} ({met[ratio >= LEAST_RATIO]}) |
| peak (≤ {gigabytes(MOST_BYTES)}) | {gigabytes(peak)} ({met[peak <= MOST_BYTES]}) |
"""


if __name__ == "__main__":
    print(json.dumps(machine()), flush=True)
    main()
