"""Chargebee: customers and subscriptions of an account on Product Catalog 2.0, cancelled ones too, deleted ones not.

Its lists declare no total, and one is over where no next_offset comes: a list that was cut looks the same. So the newest record is
asked for by itself, and the list, read oldest first, must come to it. Documented at apidocs.chargebee.com/docs/api/list-ops.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator

import dlt
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.sources import by_key
from pipelines.sources.api import Api, landed, with_custom_fields
from pipelines.sources.side import Side
from pipelines.stated import Stated

PAGE = 100
IDS = 50  # that a URL has room for
WRAPPERS = {"customers": "customer", "subscriptions": "subscription"}  # each entry of a list holds its record under this name
CUSTOM = {"customers": {"customer_number": "cf_customer_number"}, "subscriptions": {"contract_number": "cf_contract_number"}}
# What is new while the list is read comes at its end. Not every record has an updated_at, so that is no order to read in.
OLDEST_FIRST, NEWEST_FIRST = {"sort_by[asc]": "created_at"}, {"sort_by[desc]": "created_at"}


@dlt.source(name="chargebee")
def chargebee(side: Side):
    """Lands `customers` and `subscriptions`. Raises SourceFailed."""
    user_without_password = b64encode(f"{side.secret('api_key')}:".encode()).decode()
    api = Api(side, side.setting("base_url", "") or address(side), {"Authorization": f"Basic {user_without_password}"})
    for table, columns in side.tables("chargebee").items():
        yield dlt.resource(read_list, name=table)(side, api, side.evidence(table, "chargebee"), columns)


def address(side: Stated) -> str:
    site = side.setting("site")
    if not re.fullmatch(r"[A-Za-z0-9-]+", site):
        raise BadConfiguration(f"{side.section}.{side.system}.site is the name before .chargebee.com, such as acme, not {site!r}.")
    return f"https://{site}.chargebee.com"


def read_list(side: Side, api: Api, evidence: Pulled, columns: list[str]) -> Iterator[pyarrow.Table]:
    table, evidence.page_size_asked = evidence.table_name, PAGE
    path, wrapper, names = f"api/v2/{table}", WRAPPERS[table], side.names(table, CUSTOM[table])
    if side.only:
        pages, end = filtered(api, evidence, table, wanted(side, api, evidence)), "no next_offset came"
    else:
        first = api.records(api.get(path, {"limit": 1, **NEWEST_FIRST}, evidence), "list", path, evidence)
        newest = [record["id"] for record in unwrapped(first, wrapper, evidence)]
        pages = api.pages(evidence, path, {"limit": PAGE, **OLDEST_FIRST}, "list", following)
        pages = coming_to(newest, (unwrapped(page, wrapper, evidence) for page in pages), evidence)
        end = "no next_offset came, and the newest record had come"
    pages = with_custom_fields(side, evidence, pages, None, names)
    yield from landed(side, evidence, pages, columns, end)


def wanted(side: Side, api: Api, evidence: Pulled) -> Iterator[dict[str, str]]:
    """What holds a list in turn to the ids known and to each key, and of subscriptions to all that the customers have."""
    table = evidence.table_name
    yield from known(side, table)
    if table == "subscriptions":
        finding = Pulled(side.system, "ids of customers", evidence.connector)
        found = filtered(api, finding, "customers", known(side, "customers"))
        for batch in by_key.batches((record["id"] for page in found for record in page), IDS):
            yield {"customer_id[in]": json.dumps(batch)}


def known(side: Side, table: str) -> Iterator[dict[str, str]]:
    [name] = side.names(table, CUSTOM[table]).values()
    yield from ({"id[in]": json.dumps(batch)} for batch in by_key.batches(by_key.ids(side.only, table), IDS))
    yield from ({f"{name}[is]": key} for key in by_key.spellings(side.only, table))


def filtered(api: Api, evidence: Pulled, table: str, filters: Iterator[dict[str, str]]) -> Iterator[list[dict]]:
    pages = (page for one in filters for page in api.pages(evidence, f"api/v2/{table}", {"limit": PAGE, **one}, "list", following))
    return by_key.once(unwrapped(page, WRAPPERS[table], evidence) for page in pages)


def following(body: dict, records: list[dict]) -> dict | None:
    """An offset is text of Chargebee's own making. None at all is an end; null, or anything else, is not."""
    if "next_offset" not in body:
        return None
    if not body["next_offset"] or not isinstance(body["next_offset"], str):
        raise TypeError("next_offset is no text")
    return {"offset": body["next_offset"]}


def unwrapped(entries: list[dict], wrapper: str, evidence: Pulled) -> list[dict]:
    """The records, without what Chargebee lists beside each."""
    records = [entry.get(wrapper) for entry in entries]
    if not all(isinstance(record, dict) and record.get("id") for record in records):
        where = f"{evidence.system}: {evidence.table_name}, page {evidence.pages or 1}"
        raise SourceFailed(f"{where}: there is an entry without its {wrapper!r}, or one without an id.")
    return records


def coming_to(newest: list[str], pages: Iterator[list[dict]], evidence: Pulled) -> Iterator[list[dict]]:
    """The list may end only after the record that was its newest when the pull began."""
    missing = set(newest)
    for page in pages:
        missing -= {record["id"] for record in page}
        yield page
    if missing:
        raise SourceFailed(
            f"{evidence.system}: {evidence.table_name} ended after {evidence.fetched:,} records without {missing.pop()}, the newest when "
            "the pull began: either the list was cut, or that record was deleted meanwhile."
        )
