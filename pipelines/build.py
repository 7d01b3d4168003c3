"""The dbt step, in a process of its own: `python -m pipelines.build`.

It imports dbt and parses the project while the pull still runs, tells the gates it found, waits for the word to build, builds,
and tells every node's result. Its end closes the database files. It speaks JSON, a line each, on standard output.
"""

import atexit
import gc
import json
import logging
import os
import queue
import sys
import threading
from logging.handlers import RotatingFileHandler

from pipelines.lean import be_lean
from pipelines.remembered import compile_late, remember_schemas, remember_templates

# A third less of dbt's own work: it formats every line for the console and for its log, and throws most of them away; say_errors
# and Log take those that matter.
LEAN = ("--log-level", "none", "--log-level-file", "none", "--no-write-json")
OF_A_RUN = ("TALLYSTICK_STATE", "TALLYSTICK_MEMORY_LIMIT")
OF_THIS_MACHINE = ("IO Error", "FATAL", "Fatal Error", "Out of Memory Error")  # as DuckDB says it
SEVERITY_THAT_STOPS = {
    "severity": "ERROR",
    "warn_if": "!= 0",
    "error_if": "!= 0",
    "enabled": True,
    "limit": None,
    "where": None,
    "fail_calc": "count(*)",
}


def main() -> int:
    commands = queue.SimpleQueue()
    threading.Thread(target=listen, args=[commands], daemon=True).start()
    logging.raiseExceptions = False  # where the disk is full the run says so; that its log can't be written is no news
    compile_late()
    gc.disable()  # dbt makes millions of small objects and lives for seconds: collecting costs a tenth of them
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    answers, sys.stdout = os.fdopen(os.dup(1), "w", buffering=1), sys.stderr
    os.dup2(2, 1)
    be_lean()
    remember_templates(f"{kept()}/templates")
    remember_schemas(f"{kept()}/schemas")
    callbacks = [say_errors, Log()]
    parsed = parse(callbacks)
    if not parsed.success:
        tell(answers, {"failure": str(parsed.exception or "the project does not parse")})
        return 1
    tell(answers, {"gates": gates(parsed.result)})
    built = dbtRunner(manifest=parsed.result, callbacks=callbacks).invoke([*LEAN, *commands.get()])
    if built.result is None:
        tell(answers, {"failure": str(built.exception or "dbt did not finish")})
        return 1
    DuckDBConnectionManager.close_all_connections()
    tell(answers, {"results": [describe(result) for result in built.result.results]})
    return 0


def parse(callbacks: list):
    """dbt forgets a parse when the profile changes; so no run's own settings are in it, and the checkout remembers it for all of them."""
    from dbt.cli.main import dbtRunner

    of_this_run = {name: os.environ.pop(name) for name in OF_A_RUN if name in os.environ}
    try:
        return dbtRunner(callbacks=callbacks).invoke([*LEAN, "parse", "--target-path", kept()])
    finally:
        os.environ.update(of_this_run)


def kept() -> str:
    """The folder of what runs remember of the project itself."""
    return "target" if os.access(".", os.W_OK) else os.environ["DBT_TARGET_PATH"]


class Log:
    """What dbt did, node by node, in logs/dbt.log."""

    def __init__(self):
        file = f"{os.environ['DBT_LOG_PATH']}/dbt.log"
        handler = RotatingFileHandler(file, maxBytes=10_000_000, backupCount=5, encoding="utf8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self.logger = logging.getLogger("dbt.log")
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        self.logger.addHandler(handler)

    def __call__(self, event) -> None:
        if event.info.level in ("info", "warn", "error"):
            self.logger.info("[%s] %s", event.info.level, event.info.msg)


def say_errors(event) -> None:
    """A failed gate or model, loudly and by its name."""
    says_it_again = event.info.name.startswith("RunResult") or event.info.name == "MainStackTrace"
    if event.info.level == "error" and event.info.msg and not says_it_again:
        print(event.info.msg, file=sys.stderr)


def gates(manifest) -> list[dict]:
    """The dbt tests on trust checks, and whether each can still fail the run."""
    return [
        {
            "check_name": node.test_metadata.kwargs["check_name"],
            "is_in_force": all(getattr(node.config, name, None) == value for name, value in SEVERITY_THAT_STOPS.items()),
        }
        for node in manifest.nodes.values()
        if is_gate(node)
    ]


def is_gate(node) -> bool:
    metadata = getattr(node, "test_metadata", None)
    return metadata is not None and metadata.name == "trust_check_passes"


def is_of_seeds(result) -> bool:
    """Whether it is what people wrote, or a test of that and of nothing else."""
    if result.node.resource_type == "seed":
        return not any(error in (result.message or "") for error in OF_THIS_MACHINE)
    return result.node.resource_type == "test" and all(parent.startswith("seed.") for parent in result.node.depends_on.nodes)


def describe(result) -> dict:
    return {
        "name": result.node.name,
        "kind": str(result.node.resource_type),
        "gate": result.node.test_metadata.kwargs["check_name"] if is_gate(result.node) else None,
        "is_of_seeds": is_of_seeds(result),
        "status": str(result.status),
        "message": result.message,
        "seconds": round(result.execution_time, 3),
    }


def listen(commands: queue.SimpleQueue) -> None:
    """The run holds our standard input; when it ends, so do we at once, or we would keep its lock and write into the next run's files."""
    for line in sys.stdin:
        commands.put(json.loads(line))
    os._exit(1)


def tell(answers, message: dict) -> None:
    answers.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    code = main()
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)  # the databases are closed; taking dbt's objects apart one by one is a tenth of a small run
