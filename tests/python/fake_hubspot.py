"""HubSpot's CRM v3 in its documented shape: developers.hubspot.com/docs/api/crm."""

from bisect import bisect_right
from typing import ClassVar

from fake_api import Answer, FakeApi, Vendor

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
            living = [record for record in fake.tables[path.removesuffix("/search")] if not record["archived"]]
            return Answer(content={"total": len(living), "results": living[:1]})
        if path.startswith(PROPERTIES):
            records = fake.tables[OBJECTS + path.removeprefix(PROPERTIES)]
            names = sorted({name for record in records for name in record["properties"]} | named(path))
            return Answer(content={"results": [{"name": name} for name in names]})
        return None

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
