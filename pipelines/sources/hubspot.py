"""HubSpot: contacts or companies as customers, and deals.

Lists, as its search stops at 10,000; the search still tells the total, asked before and after. Where a page names no next one the
list is over. Documented at developers.hubspot.com/docs/api/crm.
"""

from collections.abc import Iterator

import dlt
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration
from pipelines.sources import by_key
from pipelines.sources.api import Api, landed, not_held, with_custom_fields
from pipelines.sources.side import Side

PAGE = 100
KEYS = 30  # a search takes at most 100 values, and each key may be one in three spellings
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
        raise not_held(side, evidence, f"{listed} have no property {unknown[0]!r}", column)
    with_archived, end = side.is_on("archived", False), "no next page was named"
    evidence.page_size_asked = PAGE
    if side.only:
        ids = [*by_key.ids(side.only, evidence.table_name), *found(side, api, evidence, listed, next(iter(names.values())))]
        pages, end = batches(api, evidence, listed, ids, sorted(names.values()), with_archived), "each was asked for by its id"
    else:
        evidence.is_counted_apart = True
        evidence.declared_total, evidence.declared_by = total(api, evidence, listed), "total of the search"
        evidence.declared_by += ", and the archived as they came" if with_archived else ""
        pages = lists(api, evidence, listed, ",".join(sorted(names.values())), with_archived)
    pages = with_custom_fields(side, evidence, with_times(pages), "properties", names)
    yield from landed(side, evidence, pages, columns, end)


def lists(api: Api, evidence: Pulled, listed: str, names: str, with_archived: bool) -> Iterator[list[dict]]:
    """The living, then the archived: who is archived in between comes twice, which is seen, and not never, which is not."""
    path, params = f"crm/v3/objects/{listed}", {"limit": PAGE, "properties": names}
    yield from api.pages(evidence, path, params | {"archived": "false"}, "results", following)
    before, after, living = evidence.declared_total, total(api, evidence, listed), evidence.fetched
    if with_archived:
        evidence.declared_total = None  # the search counts the living, so that nothing would tell of an empty page here
        yield from api.pages(evidence, path, params | {"archived": "true"}, "results", following)
    archived = evidence.fetched - living
    evidence.declared_total, evidence.declared_after = (None if count is None else count + archived for count in (before, after))


def found(side: Side, api: Api, evidence: Pulled, listed: str, name: str) -> Iterator[str]:
    """The ids of the records under these keys. Of texts the search's IN wants small letters."""
    path = f"crm/v3/objects/{listed}/search"
    for keys in by_key.batches(by_key.spellings(side.only, evidence.table_name), KEYS):
        values = list(dict.fromkeys([*keys, *map(str.lower, keys)]))
        filters = [{"propertyName": name, "operator": "IN", "values": values}]
        body = api.ask("POST", path, evidence, json={"limit": PAGE, "properties": [name], "filterGroups": [{"filters": filters}]})
        records = api.records(body, "results", path, evidence)
        if api.total(body, "total", path, evidence) != len(records):
            raise api.failed(evidence, path, f"{len(keys)} keys are in more records than a page holds")
        yield from (record["id"] for record in records)


def batches(api: Api, evidence: Pulled, listed: str, ids: list[str], names: list[str], with_archived: bool) -> Iterator[list[dict]]:
    path = f"crm/v3/objects/{listed}/batch/read"
    for archived in ("false", "true") if with_archived else ("false",):
        for batch in by_key.batches(ids, PAGE):
            asked = {"properties": names, "inputs": [{"id": identity} for identity in batch]}
            body = api.ask("POST", path, evidence, good=(200, 207), params={"archived": archived}, json=asked)
            if any(error.get("category") != "OBJECT_NOT_FOUND" for error in body.get("errors", [])):
                raise api.failed(evidence, path, "some records can't be read, and not because they are gone")
            evidence.count(records := api.records(body, "results", path, evidence))
            yield records


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
    return api.total(api.ask("POST", path, evidence, json={"limit": 1, "filterGroups": []}), "total", path, evidence)
