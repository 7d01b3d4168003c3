"""Stripe's API in its documented shape: docs.stripe.com/api/pagination, /search, /customers, /subscriptions, /idempotent_requests."""

import json
import re
from decimal import Decimal
from typing import ClassVar

from fake_api import Answer, FakeApi, Vendor, epoch, key_of

ONE = re.compile(r"(/v1/(customers|subscriptions))/(\w+)")
QUERY = re.compile(r'metadata\[("(?:[^"\\]|\\.)*")\]:("(?:[^"\\]|\\.)*")')
PARAMETERS = {"email", "name", *(f"address[{part}]" for part in ("city", "country", "line1", "line2", "postal_code", "state"))}


class Stripe(Vendor):
    name, system, path, agreements = "stripe", "billing", "/v1/customers", "/v1/subscriptions"
    envelope, key_field, token_setting = "data", "metadata.customer_number", "API_KEY"
    unseen: ClassVar = {"an early end", "a record less"}
    items: ClassVar[dict[str, list[dict]]] = {}  # of subscriptions that have more than they carry

    def tables(self, exports: dict[str, list[dict]]) -> dict[str, list[dict]]:
        """Newest first, as Stripe lists."""
        ids = {key_of(row): f"cus_{number:06}" for number, row in enumerate(exports["customers"])}
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
            for number, row in enumerate(exports["customers"])
        ]
        subscriptions = [as_subscription(number, row, ids.get(key_of(row))) for number, row in enumerate(exports["subscriptions"])]
        return {self.path: customers[::-1], self.agreements: subscriptions[::-1]}

    def page(self, records: list[dict], start: int, size: int) -> dict:
        return {"object": "list", "data": records[start : start + size], "has_more": start + size < len(records)}

    def beside(self, fake: FakeApi, method: str, path: str, query: dict[str, str]) -> Answer | None:
        """A single record, what a search finds, and a subscription's items, of which it carries the first itself."""
        if path.endswith("/search"):
            return self.searched(fake, path.removesuffix("/search"), query["query"])
        if one := ONE.fullmatch(path):
            return self.one(fake, method, *one.groups())
        if (method, path) == ("POST", self.path):
            return fake.once(fake.requests[-1].headers.get("idempotency-key"), lambda: self.created(fake, fake.requests[-1].form))
        if path != "/v1/subscription_items":
            return None
        items, size = self.items[query["subscription"]], fake.size(query)
        start = next((place for place, item in enumerate(items, 1) if item["id"] == query.get("starting_after")), 0)
        return Answer(content=self.page(items, start, size))

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        records, size, start = fake.tables[path], fake.size(query), 0
        if "customer" in query:
            records = [record for record in records if record["customer"] == query["customer"]]
        if path == self.agreements and query.get("status") != "all":
            records = [record for record in records if record["status"] != "canceled"]
        if after := query.get("starting_after"):
            start = next((place for place, record in enumerate(records, 1) if record["id"] == after), -1)
        if start < 0:
            return Answer(400, {"error": {"message": "No such object."}}), 0
        return Answer(content=self.page(records, start, size)), start // size + 1

    def refuses(self, status: int, message: str) -> Answer:
        code = {404: "resource_missing"}.get(status, "parameter_invalid")
        return Answer(status, {"error": {"type": "invalid_request_error", "code": code, "message": message}})

    def searched(self, fake: FakeApi, path: str, query: str) -> Answer:
        """As the records were a minute ago."""
        if not (clause := QUERY.fullmatch(query)):
            return self.refuses(400, "We were unable to parse your search query.")
        name, value = (json.loads(text, strict=False) for text in clause.groups())
        found = [{"id": record["id"], "email": "stale"} for record in fake.tables[path] if record["metadata"].get(name) == value]
        return Answer(content={"object": "search_result", "data": found, "has_more": False, "next_page": None})

    def one(self, fake: FakeApi, method: str, path: str, kind: str, identity: str) -> Answer:
        deleted = fake.remembered.setdefault("deleted", set())
        record = next((record for record in fake.tables[path] if record["id"] == identity), None)
        if record is None and identity in deleted and method == "GET":
            return Answer(content={"id": identity, "object": "customer", "deleted": True})
        if record is None or (method == "DELETE" and record.get("status") == "canceled"):
            return self.refuses(404, f"No such {kind[:-1]}: '{identity}'")
        if method == "GET":
            return Answer(content=record)
        if kind == "subscriptions" and method == "DELETE":
            record |= {"status": "canceled", "canceled_at": 1772510400}
            return Answer(content=record)
        if method == "DELETE":
            fake.tables[path].remove(record)
            deleted.add(identity)
            return Answer(content={"id": identity, "object": "customer", "deleted": True})
        return fake.once(fake.requests[-1].headers.get("idempotency-key"), lambda: self.changed(record, fake.requests[-1].form))

    def changed(self, record: dict, form: dict[str, str]) -> Answer:
        """Of an address what is not sent is taken for gone: nothing in the documentation says that it stays."""
        if unknown := [name for name in form if name not in PARAMETERS and not name.startswith("metadata[")]:
            return self.refuses(400, f"Received unknown parameter: {unknown[0]}")
        if "@" not in form.get("email", "@"):
            return self.refuses(400, f"Invalid email address: {form['email']}")
        parts = {name[8:-1]: value for name, value in form.items() if name.startswith("address[")}
        record["metadata"] |= {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        record |= {name: value for name, value in form.items() if "[" not in name} | ({"address": parts} if parts else {})
        return Answer(content=record)

    def created(self, fake: FakeApi, form: dict[str, str]) -> Answer:
        record = {
            "id": f"cus_new{len(fake.tables[self.path])}",
            "object": "customer",
            "address": None,
            "metadata": {},
            "created": 1772510400,
        }
        answer = self.changed(record, form)
        if answer.status == 200:
            fake.tables[self.path].insert(0, record)
        return answer

    def more(self, body: dict, cursor: str) -> None:
        body["has_more"] = True

    def ends(self, body: dict) -> None:
        body["has_more"] = False

    def unsaid(self, body: dict) -> None:
        body.pop("has_more", None)

    def said_by(self, body: dict, value: object) -> None:
        body["has_more"] = value


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
