"""Stripe's list API in its documented shape: docs.stripe.com/api/pagination."""

from decimal import Decimal
from typing import ClassVar

from fake_api import Answer, FakeApi, Vendor, epoch, key_of


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
        """A subscription's items, of which it carries the first itself."""
        if path != "/v1/subscription_items":
            return None
        items, size = self.items[query["subscription"]], fake.size(query)
        start = next((place for place, item in enumerate(items, 1) if item["id"] == query.get("starting_after")), 0)
        return Answer(content=self.page(items, start, size))

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        records, size, start = fake.tables[path], fake.size(query), 0
        if path == self.agreements and query.get("status") != "all":
            records = [record for record in records if record["status"] != "canceled"]
        if after := query.get("starting_after"):
            start = next((place for place, record in enumerate(records, 1) if record["id"] == after), -1)
        if start < 0:
            return Answer(400, {"error": {"message": "No such object."}}), 0
        return Answer(content=self.page(records, start, size)), start // size + 1

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
