"""Salesforce's REST API in its documented shape: developer.salesforce.com/docs/platform/api-rest.

How a wrong client secret is answered was not looked up: here with 401, which RFC 6749 allows.
"""

import json
import re
from typing import ClassVar
from urllib.parse import SplitResult, parse_qs

from fake_api import WRITES, Answer, FakeApi, Request, Vendor

DATA = "/services/data/v62.0"
TOKEN = "/services/oauth2/token"  # noqa: S105
NOW = "2026-03-03T04:00:00Z"
PREFIXES = {"Account": "001", "Opportunity": "006"}
OF_EVERY_OBJECT = ("Id", "IsDeleted", "CreatedDate", "SystemModstamp")
FIELDS = {
    "Account": ("Name", "Customer_Number__c", "Email__c", "Status__c", "BillingCountry", "OwnerId"),
    "Opportunity": ("Contract_Number__c", "StageName", "Plan__c", "Amount", "CurrencyIsoCode", "Interval__c", "Starts_On__c", "AccountId"),
    "User": ("Name",),
}
RELATIONSHIPS = {"OwnerId": ("Owner", "User"), "AccountId": ("Account", "Account")}
QUERY = re.compile(r"SELECT (?P<fields>[\w., ]+) FROM (?P<object>\w+) WHERE IsDeleted = (?P<deleted>false|true)(?P<only> AND .*)?")
TEXT = r"'(?:[^'\\\n]|\\.)*'"
IN = re.compile(rf" AND (?P<field>[\w.]+) IN \((?P<values>{TEXT}(, {TEXT})*)\)")
ONE = re.compile(rf"{DATA}/sobjects/(Account|Opportunity)(?:/(\w+))?")


class Salesforce(Vendor):
    """An org with several currencies. Its lists are told apart by the object; later pages by their locator."""

    name, system, path, agreements = "salesforce", "crm", "/Account", "/Opportunity"
    envelope, key_field, token_setting = "records", "fields.Customer_Number__c", "CLIENT_SECRET"
    settings: ClassVar = {"CLIENT_ID": "3MVG9"}
    declares_total = True
    largest_page = 2000

    def tables(self, exports: dict[str, list[dict]]) -> dict[str, list[dict]]:
        return {
            self.path: [
                of("Account", number, row)
                | {"Name": row["company"], "Customer_Number__c": row["customer_number"] or None, "Email__c": row["email"] or None}
                | {"Status__c": row["status"] or None, "BillingCountry": row["country"] or None, "Owner": of_relationship(row["owner"])}
                for number, row in enumerate(exports["customers"])
            ],
            self.agreements: [
                of("Opportunity", number, row)
                | {"Contract_Number__c": row["contract_number"] or None, "StageName": row["stage"], "Plan__c": row["plan"]}
                | {"Amount": float(row["amount"]), "CurrencyIsoCode": row["currency"], "Interval__c": row["interval"]}
                | {"Starts_On__c": row["starts_on"] or None}
                | {"Account": {"attributes": {"type": "Account"}, "Customer_Number__c": row["customer_number"] or None}}
                for number, row in enumerate(exports["deals"])
            ],
        }

    def understood(self, url: SplitResult, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        """The size is asked for by a header; a later page by its locator, and nothing else."""
        options = dict(option.split("=") for option in headers.get("sforce-query-options", "batchSize=2000").split(", "))
        query = {name: values[-1] for name, values in parse_qs(url.query).items()} | {"limit": options["batchSize"]}
        if soql := QUERY.fullmatch(query.get("q", "")):
            return f"/{soql['object']}", query
        if locator := re.fullmatch(rf"{DATA}/query/01g(\d{{3}})-(\d+)", url.path):
            name = next(name for name, prefix in PREFIXES.items() if prefix == locator[1])
            return f"/{name}", query | {"start": locator[2]}
        return url.path, query

    def asked_by(self, page: int, cap: int) -> str:
        return f"{DATA[1:]}/queryAll" if page == 1 else f"{DATA}/query/01g001-{(page - 1) * cap}"

    def is_page(self, request: Request) -> bool:
        return "/query/01g001" in request.path or ("/queryAll?" in request.path and "FROM+Account+" in request.path)

    def signed_in(self, path: str, form: dict[str, str], token: str) -> Answer | None:
        if path != TOKEN or form != {"grant_type": "client_credentials", "client_id": "3MVG9", "client_secret": token}:
            return None
        return Answer(content={"access_token": session(token), "instance_url": "https://elsewhere.example", "token_type": "Bearer"})

    def allows(self, headers: dict[str, str], token: str) -> bool:
        return headers.get("authorization") == f"Bearer {session(token)}"

    def page(self, records: list[dict], start: int, size: int) -> dict:
        page, body = records[start : start + size], {"totalSize": len(records)}
        if start + size < len(records):
            body |= {"done": False, "nextRecordsUrl": locator(page[-1]["Id"], start + size)}
        else:
            body |= {"done": True}
        return body | {"records": page}

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        if soql := QUERY.fullmatch(query.get("q", "")):
            only = IN.fullmatch(soql["only"] or "")
            if soql["only"] and not only:
                return Answer(400, [{"message": "unexpected token", "errorCode": "MALFORMED_QUERY"}]), 1
            fake.remembered[path] = soql["fields"].split(", "), soql["deleted"] == "true", only
        fields, is_deleted, only = fake.remembered[path]
        start, size = int(query.get("start", "0")), min(int(query["limit"]), fake.cap)
        steps = {field.partition(".")[0] for field in fields}
        if steps - {*OF_EVERY_OBJECT, *FIELDS[path[1:]], "Owner", "Account"}:
            return Answer(400, [{"message": "No such column", "errorCode": "INVALID_FIELD"}]), 1
        records = [
            {"attributes": {"type": path[1:]}} | {step: record.get(step) for step in sorted(steps)}
            for record in fake.tables[path]
            if record["IsDeleted"] == is_deleted and (not only or record[only["field"]] in texts(only["values"]))
        ]
        return Answer(content=self.page(records, start, size)), start // size + 1

    def beside(self, fake: FakeApi, method: str, path: str, query: dict[str, str]) -> Answer | None:
        if method in WRITES and (one := ONE.fullmatch(path)):
            return self.written(fake.tables[f"/{one[1]}"], method, one[1], one[2], fake.requests[-1].body)
        if not (described := re.fullmatch(rf"{DATA}/sobjects/(\w+)/describe", path)):
            return None
        return Answer(content={"name": described[1], "fields": [field(name) for name in (*OF_EVERY_OBJECT, *FIELDS[described[1]])]})

    def refuses(self, status: int, message: str) -> Answer:
        code = {404: "NOT_FOUND"}.get(status, "INVALID_FIELD_FOR_INSERT_UPDATE")
        return Answer(status, [{"message": message, "errorCode": code, "fields": []}])

    def written(self, records: list[dict], method: str, kind: str, identity: str | None, body: str) -> Answer:
        record = next((record for record in records if record["Id"] == identity and not record["IsDeleted"]), None)
        if identity and record is None:
            return self.refuses(404, "The requested resource does not exist")
        if method == "DELETE":
            record["IsDeleted"] = True
            return Answer(204, body=b"")
        fields = json.loads(body)
        if unknown := [name for name in fields if name not in FIELDS[kind]]:
            return self.refuses(400, f"No such column '{unknown[0]}' on sobject of type {kind}")
        if record is None:
            record = dict.fromkeys(FIELDS[kind]) | of(kind, 9000 + len(records), {"created_at": NOW, "updated_at": NOW})
            records.append(record)
        record |= fields | {"SystemModstamp": as_time(NOW)}
        return Answer(204, body=b"") if identity else Answer(201, {"id": record["Id"], "success": True, "errors": []})

    def id_of(self, record: dict) -> str:
        return record["Id"]

    def key_of(self, record: dict) -> tuple[dict, str]:
        """The connector gathers the fields that it asked for."""
        return record, "Customer_Number__c"

    def more(self, body: dict, cursor: str) -> None:
        body.update(done=False, nextRecordsUrl=body.get("nextRecordsUrl", locator(cursor, int(cursor[3:]) + 1)))

    def ends(self, body: dict) -> None:
        body.update(done=True)
        body.pop("nextRecordsUrl", None)

    def unsaid(self, body: dict) -> None:
        body.pop("done")

    def said_by(self, body: dict, value: object) -> None:
        body["done"] = value

    def overstate(self, fake: FakeApi, page: int) -> None:
        fake.spoil(self.path, page, lambda answer: answer.content.update(totalSize=10_000))


def texts(literals: str) -> set[str]:
    """What SOQL's literals say."""
    return {
        re.sub(r"\\(.)", lambda one: {"n": "\n", "r": "\r", "t": "\t"}.get(one[1], one[1]), text[1:-1])
        for text in re.findall(TEXT, literals)
    }


def session(secret: str) -> str:
    return f"00D!{secret}"


def locator(one: str, start: int) -> str:
    """Of what comes from there on in a list that holds the one."""
    return f"{DATA}/query/01g{one[:3]}-{start}"


def field(name: str) -> dict:
    relationship, target = RELATIONSHIPS.get(name, (None, None))
    return {"name": name, "relationshipName": relationship, "referenceTo": [target] if target else []}


def of(name: str, number: int, row: dict) -> dict:
    times = {"CreatedDate": as_time(row["created_at"]), "SystemModstamp": as_time(row["updated_at"])}
    return {"attributes": {"type": name}, "Id": f"{PREFIXES[name]}{number:015}", "IsDeleted": False} | times


def of_relationship(owner: str) -> dict | None:
    return {"attributes": {"type": "User"}, "Name": owner} if owner else None


def as_time(time: str | None) -> str | None:
    return time.replace("Z", ".000+0000") if time else None
