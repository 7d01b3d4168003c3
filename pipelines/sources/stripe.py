"""Stripe: customers and subscriptions, ended ones too.

Its lists declare no total; what shows their end is has_more = false. Documented at docs.stripe.com/api/pagination.
"""

from collections.abc import Iterator

import dlt
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import SourceFailed
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
    table, evidence.page_size_asked = evidence.table_name, PAGE
    pages = api.pages(evidence, f"v1/{table}", {"limit": PAGE, **LISTS[table]}, "data", following)
    pages = with_all_items(api, evidence, pages) if table == "subscriptions" else pages
    pages = with_custom_fields(side, evidence, pages, "metadata", side.names(table, CUSTOM[table]))
    yield from landed(side, evidence, pages, columns, "has_more was false")


def following(body: dict, records: list[dict]) -> dict | None:
    """Neither a missing has_more nor one that is no boolean is an end; 0 is none."""
    if body["has_more"] is False:
        return None
    if body["has_more"] is not True:
        raise TypeError("has_more is no boolean")
    return {"starting_after": records[-1]["id"] if records else None}


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
