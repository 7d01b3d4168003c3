"""The APIs, faked on loopback: every fault at the first, a middle and the last page, and what it must get.

What may pass is asked for again and costs no record; what lasts ends the pull in one sentence. What an API tells wrongly without
breaking is left to the trust checks, here in the project's own SQL.
"""

import csv
import gzip
import json
import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from time import monotonic, time

import duckdb
import pyarrow
import pytest
from conftest import ROOT, World, house, new_world
from engine import Engine, project
from fake_api import Answer, FakeApi, Fault, Vendor
from fake_chargebee import WORDS, Chargebee
from fake_hubspot import PROPERTIES, HubSpot
from fake_pipedrive import ARCHIVED, Pipedrive, code
from fake_salesforce import DATA, FIELDS, Salesforce
from fake_salesforce import TOKEN as SIGN_IN
from fake_stripe import Stripe, as_subscription
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.pull import connector, record, root_cause
from pipelines.sources import chargebee
from pipelines.sources.side import Side

TOKEN = "canary-5e0b71c9-token"  # noqa: S105
CAP, RECORDS, ATTEMPTS = 3, 8, 3
POSITIONS = {"first": 1, "middle": 2, "last": 3}
LONG_AGO, IN_AN_HOUR, NO_DATE = formatdate(0, usegmt=True), formatdate(time() + 3600, usegmt=True), "Fri, 31 Dec 99999 23:59:59 GMT"
TIMEOUT, SHORT_TIMEOUT, SHORT_DELAY = "10", "0.25", "0.02"
STRIPE, HUBSPOT, CHARGEBEE, SALESFORCE, PIPEDRIVE = Stripe(), HubSpot(), Chargebee(), Salesforce(), Pipedrive()
VENDORS = [STRIPE, HUBSPOT, CHARGEBEE, SALESFORCE, PIPEDRIVE]
APIS = pytest.mark.parametrize("api", VENDORS, ids=[vendor.name for vendor in VENDORS])
DECLARING = pytest.mark.parametrize("api", [vendor for vendor in VENDORS if vendor.declares_total], ids=lambda vendor: vendor.name)
UNDECLARED = pytest.mark.parametrize("api", [vendor for vendor in VENDORS if not vendor.declares_total], ids=lambda vendor: vendor.name)
CONTACTS, CUSTOMERS, ITEMS = HUBSPOT.path, STRIPE.path, "/v1/subscription_items"
SEARCH = CONTACTS + "/search"
PAGES = pytest.mark.parametrize("page", POSITIONS.values(), ids=POSITIONS)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[pytest.MonkeyPatch]:
    """dlt's own settings: three attempts, no wait between them, and a Retry-After of hundredths of a second at most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLT_PROJECT_DIR", str(ROOT))
        patch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", str(ATTEMPTS))
        patch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0")
        patch.setenv("RUNTIME__REQUEST_MAX_RETRY_DELAY", SHORT_DELAY)
        patch.setenv("RUNTIME__REQUEST_TIMEOUT", TIMEOUT)
        yield patch


def served(api: Vendor, records: int = RECORDS, cap: int = CAP) -> FakeApi:
    return FakeApi(api, TOKEN, cap, api.tables(house(range(records))[api.system]))


@dataclass
class Landed:
    tables: dict[str, list[pyarrow.Table]]
    pulled: list[Pulled]

    @property
    def customers(self) -> list[dict]:
        return [row for table in self.tables["customers"] for row in table.to_pylist()]

    @property
    def evidence(self) -> Pulled:
        return next(table for table in self.pulled if table.table_name == "customers")


def pull(api: Vendor, fake: FakeApi, *names: str) -> Landed:
    """What the connector would hand to dlt, of these tables or of all; its own failure where it fails."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in api.environment(fake, TOKEN).items():
            patch.setenv(name, value)
        side = Side(api.system, Path(), [])
        resources = connector(side)(side).resources
        try:
            tables = {name: list(resources[name]) for name in names or resources}
        except Exception as error:
            raise root_cause(error, api.system) from error
    return Landed(tables, side.pulled)


def refused(api: Vendor, fake: FakeApi, *says: str) -> None:
    """The customers can't be pulled: exit code 3, and a sentence that says these and not the token."""
    with pytest.raises(SourceFailed) as failure:
        pull(api, fake, "customers")
    sentence = str(failure.value)
    assert failure.value.exit_code == 3
    assert all(said in sentence for said in (f"{api.system}: ", *says)), sentence
    assert "Nothing was published" in sentence and "make reconcile" in sentence
    assert TOKEN not in sentence


@pytest.fixture(scope="module")
def whole() -> dict[str, list[dict]]:
    """What each API's customers land as when nothing goes wrong."""
    landed = {}
    for api in VENDORS:
        with served(api) as fake:
            pulled = pull(api, fake, "customers")
        assert (pulled.evidence.pages, pulled.evidence.fetched, pulled.evidence.end_seen) == (3, RECORDS, True)
        landed[api.name] = pulled.customers
        assert len({row["id"] for row in landed[api.name]}) == RECORDS
    return landed


def refuse(status: int, **headers: str) -> Fault:
    def fault(answer: Answer) -> None:
        answer.status, answer.content = status, {"error": {"message": "not now"}}
        answer.headers |= {name.replace("_", "-"): value for name, value in headers.items()}

    return fault


def sent(how: str) -> Fault:
    return lambda answer: setattr(answer, "sent", how)


def written(answer: Answer) -> bytes:
    return json.dumps(answer.content).encode()


def off_by(count: int) -> Fault:
    """A Content-Length that is wrong by so many bytes; the server hangs up where it is done."""

    def fault(answer: Answer) -> None:
        answer.headers |= {"Content-Length": str(len(written(answer)) + count), "Connection": "close"}  # or it may be asked on once more
        answer.sent = "hang up"

    return fault


def bad_gzip(answer: Answer) -> None:
    answer.body = b"\x1f\x8b\x08 this is no gzip" + written(answer)
    answer.headers["Content-Encoding"] = "gzip"


def cut_gzip(answer: Answer) -> None:
    whole = gzip.compress(written(answer))
    answer.body = whole[: len(whole) // 2]
    answer.headers["Content-Encoding"] = "gzip"


def cut_chunks(answer: Answer) -> None:
    answer.body = b"40\r\n" + written(answer)[:0x40] + b"\r\n40\r\n" + written(answer)[0x40:0x50]
    answer.headers["Transfer-Encoding"] = "chunked"
    answer.sent = "hang up"


def cut_json(answer: Answer) -> None:
    answer.body = written(answer)[:-9]


MAY_PASS = {
    "429 seconds": refuse(429, Retry_After="1"),
    "429 date": refuse(429, Retry_After=IN_AN_HOUR),
    "429 zero": refuse(429, Retry_After="0"),
    "429 past": refuse(429, Retry_After=LONG_AGO),
    "429 absurd seconds": refuse(429, Retry_After="9" * 30),
    "429 more digits than Python reads": refuse(429, Retry_After="9" * 5000),
    "429 absurd date": refuse(429, Retry_After=NO_DATE),
    "429 no time": refuse(429, Retry_After="soon"),
    "500": refuse(500),
    "502": refuse(502),
    "503": refuse(503, Retry_After="1"),
    "reset": sent("reset"),
    "cut": sent("cut"),
    "cut chunks": cut_chunks,
    "cut JSON": cut_json,
    "bad gzip": bad_gzip,
    "cut gzip": cut_gzip,
    "length too long": off_by(5),
    "length too short": off_by(-5),
    "time-out": sent("stall"),
    "drip": sent("drip"),
    "drip headers": sent("drip headers"),
}
SLOW = {"time-out", "drip", "drip headers"}
NOT_PASSING = [fault for fault in MAY_PASS if not fault.startswith("429") or fault in ("429 seconds", "429 absurd date")]
# Asking again is the shared client's work: two APIs meet every fault of it (one of them what takes time in the sweep), the others
# one of each kind.
ONE_OF_EACH = {"429 seconds", "503", "reset", "cut JSON"}


def met(faults: Iterable[str]) -> pytest.MarkDecorator:
    pairs = [(api, fault) for api in VENDORS for fault in faults if api in (STRIPE, HUBSPOT) or fault in ONE_OF_EACH]
    told = [
        pytest.param(api, fault, id=f"{fault}-{api.name}", marks=pytest.mark.sweep if api is HUBSPOT and fault in SLOW else ())
        for api, fault in pairs
    ]
    return pytest.mark.parametrize(("api", "fault"), told)


def within_its_time(quick: pytest.MonkeyPatch, fault: str) -> None:
    quick.setenv("RUNTIME__REQUEST_TIMEOUT", SHORT_TIMEOUT if fault in SLOW else TIMEOUT)


@pytest.fixture(autouse=True)
def usual_time(quick) -> Iterator[None]:
    yield
    quick.setenv("RUNTIME__REQUEST_TIMEOUT", TIMEOUT)


@met(MAY_PASS)
@PAGES
def test_what_passes_costs_no_record(quick, whole, api, page, fault):
    within_its_time(quick, fault)
    began = monotonic()
    with served(api) as fake:
        fake.spoil(api.path, page, MAY_PASS[fault], times=1)
        pulled = pull(api, fake, "customers")
        assert fake.script[api.path, page][1] == 0, "the fault was never met"
    assert pulled.customers == whole[api.name]
    # Who is hung up on may find that out by the next attempt, which then reaches nobody.
    assert pulled.evidence.pages == 3 and pulled.evidence.retries in ((1, 2) if fault.startswith("length") else (1,))
    assert monotonic() - began < 5


@met(NOT_PASSING)
@PAGES
def test_what_lasts_is_asked_for_a_few_times_and_ends_the_pull(quick, api, page, fault):
    within_its_time(quick, fault)
    began = monotonic()
    with served(api) as fake:
        fake.spoil(api.path, page, MAY_PASS[fault])
        refused(api, fake, f"{api.asked_by(page, CAP)}, page {page}, attempt {ATTEMPTS}: ")
        asked = [request for request in fake.requests if api.is_page(request)]
        # Who is hung up on may find that out by the next attempt, which then reaches nobody.
        assert page - 1 + ATTEMPTS - len(asked) in ((0, 1) if fault.startswith("length") else (0,))
    assert monotonic() - began < 5


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """Of 127.0.0.1, signed by itself; its key stands in the same file."""
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    name, address = ["-subj", "/CN=127.0.0.1"], ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name, *address, "-keyout", file, "-out", file.with_suffix(".crt")],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


@APIS
def test_over_tls_it_is_the_same_and_who_signed_is_asked(monkeypatch, quick, whole, certificate, api):
    with served(api) as fake:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        fake.server.socket = context.wrap_socket(fake.server.socket, server_side=True)
        fake.url = fake.url.replace("http://", "https://")
        refused(api, fake, "no whole answer came from 127.0.0.1:")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.with_suffix(".crt")))
        assert pull(api, fake, "customers").customers == whole[api.name]
        within_its_time(quick, "drip headers")
        fake.spoil(api.path, 2, sent("drip headers"), times=1)
        assert pull(api, fake, "customers").customers == whole[api.name]


@pytest.mark.parametrize("api", [STRIPE, *(pytest.param(api, marks=pytest.mark.sweep) for api in VENDORS[1:])], ids=lambda api: api.name)
def test_retry_after_is_waited_for(quick, api):
    quick.setenv("RUNTIME__REQUEST_MAX_RETRY_DELAY", "5")
    began = monotonic()
    with served(api) as fake:
        fake.spoil(api.path, 2, refuse(429, Retry_After="1"), times=1)
        pull(api, fake, "customers")
    quick.setenv("RUNTIME__REQUEST_MAX_RETRY_DELAY", SHORT_DELAY)
    assert 1 <= monotonic() - began < 5


def text(kind: str, body: bytes | None = None) -> Fault:
    def fault(answer: Answer) -> None:
        answer.headers["Content-Type"] = kind
        answer.body = body

    return fault


def no_type(answer: Answer) -> None:
    del answer.headers["Content-Type"]


def content(change: Callable[[dict, Vendor], object]) -> Callable[[Vendor], Fault]:
    return lambda api: lambda answer: change(answer.content, api)


def instead(body: bytes) -> Fault:
    return lambda answer: setattr(answer, "body", body)


def nobody_said(value: object) -> Callable[[Vendor], Fault]:
    """Whether more follow, as something that is neither yes nor no."""
    return content(lambda body, api: api.said_by(body, value))


NO_LIST, NO_END = "there is no list of records under", "does not say whether more follow"
# What it gets to hear, and how often it was asked for: what is no object may have been cut, another whole answer is not asked for again.
LASTING = {
    "HTML": (lambda _: text("text/html", b"<html>Down for maintenance</html>"), "the answer is text/html, not JSON", 1),
    "HTML called JSON": (lambda _: instead(b"<html>Down for maintenance</html>"), "no whole JSON", ATTEMPTS),
    "cut behind a record": (lambda api: instead(b'{"%s": [{"id": "1"}' % api.envelope.encode()), "no whole JSON", 1),
    "nothing": (lambda _: instead(b""), "no whole JSON", ATTEMPTS),
    "plain text": (lambda _: text("text/plain"), "the answer is text/plain, not JSON", 1),
    "no content type": (lambda _: no_type, "the answer is of no type, not JSON", 1),
    "an error with 200": (lambda _: lambda answer: setattr(answer, "content", {"error": {"message": "no"}}), NO_LIST, 1),
    "a list": (lambda _: instead(b"[]"), "the answer is a list, not an object", 1),
    "NaN": (lambda api: instead(b'{"%s": [{"id": NaN}]}' % api.envelope.encode()), "NaN is no JSON", 1),
    "too deep": (lambda api: instead(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "no whole JSON", 1),
    "no envelope": (content(lambda body, api: body.pop(api.envelope)), NO_LIST, 1),
    "envelope null": (content(lambda body, api: body.update({api.envelope: None})), NO_LIST, 1),
    "envelope an object": (content(lambda body, api: body.update({api.envelope: {"id": "1"}})), NO_LIST, 1),
    "records are no objects": (content(lambda body, api: body.update({api.envelope: ["1", "2"]})), NO_LIST, 1),
    "end not told": (content(lambda body, api: api.unsaid(body)), NO_END, 1),
    "end told by null": (nobody_said(None), NO_END, 1),
    "end told by 0": (nobody_said(0), NO_END, 1),
    "end told by a word": (nobody_said("false"), NO_END, 1),
    "401": (lambda _: refuse(401), "status 401; check that the token is valid, has not expired and may read this. ", 1),
    "403": (lambda _: refuse(403), "status 403; check that the token is valid, has not expired and may read this. ", 1),
    "404": (lambda _: refuse(404), "status 404", 1),
}


@APIS
@PAGES
@pytest.mark.parametrize("fault", LASTING)
def test_an_answer_that_is_no_page_is_never_an_empty_one(api, page, fault):
    make, says, attempts = LASTING[fault]
    with served(api) as fake:
        fake.spoil(api.path, page, make(api))
        refused(api, fake, f"{api.asked_by(page, CAP)}, page {page}, attempt {attempts}: ", says)


def emptied(body: dict, api: Vendor) -> None:
    """By a server that goes on after it as it would have."""
    api.more(body, api.id_of(body[api.envelope][-1]))
    body[api.envelope] = []


@UNDECLARED
@PAGES
def test_an_empty_page_with_more_to_follow_ends_the_pull_where_no_total_would_tell(api, page):
    with served(api, records=RECORDS + CAP) as fake:
        fake.spoil(api.path, page, content(emptied)(api))
        refused(api, fake, f"{api.path[1:]}, page {page}, attempt 1: the page is empty, and yet more are to follow")


@APIS
@PAGES
def test_a_cursor_that_comes_back_ends_the_pull(api, page):
    with served(api) as fake:
        again = fake.page(api.path, page)
        api.more(again, api.id_of(again[api.envelope][-1]))
        for number in range(page, len(POSITIONS) + 1):
            fake.spoil(api.path, number, lambda answer: setattr(answer, "content", again))
        refused(api, fake, f"page {page + 1}, attempt 1: the list never ends")


@APIS
def test_a_list_that_never_ends_is_left(api, monkeypatch):
    monkeypatch.setattr("pipelines.sources.api.Api.most_pages", 7)  # of 100,000; the limit, not what keeps it
    with served(api, records=60) as fake:
        refused(api, fake, f"{api.asked_by(8, CAP)}, page 8, ", "the list never ends")


@APIS
@PAGES
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(api, page, status):
    with served(api) as fake, served(api) as other:
        fake.spoil(api.path, page, refuse(status, Location=f"{other.url}{api.path}?limit=100"))
        refused(api, fake, f"page {page}, attempt 1: status {status}")
        assert other.requests == []
        assert all(api.allows(request.headers, TOKEN) for request in fake.requests if request.path != SIGN_IN)


@PAGES
def test_a_next_link_to_another_host_is_not_followed(whole, page):
    with served(HUBSPOT) as fake, served(HUBSPOT) as other:
        link = f"{other.url}{CONTACTS}?after=0"
        fake.spoil(CONTACTS, page, lambda answer: answer.content.get("paging", {"next": {}})["next"].update(link=link))
        assert pull(HUBSPOT, fake, "customers").customers == whole["hubspot"]
        assert other.requests == []


def test_a_path_on_another_host_is_never_asked(quick):
    from pipelines.sources.api import Api as Client

    with served(STRIPE) as fake, served(STRIPE) as other:
        client = Client(Side("billing", Path(), []), fake.url, {"Authorization": f"Bearer {TOKEN}"})
        with pytest.raises(SourceFailed, match=r"the next page is on another host.*the token was not sent there"):
            client.get(f"{other.url}{CUSTOMERS}", {}, Pulled("billing", "customers", "stripe"))
        assert other.requests == []


@APIS
def test_netrc_does_not_put_its_own_credentials_in_the_tokens_place(tmp_path, monkeypatch, whole, api):
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with served(api) as fake:
        assert pull(api, fake, "customers").customers == whole[api.name]


@APIS
def test_nobody_answers(api):
    with served(api) as fake:
        pass
    refused(api, fake, f"attempt {ATTEMPTS}: no whole answer came from {fake.url.removeprefix('http://')} (ConnectionError)")


@APIS
def test_the_token_is_not_taken(api):
    with served(api) as fake:
        fake.token = TOKEN[::-1]
        advice = "client_id and client_secret" if api is SALESFORCE else "that the token is valid, has not expired and may read this"
        refused(api, fake, f"page 1, attempt 1: status 401; check {advice}")


@APIS
def test_a_token_that_looks_like_a_number_is_sent_as_it_is(monkeypatch, whole, api):
    monkeypatch.setattr(f"{__name__}.TOKEN", "12e5")
    with served(api) as fake:
        assert pull(api, fake, "customers").customers == whole[api.name]


@APIS
def test_a_field_that_no_record_has_is_named(api):
    with served(api) as fake:
        for customer in fake.tables[api.path]:
            held, name = api.key_of(customer)
            del held[name]
        refused(api, fake, f"has {api.key_field}; ", f"sources.{api.system}.customers.customer_number")


@APIS
@PAGES
@pytest.mark.parametrize("value", [{"value": 1, "currency": "EUR"}, [301, 302]], ids=["an object", "a list"])
def test_a_field_that_holds_no_plain_value_is_named(api, page, value):
    with served(api) as fake:
        held, name = api.key_of(fake.tables[api.path][(page - 1) * CAP])
        held[name] = value
        refused(api, fake, f"{api.key_field} holds no plain value", f"sources.{api.system}.customers.customer_number")


def test_a_property_that_the_account_does_not_have_is_named(monkeypatch):
    with served(HUBSPOT) as fake:
        monkeypatch.setenv("SOURCES__CRM__CUSTOMERS__COUNTRY", "land")
        refused(HUBSPOT, fake, "contacts have no property 'land'", "sources.crm.customers.country")
        monkeypatch.delenv("SOURCES__CRM__CUSTOMERS__COUNTRY")
        fake.spoil(PROPERTIES + "contacts", 2, lambda answer: setattr(answer, "content", {"error": "no"}))
        refused(HUBSPOT, fake, "crm/v3/properties/contacts", NO_LIST)


@pytest.mark.parametrize("total", ["8", 8.0, True, {"value": 8}], ids=str)
def test_a_total_that_is_no_number_is_refused(total):
    with served(HUBSPOT) as fake:
        fake.spoil(SEARCH, 1, lambda answer: answer.content.update(total=total))
        refused(HUBSPOT, fake, SEARCH[1:], "the total is no whole number")


@pytest.mark.parametrize("total", ["8", 8.0, True, {"value": 8}], ids=str)
def test_a_total_of_a_query_that_is_no_number_is_refused(total):
    with served(SALESFORCE) as fake:
        fake.spoil(SALESFORCE.path, 1, lambda answer: answer.content.update(totalSize=total))
        refused(SALESFORCE, fake, "queryAll, page 1, attempt 1: the total is no whole number")


def test_what_is_in_salesforces_recycle_bin_is_not_read(engine):
    with served(SALESFORCE) as fake:
        fake.tables[SALESFORCE.path][3]["IsDeleted"] = True
        failed, told = judged(engine, SALESFORCE, fake)
        assert any(request.path.startswith(f"{DATA}/queryAll?") for request in fake.requests)
    assert (failed, told) == (set(), [f"crm declared {RECORDS - 1} records and {RECORDS - 1} were fetched"])


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("path", [None, "", 7, {"path": "/services"}], ids=str)
def test_a_next_page_without_a_path_is_no_end(page, path):
    with served(SALESFORCE) as fake:
        fake.spoil(SALESFORCE.path, page, lambda answer: answer.content.update(nextRecordsUrl=path))
        refused(SALESFORCE, fake, f"page {page}, attempt 1: the answer {NO_END}")


@pytest.mark.parametrize("page", [1, 2])
def test_a_next_page_on_another_host_is_not_asked_for(page):
    with served(SALESFORCE) as fake, served(SALESFORCE) as other:
        fake.spoil(SALESFORCE.path, page, lambda answer: answer.content.update(nextRecordsUrl=f"{other.url}{DATA}/query/01g001-3"))
        refused(SALESFORCE, fake, f"page {page + 1}", "the next page is on another host", "the token was not sent there")
        assert other.requests == []


HANDED_OUT = {
    "a redirect": (lambda other: refuse(307, Location=f"{other.url}{SIGN_IN}"), "status 307"),
    "a refusal": (lambda _: refuse(400), "status 400; check client_id and client_secret, and that the app's client credentials flow"),
    "HTML": (lambda _: text("text/html", b"<html>Log in</html>"), "the answer is text/html, not JSON"),
    "no token": (lambda _: lambda answer: answer.content.pop("access_token"), "there is no access_token in the answer"),
    "null": (lambda _: lambda answer: answer.content.update(access_token=None), "there is no access_token in the answer"),
}


def test_salesforce_is_signed_in_to_once_and_without_a_token():
    with served(SALESFORCE) as fake:
        pull(SALESFORCE, fake)
    assert ["authorization" in request.headers for request in fake.requests if request.path == SIGN_IN] == [False]


@pytest.mark.parametrize("fault", HANDED_OUT)
def test_where_no_token_is_handed_out_nothing_is_read_and_no_other_host_gets_the_secret(fault):
    make, says = HANDED_OUT[fault]
    with served(SALESFORCE) as fake, served(SALESFORCE) as other:
        fake.spoil(SIGN_IN, 1, make(other))
        refused(SALESFORCE, fake, f"{SIGN_IN[1:]}, page 1, attempt 1: {says}")
        assert (len(fake.requests), other.requests) == (1, [])


NOT_THERE = {
    "a field": (SALESFORCE, "STATUS", "Stand__c", "Account has no field Stand__c"),
    "a field of what a relationship leads to": (SALESFORCE, "OWNER", "Owner.Nickname__c", "Account has no field Owner.Nickname__c"),
    "a relationship": (SALESFORCE, "OWNER", "Keeper.Name", "Account has no field Keeper.Name"),
    "a custom field": (PIPEDRIVE, "STATUS", "Stand", "organizations have no custom field 'Stand'"),
    "a field that is not custom": (PIPEDRIVE, "STATUS", "status", "organizations have no custom field 'status'"),
}


@pytest.mark.parametrize("field", NOT_THERE)
def test_a_field_that_the_account_does_not_have_is_named(monkeypatch, field):
    api, column, name, says = NOT_THERE[field]
    monkeypatch.setenv(f"SOURCES__CRM__CUSTOMERS__{column}", name)
    with served(api) as fake:
        refused(api, fake, says, f"sources.crm.customers.{column.lower()}")
        assert fake.asked[api.path] == 0


@pytest.mark.parametrize("name", ["Name FROM User", "Name,Id", "Owner..Name", "Name)", "1st__c", "Näme__c", "Name\n", "a.b.c.d.e.f.g"])
def test_code_in_a_fields_name_is_bad_configuration(monkeypatch, name):
    monkeypatch.setenv("SOURCES__CRM__CUSTOMERS__STATUS", name)
    with served(SALESFORCE) as fake:
        with pytest.raises(BadConfiguration, match=r"sources\.crm\.customers\.status must be the API name of a field"):
            pull(SALESFORCE, fake, "customers")
        assert fake.requests == []


@pytest.mark.parametrize(
    ("api", "name", "value"),
    [
        (SALESFORCE, "CUSTOMERS_ARE", "User"),
        (SALESFORCE, "DEALS_ARE", "Task"),
        (SALESFORCE, "CURRENCY", "euro"),
        (PIPEDRIVE, "CUSTOMERS_ARE", "leads"),
        (PIPEDRIVE, "ARCHIVED", "1"),
        (HUBSPOT, "ARCHIVED", "yes"),
    ],
)
def test_a_setting_that_says_nothing_is_bad_configuration(monkeypatch, api, name, value):
    monkeypatch.setenv(f"SOURCES__CRM__{name}", value)
    with served(api) as fake, pytest.raises(BadConfiguration, match=f"sources.crm.{name.lower()} must be "):
        pull(api, fake)


def test_an_org_with_one_currency_says_which(monkeypatch):
    with served(SALESFORCE) as fake:
        monkeypatch.setattr(
            "fake_salesforce.FIELDS", {**FIELDS, "Opportunity": [name for name in FIELDS["Opportunity"] if name != "CurrencyIsoCode"]}
        )
        with pytest.raises(SourceFailed, match=r"no field CurrencyIsoCode \(an org with one currency has none: set sources.crm.currency\)"):
            pull(SALESFORCE, fake, "deals")
        monkeypatch.setenv("SOURCES__CRM__CURRENCY", "CHF")
        deals = pyarrow.concat_tables(pull(SALESFORCE, fake, "deals").tables["deals"])
    assert deals["currency"].to_pylist() == ["CHF"] * RECORDS


def test_a_custom_field_is_found_by_its_code_and_none_of_two_of_a_name_is_taken(monkeypatch):
    with served(PIPEDRIVE) as fake:
        fake.spoil(
            "/api/v2/organizationFields",
            1,
            lambda answer: answer.content["data"].append({"field_code": "0" * 40, "field_name": "Status", "is_custom_field": True}),
        )
        refused(PIPEDRIVE, fake, "organizations have several custom fields 'Status'", "sources.crm.customers.status")
        fake.spoil("/api/v2/organizationFields", 2, fake.script["/api/v2/organizationFields", 1][0])
        monkeypatch.setenv("SOURCES__CRM__CUSTOMERS__STATUS", code("Status"))
        customers = pull(PIPEDRIVE, fake, "customers").customers
    assert {row["status"] for row in customers} == {"active"}  # the label of its option


def test_archived_deals_are_read_too_unless_told_otherwise(monkeypatch):
    with served(PIPEDRIVE, records=25, cap=10) as fake:
        archived = [deal["id"] for deal in fake.tables[ARCHIVED]]
        landed = pull(PIPEDRIVE, fake, "deals")
        ids = [row["id"] for table in landed.tables["deals"] for row in table.to_pylist()]
        assert (sorted(map(int, ids)), landed.pulled[1].pages, archived) == (list(range(1, 26)), 4, [10, 20])
        fake.spoil(ARCHIVED, 1, content(lambda body, api: api.unsaid(body))(PIPEDRIVE), times=1)
        with pytest.raises(SourceFailed, match=f"{ARCHIVED[1:]}, page 4, attempt 1: the answer {NO_END}"):
            pull(PIPEDRIVE, fake, "deals")
        monkeypatch.setenv("SOURCES__CRM__ARCHIVED", "false")
        assert pull(PIPEDRIVE, fake, "deals").pulled[1].fetched == 23


def test_archived_contacts_are_read_where_the_account_asks(engine, monkeypatch):
    with served(HUBSPOT, records=4 * CAP) as fake:
        for contact in fake.tables[CONTACTS][::2]:
            contact["archived"] = True
        assert pull(HUBSPOT, fake, "customers").evidence.fetched == 2 * CAP
        monkeypatch.setenv("SOURCES__CRM__ARCHIVED", "true")
        pulled = pull(HUBSPOT, fake, "customers").evidence
        assert (pulled.fetched, pulled.declared_total, pulled.declared_after, pulled.pages) == (4 * CAP, 4 * CAP, 4 * CAP, 4)
        assert judged(engine, HUBSPOT, fake)[0] == set()
        fake.tables[CONTACTS].insert(1, fake.tables[CONTACTS][1] | {"archived": True})  # archived after its page was read
        assert judged(engine, HUBSPOT, fake)[0] == {"no_record_came_twice"}


def test_an_empty_page_among_the_archived_ends_the_pull_as_no_total_counts_them(monkeypatch):
    def empty_archived(answer: Answer) -> None:
        if answer.content["results"][0]["archived"]:
            emptied(answer.content, HUBSPOT)

    monkeypatch.setenv("SOURCES__CRM__ARCHIVED", "true")
    with served(HUBSPOT, records=4 * CAP) as fake:
        for contact in fake.tables[CONTACTS][::2]:
            contact["archived"] = True
        fake.spoil(CONTACTS, 1, empty_archived)
        refused(HUBSPOT, fake, f"{CONTACTS[1:]}, page 3, attempt 1: the page is empty, and yet more are to follow")


def test_stripe_is_asked_for_ended_subscriptions_too():
    with served(STRIPE) as fake:
        fake.tables[STRIPE.agreements][0]["status"] = "canceled"
        subscriptions = pull(STRIPE, fake, "subscriptions").tables["subscriptions"]
    assert sum(len(table) for table in subscriptions) == RECORDS


@pytest.fixture
def many_items(monkeypatch) -> Iterator[tuple[FakeApi, list[dict]]]:
    """A subscription that carries two of its eight items."""
    with served(STRIPE) as fake:
        subscription = fake.tables[STRIPE.agreements][4]
        items = [subscription["items"]["data"][0] | {"id": f"si_many_{number}"} for number in range(8)]
        subscription["items"] |= {"data": items[:2], "has_more": True}
        monkeypatch.setitem(STRIPE.items, subscription["id"], items)
        yield fake, items


def test_the_items_that_a_subscription_does_not_carry_are_read_too(many_items):
    fake, items = many_items
    fake.spoil(ITEMS, 2, refuse(503), times=1)
    pulled = pull(STRIPE, fake)
    landed = {row["id"]: json.loads(row["items"])["data"] for table in pulled.tables["subscriptions"] for row in table.to_pylist()}
    assert landed["sub_3"] == items
    assert {len(carried) for identity, carried in landed.items() if identity != "sub_3"} == {1}
    assert [(table.table_name, table.fetched, table.retries) for table in pulled.pulled] == [("customers", 8, 0), ("subscriptions", 8, 1)]


MISSING = "the items of the subscription sub_3 can't be read whole"
LACKING_ITEMS = {
    "an error with 200": (lambda answer: setattr(answer, "content", {"error": "no"}), NO_LIST),
    "end not told": (lambda answer: answer.content.pop("has_more"), NO_END),
    "no more than it carries": (lambda answer: answer.content.update(has_more=False, data=answer.content["data"][:2]), MISSING),
    "one twice": (lambda answer: answer.content["data"].append(answer.content["data"][0]), MISSING),
    "503": (refuse(503), "v1/subscription_items, page 1, attempt 3: status 503"),
}


@pytest.mark.parametrize("fault", LACKING_ITEMS)
def test_a_subscription_whose_items_can_not_be_read_whole_ends_the_pull(many_items, fault):
    fake, _ = many_items
    spoil, says = LACKING_ITEMS[fault]
    for number in range(1, 1 + ATTEMPTS):
        fake.spoil(ITEMS, number, spoil)
    with pytest.raises(SourceFailed) as failure:
        pull(STRIPE, fake)
    assert says in str(failure.value)


@pytest.mark.parametrize("items", [None, {}, {"data": []}, {"data": [], "has_more": "no"}], ids=str)
def test_a_subscription_that_does_not_say_whether_it_has_more_items_ends_the_pull(items):
    with served(STRIPE) as fake:
        fake.tables[STRIPE.agreements][4]["items"] = items
        with pytest.raises(SourceFailed, match="subscriptions, page 2: the subscription sub_3 does not say whether it has more items"):
            pull(STRIPE, fake)


# What an API tells wrongly without breaking: the trust checks' part.

JUDGING = ("this_run", "pairs", "trusted_runs", "pulled_tables", "pulled_sides", "pull_checks")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


def judged(engine: Engine, api: Vendor, fake: FakeApi) -> tuple[set[str], list[str]]:
    """The checks that fail on what lands of both tables, and what the declared totals' check says of it."""
    landed = pull(api, fake)
    connection = engine.connection
    connection.execute("use snapshot; drop schema if exists pulls cascade")
    for name, tables in landed.tables.items():
        connection.register("landing", pyarrow.concat_tables(tables))
        connection.execute(f"create or replace table {api.system}.{name} as from landing")
    record(connection, landed.pulled, datetime.now(UTC), None)
    connection.execute("use memory")
    for model in (model for model in project().models if model.name in JUDGING):
        connection.execute(f"create or replace {model.kind} {model.relation} as {model.sql}")
    side = "right" if api.system == "billing" else "left"
    checks = engine.rows("from snapshot.trust.pull_checks where reconciliation = 'customers' and side = ?", side)
    told = [check["explanation"] for check in checks if check["check_name"] == "declared_total_matches"]
    return {check["check_name"] for check in checks if not check["passed"]}, told


@APIS
def test_a_whole_pull_passes_every_check(engine, api):
    with served(api) as fake:
        failed, told = judged(engine, api, fake)
    declared = f"declared {RECORDS} records and {RECORDS} were fetched" if api.declares_total else "gave no declared total"
    assert (failed, told) == (set(), [f"{api.system} {declared}"])


@APIS
@PAGES
def test_a_record_that_comes_twice_is_seen(engine, api, page):
    with served(api) as fake:
        first = fake.page(api.path, 1)[api.envelope][0]
        fake.spoil(api.path, page, lambda answer: answer.content[api.envelope].insert(0, first))
        failed, _ = judged(engine, api, fake)
    assert "no_record_came_twice" in failed
    assert ("declared_total_matches" in failed) == api.declares_total


@APIS
@PAGES
def test_a_record_that_comes_in_another_ones_place_is_seen(engine, api, page):
    """The count is right and the list is not."""
    with served(api) as fake:
        other = fake.page(api.path, 2 if page == 1 else 1)[api.envelope][0]
        fake.spoil(api.path, page, lambda answer: answer.content[api.envelope].__setitem__(0, other))
        failed, _ = judged(engine, api, fake)
    assert failed == {"no_record_came_twice"}


@DECLARING
@PAGES
def test_a_page_that_comes_again_in_the_next_ones_place_is_seen(engine, api, page):
    with served(api, records=3 * CAP) as fake:
        other = fake.page(api.path, 2 if page == 1 else page - 1)[api.envelope]
        fake.spoil(api.path, page, lambda answer: answer.content.update({api.envelope: other}))
        failed, _ = judged(engine, api, fake)
    assert failed == {"no_record_came_twice"}


def skip(api: Vendor, fake: FakeApi, page: int) -> None:
    """The page is left out: what answers is the next one, or the one before says that it was the last."""
    if page < 3:
        following = fake.page(api.path, page + 1)
        fake.spoil(api.path, page, lambda answer: setattr(answer, "content", following))
    else:
        fake.spoil(api.path, 2, lambda answer: api.ends(answer.content))


@DECLARING
@PAGES
def test_an_empty_page_in_the_middle_is_seen_by_the_total(engine, api, page):
    with served(api, records=RECORDS + CAP) as fake:
        fake.spoil(api.path, page, content(emptied)(api))
        failed, _ = judged(engine, api, fake)
    assert failed == {"declared_total_matches"}


@DECLARING
@PAGES
def test_a_page_that_is_left_out_is_seen_by_the_total(engine, api, page):
    with served(api) as fake:
        skip(api, fake, page)
        failed, told = judged(engine, api, fake)
    assert failed == {"declared_total_matches"}
    assert "customers: 8 declared, " in told[0]


@pytest.mark.parametrize("api", [STRIPE, PIPEDRIVE], ids=lambda vendor: vendor.name)
@PAGES
def test_a_page_that_is_left_out_where_no_total_is_declared_can_not_be_seen_in_the_pull(engine, api, page):
    """Nothing in the answers tells it. A later run's counts do, see below."""
    with served(api) as fake:
        skip(api, fake, page)
        assert len(pull(api, fake, "customers").customers) < RECORDS
        failed, told = judged(engine, api, fake)
    assert (failed, told) == (set(), [f"{api.system} gave no declared total"])


@pytest.mark.parametrize("page", [1, 2], ids=["first", "middle"])
def test_a_page_that_chargebee_leaves_out_before_its_last_can_not_be_seen_in_the_pull(engine, page):
    with served(CHARGEBEE) as fake:
        skip(CHARGEBEE, fake, page)
        failed, told = judged(engine, CHARGEBEE, fake)
    assert (failed, told) == (set(), ["billing gave no declared total"])


@pytest.mark.parametrize("page", [1, 2], ids=["first", "middle"])
def test_a_list_of_chargebees_that_ends_before_its_newest_record_is_refused(page):
    with served(CHARGEBEE) as fake:
        fake.spoil(CHARGEBEE.path, page, lambda answer: CHARGEBEE.ends(answer.content))
        refused(CHARGEBEE, fake, f"customers ended after {page * CAP} records without AzZ000007, the newest when the pull began")


@PAGES
@pytest.mark.parametrize("entry", [{}, {"customer": None}, {"customer": []}, {"card": {"id": "1"}}, {"customer": {"email": ""}}], ids=str)
def test_an_entry_of_chargebees_that_holds_no_record_ends_the_pull(page, entry):
    with served(CHARGEBEE) as fake:
        fake.spoil(CHARGEBEE.path, page, lambda answer: answer.content["list"].__setitem__(0, entry))
        refused(CHARGEBEE, fake, f"customers, page {page}: there is an entry without its 'customer', or one without an id")


def test_every_status_that_chargebee_documents_is_mapped():
    with (ROOT / "seeds/status_map.csv").open(newline="") as rows:
        words = {row["word"]: row["status"] for row in csv.DictReader(rows) if row["table_name"] == "subscriptions"}
    in_service, ended = ("in_trial", "active", "non_renewing"), ("future", "cancelled", "transferred")
    meant = dict.fromkeys(in_service, "active") | dict.fromkeys(ended, "inactive") | {"paused": "paused"}
    assert {word: words.get(word) for word in meant} == meant


def test_a_site_is_a_name_and_no_address(monkeypatch):
    side = Side("billing", Path(), [])
    monkeypatch.setenv("SOURCES__BILLING__SITE", "acme-test")
    assert chargebee.address(side) == "https://acme-test.chargebee.com"
    for stated in ("acme.chargebee.com", "https://acme", "else.where/", "acme\n"):
        monkeypatch.setenv("SOURCES__BILLING__SITE", stated)
        with pytest.raises(BadConfiguration, match=r"sources.billing.site is the name before .chargebee.com"):
            chargebee.address(side)


TOTALS = {
    "too high": (RECORDS + 1, RECORDS + 1, "customers: 9 declared, 8 fetched, 9 declared afterwards"),
    "too low": (RECORDS - 1, RECORDS - 1, "customers: 7 declared, 8 fetched"),
    "zero": (0, 0, "customers: 0 declared, 8 fetched"),
    "null": (None, None, "customers: no total declared, 8 fetched"),
    "null, then too high": (None, RECORDS + 1, "customers: no total declared, 8 fetched, 9 declared afterwards"),
    "rising": (RECORDS, RECORDS + 5, "customers: 8 declared, 8 fetched, 13 declared afterwards"),
    "falling": (RECORDS, 1, "customers: 8 declared, 8 fetched, 1 declared afterwards"),
    "of another list": (250, 250, "customers: 250 declared, 8 fetched"),
}


@pytest.mark.parametrize("totals", TOTALS)
def test_a_total_that_is_not_what_came_is_seen(engine, totals):
    before, after, says = TOTALS[totals]
    with served(HUBSPOT) as fake:
        fake.spoil(SEARCH, 1, lambda answer: answer.content.update(total=before))
        fake.spoil(SEARCH, 2, lambda answer: answer.content.update(total=after))
        failed, told = judged(engine, HUBSPOT, fake)
    assert failed == {"declared_total_matches"}
    assert says in told[0]


@pytest.mark.parametrize("totals", ["too high", "too low", "zero", "null"])
def test_a_total_of_a_query_that_is_not_what_came_is_seen(engine, totals):
    total, _, says = TOTALS[totals]
    with served(SALESFORCE) as fake:
        for page in POSITIONS.values():
            fake.spoil(SALESFORCE.path, page, lambda answer: answer.content.update(totalSize=total))
        failed, told = judged(engine, SALESFORCE, fake)
    assert failed == {"declared_total_matches"}
    assert says.partition(", 9 declared")[0] in told[0]


@pytest.mark.parametrize("page", [2, 3])
@pytest.mark.parametrize("total", [RECORDS + 1, RECORDS - 1, None], ids=str)
def test_a_total_of_a_query_that_changes_is_seen(engine, page, total):
    with served(SALESFORCE) as fake:
        fake.spoil(SALESFORCE.path, page, lambda answer: answer.content.update(totalSize=total))
        failed, _ = judged(engine, SALESFORCE, fake)
    assert failed == {"declared_total_matches"}


def insert(api: Vendor, fake: FakeApi) -> None:
    """Where the API lists it: Stripe's newest is its first, the others' their last."""
    known = fake.tables[api.path]
    new = json.loads(json.dumps(known[-1]))
    api.fields(new)["id"] = "9000"
    known.insert(0 if api is STRIPE else len(known), new)


@PAGES
@pytest.mark.parametrize("change", ["inserted", "deleted ahead", "deleted behind"])
def test_hubspot_changing_under_the_reader_is_seen_past_the_allowed_drift(engine, page, change):
    def happens(_: Answer) -> None:
        people = fake.tables[CONTACTS]
        insert(HUBSPOT, fake) if change == "inserted" else people.pop(-1 if change == "deleted ahead" else 0)

    with served(HUBSPOT, records=RECORDS) as fake:
        fake.spoil(CONTACTS, page, happens, times=1)
        failed, _ = judged(engine, HUBSPOT, fake)
    assert failed == {"declared_total_matches"}


@PAGES
def test_hubspot_changing_a_little_under_the_reader_is_normal(engine, page):
    with served(HUBSPOT, records=250, cap=100) as fake:
        fake.spoil(CONTACTS, page, lambda _: insert(HUBSPOT, fake), times=1)
        failed, _ = judged(engine, HUBSPOT, fake)
    assert failed == set()


@UNDECLARED
@PAGES
def test_what_is_new_while_a_list_without_a_total_is_read_costs_no_record(engine, api, page):
    with served(api) as fake:
        fake.spoil(api.path, page, lambda _: insert(api, fake), times=1)
        failed, _ = judged(engine, api, fake)
        rows = pull(api, fake, "customers").customers
    assert failed == set()
    assert len({row["id"] for row in rows}) == RECORDS + 1


@pytest.mark.parametrize("page", [1, 2])
def test_the_record_that_stripe_was_to_go_on_after_is_deleted(page):
    with served(STRIPE) as fake:
        fake.spoil(CUSTOMERS, page, lambda answer: fake.tables[CUSTOMERS].remove(answer.content["data"][-1]), times=1)
        refused(STRIPE, fake, f"page {page + 1}, attempt 1: status 400")


def test_the_record_that_chargebees_list_was_to_come_to_is_deleted():
    with served(CHARGEBEE) as fake:
        fake.spoil(CHARGEBEE.path, 1, lambda _: fake.tables[CHARGEBEE.path].pop(), times=1)
        refused(CHARGEBEE, fake, "customers ended after 7 records without AzZ000007", "or that record was deleted meanwhile")


SPOILING = {
    "nothing": None,
    "a record twice": lambda api, fake, page: fake.spoil(
        api.path, page, lambda answer: answer.content[api.envelope].extend(fake.tables[api.path][:1])
    ),
    "an empty page": lambda api, fake, page: fake.spoil(api.path, page, content(emptied)(api)),
    "no end": lambda api, fake, page: fake.spoil(api.path, page, content(lambda body, api: api.unsaid(body))(api)),
    "an error": lambda api, fake, page: fake.spoil(api.path, page, lambda answer: setattr(answer, "content", {"error": "no"})),
    "cut JSON": lambda api, fake, page: fake.spoil(api.path, page, cut_json),
    "a total too high": lambda api, fake, page: api.overstate(fake, page),
    "an early end": lambda api, fake, page: fake.spoil(api.path, page, lambda answer: api.ends(answer.content)),
    "a record less": lambda api, fake, page: fake.spoil(api.path, page, lambda answer: answer.content[api.envelope].__delitem__(slice(1))),
}


@settings(max_examples=40, deadline=None)
@given(api=st.sampled_from(VENDORS), records=st.integers(0, 230), cap=st.integers(4, 110), fault=st.sampled_from(list(SPOILING)),
       page=st.integers(1, 6))  # fmt: skip
def test_all_of_them_land_or_the_pull_is_refused(engine, api, records, cap, fault, page):
    """Never a silent shortfall, whatever number of records there is and however few a server gives at once."""
    if fault in api.unseen:  # test_a_page_that_stripe_leaves_out… says so
        fault = "nothing"
    with served(api, records, cap) as fake:
        ids = {api.id_of(record) for record in fake.tables[api.path]}
        if SPOILING[fault]:
            SPOILING[fault](api, fake, page)
        try:
            failed, _ = judged(engine, api, fake)
        except SourceFailed:
            assert fault != "nothing"
            return
        pulled = [row for (row,) in engine.connection.execute(f"select id from snapshot.{api.system}.customers").fetchall()]
    if failed:
        assert fault != "nothing" or (records, failed) == (0, {"not_empty"})
    else:
        assert len(pulled) == len(ids) and set(pulled) == ids


# The whole way, by the command.

AS_OF = "2026-03-03T03:00:00Z"  # of the sample's night 1
KEYS = TOKEN.encode(), b64encode(f"{TOKEN}:".encode()).rstrip(b"=")  # as Chargebee is told it


def exported(folder: Path) -> dict[str, list[dict]]:
    tables = {}
    for path in folder.glob("*.csv"):
        with path.open(newline="") as rows:
            tables[path.stem] = list(csv.DictReader(rows))
    return tables


@dataclass
class Account:
    """The sample in both fakes, and a world whose runs read them."""

    world: World
    crm: FakeApi
    billing: FakeApi

    def reconcile(self, **changes: str):
        return self.run("reconcile", **changes)

    def run(self, command: str, **changes: str):
        home = self.world.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {"TALLYSTICK_AS_OF": AS_OF, "HOME": str(home)}
        for fake in (self.crm, self.billing):
            environment |= fake.vendor.environment(fake, TOKEN)
        return self.world.run(
            command, **(environment | {"RUNTIME__REQUEST_BACKOFF_FACTOR": "0", "RUNTIME__REQUEST_TIMEOUT": "30"} | changes)
        )


@pytest.fixture(scope="module")
def account(tmp_path_factory) -> Iterator[Account]:
    """After one trusted run."""
    world = new_world(tmp_path_factory.mktemp("account") / "world")
    crm, billing = HUBSPOT.tables(exported(world.crm)), STRIPE.tables(exported(world.billing))
    with FakeApi(HUBSPOT, TOKEN, tables=crm) as crm, FakeApi(STRIPE, TOKEN, tables=billing) as billing:
        account = Account(world, crm, billing)
        ran = account.reconcile()
        assert ran.code == 0, ran.out + ran.err
        (world.folder / "out.txt").write_text(ran.out + ran.err)
        yield account


@pytest.fixture
def tomorrow(account, tmp_path) -> Iterator[Account]:
    """A copy to spoil."""
    world = account.world.copy(tmp_path / "world")
    with FakeApi(HUBSPOT, TOKEN, tables=account.crm.tables) as crm, FakeApi(STRIPE, TOKEN, tables=account.billing.tables) as billing:
        yield Account(world, crm, billing)


def test_the_same_records_give_the_same_differences_as_their_exports(first_night, account):
    """Identity, values, and what they are worth. What Stripe does not tell is when a record last changed: where only billing
    changed within the lag, the exports' difference is in flight and Stripe's is open. It writes currencies in lower case."""
    compared = """
        select discrepancy_id, reconciliation, record_key, bucket, field, left_value,
            case when field = 'currency' then upper(right_value) else right_value end,
            value_at_risk, currency, first_seen_at, left_updated_at
        from marts.discrepancies order by all
    """
    assert account.world.query(compared) == first_night.query(compared)
    young = "greatest({}) > '2026-03-02 03:00:00+00'"
    as_told = """
        select discrepancy_id, case when {} then 'in_flight' when field = 'plan' then 'quarantined' else 'open' end
        from marts.discrepancies order by all
    """
    status = "select discrepancy_id, status from marts.discrepancies order by all"
    assert first_night.query(status) == first_night.query(as_told.format(young.format("left_updated_at, right_updated_at")))
    assert account.world.query(status) == first_night.query(as_told.format(young.format("left_updated_at")))
    unusable = "select reconciliation, side, record_key, reason from marts.unreconcilable order by all"
    assert account.world.query(unusable) == first_night.query(unusable)
    counts = "select reconciliation, left_in_scope, right_in_scope, matched from marts.runs order by all"
    assert account.world.query(counts) == first_night.query(counts)


@pytest.fixture(scope="module")
def by_chargebee(account, tmp_path_factory) -> World:
    """After one trusted run on the sample in Chargebee."""
    world = new_world(tmp_path_factory.mktemp("by_chargebee") / "world")
    tables = CHARGEBEE.tables(exported(world.billing))
    with FakeApi(HUBSPOT, TOKEN, tables=account.crm.tables) as crm, FakeApi(CHARGEBEE, TOKEN, tables=tables) as billing:
        ran = Account(world, crm, billing).reconcile()
    assert ran.code == 0, ran.out + ran.err
    return world


def test_chargebee_gives_the_same_differences_as_the_exports(first_night, by_chargebee):
    """All of each: identity, values, ages, what is in flight. Only its words for a status are its own, past_due being active there."""
    world = by_chargebee
    whole = "select * exclude (run_id, opened_in_run, listed_in_run, right_value) from marts.discrepancies order by all"
    assert world.query(whole) == first_night.query(whole)
    values = "select discrepancy_id, field, right_value from marts.discrepancies order by all"
    assert world.query(values) == [
        (identity, field, ", ".join(sorted({WORDS.get(word, word) for word in value.split(", ")})) if field == "status" else value)
        for identity, field, value in first_night.query(values)
    ]
    unusable = "select reconciliation, side, record_key, reason from marts.unreconcilable order by all"
    assert world.query(unusable) == first_night.query(unusable)
    counts = "select reconciliation, left_in_scope, right_in_scope, matched from marts.runs order by all"
    assert world.query(counts) == first_night.query(counts)
    assert [path for path in world.folder.rglob("*") if path.is_file() and any(key in path.read_bytes() for key in KEYS)] == []


@pytest.fixture(scope="module", params=[SALESFORCE, PIPEDRIVE], ids=lambda vendor: vendor.name)
def other(request, account, tmp_path_factory) -> Iterator[Account]:
    """The same sample in another CRM, after one trusted run."""
    world = new_world(tmp_path_factory.mktemp("other") / "world")
    with FakeApi(request.param, TOKEN, 500, request.param.tables(exported(world.crm))) as crm:
        other = Account(world, crm, account.billing)
        ran = other.reconcile()
        assert ran.code == 0, ran.out + ran.err
        (world.folder / "out.txt").write_text(ran.out + ran.err)
        yield other


def test_another_crm_gives_the_same_differences(account, other):
    """As HubSpot, which gives those of the exports. An amount is a number there, and Pipedrive's deals are open, won or lost."""
    compared = """
        select * exclude (run_id, opened_in_run, listed_in_run) replace (
            case
                when field = 'amount' then left_value::decimal(18, 4)::varchar
                else replace(left_value, 'terminated', 'lost')
            end as left_value
        )
        from marts.discrepancies order by all
    """
    assert other.world.query(compared) == account.world.query(compared)
    unusable = "select reconciliation, side, record_key, reason from marts.unreconcilable order by all"
    assert other.world.query(unusable) == account.world.query(unusable)
    counts = "select * exclude (run_id, fingerprint, seconds) from marts.runs order by all"
    assert other.world.query(counts) == account.world.query(counts)


EVIDENCE = {
    "salesforce": [
        ("customers", 3, 2000, 500, "totalSize of the query", 1366, 1366, 1366, True, "done was true"),
        ("deals", 3, 2000, 500, "totalSize of the query", 1446, 1446, 1446, True, "done was true"),
    ],
    "pipedrive": [
        ("customers", 3, 500, 500, None, None, None, 1366, True, "next_cursor was null"),
        ("deals", 4, 500, 500, None, None, None, 1446, True, "next_cursor was null"),
    ],
}
LOOK = {
    "salesforce": "crm customers by salesforce: 1,366 declared (totalSize of the query), 500 records read",
    "pipedrive": "crm customers by pipedrive: no declared total, 500 records read",
}


def test_the_evidence_of_another_crm_is_kept(other):
    with duckdb.connect(other.world.state / "snapshot.duckdb", read_only=True) as snapshot:
        evidence = snapshot.execute(
            """
            select table_name, pages, page_size_asked, page_size_served, declared_by, declared_total, declared_after,
                landed, end_seen, end_evidence
            from pulls.tables where system = 'crm' order by all
            """
        ).fetchall()
    assert evidence == EVIDENCE[other.crm.vendor.name]


def test_a_first_look_at_another_crm_tells_its_total(other):
    looked = other.run("check-sources")
    assert (looked.code, looked.err) == (0, "")
    assert LOOK[other.crm.vendor.name] in looked.out


def test_another_crms_secret_is_in_no_byte_of_a_run_and_of_one_that_fails(other, tmp_path):
    """Salesforce's secret, and the token that it hands out for it."""
    world = other.world.copy(tmp_path / "world")
    with FakeApi(other.crm.vendor, TOKEN, 500, other.crm.tables) as crm:
        crm.spoil(crm.vendor.agreements, 2, refuse(401))
        failing = Account(world, crm, other.billing)
        ran = failing.reconcile()
    assert ran.code == 3
    assert ran.says("page 2, attempt 1: status 401; check that the token is valid")
    assert TOKEN not in ran.out + ran.err
    written = [path for path in world.folder.rglob("*") if path.is_file()]
    assert {"warehouse.duckdb", "snapshot.duckdb", "dbt.log", "out.txt"} <= {path.name for path in written}
    assert [str(path) for path in written if TOKEN.encode() in path.read_bytes()] == []


def test_what_staging_makes_of_numbers_and_of_several_addresses(other, tmp_path):
    shutil.copyfile(other.world.state / "snapshot.duckdb", tmp_path / "snapshot.duckdb")
    name = other.crm.vendor.name
    number = {"salesforce": "amount", "pipedrive": "value"}[name]
    amounts = {"1.5E7": "15000000", "2.50000000025e2": "250.000000025", "-3E+2": "-300", "1e40": "1e40", "1e-3": "1e-3", "12.30": "12.30"}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'snapshot.duckdb'}' as snapshot; delete from snapshot.crm.deals")
        connection.executemany(
            f"insert into snapshot.crm.deals (contract_number, {number}) values ($1, $1)", [[amount] for amount in amounts]
        )
        staged = dict(connection.execute(f"select contract_number, amount from snapshot.staging.stg_{name}__deals").fetchall())
        if name == "pipedrive":
            addresses = [{"value": "old@example.org", "primary": False}, {"value": "new@example.org", "primary": True, "label": "work"}]
            connection.execute("delete from snapshot.crm.customers")
            connection.execute("insert into snapshot.crm.customers (id, emails) values ('1', ?)", [json.dumps(addresses)])
            assert connection.execute("select email from snapshot.staging.stg_pipedrive__customers").fetchall() == [("new@example.org",)]
    assert staged == amounts


def test_a_first_look_reads_one_page_of_each_list_and_tells_its_total(account):
    before = len(account.crm.requests), account.world.fingerprint()
    looked = account.run("check-sources")
    assert (looked.code, looked.err) == (0, "")
    assert "crm customers by hubspot: 1,366 declared (total of the search), 100 records read" in looked.out
    assert "billing customers by stripe: no declared total, 100 records read" in looked.out
    # Two tables, and for each its properties, its total and one page.
    assert (len(account.crm.requests) - before[0], account.world.fingerprint()) == (6, before[1])


def test_a_first_look_at_a_total_that_does_not_come_says_that_it_would_not_be_trusted(account):
    for number in (1, 2):
        account.crm.spoil(SEARCH, account.crm.asked[SEARCH] + number, lambda answer: answer.content.update(total=None), times=1)
    looked = account.run("check-sources")
    assert (looked.code, looked.err) == (0, "")
    customers, _, told, *others = looked.out.splitlines()[4:]
    assert "crm customers by hubspot: no declared total (total of the search), " in customers
    assert told.strip() == "a run would not be trusted: a total is to be there, and none came"
    assert not any("not be trusted" in line for line in others)


def test_the_evidence_of_a_pull_is_kept(account):
    with duckdb.connect(account.world.state / "snapshot.duckdb", read_only=True) as snapshot:
        evidence = snapshot.execute(
            """
            select system, table_name, connector, pages, page_size_asked, page_size_served, declared_by, declared_total, declared_after,
                landed, end_seen, end_evidence, retries, bytes > 100 * landed
            from pulls.tables order by all
            """
        ).fetchall()
    search, unnamed, more = "total of the search", "no next page was named", "has_more was false"
    assert evidence == [
        ("billing", "customers", "stripe", 13, 100, 100, None, None, None, 1293, True, more, 0, True),
        ("billing", "subscriptions", "stripe", 15, 100, 100, None, None, None, 1413, True, more, 0, True),
        ("crm", "customers", "hubspot", 14, 100, 100, search, 1366, 1366, 1366, True, unnamed, 0, True),
        ("crm", "deals", "hubspot", 15, 100, 100, search, 1446, 1446, 1446, True, unnamed, 0, True),
    ]


def test_a_subscriptions_items_are_added_up_where_they_are_paid_at_one_interval(account, tmp_path):
    row = {"subscription_id": "", "contract_number": "K-1", "status": "active", "plan": "team", "amount_minor": "1000"}
    row |= {"currency": "EUR", "interval": "month", "started_at": AS_OF}
    quarter, mixed, tiered = (as_subscription(0, row | {"subscription_id": f"sub_{name}"}, None) for name in ("quarter", "mixed", "tiered"))
    quarter["items"]["data"] = [item(1, "12.5", "month", 12, 4), item(2, "50", "month", 12, 1)]
    mixed["items"]["data"] = [item(1, "100", "month", 1, 1), item(2, "50", "year", 1, 1)]
    tiered["items"]["data"] = [item(1, "100", "month", 1, 1), item(2, None, "month", 1, 5)]
    shutil.copyfile(account.world.state / "snapshot.duckdb", tmp_path / "snapshot.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'snapshot.duckdb'}' as snapshot")
        for subscription in (quarter, mixed, tiered):
            values = [subscription["id"], json.dumps(subscription["items"])]
            connection.execute("insert into snapshot.billing.subscriptions (id, items) values (?, ?)", values)
        staged = connection.execute(
            """
            select subscription_id, plan, amount_minor::decimal(12, 2)::varchar, interval from snapshot.staging.stg_stripe__subscriptions
            where subscription_id in ('sub_quarter', 'sub_mixed', 'sub_tiered') order by all
            """
        ).fetchall()
    assert staged == [
        ("sub_mixed", "plan 1 + plan 2", None, None),
        ("sub_quarter", "plan 1 + plan 2", "100.00", "12 month"),
        ("sub_tiered", "plan 1 + plan 2", None, "month"),
    ]


def test_chargebees_plan_and_addons_are_added_up_where_they_are_paid_at_one_interval(by_chargebee, tmp_path):
    def plan(**fields: object) -> dict:
        return {"item_type": "plan", "item_price_id": "team", "amount": 1000} | fields

    addon, charge = {"item_type": "addon", "item_price_id": "seats", "amount": 250}, {"item_type": "charge", "amount": 9900}
    given = {
        "charge": ("EUR", [plan(), addon, charge]),
        "decimals": ("KWD", [plan(amount_in_decimal="81.345", amount=8135), addon]),
        "hundredths": ("KWD", [plan()]),
        "monthly addon": ("EUR", [plan(), addon | {"billing_period": 1, "billing_period_unit": "month"}]),
        "no amount": ("EUR", [plan(), {"item_type": "addon", "item_price_id": "metered"}]),
        "no such currency": ("ZZZ", [plan()]),
        "whole": ("JPY", [plan()]),
    }
    shutil.copyfile(by_chargebee.state / "snapshot.duckdb", tmp_path / "snapshot.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'snapshot.duckdb'}' as snapshot; truncate snapshot.billing.subscriptions")
        for name, (currency, items) in given.items():
            connection.execute(
                """
                insert into snapshot.billing.subscriptions
                    (id, currency_code, subscription_items, billing_period, billing_period_unit, status, start_date)
                values (?, ?, ?, '3', 'month', 'future', '1772506800')
                """,
                [name, currency, json.dumps(items)],
            )
        staged = connection.execute(
            """
            select subscription_id, plan, amount_minor::decimal(12, 2)::varchar, interval, started_at
            from snapshot.staging.stg_chargebee__subscriptions order by all
            """
        ).fetchall()
    starts = "2026-03-03T03:00:00Z"
    assert staged == [
        ("charge", "team", "1250.00", "3 month", starts),
        ("decimals", "team", "83845.00", "3 month", starts),
        ("hundredths", "team", "10000.00", "3 month", starts),
        ("monthly addon", "team", None, None, starts),
        ("no amount", "team", None, "3 month", starts),
        ("no such currency", "team", "1000.00", "3 month", starts),
        ("whole", "team", "1000.00", "3 month", starts),
    ]


def item(number: int, amount: str | None, interval: str, count: int, quantity: int) -> dict:
    price = {"id": f"price_{number}", "lookup_key": None, "nickname": f"plan {number}", "unit_amount_decimal": amount}
    return {"quantity": quantity, "price": price | {"recurring": {"interval": interval, "interval_count": count}}}


def test_a_server_cut_off_after_page_one_gives_3_and_the_token_is_in_no_byte(tomorrow):
    before = tomorrow.world.fingerprint()
    tomorrow.crm.spoil(HUBSPOT.agreements, 2, sent("reset"))
    tomorrow.billing.spoil(CUSTOMERS, 2, sent("reset"))
    ran = tomorrow.reconcile()
    assert (ran.code, tomorrow.world.fingerprint()) == (3, before)
    assert ran.says("page 2, attempt 5: no whole answer came from 127.0.0.1:")
    assert TOKEN not in ran.out + ran.err
    written = [path for path in tomorrow.world.folder.rglob("*") if path.is_file()]
    names = {path.name for path in written}
    assert {"warehouse.duckdb", "snapshot.duckdb", "dbt.log", "out.txt"} <= names and (tomorrow.world.state / "next/dlt").is_dir()
    assert [str(path) for path in written if TOKEN.encode() in path.read_bytes()] == []


def test_where_one_side_fails_the_other_is_not_waited_for(tomorrow):
    """It had been told to come again in a quarter of an hour, and had thirteen pages to go."""
    tomorrow.billing.spoil(CUSTOMERS, 1, refuse(401))
    tomorrow.crm.spoil(CONTACTS, 2, refuse(503, Retry_After="900"))
    ran = tomorrow.reconcile(RUNTIME__REQUEST_MAX_RETRY_DELAY="900")
    assert ran.code == 3
    assert ran.says("billing: v1/customers, page 1, attempt 1: status 401")
    assert len([request for request in tomorrow.crm.requests if request.path.startswith(CONTACTS + "?")]) <= 3  # once more after it woke


def test_an_api_that_refuses_gives_3_and_leaves_what_is_published(tomorrow):
    before = tomorrow.world.fingerprint()
    tomorrow.billing.spoil(STRIPE.agreements, 15, refuse(503))
    ran = tomorrow.reconcile(RUNTIME__REQUEST_MAX_ATTEMPTS="2")
    assert (ran.code, tomorrow.world.fingerprint()) == (3, before)
    assert ran.says("billing: v1/subscriptions, page 15, attempt 2: status 503")
    assert len(ran.err.splitlines()) == 1, ran.err


def test_what_an_api_tells_wrongly_gives_4_and_opens_and_closes_nothing(tomorrow):
    """HubSpot declares a hundred deals more than it serves; Stripe leaves out more than a fifth of the customers, which counts tell."""
    before = tomorrow.world.differences()
    for number in (1, 2):
        tomorrow.crm.spoil(HUBSPOT.agreements + "/search", number, lambda answer: answer.content.update(total=1546))
    tomorrow.billing.spoil(CUSTOMERS, 9, lambda answer: STRIPE.ends(answer.content))
    ran = tomorrow.reconcile()
    assert ran.code == 4, ran.out + ran.err
    expected = {("contracts", "left", "declared_total_matches"), ("customers", "right", "no_implausible_drop")}
    assert tomorrow.world.failed_checks() >= expected
    assert tomorrow.world.verdicts() == {"contracts": "not trustworthy", "customers": "not trustworthy"}
    assert before and tomorrow.world.differences() == before


def test_without_a_run_before_it_two_thirds_of_a_list_are_believed():
    """What no total declares and no earlier run has seen is told as missing in billing: a known limit, and no silent one."""
    exports = house(range(60))
    del exports["billing"]["customers"][40:]
    with Engine() as engine:
        engine.night(AS_OF, **exports)
        assert engine.refusals() == []
        alone = engine.rows("from warehouse.marts.discrepancies where reconciliation = 'customers' and bucket = 'left_only'")
        declared = engine.rows("from warehouse.marts.trust_checks where check_name = 'declared_total_matches' and side = 'right'")
    assert len(alone) == 20
    assert {check["explanation"] for check in declared} == {"billing gave no declared total"}
