"""Measures how long candidate keys take for many one-sided records, and writes results-candidates.md.

The project's own models, as dbt compiles them, on the records of tests/python/companies.py: names as skewed as in life, half of the
companies on both sides. Beside them, in the same process and on the same records: a join of the e-mails as they are written, which is the
least that any way must do, and every name of the left against every name of the right by Jaro-Winkler alone, for 2,000 a side,
taken times the square to the size in question.
"""

import argparse
import json
import math
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/python")]

from measure import gigabytes, machine, median, must  # noqa: E402

JUDGED, MOST_SECONDS, EXHAUSTIVE = 50_000, 20, 2000
ONE_SIDE = "(select * from snapshot.compare.comparisons where bucket = '{}_only' limit {})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[25_000, 50_000, 100_000])
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--one", type=int, help="measure this size here, once, and print it")
    chosen = arguments.parse_args()
    if chosen.one:
        print(json.dumps(measured(chosen.one)))
        return
    turns = {size: [] for size in chosen.sizes}
    for _ in range(chosen.repeat):
        for size in chosen.sizes:
            ran = must([sys.executable, __file__, "--one", size], cwd=ROOT)
            turns[size].append(ran.told | {"peak": ran.peak_bytes})
            print(size, turns[size][-1], flush=True)
    written = HERE / "results-candidates.md"
    written.write_text(report(turns))
    print(written.read_text())


def measured(size: int) -> dict:
    from candidates import build, saw
    from companies import world
    from engine import Engine

    records, truth = world(size, seed=7)
    with Engine() as engine:
        engine.connection.execute("set threads = 2")
        saw(engine, records)
        began = time.process_time()
        seconds = timed(lambda: build(engine))
        processor = time.process_time() - began
        suggested = engine.rows("from warehouse.marts.candidate_keys")
        right = sum((row["left_key"], row["right_key"]) in truth for row in suggested)
        return {
            "seconds": seconds,
            "processor": processor,
            "join": timed(lambda: joined(engine, "l.match_email = r.match_email", size)),
            "exhaustive": timed(lambda: joined(engine, "jaro_winkler_similarity(l.match_name, r.match_name) >= 0.92", EXHAUSTIVE)),
            "compared": engine.rows("select count(*) as pairs from snapshot.judge.names_to_compare")[0]["pairs"],
            "precision": right / len(suggested),
            "recall": right / len(truth),
        }


def joined(engine, condition: str, size: int) -> None:
    left, right = ONE_SIDE.format("left", size), ONE_SIDE.format("right", size)
    engine.rows(f"select count(*) from {left} as l inner join {right} as r on {condition}")


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def report(turns: dict[int, list[dict]]) -> str:
    about = machine()
    smallest, largest = min(turns), max(turns)
    exponent = math.log(middle(turns[largest], "processor") / middle(turns[smallest], "processor")) / math.log(largest / smallest)
    rows = "\n".join(row(size, of_size) for size, of_size in turns.items())
    return f"""# Candidate keys

{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {about["cores"]} cores of {about["processor"]}, {about["memory"]} of memory, {about["system"]}.
python {about["python"]}, duckdb {about["duckdb"]}. Commit {about["commit"]}. Load of the machine when it ended: {about["load"]:.1f}.

Made by `python benchmarks/candidates.py`, which says what is measured and how. {len(turns[largest])} turns, medians; of the peak the
largest, with Python's own copy of the records. All pairs: every name against every name by Jaro-Winkler, {EXHAUSTIVE:,} a side
measured, the rest by the square. Precision and recall are against the generator's truth, in which some companies have the same
name and a tenth are named by common words alone.

| a side | candidate keys (≤ {MOST_SECONDS} s) | processor | e-mail join | all pairs | slower | compared | precision | recall | peak |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}

Processor seconds grow with the records to the power of {exponent:.2f}.
"""


def row(size: int, turns: list[dict]) -> str:
    seconds = middle(turns, "seconds")
    verdict = f" ({'met' if seconds <= MOST_SECONDS else 'MISSED'})" if size == JUDGED else ""
    all_pairs = middle(turns, "exhaustive") * (size / EXHAUSTIVE) ** 2
    cells = [
        f"{size:,}", f"{seconds:.2f} s{verdict}", f"{middle(turns, 'processor'):.2f} s", f"{middle(turns, 'join'):.2f} s",
        f"{all_pairs:,.0f} s", f"{all_pairs / seconds:,.0f} ×", f"{turns[0]['compared']:,}",
        f"{turns[0]['precision']:.1%}", f"{turns[0]['recall']:.1%}", gigabytes(max(turn["peak"] for turn in turns)),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def middle(turns: list[dict], name: str) -> float:
    return median(turn[name] for turn in turns)


if __name__ == "__main__":
    main()
