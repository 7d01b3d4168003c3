"""`tallystick init` at a real terminal: it asks what is missing and no more, shows no secret, and loses nothing that was there."""

import os
import pty
import select
import stat
import termios
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, World, house
from fake_api import FakeApi
from fake_hubspot import HubSpot
from fake_stripe import Stripe

CRM_TOKEN, BILLING_TOKEN, WRONG = "canary-crm-3f7a", "canary-billing-91c2", "canary-wrong-77aa"
SHIPPED = (ROOT / ".dlt/config.toml").read_text()
INTERRUPT, SECONDS, PATIENCE = "\x03", 3, 10
HUBSPOT, STRIPE = HubSpot(), Stripe()


@dataclass
class Desk:
    """A project's settings, and a person at a terminal before them."""

    world: World
    environment: dict[str, str | None]

    @property
    def folder(self) -> Path:
        return self.world.folder / "settings/.dlt"

    @property
    def config(self) -> dict:
        return tomllib.loads((self.folder / "config.toml").read_text())

    @property
    def secrets(self) -> dict:
        return tomllib.loads((self.folder / "secrets.toml").read_text())

    def asked(self, *dialogue: tuple[str, str], options: tuple[str, ...] = ()) -> tuple[int, str]:
        """Answers each question once it is asked. Returns the exit code and all that the terminal showed."""
        command = self.world.command("init", *options)
        process, terminal = pty.fork()
        if not process:
            os.chdir(self.world.project)
            os.execve(command[0], command, self.everything() | {"TERM": "dumb", "COLUMNS": "200"})  # noqa: S606
        shown, answered, again = "", 0, ""
        while piece := read(terminal, again):
            shown += piece
            if answered < len(dialogue) and dialogue[answered][0] in shown.rpartition("\n")[2]:
                wait_for_a_hidden_line(terminal, dialogue[answered][0])
                os.write(terminal, dialogue[answered][1].encode())
                again = INTERRUPT if dialogue[answered][1] == INTERRUPT else ""
                answered += 1
                shown += "\n"
        os.close(terminal)  # where it still waits for an answer, that ends it
        _, status = os.waitpid(process, 0)
        assert answered == len(dialogue), shown
        return os.waitstatus_to_exitcode(status), shown

    def everything(self) -> dict[str, str]:
        return self.world.environment(**self.environment)


def wait_for_a_hidden_line(terminal: int, question: str) -> None:
    """getpass throws away what was typed before it turned the echo off."""
    ends_at = time.monotonic() + SECONDS * PATIENCE
    while "not shown" in question and termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.monotonic() < ends_at, "what is typed is shown"
        time.sleep(0.01)


def read(terminal: int, again: str) -> str:
    """Nothing where the other end is closed, or silent for long. Python may miss an interruption that comes as it begins to wait for
    a line: `again` is typed once more where nothing happens, as a person would."""
    with suppress(OSError):  # Linux's end of a terminal
        for _ in range(PATIENCE):
            if select.select([terminal], [], [], SECONDS)[0]:
                return os.read(terminal, 65536).decode()
            os.write(terminal, again.encode())
    return ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "settings"
    (folder / ".dlt").mkdir(parents=True)
    (folder / ".dlt/config.toml").write_text(SHIPPED)
    paths = dict.fromkeys(("SOURCES__CRM__PATH", "SOURCES__BILLING__PATH"))  # nobody states them
    return Desk(World(tmp_path), {"DLT_PROJECT_DIR": str(folder), **paths})


@pytest.fixture
def accounts(desk: Desk) -> Iterator[Desk]:
    """A HubSpot and a Stripe account; only the addresses are in the environment, as theirs have defaults."""
    with (
        FakeApi(HUBSPOT, CRM_TOKEN, tables=HUBSPOT.tables(house(range(8))["crm"])) as crm,
        FakeApi(STRIPE, BILLING_TOKEN, tables=STRIPE.tables(house(range(9))["billing"])) as billing,
    ):
        desk.environment |= {"SOURCES__CRM__BASE_URL": crm.url, "SOURCES__BILLING__BASE_URL": billing.url}
        desk.environment |= {"SOURCES__CRM__CUSTOMERS__STATUS": "account_status"}
        yield desk


def test_two_accounts_are_asked_for_their_tokens_alone_and_counted(accounts):
    code, shown = accounts.asked(
        ("billing: where from?", "stripe\n"),
        ("crm: where from?", "hubspot\n"),
        ("billing api_key (not shown)", f"{BILLING_TOKEN}\n"),
        ("crm access_token (not shown)", f"{CRM_TOKEN}\n"),
    )
    assert code == 0, shown
    assert BILLING_TOKEN not in shown and CRM_TOKEN not in shown
    assert "billing customers by stripe: no declared total, 9 records read" in shown
    assert "crm deals by hubspot: 8 declared" in shown
    assert "customers: crm 8, billing 9 in scope; 1 apart" in shown
    assert shown.rstrip().endswith("Next: make reconcile")
    assert accounts.secrets == {"sources": {"billing": {"api_key": BILLING_TOKEN}, "crm": {"access_token": CRM_TOKEN}}}
    assert [stat.S_IMODE((accounts.folder / file).stat().st_mode) for file in ("secrets.toml", "config.toml")] == [0o600, 0o644]
    assert accounts.config["sources"] == {"crm": {"connector": "hubspot"}, "billing": {"connector": "stripe"}}
    written = (accounts.folder / "config.toml").read_text()
    outside = SHIPPED.partition("[sources.crm]")[0], SHIPPED[SHIPPED.index("[runtime]") :]
    assert all(part in written for part in outside), "a comment or another table is gone"
    assert sorted(path.name for path in accounts.folder.iterdir()) == ["config.toml", "secrets.toml"]
    state = b"".join(path.read_bytes() for path in accounts.world.state.rglob("*") if path.is_file())
    assert state and CRM_TOKEN.encode() not in state and BILLING_TOKEN.encode() not in state


def test_a_wrong_token_is_told_and_may_be_given_again(accounts):
    options = ("--crm", "hubspot", "--billing", "stripe")
    code, shown = accounts.asked(
        ("billing api_key (not shown)", f"{WRONG}\n"), ("crm access_token (not shown)", f"{CRM_TOKEN}\n"), options=options
    )
    assert code == 3
    assert "billing: v1/customers failed" in shown or "status 401" in shown
    assert "crm deals by hubspot: 8 declared" in shown
    assert "The configuration is written: run tallystick init again, or correct it there and run tallystick check-sources" in shown
    assert WRONG not in shown and not accounts.world.warehouse.exists()
    assert accounts.secrets["sources"]["billing"] == {"api_key": WRONG}
    (accounts.folder / "secrets.toml").chmod(0o644)
    code, shown = accounts.asked(
        ("billing api_key (not shown; Enter keeps what is there)", INTERRUPT),
        options=options,
    )
    assert (code, accounts.secrets["sources"]["billing"]) == (1, {"api_key": WRONG})
    with_files = (*options[:2], "--billing", "files")
    accounts.environment["SOURCES__BILLING__PATH"] = "sample/night-1/nothing-here"
    code, shown = accounts.asked(
        ("Replace what .dlt says of it? [yes/no] (no)", "yes\n"), ("crm access_token (not shown; Enter keeps", "\n"), options=with_files
    )
    assert code == 3
    assert accounts.config["sources"]["billing"] == {"connector": "files", "path": "sample/night-1/nothing-here"}
    assert accounts.secrets["sources"] == {"billing": {"api_key": WRONG}, "crm": {"access_token": CRM_TOKEN}}
    assert stat.S_IMODE((accounts.folder / "secrets.toml").stat().st_mode) == 0o600


@pytest.mark.parametrize("when", ["crm: where from?", "crm client_secret (not shown)"])
def test_an_interruption_leaves_everything_as_it_was(desk, when):
    (desk.folder / "secrets.toml").write_text('[sources.crm]\naccess_token = "kept"\n')
    before = {path.name: path.read_bytes() for path in desk.folder.iterdir()}
    dialogue = [
        ("billing: where from?", "files\n"),
        ("crm: where from?", "salesforce\n"),
        ("billing path (sample/night-1/billing)", "\n"),
        ("crm base_url", "http://127.0.0.1:9\n"),
        ("crm client_id (not shown)", "id\n"),
        ("crm client_secret (not shown)", "secret\n"),
    ]
    place = next(place for place, (question, _) in enumerate(dialogue) if question.startswith(when))
    code, shown = desk.asked(*dialogue[:place], (when, INTERRUPT))
    assert code == 1
    assert "Interrupted. Nothing was written; run tallystick init again." in shown and "Traceback" not in shown
    assert {path.name: path.read_bytes() for path in desk.folder.iterdir()} == before


def test_without_a_terminal_the_environment_answers_and_its_secrets_stay_there(accounts):
    accounts.environment |= {"SOURCES__CRM__ACCESS_TOKEN": CRM_TOKEN, "SOURCES__BILLING__PATH": "/nowhere"}
    ran = accounts.world.run("init", "--crm", "hubspot", "--billing", "files", **accounts.environment)
    assert ran.code == 3 and "billing: there is no folder /nowhere" in ran.out
    assert "crm deals by hubspot: 8 declared" in ran.out
    assert accounts.config["sources"] == {"crm": {"connector": "hubspot"}, "billing": {"connector": "files", "path": "/nowhere"}}
    assert not (accounts.folder / "secrets.toml").exists()
    assert CRM_TOKEN not in ran.out + ran.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--crm", "hubspot"), "billing must come from one of chargebee, files, rest, sql, stripe: --billing chargebee"),
        (
            ("--crm", "hubspot", "--billing", "files"),
            "sources.crm.access_token is not set, and there is no terminal to ask at",
        ),
    ],
)
def test_what_nobody_says_is_named_and_nothing_is_written(desk, options, says):
    ran = desk.world.run("init", *options, **desk.environment)
    assert ran.code == 2
    assert ran.says(says, "Nothing was written")
    assert (desk.folder / "config.toml").read_text() == SHIPPED
    assert [path.name for path in desk.folder.iterdir()] == ["config.toml"]


OWN = """\
# ours
[sources.crm]
connector = "salesforce"   # the old org
customers_are = "Contact"
base_url = "https://ours.my.salesforce.com"

[sources.crm.customers]
status = "Customer_Status__c"

[runtime]
request_timeout = 30
"""


def test_what_is_of_a_person_is_replaced_only_by_one(desk):
    (desk.folder / "config.toml").write_text(OWN)
    desk.environment["SOURCES__BILLING__PATH"] = "sample/night-1/billing"
    ran = desk.world.run("init", "--crm", "files", "--billing", "files", **desk.environment)
    assert ran.code == 2 and ran.says("crm comes from salesforce, which is replaced only where a person at a terminal says so")
    question = "crm comes from salesforce now. Replace what .dlt says of it?"
    code, _ = desk.asked((question, "no\n"), options=("--crm", "files", "--billing", "files"))
    assert (code, (desk.folder / "config.toml").read_text()) == (2, OWN)
    # Nothing of the old connector is held against the new one: HubSpot has no customers that are Contact.
    code, _ = desk.asked(
        (question, "yes\n"), ("crm access_token (not shown)", INTERRUPT), options=("--crm", "hubspot", "--billing", "files")
    )
    assert (code, (desk.folder / "config.toml").read_text()) == (1, OWN)


def test_who_stays_with_a_connector_keeps_what_was_set_beside_the_answers(desk):
    (desk.folder / "config.toml").write_text(OWN.replace("https://ours.my.salesforce.com", "http://127.0.0.1:9"))
    desk.environment |= {"SOURCES__BILLING__PATH": "sample/night-1/billing", "RUNTIME__REQUEST_MAX_ATTEMPTS": "1"}
    code, shown = desk.asked(
        ("crm base_url (http://127.0.0.1:9)", "http://127.0.0.1:99\n"),
        ("crm client_id (not shown)", "id\n"),
        ("crm client_secret (not shown)", "secret\n"),
        options=("--crm", "salesforce", "--billing", "files"),
    )
    assert code == 3, shown
    billing = '[sources.billing]\nconnector = "files"\npath = "sample/night-1/billing"\n\n'
    written = (desk.folder / "config.toml").read_text().replace(billing, "")
    assert written == OWN.replace("https://ours.my.salesforce.com", "http://127.0.0.1:99")
    assert desk.config["sources"]["billing"] == {"connector": "files", "path": "sample/night-1/billing"}


@pytest.mark.parametrize(
    ("crm", "billing", "dialogue"),
    [
        (
            "sql",
            "chargebee",
            [
                ("billing api_key (not shown)", "key\n"),
                ("billing site", "no site\n"),
                ("crm credentials (not shown)", "sqlite:///x\n"),
            ],
        ),
        (
            "pipedrive",
            "rest",
            [
                ("billing base_url", "http://127.0.0.1:9\n"),
                ("billing auth.type", "bearer\n"),
                ("billing auth.token (not shown)", "secret\n"),
                ("crm api_token (not shown)", "key\n"),
            ],
        ),
    ],
)
def test_other_connectors_ask_what_they_must_know(desk, crm, billing, dialogue):
    """As far as they come: nobody answers at these addresses, and how an API pages is a table that its page explains."""
    desk.environment |= {"RUNTIME__REQUEST_MAX_ATTEMPTS": "1", "SOURCES__CRM__BASE_URL": "http://127.0.0.1:9"}
    code, shown = desk.asked(*dialogue, options=("--crm", crm, "--billing", billing))
    assert code in (2, 3) and "The configuration is written" in shown
    for system in ("crm", "billing"):
        answers = {question: answer.strip() for question, answer in dialogue if question.startswith(system)}
        for question, answer in answers.items():
            stated = desk.secrets if "not shown" in question else desk.config
            for name in ("sources", system, *question.split()[1].split(".")):
                stated = stated[name]
            assert stated == answer
