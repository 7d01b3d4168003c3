"""Runs a process and says how long it took and how much memory it and its children held at once."""

import json
import os
import platform
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY = 0.05
LEFT_OUT = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")  # the first doubles every import, the second is ours to set


@dataclass
class Measured:
    """`told` is the last line of standard output if it is JSON; `failure` is None where the process did its work."""

    seconds: float
    peak_bytes: int
    told: dict
    failure: str | None

    def record(self) -> dict:
        return asdict(self)


def run(command: list, environment: dict | None = None, cwd: Path | None = None, most_seconds=3600, most_bytes=1 << 50) -> Measured:
    """Waits for `command`. Past `most_seconds` or `most_bytes` it is ended, and that is its failure."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in LEFT_OUT and not name.startswith(("TALLYSTICK_", "SOURCES__"))
    }
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            env=inherited | {"DO_NOT_TRACK": "1"} | {name: str(value) for name, value in (environment or {}).items()},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        watcher = Watcher(process.pid, began + most_seconds, most_bytes)
        code = process.wait()
        seconds = time.perf_counter() - began
        watcher.stop()
        output.seek(0)
        lines = output.read().strip().splitlines() or [""]
    killed = "out of memory: killed" if code == -signal.SIGKILL else f"failed: {' | '.join(lines[-5:])[-500:]}"
    failure = watcher.limit or (killed if code else None)
    told = json.loads(lines[-1]) if lines[-1].startswith("{") and not failure else {}
    return Measured(seconds, watcher.peak, told, failure)


class Watcher(threading.Thread):
    """Samples the memory of a process and its children, and ends them past a limit; `limit` then says which."""

    def __init__(self, pid: int, most_time: float, most_bytes: float):
        super().__init__(daemon=True)
        self.pid, self.most_time, self.most_bytes = pid, most_time, most_bytes
        self.peak, self.limit, self.ended = 0, None, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ended.wait(EVERY):
            self.peak = max(self.peak, sum(map(resident, tree(self.pid))))
            if self.peak > self.most_bytes:
                self.limit = f"out of memory: ended at {gigabytes(self.peak)}"
            elif time.perf_counter() > self.most_time:
                self.limit = "out of time"
            if self.limit:
                os.killpg(self.pid, signal.SIGKILL)
                return

    def stop(self) -> None:
        self.ended.set()
        self.join()


def must(*arguments, **options) -> Measured:
    """`run`, where a failure ends the benchmark."""
    measured = run(*arguments, **options)
    if measured.failure:
        raise SystemExit(f"{' '.join(map(str, arguments[0]))}: {measured.failure}")
    return measured


def tree(pid: int) -> list[int]:
    """`pid` and all that it started."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(grandchild for child in children for grandchild in tree(child))]


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def median(values) -> float:
    return statistics.median(list(values))


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"


def machine() -> dict:
    """What the figures were measured on."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    processors = [line.split(":")[1].strip() for line in about if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": processors[0] if processors else platform.machine(),
        "load": os.getloadavg()[0],
        "commit": commit(),
        "memory": gigabytes(os.sysconf("SC_PHYS_PAGES") * PAGE),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("duckdb", "dbt-core", "dbt-duckdb", "dlt", "pyarrow")},
    }


def commit() -> str:
    """The project's commit, with a plus where files have changed since."""
    told = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return told.stdout.strip() or "unknown"
