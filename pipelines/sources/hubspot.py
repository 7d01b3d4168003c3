"""HubSpot: contacts or companies as customers, and deals.

Lists, as its search stops at 10,000; the search still tells the total, asked before and after. Where a page names no next one the
list is over. Documented at developers.hubspot.com/docs/api/crm.
"""

from collections.abc import Iterator

import dlt
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.sources.api import Api, landed, with_custom_fields
from pipelines.sources.side import Side

PAGE = 100
CUSTOMERS = ("contacts", "companies")
DEALS = {
    "contract_number": "contract_number",
    "customer_number": "customer_number",
    "stage": "dealstage",
    "plan": "plan",
    "amount": "amount",
    "currency": "deal_currency_code",
    "interval": "interval",
    "starts_on": "starts_on",
}


def properties(table: str, listed: str) -> dict[str, str]:
    """Where an account keeps what staging needs, unless its settings say otherwise."""
    if table == "deals":
        return DEALS
    names = {"customer_number": "customer_number", "email": "email", "status": "lifecyclestage", "country": "country"}
    return names | {"company": "name" if listed == "companies" else "company", "owner": "hubspot_owner_id"}


@dlt.source(name="hubspot")
def hubspot(side: Side):
    """Lands `customers` and `deals`. Raises SourceFailed."""
    customers = side.setting("customers_are", "contacts")
    if customers not in CUSTOMERS:
        raise BadConfiguration(f"sources.{side.system}.customers_are must be {' or '.join(CUSTOMERS)}, not {customers!r}.")
    api = Api(
        side,
        side.setting("base_url", "https://api.hubapi.com"),
        {"Authorization": f"Bearer {side.secret('access_token')}"},
    )
    for table, columns in side.tables("hubspot").items():
        listed = customers if table == "customers" else table
        yield dlt.resource(read_objects, name=table)(side, api, side.evidence(table, "hubspot"), columns, listed)


def read_objects(side: Side, api: Api, evidence: Pulled, columns: list[str], listed: str) -> Iterator[pyarrow.Table]:
    names = side.names(evidence.table_name, properties(evidence.table_name, listed))
    path = f"crm/v3/properties/{listed}"
    known = {known.get("name") for known in api.records(api.get(path, {}, evidence), "results", path, evidence)}
    if unknown := sorted(set(names.values()) - known):
        column = next(column for column, name in names.items() if name == unknown[0])
        raise SourceFailed(
            f"{side.system}: {listed} have no property {unknown[0]!r}; "
            f"name the one that holds their {column} as sources.{side.system}.{evidence.table_name}.{column}."
        )
    evidence.declared_total, evidence.declared_by = total(api, evidence, listed), "total of the search"
    evidence.page_size_asked = PAGE
    params = {"limit": PAGE, "archived": "false", "properties": ",".join(sorted(names.values()))}
    pages = api.pages(evidence, f"crm/v3/objects/{listed}", params, "results", following)
    pages = with_custom_fields(side, evidence, with_times(pages), "properties", names)
    yield from landed(side, evidence, pages, columns, "no next page was named")
    evidence.declared_after = total(api, evidence, listed)


def following(body: dict, records: list[dict]) -> dict | None:
    return {"after": body["paging"]["next"]["after"]} if body.get("paging") is not None else None


def with_times(pages: Iterator[list[dict]]) -> Iterator[list[dict]]:
    """By names that are plain lower case, as all that land."""
    for page in pages:
        for record in page:
            record.update(created_at=record.get("createdAt"), updated_at=record.get("updatedAt"))
        yield page


def total(api: Api, evidence: Pulled, listed: str) -> int | None:
    path = f"crm/v3/objects/{listed}/search"
    declared = api.ask("POST", path, evidence, json={"limit": 1, "filterGroups": []}).get("total")
    if declared is not None and type(declared) is not int:
        raise api.failed(evidence, path, "the total is no whole number")
    return declared
