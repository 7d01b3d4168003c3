"""Any API that lists its records as JSON, by settings in the words of dlt's rest_api.

dlt's paginators ask for the pages and its classes sign the requests. Its loop is not used: to it a page without its list is an
empty one, and where it does not find what names the next page the list is over. Here the answer has to say so.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import dlt
import pyarrow
import requests
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.helpers.rest_client.redaction import SENSITIVE_PARAMS, sanitize_url

from pipelines.evidence import Pulled
from pipelines.failures import SourceFailed
from pipelines.sources.api import RECORDS_AT_ONCE, Api
from pipelines.sources.landing import text
from pipelines.sources.rest_settings import ID, NUMBERED, Listing, at, auth_of, listing_of
from pipelines.sources.side import Side


class Untold(Exception):
    """An answer does not say whether more follow, or says both."""


@dlt.source(name="rest")
def rest(side: Side):
    """Lands the tables of the side's exports. Raises SourceFailed or BadConfiguration."""
    api = Api(side, side.setting("base_url"), {name: text(value) for name, value in side.setting("headers", {}).items()})
    api.good = (200, 206)  # a part of the list, where it says by Content-Range which
    auth = auth_of(side)
    for table, columns in side.tables().items():
        yield dlt.resource(read_list, name=table)(side, api, auth, side.evidence(table, "rest"), listing_of(side, table, columns))


def read_list(side: Side, api: Api, auth: AuthConfigBase | None, evidence: Pulled, listing: Listing) -> Iterator[pyarrow.Table]:
    """Arrow tables of the declared columns, all text."""
    evidence.started_at, evidence.id_column = datetime.now(UTC), ID if ID in listing.fields else None
    waiting, present, found = [], set(), set()
    for records in Reading(api, auth, evidence, listing).pages():
        for column in {listing.key, evidence.id_column} - {None}:
            if records and not is_there(records, listing.fields[column]):
                raise without(evidence, listing, column, f"page {evidence.pages} of {evidence.table_name} has nothing")
        found.update(*records)
        waiting += records
        if side.is_look or len(waiting) >= RECORDS_AT_ONCE:
            yield as_table(evidence, listing, waiting, present)
            waiting = []
    yield as_table(evidence, listing, waiting, present)
    for column in listing.fields:
        if evidence.fetched and column not in present:
            raise without(evidence, listing, column, f"no record of {evidence.table_name} has anything")
    evidence.unmapped_columns = ", ".join(sorted(found - {field[0] for field in listing.fields.values()}))
    evidence.end_seen, evidence.finished_at = True, datetime.now(UTC)


@dataclass(frozen=True)
class Reading:
    """One list, page by page, until an answer says that it is over."""

    api: Api
    auth: AuthConfigBase | None
    evidence: Pulled
    listing: Listing

    def pages(self) -> Iterator[list[dict]]:
        evidence, listing, paginator = self.evidence, self.listing, self.listing.paginator()
        request = requests.Request("GET", self.api.url(listing.path), params=dict(listing.params))
        paginator.init_request(request)
        evidence.page_size_asked, evidence.declared_by = listing.page_size, listing.declared_by
        seen, first, before, end = set(), [], [], None
        while end is None:
            self.api.side.go_on()
            response, records = self.page(request)
            if records and records in (first, before):
                raise self.failed("a page came again that had come before")
            if evidence.declared_by:
                self.declare(response)
            self.refuse_short(len(before), len(records))
            try:
                end = self.end(paginator, response, records, bool(seen))
                if end is None:
                    paginator.update_request(request)
            except Untold as untold:
                raise self.failed(f"the answer does not say whether more follow: {untold}") from None
            except (ValueError, TypeError, LookupError):  # dlt's own, some of which hold the whole answer
                raise self.failed("the answer does not say whether more follow") from None
            if end is None:
                self.api.go_on(self.cursor(request), seen, records, listing.path, evidence)
            evidence.count(records)
            first, before = first or records, records
            yield records
        if listing.ends_with_nothing and evidence.declared_total is None:
            paginator.current_value += paginator.value_step
            paginator.update_request(request)
            if self.page(request)[1]:
                raise self.failed("there are records behind an empty page, which therefore was not the end")
        evidence.end_evidence = end

    def page(self, request: requests.Request) -> tuple[requests.Response, list[dict]]:
        """An answer, and the one list that the selector finds in it: none, null or another thing is no empty page."""
        path, selector = self.listing.path, self.listing.data_selector
        response = self.api.answer("GET", request.url, path, self.evidence, params=request.params, auth=self.auth)
        body = self.api.body(response, path, self.evidence)
        response.json = lambda: body  # parsed once: the paginators ask for it too
        found = at(selector, body)
        records = found[0] if len(found) == 1 else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise self.failed(f"there is no list of records under {selector!r}")
        return response, records

    def declare(self, response: requests.Response) -> None:
        """Every page's total, where the settings say that pages have one."""
        evidence, listing = self.evidence, self.listing
        if listing.total_header:
            stated = response.headers.get(listing.total_header, "*").rpartition("/")[2].strip()  # Content-Range: 0-99/1366, or /* for none
        else:
            stated = next(iter(at(listing.total, response.json())), None)
        if stated not in (None, "*") and not str(stated).isdecimal():
            raise self.failed("the total is no whole number")
        evidence.declare(None if stated in (None, "*") else int(stated))

    def refuse_short(self, before: int, served: int) -> None:
        """Page 2 of 250 begins behind record 250, also where page 1 held 150; but where a total is declared, that tells it."""
        evidence, listing = self.evidence, self.listing
        full = max(listing.page_size or 0, evidence.page_size_served or 0, served)
        if listing.kind == "page_number" and evidence.declared_total is None and evidence.pages and served and before < full:
            raise self.failed(
                f"the page before it was not the last and held {before:,} records of {full:,}, so some may be left out; "
                "ask for no more a page than the API serves, or name its total"
            )

    def end(self, paginator: BasePaginator, response: requests.Response, records: list[dict], has_named_next: bool) -> str | None:
        """How the answer says that it is the last; None where more follow. Raises Untold, or ValueError where dlt does."""
        kind, says_more = self.listing.kind, self.says_more(response)
        paginator.update_state(response, records)
        if says_more is False:
            end = f"{self.listing.options['has_more_path']} was false"
        elif kind in NUMBERED:
            end = None if paginator.has_next_page else self.numbered_end(records)
        elif kind == "single_page":
            end = "the settings say that one answer holds the whole list"
        else:
            end = self.named_end(response, records, has_named_next)
        if (end is None) != paginator.has_next_page or (end and says_more):
            raise Untold("it says both")
        if end and PaginatorFactory().create_paginator(response)[1] == 1:
            raise Untold(f"it names a next page, and {kind} does not follow it")
        return end

    def says_more(self, response: requests.Response) -> bool | None:
        path = self.listing.options.get("has_more_path")
        found = at(path, response.json()) if path else [None]
        if path and (len(found) != 1 or not isinstance(found[0], bool)):
            raise Untold(f"{path} is neither true nor false")
        return found[0]

    def numbered_end(self, records: list[dict]) -> str:
        if records:
            return f"page {self.evidence.pages + 1} was the last by {self.listing.options['total_path']}"
        return f"nothing came behind record {self.evidence.fetched:,}"

    def named_end(self, response: requests.Response, records: list[dict], has_named_next: bool) -> str | None:
        """An empty name of a next page; or none at all where the settings say so, and another page had one or a total tells."""
        name, found = self.named_next(response)
        if found and found[0] in (None, ""):
            return f"{name} was empty"
        if found and type(found[0]) in (str, int):
            return None
        if found:
            raise Untold(f"{name} is no name of a page")
        if not self.listing.ends_unnamed:
            # An answer without records may be an error that is told with 200: nobody is to take that for an end.
            hint = f'; if this API leaves it out of the last page, set {self.listing.where}.end = "absent"' if records else ""
            raise Untold(f"there is no {name}{hint}")
        if not has_named_next and self.evidence.declared_total is None:
            raise Untold(
                f"no page had a {name}, which may not be its name; ask for fewer records a page, so that there are two, or name its total"
            )
        return f"the last page had no {name}"

    def named_next(self, response: requests.Response) -> tuple[str, list]:
        """What names the next page, and what it says; nothing where it is not there. A Link header without it says that it is the last."""
        kind, options = self.listing.kind, self.listing.options
        if kind == "header_link":
            relation = options.get("links_next_key", "next")
            links = [response.links.get(relation, {}).get("url")] if "Link" in response.headers else []
            return f"rel={relation} of the Link header", links
        if kind == "header_cursor":
            name = options.get("cursor_key", "next")
            return f"header {name}", [response.headers[name]] if name in response.headers else []
        path = options["next_url_path" if kind == "json_link" else "cursor_path"]
        return path, at(path, response.json())

    def cursor(self, request: requests.Request) -> str:
        """What the next page goes by. A server may repeat the key in its link."""
        new = {name: value for name, value in (request.params or {}).items() if name not in self.listing.params}
        return json.dumps(new) if new else sanitize_url(request.url, SENSITIVE_PARAMS | {getattr(self.auth, "name", "")})

    def failed(self, what: str) -> SourceFailed:
        return self.api.failed(self.evidence, self.listing.path, what)


def as_table(evidence: Pulled, listing: Listing, records: list[dict], present: set[str]) -> pyarrow.Table:
    """The records' columns. Adds to `present` those whose field a record has."""
    nothing = pyarrow.nulls(len(records), pyarrow.string())
    columns = dict.fromkeys(listing.columns, nothing)
    for column, field in listing.fields.items():
        if is_there(records, field):
            present.add(column)
        try:
            columns[column] = as_text([holder.get(field[-1]) for holder in holders(records, field)])
        except TypeError:
            raise without(evidence, listing, column, f"a record of {evidence.table_name} has no single value") from None
    return pyarrow.table(columns)


def holders(records: list[dict], field: list[str]) -> list[dict]:
    """What holds the field in each record: the record itself, or an object in it."""
    for name in field[:-1]:
        records = [inner if isinstance(inner := record.get(name), dict) else {} for record in records]
    return records


def is_there(records: list[dict], field: list[str]) -> bool:
    return any(field[-1] in holder for holder in holders(records, field))


def as_text(values: list) -> pyarrow.Array:
    """Raises TypeError where a value is an object or a list."""
    try:
        return pyarrow.array(values, pyarrow.string())
    except pyarrow.ArrowTypeError:
        with suppress(pyarrow.ArrowException, OverflowError):
            return pyarrow.array(values, pyarrow.int64()).cast(pyarrow.string())  # without a step in Python for each
        if any(isinstance(value, (dict, list)) for value in values):
            raise TypeError from None
        return pyarrow.array(map(text, values), pyarrow.string())


def without(evidence: Pulled, listing: Listing, column: str, what: str) -> SourceFailed:
    setting = "id" if column == ID else f"columns.{column}"
    return SourceFailed(
        f"{evidence.system}: {what} under {'.'.join(listing.fields[column])!r}; "
        f"name the field that holds its {column} as {listing.where}.{setting}."
    )
