"""Writes to the five vendors' APIs, faked on loopback: as documented, seen by the next full read, and nothing else changed.

What may pass is sent again where twice is as good as once; else nobody knows, and that is said.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import monotonic
from urllib.parse import urlsplit

import pytest
from fake_api import Answer, FakeApi, Fault, Request, Vendor
from fake_pipedrive import ARCHIVED, code
from fake_salesforce import DATA, session
from fake_salesforce import TOKEN as SIGN_IN
from test_by_key import read
from test_sources import (  # noqa: F401
    APIS,
    CHARGEBEE,
    HUBSPOT,
    PIPEDRIVE,
    SALESFORCE,
    SHORT_DELAY,
    STRIPE,
    TOKEN,
    VENDORS,
    quick,
    refuse,
    sent,
    served,
    usual_time,
)

from pipelines.failures import BadConfiguration
from pipelines.targets.target import NoAnswer, Refused, Target, Unavailable, Write, target_of

CRMS = [HUBSPOT, SALESFORCE, PIPEDRIVE]
KEY = "0123456789abcdef0123456789abcdef"


@contextmanager
def target(api: Vendor, fake: FakeApi, **stated: str) -> Iterator[Target]:
    """With a key of its own; where the account is and what it calls its fields, only the source says."""
    prefix = f"TARGETS__{api.system.upper()}__"
    own = {"CONNECTOR": api.name, api.token_setting: TOKEN, "CLIENT_ID": "3MVG9", "REQUESTS_PER_SECOND": "1000"} | stated
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (api.environment(fake, "the key that reads") | {prefix + name: value for name, value in own.items()}).items():
            patch.setenv(name, value)
        yield target_of(api.system)


def write(operation: str, pair: str, field: str = "", to: str | None = None, **also) -> Write:
    return Write(KEY, pair, operation, "C-0001" if pair == "customers" else "K-0001", field, "as it was", to, **also)


@dataclass
class Case:
    """A write to record 1, how it arrives, and what the source then reads of it: these columns, or None where it is gone."""

    api: Vendor
    operation: str
    pair: str
    field: str
    to: str | None
    method: str
    path: str
    body: dict
    seen: dict | None

    def __str__(self) -> str:
        return f"{self.api.name} {self.operation} {self.pair} {self.field}"

    @property
    def table(self) -> str:
        return "customers" if self.pair == "customers" else "subscriptions" if self.api.system == "billing" else "deals"

    @property
    def write(self) -> Write:
        record = NEW | {"status": self.to} if self.operation == "create" else {}
        identity = [] if record else [self.path.removesuffix("/delete").removesuffix("/cancel_for_items").rpartition("/")[2]]
        return write(self.operation, self.pair, self.field, None if record else self.to, ids={self.table: identity}, record=record)


def in_json(country: str) -> str:
    return json.dumps({"country": country})


PATCH, POST, DELETE = "PATCH", "POST", "DELETE"
HUB, PIPE = "/crm/v3/objects/", "/api/v2/"
CONTACT, DEAL, BEE = HUB + "contacts/1001", HUB + "deals/1001", PIPE + "subscriptions/sub_1"
ACCOUNT, OPPORTUNITY = f"{DATA}/sobjects/Account/001{1:015}", f"{DATA}/sobjects/Opportunity/006{1:015}"
EMAIL, MARCH, CHURNED, AT_ONCE = "new@example.org", "2025-03-01T00:00:00Z", {code("Status"): 304}, {"cancel_option": "immediately"}
PERSON = {"customer_number": "C-0100", "company": "Hundred Ltd", "email": "h@example.org", "country": "DE", "status": "paused"}
NEW = {name: value for name, value in PERSON.items() if name != "status"} | {"owner": None, "status_stated": "active"}
NEW_CONTACT = {("account_status" if name == "status" else name): value for name, value in PERSON.items()}
NEW_ACCOUNT = dict(
    zip(("Customer_Number__c", "Name", "Email__c", "BillingCountry", "Status__c"), PERSON.values(), strict=True),
)
NEW_ORGANIZATION = {
    "name": "Hundred Ltd",
    "custom_fields": {
        code("Customer number"): "C-0100",
        code("Email"): "h@example.org",
        code("Country"): "DE",
        code("Status"): 303,
    },
}
NEW_IN_STRIPE = {"name": "Hundred Ltd", "email": "h@example.org", "address[country]": "DE", "metadata[customer_number]": "C-0100"}
NEW_IN_CHARGEBEE = {
    "company": "Hundred Ltd",
    "email": "h@example.org",
    "billing_address[country]": "DE",
    "cf_customer_number": "C-0100",
}
ARRIVING = {
    HUBSPOT: [
        ("update", "customers", "email", EMAIL, PATCH, CONTACT, {"properties": {"email": EMAIL}}, {"email": EMAIL}),
        ("update", "customers", "status", "churned", PATCH, CONTACT, {"properties": {"account_status": "churned"}}, {"status": "churned"}),
        ("update", "contracts", "amount", "12.5000", PATCH, DEAL, {"properties": {"amount": "12.5"}}, {"amount": "12.5"}),
        ("update", "contracts", "currency", "usd", PATCH, DEAL, {"properties": {"deal_currency_code": "USD"}}, {"currency": "USD"}),
        ("end", "contracts", "status", "lost", PATCH, DEAL, {"properties": {"dealstage": "lost"}}, {"stage": "lost"}),
        ("end", "customers", "", "churned", PATCH, CONTACT, {"properties": {"account_status": "churned"}}, {"status": "churned"}),
        ("create", "customers", "", "paused", POST, HUB + "contacts", {"properties": NEW_CONTACT}, PERSON),
        ("delete", "customers", "", None, DELETE, CONTACT, {}, None),
        ("delete", "contracts", "", None, DELETE, DEAL, {}, None),
    ],
    SALESFORCE: [
        ("update", "customers", "email", EMAIL, PATCH, ACCOUNT, {"Email__c": EMAIL}, {"email": EMAIL}),
        ("update", "contracts", "amount", "1250.00", PATCH, OPPORTUNITY, {"Amount": 1250.0}, {"amount": "1250.0"}),
        ("update", "contracts", "starts_on", MARCH, PATCH, OPPORTUNITY, {"Starts_On__c": "2025-03-01"}, {"starts_on": "2025-03-01"}),
        ("end", "contracts", "status", "lost", PATCH, OPPORTUNITY, {"StageName": "lost"}, {"stage": "lost"}),
        ("create", "customers", "", "paused", POST, f"{DATA}/sobjects/Account", NEW_ACCOUNT, PERSON),
        ("delete", "customers", "", None, DELETE, ACCOUNT, {}, None),
    ],
    PIPEDRIVE: [
        (
            "update",
            "customers",
            "email",
            EMAIL,
            PATCH,
            PIPE + "organizations/2",
            {"custom_fields": {code("Email"): EMAIL}},
            {"email": EMAIL},
        ),
        ("update", "customers", "status", "churned", PATCH, PIPE + "organizations/2", {"custom_fields": CHURNED}, {"status": "churned"}),
        ("update", "contracts", "amount", "12.5000", PATCH, PIPE + "deals/2", {"value": 12.5}, {"value": "12.5"}),
        ("update", "contracts", "plan", "basic", PATCH, PIPE + "deals/2", {"custom_fields": {code("Plan"): "basic"}}, {"plan": "basic"}),
        ("end", "contracts", "status", "lost", PATCH, PIPE + "deals/2", {"status": "lost"}, {"status": "lost"}),
        ("create", "customers", "", "paused", POST, PIPE + "organizations", NEW_ORGANIZATION, {"name": "Hundred Ltd", "status": "paused"}),
        ("delete", "contracts", "", None, DELETE, PIPE + "deals/2", {}, None),
    ],
    STRIPE: [
        ("update", "customers", "email", EMAIL, POST, "/v1/customers/cus_000001", {"email": EMAIL}, {"email": EMAIL}),
        ("update", "customers", "country", "FR", POST, "/v1/customers/cus_000001", {"address[country]": "FR"}, {"address": in_json("FR")}),
        ("end", "contracts", "", "canceled", DELETE, "/v1/subscriptions/sub_1", {}, {"status": "canceled", "canceled_at": "1772510400"}),
        ("create", "customers", "", "active", POST, "/v1/customers", NEW_IN_STRIPE, {"name": "Hundred Ltd", "address": in_json("DE")}),
        ("delete", "customers", "", None, DELETE, "/v1/customers/cus_000001", {}, None),
    ],
    CHARGEBEE: [
        ("update", "customers", "email", EMAIL, POST, PIPE + "customers/AzZ000001", {"email": EMAIL}, {"email": EMAIL}),
        ("end", "contracts", "status", "cancelled", POST, BEE + "/cancel_for_items", AT_ONCE, {"status": "cancelled"}),
        ("create", "customers", "", "active", POST, PIPE + "customers", NEW_IN_CHARGEBEE, {"billing_address": in_json("DE")}),
        ("delete", "customers", "", None, POST, PIPE + "customers/AzZ000001/delete", {}, None),
        ("delete", "contracts", "", None, POST, BEE + "/delete", {}, None),
    ],
}
CASES = [Case(api, *case) for api, cases in ARRIVING.items() for case in cases]
UPDATES = [next(case for case in CASES if case.api is api and case.operation == "update") for api in VENDORS]
CREATES = {api.name: next(case for case in CASES if case.api is api and case.operation == "create") for api in VENDORS}
OF_EACH = pytest.mark.parametrize("case", UPDATES, ids=str)


def rows(api: Vendor, fake: FakeApi) -> dict[str, dict[str, dict]]:
    """What the source reads, with the key that reads."""
    return {name: {row["id"]: row for row in table} for name, table in read(api, fake).items()}


def changes(fake: FakeApi) -> list[Request]:
    return [request for request in fake.requests if request.method in ("PATCH", "DELETE") or is_post(request)]


def is_post(request: Request) -> bool:
    return request.method == "POST" and not request.path.endswith(("/search", "/batch/read", SIGN_IN))


def said(request: Request) -> dict:
    is_json = "json" in request.headers.get("content-type", "")
    return (json.loads(request.body) if is_json else request.form) if request.body else {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_arrives_as_documented_and_nothing_else_changes(case):
    api = case.api
    with served(api, 4) as fake:
        before = rows(api, fake)
        fake.requests.clear()
        with target(api, fake) as writing:
            assert writing.refuses(case.write) is None
            assert fake.requests == []
            told = writing.write(case.write)
        [request] = changes(fake)
        after = rows(api, fake)
    assert (request.method, urlsplit(request.path).path, said(request)) == (case.method, case.path, case.body)
    assert told.startswith("status 20")
    assert api.allows(request.headers, TOKEN)
    keys = {request.headers.get(name) for name in ("idempotency-key", "chargebee-idempotency-key")}
    assert (KEY in keys) == (api.system == "billing" and request.method == "POST")
    changed = {
        (name, identity)
        for name in before
        for identity in before[name] | after[name]
        if before[name].get(identity) != after[name].get(identity)
    }
    [(table, identity)] = changed
    was, now = before[table].get(identity), after[table].get(identity)
    assert (was is None, now is None) == (case.operation == "create", case.operation == "delete")
    if now:
        assert {column: now[column] for column in case.seen} == case.seen
    if was and now:
        times = {"updated_at", "update_time", "cancelled_at"}
        assert {column for column in was if was[column] != now[column]} - times == set(case.seen) - times


REFUSALS = [
    (STRIPE, write("update", "customers", "status", "canceled"), "end its contracts instead"),
    (STRIPE, write("end", "customers", "status", "canceled"), "end its contracts instead"),
    (STRIPE, write("update", "contracts", "plan", "team"), "Stripe changes no subscription by one plain value"),
    (STRIPE, write("update", "contracts", "status", "active"), "Stripe changes no subscription by one plain value"),
    (STRIPE, write("create", "contracts", record={"contract_number": "K-0100"}), "needs a price and a means of payment"),
    (STRIPE, write("delete", "contracts"), "end it instead"),
    (STRIPE, write("create", "customers", record={"email": "x@example.org"}), "its customer_number is not known"),
    (STRIPE, write("update", "customers", "email"), "there is no value for its email"),
    (STRIPE, write("update", "customers", "owner", "Ana"), "no field of customers that can be written holds the owner"),
    (CHARGEBEE, write("end", "customers", ""), "end its contracts instead"),
    (CHARGEBEE, write("update", "contracts", "starts_on", "2025-01-01"), "Chargebee changes no subscription by one plain value"),
    (CHARGEBEE, write("create", "contracts", record={"contract_number": "K-0100"}), "needs an item and a means of payment"),
    (CHARGEBEE, write("update", "customers", "country", "FR"), "replaces a billing address whole"),
    (HUBSPOT, write("update", "customers", "shoe_size", "44"), "no field of customers that can be written holds the shoe_size"),
    (HUBSPOT, write("end", "contracts", "status"), "there is no value for its status"),
    (HUBSPOT, write("create", "customers", record=NEW | {"status": None}), "its status is not known, and no customer is made without"),
    (HUBSPOT, write("create", "contracts", record={"contract_number": "K-0100"}), "is not known, and no deal is made without"),
    (SALESFORCE, write("update", "customers", "owner", "Ana"), "Owner.Name is a field of another record"),
    (SALESFORCE, write("create", "contracts", record={"contract_number": "K-0100"}), "needs more than any other system knows"),
    (PIPEDRIVE, write("end", "contracts", "status", "terminated"), "open, won or lost, and not terminated"),
    (PIPEDRIVE, write("create", "contracts", record={"contract_number": "K-0100"}), "is not known, and no deal is made without"),
]


@pytest.mark.parametrize(("api", "wanted", "says"), REFUSALS, ids=[f"{api.name} {says}" for api, _, says in REFUSALS])
def test_what_an_api_can_not_do_is_said_before_anything_is_asked(api, wanted, says):
    with served(api) as fake, target(api, fake) as writing:
        assert says in writing.refuses(wanted)
        assert fake.requests == []


def test_a_persons_email_is_one_of_a_list_that_would_be_replaced_whole():
    with served(PIPEDRIVE) as fake, target(PIPEDRIVE, fake, CUSTOMERS_ARE="persons") as writing:
        assert "Pipedrive replaces whole" in writing.refuses(write("update", "customers", "email", EMAIL))


def as_refused(api: Vendor, status: int, message: str) -> Fault:
    return lambda answer: vars(answer).update(vars(api.refuses(status, message)))


def hurt(api: Vendor, fake: FakeApi, case: Case, fault: Fault, times: int = 1) -> None:
    """The next answers to the write."""
    for number in range(times):
        fake.spoil(case.path, fake.asked[case.path] + 1 + number, fault, times=1)


@OF_EACH
@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_what_the_system_refuses_is_told_in_its_words(case, status):
    with served(case.api) as fake, target(case.api, fake) as writing:
        hurt(case.api, fake, case, as_refused(case.api, status, f"No   such thing as\n{EMAIL}"))
        with pytest.raises(Refused, match=f"status {status}.*No such thing as {EMAIL}"):
            writing.write(case.write)
        assert len(changes(fake)) == 1


@OF_EACH
def test_a_refused_token_ends_it_and_no_message_holds_a_secret(case):
    secret = session(TOKEN) if case.api is SALESFORCE else TOKEN
    with served(case.api) as fake, target(case.api, fake) as writing:
        hurt(case.api, fake, case, as_refused(case.api, 401, f"The key {secret} is unknown."))
        with pytest.raises(Unavailable, match="status 401; check that the key is valid") as failure:
            writing.write(case.write)
    assert TOKEN not in str(failure.value)


PASSING = {"500": refuse(500), "503": refuse(503, Retry_After="1"), "reset": sent("reset"), "429": refuse(429, Retry_After="1")}


@OF_EACH
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_an_update_is_sent_again(case, fault):
    with served(case.api) as fake, target(case.api, fake) as writing:
        hurt(case.api, fake, case, fault)
        assert writing.write(case.write).startswith("status 20")
        first, second = changes(fake)
    assert (first.path, first.body, first.headers) == (second.path, second.body, second.headers)


@OF_EACH
def test_where_no_answer_comes_nobody_knows(case):
    with served(case.api) as fake, target(case.api, fake) as writing:
        hurt(case.api, fake, case, refuse(500), times=9)
        with pytest.raises(NoAnswer, match="status 500"):
            writing.write(case.write)
        assert len(changes(fake)) == 3


@OF_EACH
def test_where_the_first_attempts_answer_was_lost_a_busy_or_absent_server_is_no_proof_that_nothing_was_written(case):
    def reset_and_leave(answer: Answer) -> None:
        answer.sent = "reset"
        fake.server.socket.close()

    with served(case.api) as fake, target(case.api, fake) as writing:
        hurt(case.api, fake, case, refuse(429), times=3)
        with pytest.raises(Unavailable, match="status 429"):
            writing.write(case.write)
        hurt(case.api, fake, case, refuse(500))
        fake.spoil(case.path, fake.asked[case.path] + 2, refuse(429))
        fake.spoil(case.path, fake.asked[case.path] + 3, refuse(401))
        with pytest.raises(NoAnswer, match="status 401"):
            writing.write(case.write)
        hurt(case.api, fake, case, reset_and_leave)
        with pytest.raises(NoAnswer, match="no whole answer came from"):
            writing.write(case.write)
        with pytest.raises(Unavailable, match="no whole answer came from"):
            writing.write(case.write)


@APIS
def test_retry_after_is_waited_for(quick, api):  # noqa: F811
    quick.setenv("RUNTIME__REQUEST_MAX_RETRY_DELAY", "5")
    case, began = CREATES[api.name], monotonic()
    with served(api) as fake, target(api, fake) as writing:
        answers = Answer(429, {"message": "slow down"}, headers={"Content-Type": "application/json", "Retry-After": "1"})
        fake.spoil(case.path, fake.asked[case.path] + 1, lambda answer: vars(answer).update(vars(answers)))
        records = len(fake.tables[api.path])
        writing.write(case.write)
        assert [said(request) for request in changes(fake)] == [case.body, case.body]
    quick.setenv("RUNTIME__REQUEST_MAX_RETRY_DELAY", SHORT_DELAY)
    assert 1 <= monotonic() - began < 5
    assert len(fake.tables[api.path]) - records == (1 if api.system == "billing" else 2)  # this fake had made it before it said so


LOST = pytest.mark.parametrize("fault", [refuse(500), refuse(503), sent("reset"), sent("cut")], ids=["500", "503", "reset", "cut"])


@pytest.mark.parametrize("api", CRMS, ids=lambda api: api.name)
@LOST
def test_a_record_is_not_made_twice_where_no_key_prevents_it(api, fault):
    with served(api) as fake, target(api, fake) as writing:
        records = len(fake.tables[api.path])
        hurt(api, fake, CREATES[api.name], fault)
        assert not writing.is_idempotent
        with pytest.raises(NoAnswer):
            writing.write(CREATES[api.name].write)
        assert (len(changes(fake)), len(fake.tables[api.path])) == (1, records + 1)


@pytest.mark.parametrize("api", [STRIPE, CHARGEBEE], ids=lambda api: api.name)
@LOST
def test_a_record_is_made_once_under_one_key(api, fault):
    with served(api) as fake, target(api, fake) as writing:
        records = len(fake.tables[api.path])
        hurt(api, fake, CREATES[api.name], fault)
        assert writing.is_idempotent
        writing.write(CREATES[api.name].write)
        writing.write(CREATES[api.name].write)  # as it would be after a crash
        assert len(changes(fake)) == 3
        assert len(fake.tables[api.path]) == records + 1


@pytest.mark.parametrize("case", [case for case in CASES if case.operation in ("end", "delete")], ids=str)
def test_what_was_ended_by_an_attempt_whose_answer_was_lost_is_ended(case):
    with served(case.api) as fake, target(case.api, fake) as writing:
        hurt(case.api, fake, case, sent("reset"))
        assert writing.write(case.write).startswith(("status 20", "gone already: status 404"))
        assert len(changes(fake)) == 2


@pytest.mark.parametrize("case", [case for case in CASES if case.operation == "delete" and case.api is not HUBSPOT], ids=str)
def test_a_404_that_is_no_answer_of_the_api_deletes_nothing(case):
    def elsewhere(answer: Answer) -> None:
        answer.status, answer.body, answer.headers = 404, b"<html>", {"Content-Type": "text/html"}

    with served(case.api) as fake, target(case.api, fake) as writing:
        hurt(case.api, fake, case, elsewhere)
        with pytest.raises(Refused, match="status 404"):
            writing.write(case.write)


def test_a_key_that_is_still_at_work_at_stripe_is_no_refusal():
    with served(STRIPE) as fake, target(STRIPE, fake) as writing:
        hurt(STRIPE, fake, CREATES["stripe"], as_refused(STRIPE, 409, "There is currently another in-progress request"))
        with pytest.raises(NoAnswer, match="status 409; There is currently another"):
            writing.write(CREATES["stripe"].write)


def test_the_rest_of_an_address_stays():
    case = next(case for case in CASES if case.api is STRIPE and case.field == "country")
    with served(STRIPE) as fake, target(STRIPE, fake) as writing:
        record = next(record for record in fake.tables[STRIPE.path] if record["id"] == "cus_000001")
        record["address"] = {"line1": "Damrak 1", "line2": None, "city": "Amsterdam", "country": "NL"}
        writing.write(case.write)
        assert record["address"] == {"line1": "Damrak 1", "city": "Amsterdam", "country": "FR"}


@OF_EACH
@pytest.mark.parametrize("ids", [[], ["1", "2"]], ids=["none", "two"])
def test_what_is_not_one_record_is_not_written(case, ids):
    with served(case.api) as fake, target(case.api, fake) as writing:
        with pytest.raises(Refused, match=f"{len(ids)} customers carry the key C-0001, and one is to be written"):
            writing.write(replace(case.write, ids={"customers": ids}))
        assert changes(fake) == []


@OF_EACH
def test_an_id_is_never_a_path(case):
    with served(case.api) as fake, target(case.api, fake) as writing:
        with pytest.raises((Refused, NoAnswer)):
            writing.write(replace(case.write, ids={"customers": ["../deals/1?x=y#z"]}))
        assert all("..%2Fdeals%2F1%3Fx%3Dy%23z" in request.path for request in changes(fake))


@OF_EACH
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(case, status):
    with served(case.api) as fake, served(case.api) as other, target(case.api, fake) as writing:
        hurt(case.api, fake, case, refuse(status, Location=f"{other.url}{case.path}"))
        with pytest.raises(Refused, match=f"status {status}"):
            writing.write(case.write)
        assert (other.requests, len(changes(fake))) == ([], 1)


def test_an_option_that_pipedrive_does_not_have_is_refused():
    with served(PIPEDRIVE) as fake, target(PIPEDRIVE, fake) as writing:
        with pytest.raises(Refused, match="Status has no options 'on hold'"):
            writing.write(write("update", "customers", "status", "on hold", ids={"customers": ["2"]}))
        assert changes(fake) == []


def test_pipedrives_fields_are_asked_for_once_and_where_they_can_not_be_nothing_is_written():
    with served(PIPEDRIVE) as fake, target(PIPEDRIVE, fake) as writing:
        fake.spoil("/api/v2/organizationFields", 1, refuse(403))
        with pytest.raises(Unavailable, match=r"its fields can't be read: .*status 403"):
            writing.write(UPDATES[VENDORS.index(PIPEDRIVE)].write)
        for _ in range(3):
            writing.write(UPDATES[VENDORS.index(PIPEDRIVE)].write)
        assert (fake.asked["/api/v2/organizationFields"], len(changes(fake))) == (2, 3)


def test_an_archived_deal_is_refused_by_pipedrive_itself():
    with served(PIPEDRIVE, 25) as fake, target(PIPEDRIVE, fake) as writing:
        archived = str(fake.tables[ARCHIVED][0]["id"])
        with pytest.raises(Refused, match="Archived deals can not be edited"):
            writing.write(write("end", "contracts", "status", "lost", ids={"deals": [archived]}))


def test_salesforce_is_signed_in_to_once_and_the_secret_is_not_told():
    with served(SALESFORCE) as fake, target(SALESFORCE, fake) as writing:
        for _ in range(3):
            writing.write(UPDATES[VENDORS.index(SALESFORCE)].write)
        assert (fake.asked[SIGN_IN], len(changes(fake))) == (1, 3)
    with served(SALESFORCE) as fake, served(SALESFORCE) as other, target(SALESFORCE, fake) as writing:
        fake.spoil(SIGN_IN, 1, as_refused(SALESFORCE, 400, f"invalid client secret {TOKEN}"))
        fake.spoil(SIGN_IN, 2, refuse(307, Location=other.url + SIGN_IN))
        fake.spoil(SIGN_IN, 3, lambda answer: answer.content.pop("access_token"))
        for says in ("status 400", "status 307", "the answer has no access_token"):
            with pytest.raises(Unavailable, match=f"no token was handed out: {says}") as failure:
                writing.write(UPDATES[VENDORS.index(SALESFORCE)].write)
            assert TOKEN not in str(failure.value)
        assert (changes(fake), other.requests) == ([], [])


def test_names_and_place_are_the_sources_unless_said_otherwise(monkeypatch):
    with served(HUBSPOT) as fake:
        with target(HUBSPOT, fake, CUSTOMERS__EMAIL="work_email") as writing:
            assert (writing.fields["customers"]["email"], writing.fields["customers"]["status"]) == ("work_email", "account_status")
            assert writing.base_url == f"{fake.url}/"
        with target(HUBSPOT, fake, BASE_URL="https://api.example.org") as writing:
            assert writing.base_url == "https://api.example.org/"
    with served(CHARGEBEE) as fake:
        with target(CHARGEBEE, fake) as writing:
            assert writing.base_url == f"{fake.url}/"
        with target(CHARGEBEE, fake, SITE="acme-test") as writing:
            assert writing.base_url == "https://acme-test.chargebee.com/"


def test_a_source_of_another_kind_says_nothing_of_the_target():
    with served(HUBSPOT) as fake, target(HUBSPOT, fake), pytest.MonkeyPatch.context() as patch:  # undone before what it patches over
        patch.setenv("SOURCES__CRM__CONNECTOR", "files")
        writing = target_of("crm")
        assert (writing.base_url, writing.fields["customers"]["status"]) == ("https://api.hubapi.com/", "lifecyclestage")


MISSAID = [
    (HUBSPOT, {"CUSTOMERS_ARE": "tickets"}, "targets.crm.customers_are must be contacts or companies"),
    (SALESFORCE, {"CUSTOMERS__EMAIL": "Email__c FROM User"}, "targets.crm.customers.email must be the API name of a field"),
    (CHARGEBEE, {"SITE": "acme.chargebee.com"}, "targets.billing.site is the name before .chargebee.com"),
    (PIPEDRIVE, {"BASE_URL": "api.pipedrive.com"}, "targets.crm.base_url must be an address"),
]


@pytest.mark.parametrize(("api", "stated", "says"), MISSAID, ids=[says for *_, says in MISSAID])
def test_a_setting_that_says_nothing_is_bad_configuration(api, stated, says):
    with served(api) as fake, pytest.raises(BadConfiguration, match=says), target(api, fake, **stated):
        pass


@APIS
def test_the_key_that_reads_never_writes(monkeypatch, api):
    with served(api) as fake, target(api, fake):
        monkeypatch.delenv(f"TARGETS__{api.system.upper()}__{api.token_setting}")
        with pytest.raises(BadConfiguration, match=f"targets.{api.system}.{api.token_setting.lower()} is not set"):
            target_of(api.system).write(CREATES[api.name].write)
        assert fake.requests == []
