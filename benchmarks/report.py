"""results.md out of results.json: a table a question. Targets are judged at 10 million records a side."""

import json
import math
import statistics
import sys
from itertools import pairwise
from pathlib import Path

JUDGED = 10_000_000
SIDE = "records a side"


def written(results: dict) -> str:
    machine = results["machine"]
    sizes = {int(records): size for records, size in sorted(results["sizes"].items(), key=lambda size: int(size[0]))}
    versions = [f"{name} {machine[name]}" for name in ("python", "duckdb", "dbt-core", "dbt-duckdb", "dlt", "pyarrow")]
    sections = [
        "# Benchmark results",
        f"{results['date']}. {machine['cores']} cores of {machine['processor']}, {machine['memory']} of memory,"
        f" {machine['system']}.\n{', '.join(versions)}.\n"
        f"Commit {machine['commit']}. Load of the machine when it began: {machine['load']:.1f}.",
        "Made by `make bench`; benchmarks/run.py says what is measured and how. A ratio is the median of the"
        f" ratios of its turns,\nseconds are medians and do not travel. Targets are judged at {JUDGED:,} records a side.",
        *times(sizes),
        *memory(sizes, results["small_memory"]),
        *exponents(sizes),
        *whole(sizes),
        *pulls(sizes),
        *peers(sizes, results["peer_limits"]),
        *sample(results),
        *nodes(sizes),
    ]
    return "\n\n".join(sections) + "\n"


def times(sizes: dict) -> list[str]:
    """First and second night against the baseline over the same night's files."""
    rows = []
    for records, size in having(sizes, "compare"):
        for night, baseline, most in (("first", "baseline", 3.5), ("second", "baseline_2", 3)):
            build, by_hand = size[night], size[baseline]
            ratio = judged(ratio_of(build, by_hand), most, records)
            start = f"{build['startup_seconds']:.2f} s"
            rows.append([f"{records:,}, {night} night", seconds(by_hand), seconds(build), ratio, start])
            if night == "first":
                rows.append([f"{records:,}, without canonicalisation", seconds(size["raw"]), "", "", ""])
    text = (
        "dbt build from the landed snapshot to the marts, dbt's own start included, in a project that was parsed before,\n"
        "as in all runs of a checkout but its first. The same rows as the baseline's; beside them the build judges each difference.\n"
        "Candidate keys are measured apart, in results-candidates.md."
    )
    return section("Time", text, [SIDE, "baseline", "dbt build", "ratio (≤ 3.5, ≤ 3)", "of it dbt's start"], rows)


def memory(sizes: dict, small: str) -> list[str]:
    rows = []
    for records, size in having(sizes, "compare"):
        first, second, tight = size["first"], size["second"], size["small_memory"]
        ratio = ratio_of(tight, first)
        row = [judged(max(first["peak_bytes"], second["peak_bytes"]) / 1e9, 1.8, records), judged(ratio, 1.5, records)]
        rows.append([f"{records:,}", *row, gigabytes(tight), gigabytes(size["baseline"])])
    headings = ["dbt's peak, GB (≤ 1.8)", f"time under {small} by its own (≤ 1.5)", "peak then, GB", "baseline's peak, GB"]
    return section("Memory", "Peak resident memory of the dbt process, of two nights the larger.", [SIDE, *headings], rows)


def exponents(sizes: dict) -> list[str]:
    rows = []
    for (few, smaller), (many, larger) in pairwise(having(sizes, "compare")):

        def exponent(took, smaller=smaller, larger=larger, times=many / few) -> float:
            return math.log(took(larger) / took(smaller)) / math.log(times)

        rows.append(
            [
                f"{few:,} to {many:,}",
                judged(exponent(lambda size: size["first"]["seconds"]), 1.1, many),
                judged(exponent(lambda size: size["second"]["seconds"]), 1.1, many),
                f"{exponent(lambda size: size['first']['seconds'] - size['first']['startup_seconds']):.2f}",
                f"{exponent(lambda size: size['baseline']['seconds']):.2f}",
            ]
        )
    headings = ["first night (≤ 1.1)", "second night (≤ 1.1)", "first night without dbt's start", "baseline"]
    return section("Exponent of time", "How the build's time grows with the records.", [SIDE, *headings], rows)


def whole(sizes: dict) -> list[str]:
    rows = []
    for records, size in having(sizes, "whole"):
        ours, by_hand = size["reconcile"], size["baseline"]
        ratio = judged(ratio_of(ours, by_hand), 8, records)
        rows.append([f"{records:,}", *map(seconds, (by_hand, ours)), ratio, judged(ours["peak_bytes"] / 1e9, 2.2, records)])
    text = "`tallystick reconcile` on an empty state: pull, proof, comparison, swap. The peak is of all its processes at once."
    return section("The whole run", text, [SIDE, "baseline", "reconcile", "ratio (≤ 8)", "peak, GB (≤ 2.2)"], rows)


def pulls(sizes: dict) -> list[str]:
    rows = []
    for records, size in having(sizes, "pull"):
        for kind, pulled in size.items():
            straight, dlt = pulled["straight_per_second"], pulled["dlt_per_second"]
            share = judged(dlt / straight, 0.4, records, at_least=True)
            rows.append([f"{records:,}, {kind}", f"{straight:,.0f}", f"{dlt:,.0f}", share, gigabytes(pulled)])
    text = "Records a second: both sides through dlt, with digests and counts, and DuckDB reading the files into a table."
    return section("Pulling", text, [SIDE, "DuckDB", "dlt", "share (≥ 0.4)", "peak, GB"], rows)


def peers(sizes: dict, limits: list) -> list[str]:
    rows = []
    for records, size in having(sizes, "peers"):
        ours = sizes[records].get("compare")
        answer = {"answer": "the same fields and values; history and marts"}
        for name, measured in (size | ({"tallystick, dbt build": ours["first"] | answer} if ours else {})).items():
            took = measured["seconds"]
            figures = [seconds(measured), f"{took / size['baseline']['seconds']:.1f}"] if took else ["", ""]
            rows.append([f"{records:,}, {name}", *figures, gigabytes(measured), measured["answer"]])
    text = f"The same files and canonicalisation, a process each; ended past {limits[0]:.0f} s or {limits[1]:.0f} GB. One run each."
    return section("Peers", text, [SIDE, "time", "by the baseline's", "peak, GB", "answer"], rows)


def sample(results: dict) -> list[str]:
    if "sample" not in results:
        return []
    measured = results["sample"]
    parts = [measured[name] for name in ("reconcile", "import_dlt", "empty_dbt_build")]
    ratio = ratio_of(*parts)
    headings = ["second reconcile", "`import dlt`", "empty `dbt build`", "ratio to their sum (≤ 1.6)"]
    text = "The fixed cost of a run: the sample's second night after its first."
    return section("The sample", text, headings, [[*map(seconds, parts), judged(ratio, 1.6)]])


def nodes(sizes: dict) -> list[str]:
    rows = []
    for records, size in having(sizes, "compare"):
        first = size["first"]
        slowest = ", ".join(f"{name} {took:.1f} s" for name, took in list(first["nodes"].items())[:5])
        others = sum(list(first["nodes"].values())[5:])
        rows.append([f"{records:,}", slowest, f"{others:.1f} s", f"{first['tests_seconds']:.1f} s"])
    headings = [SIDE, "slowest models", "other models", "tests"]
    return section("Where the first night's build goes", "As dbt tells it, a node at a time.", headings, rows)


def section(title: str, text: str, headings: list[str], rows: list[list]) -> list[str]:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    return [f"## {title}", text, table] if rows else []


def having(sizes: dict, part: str) -> list[tuple]:
    return [(records, size[part]) for records, size in sizes.items() if part in size]


def ratio_of(measured: dict, *bases: dict) -> float:
    """The median of the turns' ratios: what is compared took turns, so that a machine that slows down slows both."""
    turns = zip(measured["all_seconds"], *(base["all_seconds"] for base in bases), strict=True)
    return statistics.median(took / sum(by_them) for took, *by_them in turns)


def judged(value: float, target: float, records: int = JUDGED, at_least: bool = False) -> str:
    met = value >= target if at_least else value <= target
    return f"{value:.2f}" + (f" ({'met' if met else 'MISSED'})" if records >= JUDGED else "")


def seconds(measured: dict) -> str:
    return f"{measured['seconds']:.2f} s"


def gigabytes(measured: dict) -> str:
    return f"{measured['peak_bytes'] / 1e9:.2f}"


if __name__ == "__main__":
    source = Path(sys.argv[1])
    source.with_suffix(".md").write_text(written(json.loads(source.read_text())))
