"""Measures the rest connector against a bare loop that fetches the same pages with requests and throws them away; writes results-rest.md.

The loop goes from cursor to cursor, so it reads each page's JSON as well; ours also keeps the records, counts, proves and records.
One that follows no cursor, and so reads nothing, is told beside it. The server is a process of its own and answers from memory, after
the milliseconds that an API's distance and work take: with none of them all that ours costs shows, with twenty what a user sees of
it. The target is for the second; APIs near by take more. They take turns, and a ratio is the median of the turns'.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from measure import gigabytes, machine, median, must

ROOT = Path(__file__).resolve().parents[1]
LEAST_RATIO, MOST_BYTES, PAGE = 0.6, 600_000_000, 200
SERVER = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
records, size, milliseconds = map(int, sys.argv[1:])
def record(n):
    return {
        "id": n, "object": "customer", "customer_number": f"C-{n:08}", "company": f"Company {n} & Sons", "email": f"c{n}@example.org",
        "status": ["active", "trial", "churned"][n % 3], "country": "NL", "owner": "Ana Alder", "phone": f"+31 20 {n:07}",
        "address": {"line1": f"{n} Long Street", "city": "Utrecht", "postal_code": f"{n % 9999:04} AB"}, "balance": n / 100,
        "tags": ["a", "b"], "metadata": {"source": "import"},
        "created_at": "2022-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
    }
def page(start):
    meta = {"after": str(start + size) if start + size < records else None, "total": records}
    return json.dumps({"data": [record(n) for n in range(start, min(start + size, records))], "meta": meta}).encode()
pages = {start: page(start) for start in range(0, records, size)}
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(milliseconds / 1000)
        body = pages[int(self.path.partition("after=")[2].partition("&")[0] or 0)]
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
BARE = """
import json, sys, time
import requests
url, records, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def cursors(session):
    after = 0
    while after is not None:
        after = session.get(url, params={"after": after, "limit": size}).json()["meta"]["after"]
def unread(session):
    for after in range(0, records, size):
        session.get(url, params={"after": after, "limit": size}).content
def seconds(loop):
    with requests.Session() as session:
        began = time.perf_counter()
        loop(session)
        return time.perf_counter() - began
print(json.dumps({"bare": seconds(cursors), "unread": seconds(unread)}))
"""
OURS = """
import json, sys, time
from pathlib import Path
import duckdb
from pipelines import settings
from pipelines.pull import pull
from pipelines.sources import rest
settings.project_vars = lambda: {"reconciliations": {"customers": {"left": {"system": "crm"}, "right": {"system": "crm"}}}}
columns = settings.needed_columns("crm")["customers"]
settings.needed_columns = lambda system: {"customers": columns}
folder = Path(sys.argv[1])
began = time.perf_counter()
pull(folder)
seconds = time.perf_counter() - began
with duckdb.connect(folder / "snapshot.duckdb") as connection:
    reading = "extract(epoch from finished_at - started_at)"
    records, total, read = connection.execute(f"select landed, declared_total, {reading} from pulls.tables").fetchone()
assert records == total, (records, total)
print(json.dumps({"seconds": seconds, "read": float(read), "records": int(records)}))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=200_000)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument(
        "--waits", type=int, nargs="+", default=[20, 5, 0], help="milliseconds before an answer; the first has the target"
    )
    chosen = arguments.parse_args()
    turns = {wait: measured(chosen, wait) for wait in chosen.waits}
    written = Path(__file__).with_name("results-rest.md")
    written.write_text(report(chosen, turns))
    print(written.read_text())


def measured(chosen: argparse.Namespace, wait: int) -> list[dict]:
    turns = []
    served = [sys.executable, "-c", SERVER, str(chosen.records), str(PAGE), str(wait)]
    server = subprocess.Popen(served, stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        for _ in range(chosen.repeat):
            bare = must([sys.executable, "-c", BARE, f"{url}/customers", chosen.records, PAGE], {}).told
            with tempfile.TemporaryDirectory() as folder:
                ours = must([sys.executable, "-c", OURS, folder], environment(url))
            assert ours.told["records"] == chosen.records, ours.told
            turns.append({"peak": ours.peak_bytes, **bare, **ours.told})
            print(turns[-1], flush=True)
    finally:
        server.terminate()
    return turns


def environment(url: str) -> dict[str, str]:
    table = {
        "PATH": "customers",
        "PARAMS": json.dumps({"limit": PAGE}),
        "PAGE_SIZE_PARAM": "limit",
        "DATA_SELECTOR": "data",
        "PAGINATOR": json.dumps({"type": "cursor", "cursor_path": "meta.after", "cursor_param": "after"}),
        "TOTAL": "meta.total",
        "ID": "id",
    }
    source = {"CONNECTOR": "rest", "BASE_URL": url, "AUTH__TYPE": "bearer", "AUTH__TOKEN": "a-token"}
    settings = source | {f"TABLES__CUSTOMERS__{name}": value for name, value in table.items()}
    return {"PYTHONPATH": str(ROOT), "DLT_PROJECT_DIR": str(ROOT), **{f"SOURCES__CRM__{name}": value for name, value in settings.items()}}


def report(chosen: argparse.Namespace, turns: dict[int, list[dict]]) -> str:
    about = machine()
    ratio = share(turns[chosen.waits[0]])
    peak = max(turn["peak"] for of_wait in turns.values() for turn in of_wait)
    met = {True: "met", False: "MISSED"}
    rows = "\n".join(row(chosen.records, wait, of_wait) for wait, of_wait in turns.items())
    return f"""# The rest connector

{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {about["cores"]} cores of {about["processor"]}, {about["memory"]} of memory, {about["system"]}.
python {about["python"]}, duckdb {about["duckdb"]}, dlt {about["dlt"]}, pyarrow {about["pyarrow"]}. Commit {about["commit"]}.
Load of the machine when it ended: {about["load"]:.1f}.

Made by `python benchmarks/rest.py`, which says what is measured and how. {chosen.records:,} records in pages of {PAGE}, served on this
machine, {chosen.repeat} turns; records a second, medians. Ours ends in a DuckDB file.

| a page takes | requests, unread | requests, by cursor | ours, to Arrow | ours, in DuckDB | share of the cursors' |
| ---: | ---: | ---: | ---: | ---: | ---: |
{rows}

Share at {chosen.waits[0]} ms (≥ {LEAST_RATIO}): {ratio:.2f} ({met[ratio >= LEAST_RATIO]}). Largest peak of all turns
(≤ {gigabytes(MOST_BYTES)}): {gigabytes(peak)} ({met[peak <= MOST_BYTES]}).
"""


def share(turns: list[dict]) -> float:
    return median(turn["bare"] / turn["seconds"] for turn in turns)


def row(records: int, wait: int, turns: list[dict]) -> str:
    rates = " | ".join(f"{records / median(turn[name] for turn in turns):,.0f}" for name in ("unread", "bare", "read", "seconds"))
    return f"| {wait} ms | {rates} | {share(turns):.2f} |"


if __name__ == "__main__":
    print(json.dumps(machine()), flush=True)
    main()
