"""Stripe: customers and subscriptions, ended ones too.

Its lists declare no total; what shows their end is has_more = false. Documented at docs.stripe.com/api/pagination.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

import dlt
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import SourceFailed
from pipelines.sources import by_key
from pipelines.sources.api import Api, landed, with_custom_fields
from pipelines.sources.side import Side

VERSION = "2024-06-20"
PAGE = 100
# Without status=all the list hides ended subscriptions.
LISTS = {"customers": {}, "subscriptions": {"status": "all"}}
CUSTOM = {"customers": {"customer_number": "customer_number"}, "subscriptions": {"contract_number": "contract_number"}}


@dlt.source(name="stripe")
def stripe(side: Side):
    """Lands `customers` and `subscriptions`. Raises SourceFailed."""
    headers = {"Authorization": f"Bearer {side.secret('api_key')}", "Stripe-Version": VERSION}
    api = Api(side, side.setting("base_url", "https://api.stripe.com"), headers)
    for table, columns in side.tables("stripe").items():
        yield dlt.resource(read_list, name=table)(side, api, side.evidence(table, "stripe"), columns)


def read_list(side: Side, api: Api, evidence: Pulled, columns: list[str]) -> Iterator[pyarrow.Table]:
    table, evidence.page_size_asked, end = evidence.table_name, PAGE, "has_more was false"
    names = side.names(table, CUSTOM[table])
    if side.only:
        pages, end = one_by_one(api, evidence, wanted(side, api, evidence)), "each was asked for by its id"
    else:
        pages = api.pages(evidence, f"v1/{table}", {"limit": PAGE, **LISTS[table]}, "data", following)
    pages = with_all_items(api, evidence, pages) if table == "subscriptions" else pages
    pages = with_custom_fields(side, evidence, pages, "metadata", names)
    yield from landed(side, evidence, pages, columns, end)


def following(body: dict, records: list[dict]) -> dict | None:
    """Neither a missing has_more nor one that is no boolean is an end; 0 is none."""
    if body["has_more"] is False:
        return None
    if body["has_more"] is not True:
        raise TypeError("has_more is no boolean")
    return {"starting_after": records[-1]["id"] if records else None}


def wanted(side: Side, api: Api, evidence: Pulled) -> dict[str, None]:
    """The ids of what is read again: those known, those found by their keys, and of subscriptions all that the customers have."""
    table, finding = evidence.table_name, Pulled(side.system, f"ids of {evidence.table_name}", evidence.connector)
    ids = known(side, api, finding, table)
    for customer in known(side, api, finding, "customers") if table == "subscriptions" else []:
        asked = {"customer": customer, "limit": PAGE, **LISTS[table]}
        ids |= {record["id"]: None for page in api.pages(finding, f"v1/{table}", asked, "data", following) for record in page}
    evidence.retries += finding.retries
    return ids


def known(side: Side, api: Api, finding: Pulled, table: str) -> dict[str, None]:
    """By id, or found in the search, which may lag behind: of what it tells only the ids are taken."""
    [name] = side.names(table, CUSTOM[table]).values()
    ids = dict.fromkeys(by_key.ids(side.only, table))
    for key in by_key.spellings(side.only, table):
        asked = {"query": f"metadata[{literal(name)}]:{literal(key)}", "limit": PAGE}
        ids |= {record["id"]: None for page in api.pages(finding, f"v1/{table}/search", asked, "data", next_page) for record in page}
    return ids


def literal(value: str) -> str:
    """Text in Stripe's search language."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def next_page(body: dict, records: list[dict]) -> dict | None:
    return {"page": body["next_page"]} if following(body, records) else None


def one_by_one(api: Api, evidence: Pulled, ids: Iterable[str]) -> Iterator[list[dict]]:
    """A customer that was deleted is still there, and says so."""
    for identity in ids:
        path = f"v1/{evidence.table_name}/{quote(identity, safe='')}"
        record = api.ask("GET", path, evidence, good=(200, 404))
        if record.get("id") != identity and record.get("error", {}).get("code") != "resource_missing":
            raise api.failed(evidence, path, "the answer is neither that record nor that there is none")
        page = [record] if record.get("id") == identity and not record.get("deleted") else []
        evidence.count(page)
        yield page


def with_all_items(api: Api, evidence: Pulled, pages: Iterator[list[dict]]) -> Iterator[list[dict]]:
    """A subscription carries its first items only; without the others its amount would be too small."""
    for page in pages:
        for record in page:
            try:
                has_more = following(record["items"], record["items"]["data"])
            except (KeyError, TypeError) as error:
                what = f"the subscription {record.get('id')} does not say whether it has more items"
                raise SourceFailed(f"{evidence.system}: {evidence.table_name}, page {evidence.pages}: {what}.") from error
            if has_more:
                record["items"]["data"] = all_items(api, evidence, record["id"], record["items"]["data"])
        yield page


def all_items(api: Api, evidence: Pulled, subscription: str, first: list[dict]) -> list[dict]:
    listed = Pulled(evidence.system, "subscription_items", evidence.connector)
    pages = api.pages(listed, "v1/subscription_items", {"subscription": subscription, "limit": PAGE}, "data", following)
    items = [item for page in pages for item in page]
    evidence.retries += listed.retries
    if not len(first) < len({item["id"] for item in items}) == len(items):
        raise SourceFailed(
            f"{evidence.system}: the items of the subscription {subscription} can't be read whole: some are missing or come twice."
        )
    return items
