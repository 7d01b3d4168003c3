"""Chargebee's API v2 on Product Catalog 2.0 in its documented shape: apidocs.chargebee.com/docs/api/list-ops."""

import json
import re
from base64 import b64encode
from decimal import Decimal
from typing import ClassVar

from fake_api import WRITES, Answer, FakeApi, Request, Vendor, epoch, key_of

WORDS = {"trialing": "in_trial", "active": "active", "past_due": "active", "paused": "paused", "canceled": "cancelled"}
NOW = 1772510400
ONE = re.compile(r"(/api/v2/\w+)(?:/(\w+)(?:/(\w+))?)?")
WRAPPERS = {"/api/v2/customers": "customer", "/api/v2/subscriptions": "subscription"}


class Chargebee(Vendor):
    name, system, path, agreements = "chargebee", "billing", *WRAPPERS
    envelope, key_field, token_setting = "list", "cf_customer_number", "API_KEY"
    unseen: ClassVar = {"a record less"}

    def tables(self, exports: dict[str, list[dict]]) -> dict[str, list[dict]]:
        ids = {key_of(row): f"AzZ{number:06}" for number, row in enumerate(exports["customers"])}
        customers = [as_customer(ids[key_of(row)], row) for row in exports["customers"]]
        subscriptions = [as_subscription(number, row, ids.get(key_of(row))) for number, row in enumerate(exports["subscriptions"])]
        return {
            self.path: [{"customer": customer} for customer in customers],
            self.agreements: [{"subscription": subscription, "customer": {"id": "beside it"}} for subscription in subscriptions],
        }

    def page(self, records: list[dict], start: int, size: int) -> dict:
        """The last page has no next_offset."""
        page = records[start : start + size]
        return {"list": page} | ({"next_offset": offset(self.id_of(page[-1]))} if start + size < len(records) else {})

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        """The newest alone is no page of the list."""
        records, size, start = fake.tables[path], fake.size(query), 0
        filters = {name: value for name, value in query.items() if name.endswith(("[in]", "[is]"))}
        for name, value in filters.items():
            wanted = json.loads(value) if name.endswith("[in]") else [value]
            records = [record for record in records if self.fields(record).get(name[:-4]) in wanted]
        if query.get("sort_by[desc]") == "created_at":
            return Answer(content={"list": records[::-1][:size]}), 0
        if not filters and query.get("sort_by[asc]") != "created_at":
            return Answer(400, {"message": "This fake lists by created_at only.", "api_error_code": "param_wrong_value"}), 0
        if "offset" in query:
            start = next((place for place, record in enumerate(records, 1) if offset(self.id_of(record)) == query["offset"]), -1)
        if start < 0:
            return Answer(400, {"message": "The offset is none of ours.", "api_error_code": "param_wrong_value"}), 0
        return Answer(content=self.page(records, start, size)), start // size + 1

    def beside(self, fake: FakeApi, method: str, path: str, query: dict[str, str]) -> Answer | None:
        if method not in WRITES or not (one := ONE.fullmatch(path)):
            return None
        listed, identity, act = one.groups()
        key = fake.requests[-1].headers.get("chargebee-idempotency-key")
        return fake.once(key, lambda: self.written(fake, listed, identity, act, fake.requests[-1].form))

    def refuses(self, status: int, message: str) -> Answer:
        code = {404: "resource_not_found"}.get(status, "param_wrong_value")
        return Answer(status, {"message": message, "type": "invalid_request", "api_error_code": code, "http_status_code": status})

    def written(self, fake: FakeApi, listed: str, identity: str | None, act: str | None, form: dict[str, str]) -> Answer:
        wrapper = WRAPPERS[listed]
        entry = next((entry for entry in fake.tables[listed] if self.fields(entry)["id"] == identity), None)
        if identity and entry is None:
            return self.refuses(404, f"{identity} not found")
        if act == "cancel_for_items":
            if entry[wrapper]["status"] == "cancelled" or form != {"cancel_option": "immediately"}:
                return self.refuses(409, "The subscription is cancelled, or this fake can't cancel so.")
            entry[wrapper] |= {"status": "cancelled", "cancelled_at": NOW}
        elif act == "delete":
            fake.tables[listed].remove(entry)
            return Answer(content={wrapper: entry[wrapper] | {"deleted": True}})
        else:
            known = {"email", "company", "cf_customer_number", *(() if identity else ("id", "billing_address[country]"))}
            if unknown := [name for name in form if name not in known]:
                return self.refuses(400, f"{unknown[0]} : unknown parameter")
            if entry is None:
                entry = {wrapper: {"id": f"AzNew{len(fake.tables[listed])}", "object": wrapper, "created_at": NOW, "deleted": False}}
                fake.tables[listed].append(entry)
            country = {"billing_address": {"country": form.pop("billing_address[country]")}} if "billing_address[country]" in form else {}
            entry[wrapper] |= form | country
        entry[wrapper]["updated_at"] = NOW
        return Answer(content={wrapper: entry[wrapper]})

    def is_page(self, request: Request) -> bool:
        return super().is_page(request) and "asc" in request.path

    def allows(self, headers: dict[str, str], token: str) -> bool:
        """HTTP Basic: the key is the user's name, and there is no password."""
        return headers.get("authorization") == f"Basic {b64encode(f'{token}:'.encode()).decode()}"

    def fields(self, record: dict) -> dict:
        return record.get("subscription") or record["customer"]

    def more(self, body: dict, cursor: str) -> None:
        body["next_offset"] = offset(cursor)

    def ends(self, body: dict) -> None:
        body.pop("next_offset", None)

    def unsaid(self, body: dict) -> None:
        """Left out it would be an end."""
        body["next_offset"] = None

    def said_by(self, body: dict, value: object) -> None:
        """Any text is an offset."""
        body["next_offset"] = [value] if isinstance(value, str) else value


def offset(last: str) -> str:
    return json.dumps(["1700000000000", last])


def as_customer(customer: str, row: dict) -> dict:
    """What has no value is left out, as Chargebee does."""
    fields = {
        "id": customer,
        "object": "customer",
        "company": row["name"],
        "email": row["email"],
        "billing_address": {"object": "billing_address", "country": row["country"]} if row["country"] else None,
        "cf_customer_number": row["customer_number"],
        "created_at": epoch(row["created_at"]),
        "updated_at": epoch(row["updated_at"]),
        "deleted": False,
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def as_subscription(number: int, row: dict, customer: str | None) -> dict:
    """A plan; every other one has half of its price as an addon, and every third a charge that does not recur."""
    minor, decimals = Decimal(row["amount_minor"]), {"JPY": 0, "KWD": 3}.get(row["currency"], 2)
    addon = minor // 2 if number % 2 else 0
    items = [as_item("plan", row["plan"], minor - addon, decimals)]
    items += [as_item("addon", "support", addon, decimals)] if addon else []
    items += [as_item("charge", "set-up", Decimal(5000), decimals)] if number % 3 == 0 else []
    fields = {
        "id": row["subscription_id"],
        "object": "subscription",
        "customer_id": customer,
        "status": WORDS[row["status"]],
        "currency_code": row["currency"],
        "billing_period": 1,
        "billing_period_unit": row["interval"],
        "subscription_items": items,
        "cf_contract_number": row["contract_number"],
        "started_at": epoch(row["started_at"]),
        "created_at": epoch(row["started_at"]),
        "cancelled_at": epoch(row.get("canceled_at")),
        "updated_at": epoch(row["updated_at"]),
        "deleted": False,
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def as_item(kind: str, price: str, minor: Decimal, decimals: int) -> dict:
    """Hundredths, or whole where a currency has no smaller unit; what they can't say, in major units beside them."""
    item = {"object": "subscription_item", "item_type": kind, "item_price_id": price, "quantity": 1}
    hundredths = minor.scaleb(min(2 - decimals, 0))
    exact = {} if hundredths == int(hundredths) else {"amount_in_decimal": str(minor.scaleb(-decimals))}
    return item | {"unit_price": int(hundredths), "amount": int(hundredths)} | exact
