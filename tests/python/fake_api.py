"""A fake, on loopback, of an API that gives lists page by page, gives single records and changes them.

It holds a world of records, demands the token, keeps every request and spoils the answers that a test's script names, after what
they tell of was done. What is said and understood, a Vendor knows: its API's documented shape, and nothing else of it; what it
really does, no test can say.
"""

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlsplit

EVER = 10**9
WRITES = ("POST", "PATCH", "DELETE")


@dataclass
class Answer:
    """`body` where it is not the JSON of `content`.

    `sent`: whole, hang up (after all of it), cut (in half), reset, stall, drip (the body), drip headers.
    """

    status: int = 200
    content: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json; charset=utf-8"})
    sent: str = "whole"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: str = ""

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body, keep_blank_values=True))


Fault = Callable[[Answer], object]  # changes it in place


class Vendor:
    """One API's documented shape. Its lists are told apart by path; a test's script and a page's body speak of them so."""

    name: str  # of the connector
    system: str
    path: str  # of the list of customers
    agreements: str  # of the other list
    envelope: str
    key_field: str  # the one that holds a customer's number, as the connector tells of it
    settings: ClassVar[dict[str, str]] = {}
    token_setting: str
    declares_total = False
    unseen: ClassVar[set[str]] = set()  # what of its pages' faults nothing in its answers tells
    largest_page = 100  # more is refused

    def tables(self, exports: dict[str, list[dict]]) -> dict[str, list[dict]]:
        """One system's exports as an account of this vendor: records by path, in the order they are listed in."""
        raise NotImplementedError

    def page(self, records: list[dict], start: int, size: int) -> dict:
        """The body of a page, every field included."""
        raise NotImplementedError

    def listed(self, fake: "FakeApi", path: str, query: dict[str, str]) -> tuple[Answer, int]:
        """The answer to a list's request, and the number of its page."""
        raise NotImplementedError

    def beside(self, fake: "FakeApi", method: str, path: str, query: dict[str, str]) -> Answer | None:
        """The answer to what is asked for beside the lists, if it is that."""
        return None

    def refuses(self, status: int, message: str) -> Answer:
        """As its errors look."""
        return Answer(status, {"message": message})

    def is_page(self, request: "Request") -> bool:
        """Whether a page of the customers was asked for."""
        return request.path.startswith(f"{self.path}?")

    def understood(self, url: SplitResult, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        """The list that is asked for and what is asked of it; most say so in the path and the query."""
        return url.path, {name: values[-1] for name, values in parse_qs(url.query).items()}

    def signed_in(self, path: str, form: dict[str, str], token: str) -> Answer | None:
        """The answer to who asks for a token, where the API hands them out."""
        return None

    def allows(self, headers: dict[str, str], token: str) -> bool:
        return headers.get("authorization") == f"Bearer {token}"

    def asked_by(self, page: int, cap: int) -> str:
        """The path by which a page of the customers is asked for, where each holds so many."""
        return self.path[1:]

    def overstate(self, fake: "FakeApi", page: int) -> None:
        """Declares more than there are, by that page of the customers where pages declare it."""

    def fields(self, record: dict) -> dict:
        """The record itself, where the list wraps each."""
        return record

    def id_of(self, record: dict) -> str:
        return self.fields(record)["id"]

    def key_of(self, record: dict) -> tuple[dict, str]:
        """Where a customer's number stands: in what, and under which name."""
        *holders, name = self.key_field.split(".")
        held = self.fields(record)
        for holder in holders:
            held = held[holder]
        return held, name

    def more(self, body: dict, cursor: str) -> None:
        """Says that a page follows, whose cursor is this one where the API gives one."""
        raise NotImplementedError

    def ends(self, body: dict) -> None:
        """Says that none follows."""
        raise NotImplementedError

    def unsaid(self, body: dict) -> None:
        """Leaves out whether more follow."""
        raise NotImplementedError

    def said_by(self, body: dict, value: object) -> None:
        """Says whether more follow as something that is neither yes nor no."""
        raise NotImplementedError

    def environment(self, fake: "FakeApi", token: str) -> dict[str, str]:
        settings = self.settings | {"CONNECTOR": self.name, self.token_setting: token, "BASE_URL": fake.url}
        return {f"SOURCES__{self.system.upper()}__{name}": value for name, value in settings.items()}


class FakeApi:
    """`with FakeApi(vendor, token) as fake`: serves `fake.tables` at `fake.url`, at most `cap` records a page whatever is asked."""

    def __init__(self, vendor: Vendor, token: str, cap: int | None = None, tables: dict[str, list[dict]] | None = None):
        self.vendor, self.token, self.cap, self.tables = vendor, token, cap or vendor.largest_page, tables or {}
        self.requests: list[Request] = []
        self.script: dict[tuple[str, int], tuple[Fault, int]] = {}
        self.asked: Counter[str] = Counter()
        self.remembered: dict[str, Any] = {}  # what a vendor keeps from one request to the next
        self.closing, self.lock = threading.Event(), threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.fake = True, self
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "FakeApi":
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def spoil(self, path: str, page: int, fault: Fault, times: int = EVER) -> None:
        """The page's next `times` answers. Of what has no pages it is the how-manieth answer."""
        self.script[path, page] = (fault, times)

    def page(self, path: str, number: int) -> dict:
        """What a whole answer with that page holds, every field included."""
        return self.vendor.page(self.tables[path], (number - 1) * self.cap, self.cap)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path, query = self.vendor.understood(urlsplit(target), headers)
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        with self.lock:
            self.requests.append(Request(method, target, headers, body.decode()))
            self.asked[path] += 1
            answer, page = self.vendor.signed_in(path, form, self.token), self.asked[path]
            if not answer and not self.vendor.allows(headers, self.token):
                return Answer(401, {"error": {"message": "Invalid token."}})
            if not answer:
                answer, page = self.whole(method, path, query)
            fault, times = self.script.get((path, page), (None, 0))
            if times > 0:
                self.script[path, page] = (fault, times - 1)
                fault(answer)
            return answer

    def whole(self, method: str, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        if answer := self.vendor.beside(self, method, path, query):
            return answer, self.asked[path]
        if path not in self.tables:
            return Answer(404, {"error": {"message": "There is no such list."}}), 0
        if int(query.get("limit", "10")) > self.vendor.largest_page:
            return Answer(400, {"error": {"message": f"limit is at most {self.vendor.largest_page}"}}), 0
        return self.vendor.listed(self, path, query)

    def once(self, key: str | None, do: Callable[[], Answer]) -> Answer:
        """What was answered to that idempotency key before, if anything was done then. None is no key."""
        request, answers = self.requests[-1], self.remembered.setdefault("answers", {})
        if key not in answers:
            answer = do()
            if key is None or answer.status >= 400:
                return answer
            answers[key] = request.path, request.body, json.dumps(answer.content)
        path, body, content = answers[key]
        is_the_same = (path, body) == (request.path, request.body)
        return Answer(content=json.loads(content)) if is_the_same else self.vendor.refuses(400, "The key came with other parameters.")

    def size(self, query: dict[str, str]) -> int:
        return min(int(query.get("limit", "10")), self.cap)


def key_of(row: dict) -> str:
    """As staging compares it: exports write one customer's number in more than one way."""
    return "".join(character for character in row["customer_number"].upper() if character.isalnum())


def epoch(time: str | None) -> int | None:
    return int(datetime.fromisoformat(time).timestamp()) if time else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        fake = self.server.fake
        answer = fake.answer(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        with suppress(OSError):  # who asked has had enough
            self.send(fake, answer)

    do_POST = do_PATCH = do_DELETE = do_GET

    def send(self, fake: FakeApi, answer: Answer) -> None:
        body = json.dumps(answer.content).encode() if answer.body is None else answer.body
        if "Transfer-Encoding" not in answer.headers:
            answer.headers.setdefault("Content-Length", str(len(body)))
        lines = [f"HTTP/1.1 {answer.status} As scripted", *(f"{name}: {value}" for name, value in answer.headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode()
        self.close_connection = answer.sent != "whole"
        if answer.sent in ("whole", "hang up"):
            self.wfile.write(head + body)
        elif answer.sent == "cut":
            self.wfile.write(head + body[: len(body) // 2])
        elif answer.sent == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer.sent == "stall":
            fake.closing.wait(10)
        elif answer.sent in ("drip", "drip headers"):
            is_slow = answer.sent == "drip headers"
            self.wfile.write(b"" if is_slow else head)
            for byte in head if is_slow else body:
                self.wfile.write(bytes([byte]))
                if fake.closing.wait(0.02):
                    return

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""
