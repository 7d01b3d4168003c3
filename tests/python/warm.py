"""Commands in processes of their own that need not import dlt and dbt anew: forked from one that has.

Two and a half seconds of processor time a command, of two hundred commands in the tests, which would else be a third of them. The code
of pipelines/, folder, environment, streams and process group are each command's own. What a test kills runs as it is installed: see
World.start.
"""

import gc
import json
import os
import random
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path
from types import SimpleNamespace

LOADED = (
    "dbt.adapters.duckdb.connections", "dbt.cli.main", "dlt.destinations", "dlt.extract", "dlt.pipeline", "dlt.sources", "duckdb",
    "jinja2", "pyarrow.parquet", "rich.console", "rich.live", "typer", "xlsxwriter",
)  # fmt: skip
SCHEMAS = {  # what dbt holds a project against: made up once a process in a third of a second, or two where models are parsed
    "dbt.artifacts.resources.v1.components": ["Contract"],
    "dbt.artifacts.resources.v1.config": ["NodeConfig", "TestConfig"],
    "dbt.artifacts.resources.v1.model": ["ModelConfig"],
    "dbt.artifacts.resources.v1.seed": ["SeedConfig"],
    "dbt.artifacts.resources.v1.source_definition": ["SourceConfig"],
    "dbt.contracts.graph.nodes": ["AnalysisNode", "GenericTestNode", "HookNode", "ModelNode", "SeedNode", "SingularTestNode"],
    "dbt.contracts.graph.unparsed": ["UnparsedModelUpdate", "UnparsedNodeUpdate", "UnparsedSourceDefinition"],
    "dbt.contracts.project": ["Configuration"],
    "dbt.contracts.selection": ["SelectorFile"],
}


@cache
def served() -> tuple[Path, subprocess.Popen]:
    """The socket of this worker's own server, which ends when its standard input does: with the worker."""
    path = Path(tempfile.mkdtemp(prefix="warm")) / "socket"
    alone = os.environ | {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, __file__, str(path)], stdin=subprocess.PIPE, process_group=0, env=alone)
    while not path.exists():
        assert server.poll() is None
        time.sleep(0.02)
    return path, server


def run(arguments: list[str], folder: Path, environment: dict[str, str], seconds: float) -> tuple[int, str, str]:
    """The command's exit code, output and errors."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open() as nothing:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(seconds)
            line.connect(str(served()[0]))
            asked = json.dumps({"arguments": arguments, "folder": str(folder), "environment": environment}).encode()
            socket.send_fds(line, [len(asked).to_bytes(4)], [stream.fileno() for stream in (nothing, out, err)])
            line.sendall(asked)
            code = line.makefile().read()
        told = []
        for stream in (out, err):
            stream.seek(0)
            told.append(stream.read().decode().replace("\r\n", "\n"))
    return int(code), *told


def serve(path: str) -> None:
    for name in LOADED:
        __import__(name)
    for module, names in SCHEMAS.items():
        for name in names:
            getattr(sys.modules[module], name).json_schema()
    sys.modules["duckdb"].default_connection().close()
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a thread that holds a lock now would hold it for ever in a fork"
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path + ".next")
        door.listen()
        Path(path + ".next").rename(path)
        if not os.fork():
            sys.stdin.read()
            shutil.rmtree(Path(path).parent)
            os.killpg(0, signal.SIGKILL)
        while True:
            line, _ = door.accept()
            warden = os.fork()
            if not warden and not os.fork():
                door.close()
                answer(line)
            line.close()
            if not warden:
                os._exit(0)
            os.waitpid(warden, 0)


def answer(line: socket.socket) -> None:
    """Runs what is asked for in a child, and tells how it ended."""
    size, streams, *_ = socket.recv_fds(line, 4, 3)
    asked = json.loads(line.makefile("rb").read(int.from_bytes(size)))
    command = os.fork()
    if not command:
        line.close()
        become(streams, asked["folder"], asked["environment"])
        sys.argv = ["tallystick", *asked["arguments"]]
        from pipelines import cli, run

        run.subprocess = SimpleNamespace(Popen=Forked, PIPE=subprocess.PIPE)
        sys.exit(cli.main())
    _, status = os.waitpid(command, 0)
    line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(streams: list[int], folder: str, environment: dict[str, str]) -> None:
    """A process that was just started there with these streams."""
    os.setpgid(0, 0)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
    sys.stdin, sys.stdout = (os.fdopen(place, mode, closefd=False) for place, mode in enumerate("rw"))
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    random.seed()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    sys.path[0] = folder


class Forked:
    """As much of subprocess.Popen as pipelines.run asks of it, for `python -W <what> -m <module>`."""

    def __init__(self, command, stdin, stdout, cwd, env, pass_fds, process_group, text):
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self.returncode, self.pid = None, os.fork()
        if not self.pid:
            kept = sorted({0, 1, 2, theirs_in, theirs_out, *pass_fds})
            for below, above in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
                os.closerange(below + 1, above)
            become([theirs_in, theirs_out, 2], str(cwd), env)
            *_, warnings, _, module = command
            sys.warnoptions.append(warnings)
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except BaseException:
                traceback.print_exc()
            os._exit(1)  # it ends itself; what comes here did not
        os.close(theirs_in)
        os.close(theirs_out)
        self.stdin, self.stdout = os.fdopen(ours_in, "w"), os.fdopen(ours_out)

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


if __name__ == "__main__":
    serve(sys.argv[1])
