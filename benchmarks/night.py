"""One step of a night in a process of its own, inside a copy of the project: `python night.py parse|pull|build`.

What a step took is told as one line of JSON at the end of standard output.
"""

import json
import resource
import sys
from time import perf_counter

from pipelines import run, settings
from pipelines.pull import pull, record_gates


def parse() -> dict:
    """What the first run in a checkout leaves to all others: the parsed project."""
    with run.locked(settings.state_folder()) as (state, lock), run.Builder(state, lock) as builder:
        builder.gates()
    return {}


def pull_both_sides() -> dict:
    """Both sides through dlt into state/next/, without the imports."""
    with run.locked(settings.state_folder()) as (state, _):
        folder = run.prepare(state)
        began = perf_counter()
        pull(folder)
        return {"seconds": perf_counter() - began}


def build() -> dict:
    """The dbt process from its start to its end, on what is in state/next/; then the swap, untimed. The peak is dbt's."""
    with run.locked(settings.state_folder()) as (state, lock):
        folder = state / "next"
        began = perf_counter()
        with run.Builder(state, lock) as builder:
            gates = builder.gates()
            startup = perf_counter() - began
            record_gates(folder, gates)
            results = builder.build(run.EVERYTHING)
        seconds = perf_counter() - began
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        run.refuse_errors(results)
        run.refuse_silent_gates(results, gates)
        run.publish(folder, state)
    slowest = sorted(results, key=lambda result: -result["seconds"])
    return {
        "seconds": seconds,
        "startup_seconds": startup,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "nodes": {result["name"]: result["seconds"] for result in slowest if result["kind"] != "test"},
        "tests_seconds": sum(result["seconds"] for result in results if result["kind"] == "test"),
        "tests": sum(result["kind"] == "test" for result in results),
    }


if __name__ == "__main__":
    print(json.dumps({"parse": parse, "pull": pull_both_sides, "build": build}[sys.argv[1]]()))
