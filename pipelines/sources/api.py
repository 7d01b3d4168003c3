"""Lists of an HTTP API, page by page, with the evidence that each was read to its end.

dlt's client asks and asks again; what is here is what completeness needs. A page without its list, a cursor that comes back and
a next page on another host end the pull: none of them is ever an empty page.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from time import monotonic
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn
from urllib.parse import urljoin, urlsplit

import pyarrow
import requests
from dlt.sources.helpers.requests import Client
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, sleep_using_event, stop_when_event_set, wait_random

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.sources.landing import text
from pipelines.sources.side import Side
from pipelines.stated import Stated

RECORDS_AT_ONCE = 10_000  # short pages would become as many small row groups, which cost more than the records in them
Following = Callable[[dict, list], dict | str | None]


class InTime(RawIOBase):
    """What a socket receives, all of it within the time-out: the socket itself only knows the time between two bytes."""

    def __init__(self, socket, seconds: float):
        self.socket, self.received, self.ends_at = socket, socket.makefile("rb", buffering=0), monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, block) -> int | None:
        self.socket.settimeout(max(self.ends_at - monotonic(), 0.001))
        return self.received.readinto(block)

    def close(self) -> None:
        self.received.close()
        super().close()


class Whole(HTTPAdapter):
    """Answers come in time, headers and body, or not at all: one byte a second would hold a run for ever."""

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, **options)

        def response(connection, socket, **options):
            in_time = SimpleNamespace(makefile=lambda _: BufferedReader(InTime(socket, connection.timeout)))
            return HTTPResponse(in_time, **options)

        self.poolmanager.pool_classes_by_scheme = {
            scheme: type("Pool", (pool,), {"ConnectionCls": type("Connection", (pool.ConnectionCls,), {"response_class": response})})
            for scheme, pool in self.poolmanager.pool_classes_by_scheme.items()
        }


class Api:
    """One system's API. Tries again what may pass: 429, 5xx, resets, cut bodies and time-outs; [runtime] request_* sets how often."""

    good: tuple[int, ...] = (200,)
    advice: ClassVar[dict[int, str]] = dict.fromkeys((401, 403), "check that the token is valid, has not expired and may read this")
    most_pages = 100_000  # a list that still goes on is one that never ends

    def __init__(self, side: Side, base_url: str, headers: dict[str, str], setting: str = "base_url"):
        refuse_no_address(base_url, f"sources.{side.system}.{setting}")
        client = Client(raise_for_status=False, retry_condition=is_cut)
        self.side, self.base_url, self.session = side, base_url.rstrip("/") + "/", session_of(client, base_url, headers, Whole())
        retry = self.session.send.retry
        retry.sleep, retry.stop = sleep_using_event(side.stopping), retry.stop | stop_when_event_set(side.stopping)

    def get(self, path: str, params: dict, evidence: Pulled) -> dict:
        """The body of one answer. Raises SourceFailed naming the endpoint, the page and the attempts."""
        return self.ask("GET", path, evidence, params=params)

    def ask(self, method: str, path: str, evidence: Pulled, **request) -> dict:
        body = self.body(self.answer(method, self.url(path), path, evidence, **request), path, evidence)
        if not isinstance(body, dict):
            raise self.failed(evidence, path, f"the answer is a {type(body).__name__}, not an object")
        return body

    def url(self, path: str) -> str:
        return urljoin(self.base_url, path.lstrip("/"))

    def answer(
        self, method: str, url: str, path: str, evidence: Pulled, good: tuple[int, ...] | None = None, **request
    ) -> requests.Response:
        """One whole answer, from this host and of a status that is `good`."""
        if urlsplit(url)[:2] != urlsplit(self.base_url)[:2]:
            raise self.failed(evidence, path, f"the next page is on another host, {urlsplit(url).netloc}; the token was not sent there")
        try:
            response = self.session.request(method, url, allow_redirects=False, **request)
        except requests.RequestException as error:
            host = urlsplit(url).netloc.rpartition("@")[2]
            raise self.failed(evidence, path, f"no whole answer came from {host} ({type(error).__name__})") from error
        finally:
            evidence.retries += self.attempts() - 1
        if response.status_code not in (good or self.good):
            advice = self.advice.get(response.status_code)
            raise self.failed(evidence, path, f"status {response.status_code}" + (f"; {advice}" if advice else ""))
        evidence.bytes += len(response.content)
        return response

    def body(self, response: requests.Response, path: str, evidence: Pulled) -> Any:
        """What the answer says in JSON, numbers with a point as they are written."""
        kind = response.headers.get("Content-Type", "")
        if "json" not in kind:
            raise self.failed(evidence, path, f"the answer is {kind or 'of no type'}, not JSON")
        try:
            return json.loads(response.content, parse_float=str, parse_constant=refuse)
        except (ValueError, RecursionError) as error:
            raise self.failed(evidence, path, f"the answer is no whole JSON: {error}") from error

    def pages(self, evidence: Pulled, path: str, params: dict, envelope: str, following: Following) -> Iterator[list[dict]]:
        """Every page's records. `following` gives what the next page adds to the parameters, or its path, or None at the end.

        It raises KeyError or TypeError where an answer does not say. An empty page is no end: a declared total tells what it lacks.
        """
        seen = set()
        while True:
            self.side.go_on()
            body = self.get(path, params, evidence)
            records = self.records(body, envelope, path, evidence)
            try:
                cursor = following(body, records)
            except (KeyError, TypeError) as error:
                raise self.failed(evidence, path, "the answer does not say whether more follow") from error
            if cursor is not None:
                self.go_on(json.dumps(cursor), seen, records, path, evidence)
            evidence.count(records)
            yield records
            if cursor is None:
                return
            path, params = (cursor, {}) if isinstance(cursor, str) else (path, params | cursor)

    def go_on(self, cursor: str, seen: set[str], records: list[dict], path: str, evidence: Pulled) -> None:
        """Notes what the next page goes by. Raises SourceFailed where there can be none."""
        if not records and evidence.declared_total is None:
            raise self.failed(evidence, path, "the page is empty, and yet more are to follow")
        evidence.last_cursor = cursor
        if cursor in seen or len(seen) >= self.most_pages:
            raise self.failed(evidence, path, "the list never ends: a cursor came back, or more pages came than any list has")
        seen.add(cursor)

    def records(self, body: dict, envelope: str, path: str, evidence: Pulled) -> list[dict]:
        records = body.get(envelope)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise self.failed(evidence, path, f"there is no list of records under {envelope!r}")
        return records

    def total(self, body: dict, name: str, path: str, evidence: Pulled) -> int | None:
        """What the answer declares under that name; None where it declares nothing."""
        declared = body.get(name)
        if declared is not None and type(declared) is not int:
            raise self.failed(evidence, path, "the total is no whole number")
        return declared

    def attempts(self) -> int:
        return self.session.send.statistics.get("attempt_number", 1)

    def failed(self, evidence: Pulled, path: str, what: str) -> SourceFailed:
        return SourceFailed(f"{self.side.system}: {path}, page {evidence.pages + 1}, attempt {self.attempts()}: {what}.")


def refuse_no_address(base_url: str, setting: str) -> None:
    if urlsplit(base_url).scheme not in ("https", "http") or not urlsplit(base_url).hostname:
        raise BadConfiguration(f"{setting} must be an address that begins with https:// or http://.")


def session_of(client: Client, base_url: str, headers: dict[str, str], adapter: Whole) -> requests.Session:
    """dlt's session, which asks again, for one host and with answers that are whole."""
    client.configure()
    session = client.session
    session.headers.update({"Accept": "application/json", **headers})
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    # What the environment says of this host, once; and ~/.netrc can't put its own credentials in the token's place.
    said = session.merge_environment_settings(base_url, {}, None, None, None)
    session.proxies, session.verify, session.trust_env = said["proxies"], said["verify"], False
    retry = session.send.retry
    retry.wait = wait_random(0, retry.wait.multiplier) + as_told(retry.wait)
    return session


def is_cut(response: requests.Response | None, error: BaseException | None) -> bool:
    """Whether what must be a JSON object or list stops in the middle: a length that was announced too short shows nowhere else."""
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return True
    if response is None or response.status_code not in (200, 206) or "json" not in response.headers.get("Content-Type", ""):
        return False
    content = response.content.strip()
    return content[-1:] != {b"{": b"}", b"[": b"]"}.get(content[:1])


def as_told(wait: Callable[[RetryCallState], float]) -> Callable[[RetryCallState], float]:
    """dlt's wait, as long as is allowed at most where Retry-After names a time that no calendar has."""

    def seconds(retry_state: RetryCallState) -> float:
        try:
            return wait(retry_state)
        except (ValueError, OverflowError):
            return wait.max

    return seconds


def refuse(constant: str) -> NoReturn:
    """NaN and Infinity, which Python would read and DuckDB would not."""
    raise ValueError(f"{constant} is no JSON")


def landed(side: Side, evidence: Pulled, pages: Iterator[list[dict]], columns: list[str], end: str) -> Iterator[pyarrow.Table]:
    """Arrow tables of the declared columns, all text, nested parts as JSON. `end` is how the API says that a list is over."""
    evidence.started_at = datetime.now(UTC)
    evidence.id_column = columns[0]
    waiting, found = [], set()
    for page in pages:
        waiting += page
        found.update(*page)
        if side.is_look or len(waiting) >= RECORDS_AT_ONCE:
            yield as_text(waiting, columns)
            waiting = []
    yield as_text(waiting, columns)
    evidence.unmapped_columns = ", ".join(sorted(found - set(columns)))
    evidence.end_seen, evidence.end_evidence = True, end
    evidence.finished_at = datetime.now(UTC)


def with_custom_fields(
    side: Side, evidence: Pulled, pages: Iterator[list[dict]], holder: str | None, names: dict[str, str]
) -> Iterator[list[dict]]:
    """Each record with the fields that an account keeps under names of its own, by the names staging knows.

    They are inside `holder`, or in the record itself. `names` says which is which. Its first is the key: one that no record has is
    told, never read as empty. One that holds an object or a list holds no value to compare.
    """
    key, has_keys, prefix = next(iter(names)), False, f"{holder}." if holder else ""
    for page in pages:
        for record in page:
            held = (record.get(holder) or {}) if holder else record
            record.update({column: held.get(name) for column, name in names.items()})
            has_keys = has_keys or record[key] is not None
        if nested := next((column for column in names for record in page if isinstance(record[column], (dict, list))), None):
            raise not_held(side, evidence, f"{prefix}{names[nested]} holds no plain value", nested)
        yield page
    if evidence.fetched and not has_keys and not side.only:
        raise not_held(side, evidence, f"no record of {evidence.table_name} has {prefix}{names[key]}", key)


def not_held(side: Stated, evidence: Pulled, what: str, column: str) -> SourceFailed:
    setting = f"{side.section}.{side.system}.{evidence.table_name}.{column}"
    return SourceFailed(f"{side.system}: {what}; name the field that holds its {column} as {setting}.")


def as_text(records: list[dict], columns: list[str]) -> pyarrow.Table:
    return pyarrow.table({column: pyarrow.array([text(record.get(column)) for record in records], pyarrow.string()) for column in columns})
