"""Pipedrive's API v2 in its documented shape: developers.pipedrive.com, pipedrive.readme.io/docs/pipedrive-api-v2-migration-guide."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from hashlib import sha1
from typing import ClassVar

from fake_api import WRITES, Answer, FakeApi, Vendor

NOW = "2026-03-03T04:00:00Z"
ONE = re.compile(r"(/api/v2/\w+)(?:/(\d+))?")
ARCHIVED = "/api/v2/deals/archived"
STATUSES = ["lead", "trial", "active", "paused", "churned"]
WORDS = {"terminated": "lost"}  # a deal is open, won or lost, and nothing else
FIELDS = {
    "/api/v2/organizationFields": ["Customer number", "Email", "Status", "Country"],
    "/api/v2/dealFields": ["Contract number", "Customer number", "Plan", "Interval", "Starts on"],
}


def code(name: str) -> str:
    """Of a custom field: 40 hexadecimal digits."""
    return sha1(name.encode(), usedforsecurity=False).hexdigest()


class Pipedrive(Vendor):
    """An account whose customers are organizations, their status a field of options, and every tenth deal archived."""

    name, system, path, agreements = "pipedrive", "crm", "/api/v2/organizations", "/api/v2/deals"
    envelope, key_field, token_setting = "data", f"custom_fields.{code('Customer number')}", "API_TOKEN"
    unseen: ClassVar = {"an early end", "a record less"}
    largest_page = 500

    def tables(self, exports: dict[str, list[dict]]) -> dict[str, list[dict]]:
        organizations = [
            of(number, row, ("Customer number", "Email", "Country"))
            | {"name": row["company"], "owner_id": 7, "address": {"value": "Damrak 1, Amsterdam", "country": "Netherlands"}}
            for number, row in enumerate(exports["customers"])
        ]
        for organization, row in zip(organizations, exports["customers"], strict=True):
            organization["custom_fields"][code("Status")] = 300 + STATUSES.index(row["status"]) if row["status"] in STATUSES else None
        deals = [
            of(number, row, ("Contract number", "Customer number", "Plan", "Interval", "Starts on"))
            | {
                "status": WORDS.get(row["stage"], row["stage"]),
                "value": float(row["amount"]),
                "currency": row["currency"],
                "is_archived": number % 10 == 9,
            }
            for number, row in enumerate(exports["deals"])
        ]
        return {
            self.path: organizations,
            self.agreements: [deal for deal in deals if not deal["is_archived"]],
            ARCHIVED: [deal for deal in deals if deal["is_archived"]],
        }

    def allows(self, headers: dict[str, str], token: str) -> bool:
        return headers.get("x-api-token") == token and "authorization" not in headers

    def page(self, records: list[dict], start: int, size: int) -> dict:
        page = records[start : start + size]
        return whole(page, cursor(page[-1]["id"]) if start + size < len(records) else None)

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        """Listed by id. A cursor that is none of its own is refused."""
        wanted, size = set(query.get("custom_fields", "").split(",")), fake.size(query)
        if len(wanted) > 15:
            return Answer(400, {"success": False, "error": "A maximum of 15 keys is allowed."}), 0
        records = [
            record | {"custom_fields": {name: value for name, value in record["custom_fields"].items() if name in wanted}}
            for record in fake.tables[path]
            if "ids" not in query or str(record["id"]) in query["ids"].split(",")
        ]
        if query.get("ids", "").count(",") > 99:
            return self.refuses(400, "ids: up to 100"), 0
        last = int(urlsafe_b64decode(query["cursor"])) if "cursor" in query else -1
        start = bisect_right([record["id"] for record in records], last)
        return Answer(content=self.page(records, start, size)), start // size + 1

    def beside(self, fake: FakeApi, method: str, path: str, query: dict[str, str]) -> Answer | None:
        if path.endswith("/search"):
            return self.searched(fake, path.removesuffix("/search"), query)
        if method in WRITES and (one := ONE.fullmatch(path)):
            return self.written(fake, method, *one.groups())
        if path not in FIELDS:
            return None
        standard = {"field_name": "Status", "field_code": "status", "is_custom_field": False, "options": None}
        return Answer(content=whole([standard, *(field(name) for name in FIELDS[path])], None))

    def refuses(self, status: int, message: str) -> Answer:
        return Answer(status, {"success": False, "error": message, "error_info": "Please check developers.pipedrive.com"})

    def searched(self, fake: FakeApi, path: str, query: dict[str, str]) -> Answer:
        """By whole values of any custom field, in small or capital letters."""
        if (query["exact_match"], query["fields"]) != ("true", "custom_fields"):
            return self.refuses(400, "This fake knows exact matches in custom fields.")
        records = fake.tables[path] + (fake.tables[ARCHIVED] if path == self.agreements else [])
        found = [
            {"result_score": 1, "item": {"id": record["id"], "type": "as it was"}}
            for record in records
            if query["term"].lower() in [str(value).lower() for value in record["custom_fields"].values()]
        ]
        return Answer(content={"success": True, "data": {"items": found}, "additional_data": {"next_cursor": None}})

    def written(self, fake: FakeApi, method: str, path: str, identity: str | None) -> Answer:
        if any(str(record["id"]) == identity for record in fake.tables[ARCHIVED]):
            return self.refuses(400, "Archived deals can not be edited.")
        record = next((record for record in fake.tables[path] if str(record["id"]) == identity), None)
        if identity and record is None:
            return self.refuses(404, "Entity not found")
        if method == "DELETE":
            fake.tables[path].remove(record)
            return Answer(content={"success": True, "data": {"id": record["id"]}})
        change = json.loads(fake.requests[-1].body)
        if change.get("status", "open") not in ("open", "won", "lost"):
            return self.refuses(400, "Parameter 'status' must be one of: open, won, lost")
        if record is None:
            record = {"id": 1 + max(one["id"] for one in fake.tables[path]), "custom_fields": {}, "add_time": NOW, "is_archived": False}
            record |= {"owner_id": 7, "currency": "EUR", "value": 0}
            fake.tables[path].append(record)
        held = record["custom_fields"] | change.pop("custom_fields", {})
        record |= change | {"custom_fields": held, "update_time": NOW}
        return Answer(201 if method == "POST" else 200, {"success": True, "data": record})

    def id_of(self, record: dict) -> str:
        return str(record["id"])

    def more(self, body: dict, cursor_: str) -> None:
        body["additional_data"]["next_cursor"] = cursor(int(cursor_))

    def ends(self, body: dict) -> None:
        body["additional_data"]["next_cursor"] = None

    def unsaid(self, body: dict) -> None:
        body["additional_data"] = {}

    def said_by(self, body: dict, value: object) -> None:
        """A next_cursor of null would be an end, and any text is a cursor."""
        body["additional_data"] = value


def cursor(last: int) -> str:
    return urlsafe_b64encode(str(last).encode()).decode()


def whole(page: list[dict], next_cursor: str | None) -> dict:
    return {"success": True, "data": page, "additional_data": {"next_cursor": next_cursor}}


def field(name: str) -> dict:
    options = [{"id": 300 + number, "label": status} for number, status in enumerate(STATUSES)] if name == "Status" else None
    return {"field_name": name, "field_code": code(name), "is_custom_field": True, "options": options}


def of(number: int, row: dict, names: tuple[str, ...]) -> dict:
    kept = {code(name): row[name.lower().replace(" ", "_")] or None for name in names}
    return {"id": 1 + number, "custom_fields": kept, "add_time": row["created_at"], "update_time": row["updated_at"] or None}
