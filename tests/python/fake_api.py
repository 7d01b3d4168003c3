"""A fake, on loopback: Stripe's lists and HubSpot's CRM v3 in their documented shapes, and nothing else of either.

It holds a world of records, demands the token, keeps every request and spoils the answers that a test's script names. Only what
the two vendors document is spoken here; what they really do, no test can say.
"""

import json
import socket
import struct
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

EVER = 10**9
LARGEST_PAGE = 100  # documented by both; more is refused
STRIPE, OBJECTS, PROPERTIES = "/v1/", "/crm/v3/objects/", "/crm/v3/properties/"


@dataclass
class Answer:
    """`body` where it is not the JSON of `content`. `sent`: whole, hang up (after all of it), cut (in half), reset, stall, drip."""

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


Fault = Callable[[Answer], object]  # changes it in place


class FakeApi:
    """`with FakeApi(token) as fake`: serves `fake.tables` at `fake.url`, at most `cap` records a page whatever is asked.

    `tables` holds lists of records by path, in the order they are listed in: "/v1/customers", "/crm/v3/objects/contacts".
    """

    def __init__(self, token: str, cap: int = LARGEST_PAGE, tables: dict[str, list[dict]] | None = None):
        self.token, self.cap, self.tables = token, cap, tables or {}
        self.requests: list[Request] = []
        self.script: dict[tuple[str, int], tuple[Fault, int]] = {}
        self.asked: Counter[str] = Counter()
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
        """What a whole answer with that page holds, every property included."""
        records = self.tables[path]
        start = (number - 1) * self.cap
        return stripe_page(records, start, self.cap) if path.startswith(STRIPE) else hubspot_page(records, start, self.cap)

    def answer(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        url = urlsplit(target)
        path, query = url.path, {name: values[-1] for name, values in parse_qs(url.query).items()}
        with self.lock:
            self.requests.append(Request(method, target, headers))
            if headers.get("authorization") != f"Bearer {self.token}":
                return Answer(401, {"error": {"message": "Invalid token."}})
            answer, page = self.whole(method, path, query)
            fault, times = self.script.get((path, page), (None, 0))
            if times > 0:
                self.script[path, page] = (fault, times - 1)
                fault(answer)
            return answer

    def whole(self, method: str, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        self.asked[path] += 1
        size = min(int(query.get("limit", "10")), self.cap)
        if int(query.get("limit", "10")) > LARGEST_PAGE:
            return Answer(400, {"error": {"message": f"limit is at most {LARGEST_PAGE}"}}), 0
        if method == "POST" and path.endswith("/search"):
            living = [record for record in self.tables[path.removesuffix("/search")] if not record["archived"]]
            return Answer(content={"total": len(living), "results": living[:1]}), self.asked[path]
        if path.startswith(PROPERTIES):
            records = self.tables[OBJECTS + path.removeprefix(PROPERTIES)]
            names = sorted({name for record in records for name in record["properties"]} | self.named(path))
            return Answer(content={"results": [{"name": name} for name in names]}), self.asked[path]
        if path not in self.tables:
            return Answer(404, {"error": {"message": "Unrecognized request URL."}}), 0
        return self.stripe(path, query, size) if path.startswith(STRIPE) else self.hubspot(path, query, size)

    def named(self, path: str) -> set[str]:
        """An account's properties are there without a single record too."""
        both = {"customer_number"}
        deals = {"contract_number", "dealstage", "plan", "amount", "deal_currency_code", "interval", "starts_on"}
        people = {"email", "country", "company", "lifecyclestage", "hubspot_owner_id", "account_status"}
        return both | (deals if path.endswith("/deals") else people)

    def stripe(self, path: str, query: dict[str, str], size: int) -> tuple[Answer, int]:
        records = self.tables[path]
        if path.endswith("/subscriptions") and query.get("status") != "all":
            records = [record for record in records if record["status"] != "canceled"]
        start = 0
        if after := query.get("starting_after"):
            start = next((place for place, record in enumerate(records, 1) if record["id"] == after), -1)
        if start < 0:
            return Answer(400, {"error": {"message": "No such object."}}), 0
        return Answer(content=stripe_page(records, start, size)), start // size + 1

    def hubspot(self, path: str, query: dict[str, str], size: int) -> tuple[Answer, int]:
        """Listed by id; `after` is the last one that was served."""
        wanted = set(query.get("properties", "").split(","))
        is_archived = query.get("archived") == "true"
        records = [
            record | {"properties": {name: value for name, value in record["properties"].items() if name in wanted}}
            for record in self.tables[path]
            if record["archived"] == is_archived
        ]
        start = bisect_right([int(record["id"]) for record in records], int(query.get("after", "-1")))
        return Answer(content=hubspot_page(records, start, size)), start // size + 1


def stripe_page(records: list[dict], start: int, size: int) -> dict:
    return {"object": "list", "data": records[start : start + size], "has_more": start + size < len(records)}


def hubspot_page(records: list[dict], start: int, size: int) -> dict:
    """The last page has no paging."""
    page = records[start : start + size]
    following = {"paging": {"next": {"after": page[-1]["id"]}}} if start + size < len(records) else {}
    return {"results": page} | following


def as_hubspot(crm: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """A CRM's exports as an account that keeps a contact's status in a property of its own, account_status."""
    people = {"hubspot_owner_id": "owner", "account_status": "status"}
    deals = {"dealstage": "stage", "deal_currency_code": "currency"}
    return {
        OBJECTS + "contacts": as_objects(crm["customers"], people, ("customer_number", "company", "email", "country")),
        OBJECTS + "deals": as_objects(
            crm["deals"], deals, ("contract_number", "customer_number", "plan", "amount", "interval", "starts_on")
        ),
    }


def as_objects(rows: list[dict], renamed: dict[str, str], kept: tuple[str, ...]) -> list[dict]:
    return [
        {
            "id": str(1000 + number),
            "properties": {name: row[name] or None for name in kept} | {name: row[column] or None for name, column in renamed.items()},
            "createdAt": row["created_at"],
            "updatedAt": row["updated_at"],
            "archived": False,
        }
        for number, row in enumerate(rows)
    ]


def as_stripe(billing: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """A billing system's exports as an account that keeps its numbers in metadata. Newest first, as Stripe lists."""
    ids = {key_of(row): f"cus_{number:06}" for number, row in enumerate(billing["customers"])}
    customers = [
        {
            "id": f"cus_{number:06}",
            "object": "customer",
            "name": row["name"],
            "email": row["email"],
            "address": {"country": row["country"] or None},
            "metadata": {"customer_number": row["customer_number"]} if row["customer_number"] else {},
            "created": epoch(row["created_at"]),
        }
        for number, row in enumerate(billing["customers"])
    ]
    subscriptions = [as_subscription(number, row, ids.get(key_of(row))) for number, row in enumerate(billing["subscriptions"])]
    return {STRIPE + "customers": customers[::-1], STRIPE + "subscriptions": subscriptions[::-1]}


def as_subscription(number: int, row: dict, customer: str | None) -> dict:
    """Every other one is two of half the price."""
    quantity = 1 + number % 2
    recurring = {"interval": row["interval"], "interval_count": 1}
    price = {"lookup_key": row["plan"], "unit_amount_decimal": str(Decimal(row["amount_minor"]) / quantity), "recurring": recurring}
    return {
        "id": row["subscription_id"],
        "object": "subscription",
        "customer": customer,
        "status": row["status"],
        "currency": row["currency"].lower(),
        "metadata": {"contract_number": row["contract_number"]},
        "start_date": epoch(row["started_at"]),
        "canceled_at": epoch(row.get("canceled_at")),
        "items": {"object": "list", "has_more": False, "data": [{"id": f"si_{number}", "quantity": quantity, "price": price}]},
    }


def key_of(row: dict) -> str:
    """As staging compares it: exports write one customer's number in more than one way."""
    return "".join(character for character in row["customer_number"].upper() if character.isalnum())


def epoch(time: str | None) -> int | None:
    return int(datetime.fromisoformat(time).timestamp()) if time else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        fake = self.server.fake
        answer = fake.answer(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        with suppress(OSError):  # who asked has had enough
            self.send(fake, answer)

    do_POST = do_GET

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
        elif answer.sent == "drip":
            self.wfile.write(head)
            for byte in body:
                self.wfile.write(bytes([byte]))
                if fake.closing.wait(0.02):
                    return

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""
