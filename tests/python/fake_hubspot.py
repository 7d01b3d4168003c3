"""HubSpot's CRM v3 in its documented shape: developers.hubspot.com/docs/api/crm."""

import json
from bisect import bisect_right
from typing import ClassVar

from fake_api import WRITES, Answer, FakeApi, Vendor

NOW = "2026-03-03T04:00:00Z"
OBJECTS, PROPERTIES = "/crm/v3/objects/", "/crm/v3/properties/"


class HubSpot(Vendor):
    """An account that keeps a contact's status in a property of its own, account_status."""

    name, system, path, agreements = "hubspot", "crm", OBJECTS + "contacts", OBJECTS + "deals"
    envelope, key_field, token_setting = "results", "properties.customer_number", "ACCESS_TOKEN"
    settings: ClassVar = {"CUSTOMERS__STATUS": "account_status"}
    declares_total = True

    def tables(self, exports: dict[str, list[dict]]) -> dict[str, list[dict]]:
        people = {"hubspot_owner_id": "owner", "account_status": "status"}
        deals = {"dealstage": "stage", "deal_currency_code": "currency"}
        kept = ("contract_number", "customer_number", "plan", "amount", "interval", "starts_on")
        return {
            self.path: as_objects(exports["customers"], people, ("customer_number", "company", "email", "country")),
            self.agreements: as_objects(exports["deals"], deals, kept),
        }

    def page(self, records: list[dict], start: int, size: int) -> dict:
        """The last page has no paging."""
        page = records[start : start + size]
        following = {"paging": {"next": {"after": page[-1]["id"]}}} if start + size < len(records) else {}
        return {"results": page} | following

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        """Listed by id; `after` is the last one that was served."""
        wanted, size = set(query.get("properties", "").split(",")), fake.size(query)
        is_archived = query.get("archived") == "true"
        records = [
            record | {"properties": {name: value for name, value in record["properties"].items() if name in wanted}}
            for record in fake.tables[path]
            if record["archived"] == is_archived
        ]
        start = bisect_right([int(record["id"]) for record in records], int(query.get("after", "-1")))
        return Answer(content=self.page(records, start, size)), start // size + 1

    def beside(self, fake: FakeApi, method: str, path: str, query: dict[str, str]) -> Answer | None:
        if method == "POST" and path.endswith("/search"):
            return self.searched(fake.tables[path.removesuffix("/search")], json.loads(fake.requests[-1].body))
        if method == "POST" and path.endswith("/batch/read"):
            is_archived = query.get("archived") == "true"
            return self.read(fake.tables[path.removesuffix("/batch/read")], json.loads(fake.requests[-1].body), is_archived)
        holder, _, identity = path.rpartition("/")
        if method in WRITES and (path in fake.tables or holder in fake.tables):
            return self.written(fake, method, path, holder, identity)
        if path.startswith(PROPERTIES):
            records = fake.tables[OBJECTS + path.removeprefix(PROPERTIES)]
            names = sorted({name for record in records for name in record["properties"]} | named(path))
            return Answer(content={"results": [{"name": name} for name in names]})
        return None

    def refuses(self, status: int, message: str) -> Answer:
        category = {404: "OBJECT_NOT_FOUND"}.get(status, "VALIDATION_ERROR")
        return Answer(status, {"status": "error", "message": message, "correlationId": "aeb5f871", "category": category})

    def searched(self, records: list[dict], asked: dict) -> Answer:
        """Of the living, as they were a minute ago. An IN has at most 100 values, small letters all."""
        living = [record for record in records if not record["archived"]]
        for group in asked["filterGroups"]:
            [one] = group["filters"]
            if one["operator"] != "IN" or len(one["values"]) > 100:
                return self.refuses(400, "This fake knows IN, and up to 100 values.")
            living = [
                {"id": record["id"], "properties": {"email": "stale"}}
                for record in living
                if (record["properties"].get(one["propertyName"]) or "").lower() in one["values"]
            ]
        return Answer(content={"total": len(living), "results": living[: asked["limit"]]})

    def read(self, records: list[dict], asked: dict, is_archived: bool) -> Answer:
        """Some may be gone: then the status is 207 and an error names them."""
        ids = [one["id"] for one in asked["inputs"]]
        found = [
            record | {"properties": {name: record["properties"].get(name) for name in asked["properties"]}}
            for record in records
            if record["id"] in ids and record["archived"] == is_archived
        ]
        if len(found) == len(ids):
            return Answer(content={"status": "COMPLETE", "results": found})
        gone = sorted(set(ids) - {record["id"] for record in found})
        error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some objects", "context": {"ids": gone}}
        return Answer(207, {"status": "COMPLETE", "results": found, "numErrors": 1, "errors": [error]})

    def written(self, fake: FakeApi, method: str, path: str, holder: str, identity: str) -> Answer:
        listed = path if path in fake.tables else holder
        record = next((record for record in fake.tables[listed] if record["id"] == identity and not record["archived"]), None)
        if method == "DELETE":
            if record:
                record["archived"] = True
            return Answer(204, body=b"")
        properties = json.loads(fake.requests[-1].body)["properties"]
        known = {*named(listed), "contract_number", "dealname"}
        if unknown := [name for name in properties if name not in known]:
            return self.refuses(400, f'Property values were not valid: [{{"error": "PROPERTY_DOESNT_EXIST", "name": "{unknown[0]}"}}]')
        if method == "POST" and path == listed:
            record = {"id": str(5000 + len(fake.tables[listed])), "properties": {}, "createdAt": NOW, "updatedAt": NOW, "archived": False}
            fake.tables[listed].append(record)
        if record is None:
            return self.refuses(404, "Object not found.  objectId are usually numeric.")
        record["properties"] |= properties
        record["updatedAt"] = NOW
        return Answer(201 if method == "POST" else 200, record)

    def overstate(self, fake: FakeApi, page: int) -> None:
        """By the second of its two totals."""
        fake.spoil(self.path + "/search", 2, lambda answer: answer.content.update(total=10_000))

    def more(self, body: dict, cursor: str) -> None:
        body["paging"] = {"next": {"after": cursor}}

    def ends(self, body: dict) -> None:
        body.pop("paging", None)

    def unsaid(self, body: dict) -> None:
        body["paging"] = {}

    def said_by(self, body: dict, value: object) -> None:
        body["paging"] = {"next": value}


def named(path: str) -> set[str]:
    """An account's properties are there without a single record too."""
    deals = {"contract_number", "dealstage", "plan", "amount", "deal_currency_code", "interval", "starts_on"}
    people = {"email", "country", "company", "lifecyclestage", "hubspot_owner_id", "account_status"}
    return {"customer_number"} | (deals if path.endswith("/deals") else people)


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
