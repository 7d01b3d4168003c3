"""A system that can be written to, on loopback: it keeps its records and every request, and fails where a test says so.

And the target that writes to it, and an apply in a process of its own that can be killed at any boundary.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from urllib.request import urlopen

TOKEN = "canary-9Zk3-of-the-target"  # noqa: S105


@dataclass
class Request:
    method: str
    key: str
    body: dict
    headers: dict[str, str]


class Recording:
    """`with Recording({"C-1": {"status": "active"}}) as server`. `answers[n]` is what is done with the n-th request, after it was
    taken in: a status to answer with (nothing is written for 4xx and 5xx), "hang up", "kill" or "interrupt" (who asked)."""

    def __init__(self, records: dict[str, dict], answers: dict[int, int | str] | None = None):
        self.records, self.answers = records, answers or {}
        self.requests: list[Request] = []
        self.times: list[float] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.recording, self.server.daemon_threads = self, True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Recording":
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        stated = {"CONNECTOR": "recording", "BASE_URL": self.url, "ACCESS_TOKEN": TOKEN, "REQUESTS_PER_SECOND": "1000"}
        return {f"TARGETS__CRM__{name}": value for name, value in stated.items()} | {"RUNTIME__REQUEST_BACKOFF_FACTOR": "0"}

    def writes(self) -> list[tuple[str, str]]:
        """What arrived and was done: method and key."""
        return [(request.method, request.key) for request in self.requests if request.headers.get("did")]

    def take(self, request: Request) -> int | str:
        self.requests.append(request)
        self.times.append(time.monotonic())
        answer = self.answers.get(len(self.requests), 200)
        if answer in (200, "hang up", "kill", "interrupt"):
            request.headers["did"] = "yes"
            if request.method == "DELETE":
                self.records.pop(request.key, None)
            else:
                self.records.setdefault(request.key, {}).update(request.body)
        return answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200, self.server.recording.records)

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        done = self.server.recording.take(Request(self.command, self.path.rpartition("/")[2], body, headers))
        if done in ("kill", "interrupt"):
            os.kill(int(headers["pid"]), signal.SIGKILL if done == "kill" else signal.SIGINT)
        if done in ("kill", "hang up"):
            self.close_connection = True
            return
        said = {"message": f"no\x1b[31m such thing, says {headers['authorization']}" if done == 403 else "no\x1b[31m such thing"}
        self.answer(*((200, {}) if done in (200, "interrupt") else (done, said)))

    do_POST = do_DELETE = do_PUT

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


def use_recording_target() -> None:
    """[targets.crm] connector = "recording"."""
    from pipelines.targets import target
    from pipelines.targets.api import WritingApi

    class ToRecording(WritingApi):
        def __init__(self, stated):
            super().__init__(stated, stated.setting("base_url"), {"Authorization": f"Bearer {stated.secret('access_token')}"})

        def refuses(self, write):
            return "this system knows no country" if write.field == "country" else None

        def write(self, write):
            method = {"create": "POST", "delete": "DELETE"}.get(write.operation, "PUT")
            body = write.record if write.operation == "create" else {write.field: write.to_value}
            headers = {"pid": str(os.getpid()), "Idempotency-Key": write.idempotency_key}
            answer = self.ask(method, f"customers/{write.record_key}", target.can_repeat(self, write), json=body, headers=headers)
            return f"status {answer.status_code}"

    module = ModuleType("pipelines.targets.recording")
    module.ToRecording = ToRecording
    sys.modules[module.__name__] = module
    target.CONNECTORS["recording"] = ("ToRecording", None)


def look_at(url: str) -> Callable:
    """In place of the second look, which takes dbt five seconds: what the server holds now, told as second_look.py would."""
    from pipelines.fix.standing import Looked

    def look(state, lock, writes, progress):
        with urlopen(url) as answer:  # noqa: S310
            records = json.load(answer)
        found = {}
        for row in writes:
            record = records.get(row["record_key"])
            if row["operation"] == "create":
                because, is_as_written = ("it is in crm by now", True) if record else (None, False)
            else:
                now = (record or {}).get(row["field"])
                because = None if now == row["left_value"] else f"crm says {now} by now"
                is_as_written = now == row["to_value"]
            found[row["idempotency_key"]] = Looked(because, is_as_written, "customer_number", row["record_key"], {}, {"status": "active"})
        shutil.rmtree(state / "next", ignore_errors=True)
        (state / "next").mkdir()
        return found

    return look


def killed_at(boundary: str, position: int, environment: dict[str, str]) -> None:
    """An apply that ends itself there: before or after the n-th call of one of its own steps. '' is nowhere."""
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    from rich.console import Console

    from pipelines.failures import Interrupted
    from pipelines.fix import apply
    from pipelines.fix.journal import Journal
    from pipelines.progress import Plain

    use_recording_target()
    apply.look = look_at(environment["TARGETS__CRM__BASE_URL"])
    from pipelines.targets.target import target_of

    steps = {
        "journal begin": (Journal, "begin"), "journal end": (Journal, "end"), "log": (apply, "publish_log"),
        "answer": (type(target_of("crm")), "write"), "look": (apply, "look"), "send": (apply, "send"),
    }  # fmt: skip
    if boundary:
        when, _, step = boundary.partition(" ")
        holder, name = steps[step]
        setattr(holder, name, dying(getattr(holder, name), when, position))
    try:
        apply.apply(Plain(Console(quiet=True)))
    except Interrupted as failure:
        sys.exit(failure.exit_code)


def dying(step: Callable, when: str, position: int) -> Callable:
    calls = []

    def stepped(*arguments):
        calls.append(arguments)
        if when == "before" and len(calls) == position:
            os.kill(os.getpid(), signal.SIGKILL)
        result = step(*arguments)
        if when == "after" and len(calls) == position:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return stepped
