"""Salesforce: accounts or contacts as customers; opportunities, contracts or orders as deals.

One SOQL query a table, whose totalSize is the declared total and whose end is done = true. queryAll, as query hides what is
archived; it returns the recycle bin too, which IsDeleted = false leaves out. Documented at developer.salesforce.com/docs/platform/api-rest.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

import dlt
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration
from pipelines.sources import by_key
from pipelines.sources.api import Api, Following, landed, not_held, with_custom_fields
from pipelines.sources.side import Side

DATA = "services/data/v62.0"
PAGE = 2000
KEYS = 50
ESCAPES = str.maketrans({"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*){0,5}")  # Owner.Name leads through a relationship
CURRENCY = re.compile(r"[A-Z]{3}")
SHARED = {
    "customers": {"customer_number": "Customer_Number__c", "status": "Status__c", "owner": "Owner.Name"},
    "deals": {
        "contract_number": "Contract_Number__c",
        "customer_number": "Account.Customer_Number__c",
        "plan": "Plan__c",
        "amount": "Amount__c",
        "currency": "CurrencyIsoCode",
        "interval": "Interval__c",
    },
}
OBJECTS = {
    "customers": {
        "Account": {"company": "Name", "email": "Email__c", "country": "BillingCountry"},
        "Contact": {"company": "Account.Name", "email": "Email", "country": "MailingCountry"},
    },
    "deals": {
        "Opportunity": {"stage": "StageName", "amount": "Amount", "starts_on": "Starts_On__c"},
        "Contract": {"contract_number": "ContractNumber", "stage": "Status", "starts_on": "StartDate"},
        "Order": {"stage": "Status", "amount": "TotalAmount", "starts_on": "EffectiveDate"},
    },
}


class Door(Api):
    """Where one signs in: without the token that is asked for."""

    advice: ClassVar[dict[int, str]] = dict.fromkeys(
        (400, 401), "check client_id and client_secret, and that the app's client credentials flow has a user to run as"
    )


@dlt.source(name="salesforce")
def salesforce(side: Side):
    """Lands `customers` and `deals`. Raises SourceFailed or BadConfiguration."""
    api = Api(side, side.setting("base_url"), {"Sforce-Query-Options": f"batchSize={PAGE}"})
    for table, columns in side.tables("salesforce").items():
        listed = side.setting(f"{table}_are", next(iter(OBJECTS[table])))
        if listed not in OBJECTS[table]:
            raise BadConfiguration(f"sources.{side.system}.{table}_are must be {' or '.join(OBJECTS[table])}, not {listed!r}.")
        yield dlt.resource(read_objects, name=table)(side, api, side.evidence(table, "salesforce"), columns, listed)


def read_objects(side: Side, api: Api, evidence: Pulled, columns: list[str], listed: str) -> Iterator[pyarrow.Table]:
    table, fixed = evidence.table_name, fixed_currency(side)
    names = side.names(table, SHARED[table] | OBJECTS[table][listed])
    known = {"currency": fixed} if fixed and names.pop("currency", None) else {}
    for column, name in names.items():
        if not FIELD.fullmatch(name):
            raise BadConfiguration(f"sources.{side.system}.{table}.{column} must be the API name of a field, not {name!r}.")
    sign_in(side, api, evidence)
    refuse_unknown(side, api, evidence, listed, names)
    evidence.declared_by, evidence.page_size_asked = "totalSize of the query", PAGE
    fields = sorted({"Id", "CreatedDate", "SystemModstamp", *names.values()})
    query = f"SELECT {', '.join(fields)} FROM {listed} WHERE IsDeleted = false"
    queries = [query + clause for clause in clauses(side, table, next(iter(names.values())))] if side.only else [query]
    pages = (page for q in queries for page in api.pages(evidence, f"{DATA}/queryAll", {"q": q}, "records", following(api, evidence)))
    pages = flat(by_key.once(pages, "Id") if side.only else pages, names, known)
    pages = with_custom_fields(side, evidence, pages, "fields", names)
    yield from landed(side, evidence, pages, columns, "done was true")


def fixed_currency(side: Side) -> str | None:
    """Of an org with one currency, where no record says which."""
    currency = side.setting("currency", "")
    if currency and not CURRENCY.fullmatch(currency):
        raise BadConfiguration(f"sources.{side.system}.currency must be an ISO 4217 code such as EUR, not {currency!r}.")
    return currency or None


def sign_in(side: Side, api: Api, evidence: Pulled) -> None:
    """OAuth's client credentials flow, once a side. dlt's OAuth2ClientCredentials would take the secret along on a redirect."""
    if "Authorization" in api.session.headers:
        return
    door, path = Door(side, api.base_url, {}), "services/oauth2/token"
    credentials = {name: side.secret(name) for name in ("client_id", "client_secret")}
    token = door.ask("POST", path, evidence, data={"grant_type": "client_credentials", **credentials}).get("access_token")
    if not isinstance(token, str):
        raise door.failed(evidence, path, "there is no access_token in the answer")
    api.session.headers["Authorization"] = f"Bearer {token}"


def refuse_unknown(side: Side, api: Api, evidence: Pulled, listed: str, names: dict[str, str]) -> None:
    """Raises SourceFailed naming the first field that is not there, or not for this user, and its setting."""

    @cache
    def described(name: str) -> list[dict]:
        path = f"{DATA}/sobjects/{name}/describe"
        return api.records(api.get(path, {}, evidence), "fields", path, evidence)

    def is_known(start: str, name: str) -> bool:
        step, _, rest = name.partition(".")
        if not rest:
            return any(field.get("name") == step for field in described(start))
        through = [field for field in described(start) if field.get("relationshipName") == step]
        return any(is_known(target, rest) for field in through for target in field.get("referenceTo") or [])

    for column, name in names.items():
        if not is_known(listed, name):
            one = f" (an org with one currency has none: set sources.{side.system}.currency)" if name == "CurrencyIsoCode" else ""
            raise not_held(side, evidence, f"{listed} has no field {name}{one}", column)


def clauses(side: Side, table: str, name: str) -> Iterator[str]:
    """What limits a query to the ids and the keys that are wanted, so many at a time as a URL has room for."""
    for field, values in (("Id", by_key.ids(side.only, table)), (name, by_key.spellings(side.only, table))):
        for batch in by_key.batches(values, KEYS):
            yield f" AND {field} IN ({', '.join(map(literal, batch))})"


def literal(value: str) -> str:
    """Text in SOQL."""
    return f"'{value.translate(ESCAPES)}'"


def following(api: Api, evidence: Pulled) -> Following:
    """The path of the next page. Each page tells the total."""

    def next_page(body: dict, records: list[dict]) -> str | None:
        evidence.declare(api.total(body, "totalSize", f"{DATA}/queryAll", evidence))
        if body["done"] is True:
            return None
        path = body["nextRecordsUrl"]
        if body["done"] is not False or not isinstance(path, str) or not path:
            raise TypeError("done is no boolean, or the next page has no path")
        return path

    return next_page


def flat(pages: Iterator[list[dict]], names: dict[str, str], known: dict[str, str]) -> Iterator[list[dict]]:
    """The fields by their paths, and by plain names what every record has."""
    for page in pages:
        yield [
            {
                "id": record.get("Id"),
                "created_at": record.get("CreatedDate"),
                "updated_at": record.get("SystemModstamp"),
                "fields": {name: reached(record, name) for name in names.values()},
            }
            | known
            for record in page
        ]


def reached(record: dict, path: str) -> Any:
    """What the path leads to; None where a relationship on the way is empty."""
    value: Any = record
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
