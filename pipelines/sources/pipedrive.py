"""Pipedrive: organizations or persons as customers, and deals, archived ones too.

Its lists (API v2) declare no total; what shows their end is a next_cursor of null. Documented at developers.pipedrive.com.
"""

from collections.abc import Iterator

import dlt
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration
from pipelines.sources import by_key
from pipelines.sources.api import Api, landed, not_held, with_custom_fields
from pipelines.sources.side import Side
from pipelines.stated import Stated

PAGE = 500
IDS = 100  # that a list can be held to
CUSTOMERS = {"organizations": "organizationFields", "persons": "personFields"}
# What an account calls its own fields. The rest is Pipedrive's: of persons the e-mail too.
CUSTOM = {
    "organizations": {"customer_number": "Customer number", "email": "Email", "status": "Status", "country": "Country"},
    "persons": {"customer_number": "Customer number", "status": "Status", "country": "Country"},
    "deals": {
        "contract_number": "Contract number",
        "customer_number": "Customer number",
        "plan": "Plan",
        "interval": "Interval",
        "starts_on": "Starts on",
    },
}


@dlt.source(name="pipedrive")
def pipedrive(side: Side):
    """Lands `customers` and `deals`. Raises SourceFailed or BadConfiguration."""
    customers = side.setting("customers_are", "organizations")
    if customers not in CUSTOMERS:
        raise BadConfiguration(f"sources.{side.system}.customers_are must be {' or '.join(CUSTOMERS)}, not {customers!r}.")
    api = Api(side, side.setting("base_url", "https://api.pipedrive.com"), {"x-api-token": side.secret("api_token")})
    for table, columns in side.tables("pipedrive").items():
        listed = customers if table == "customers" else table
        yield dlt.resource(read_list, name=table)(side, api, side.evidence(table, "pipedrive"), columns, listed)


def read_list(side: Side, api: Api, evidence: Pulled, columns: list[str], listed: str) -> Iterator[pyarrow.Table]:
    fields = custom_fields(side, api, evidence, listed, side.names(evidence.table_name, CUSTOM[listed]))
    codes = {column: field["field_code"] for column, field in fields.items()}
    lists = [f"api/v2/{listed}", *(["api/v2/deals/archived"] if listed == "deals" and side.is_on("archived", True) else [])]
    evidence.page_size_asked = PAGE
    asked = [{"limit": PAGE, "custom_fields": ",".join(codes.values())}]
    if side.only:
        ids = [*by_key.ids(side.only, evidence.table_name), *found(side, api, evidence, listed)]
        asked = [{**asked[0], "ids": ",".join(batch)} for batch in by_key.batches(ids, IDS)]
    pages = with_labels(all_pages(api, evidence, lists, asked), list(fields.values()))
    pages = with_custom_fields(side, evidence, pages, "custom_fields", codes)
    yield from landed(side, evidence, pages, columns, "next_cursor was null")


def custom_fields(side: Stated, api: Api, evidence: Pulled, listed: str, names: dict[str, str]) -> dict[str, dict]:
    """The field of each column, by its name in Pipedrive or its code. Raises SourceFailed where there is none, or more than one."""
    reading = Pulled(side.system, f"fields of {listed}", evidence.connector)
    path = f"api/v2/{CUSTOMERS.get(listed, 'dealFields')}"
    known = [field for page in api.pages(reading, path, {"limit": PAGE}, "data", following) for field in page]
    evidence.retries += reading.retries
    found = {}
    for column, name in names.items():
        fields = [
            field for field in known if field.get("is_custom_field") is True and name in (field.get("field_code"), field.get("field_name"))
        ]
        if len(fields) != 1:
            how_many = "several custom fields" if fields else "no custom field"
            raise not_held(side, evidence, f"{listed} have {how_many} {name!r}", column)
        found[column] = fields[0]
    return found


def found(side: Side, api: Api, evidence: Pulled, listed: str) -> Iterator[str]:
    """The ids of the records that have one of these keys in any custom field: a search can't be held to one."""
    path = f"api/v2/{listed}/search"
    for key in by_key.spellings(side.only, evidence.table_name):
        body = api.get(path, {"term": key, "fields": "custom_fields", "exact_match": "true", "limit": PAGE}, evidence)
        hits = api.records(body.get("data") or {}, "items", path, evidence)
        if following(body, hits) is not None:
            raise api.failed(evidence, path, "one key is in more records than a page holds")
        yield from (str(hit["item"]["id"]) for hit in hits)


def all_pages(api: Api, evidence: Pulled, lists: list[str], asked: list[dict]) -> Iterator[list[dict]]:
    """Archived deals are in a list of their own. It comes last: a deal archived in between comes twice then, and not never."""
    for path in lists:
        for params in asked:
            yield from api.pages(evidence, path, params, "data", following)


def following(body: dict, records: list[dict]) -> dict | None:
    """A missing next_cursor is no end."""
    cursor = body["additional_data"]["next_cursor"]
    if cursor is not None and (not isinstance(cursor, str) or not cursor):
        raise TypeError("next_cursor is no text")
    return None if cursor is None else {"cursor": cursor}


def with_labels(pages: Iterator[list[dict]], fields: list[dict]) -> Iterator[list[dict]]:
    """A field of options holds the number of one; what people read and compare is its label."""
    labels = {
        field["field_code"]: {str(option.get("id")): option.get("label") for option in field["options"]}
        for field in fields
        if field.get("options")
    }
    for page in pages:
        for record in page:
            held = record.get("custom_fields") or {}
            held.update({code: options.get(str(held.get(code)), held.get(code)) for code, options in labels.items()})
        yield page
