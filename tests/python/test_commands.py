"""The commands as people type them: the sample's story, and what each says and exits with."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import duckdb
import pytest
import tomlkit
from conftest import ROOT, contents, new_world
from dlt.common.configuration.providers.toml import StringTomlProvider

from pipelines.failures import BadConfiguration
from pipelines.settings import needed_columns
from pipelines.sources import words
from pipelines.sources.side import Side

NOBODY = "http://127.0.0.1:1"
for_the_sweep = partial(pytest.param, marks=pytest.mark.sweep)  # another case of what a case beside it shows

COUNTS = """
    select
        reconciliation, bucket, field, count(*) filter (status = 'open') as open, count(*) filter (status = 'in_flight') as in_flight
    from marts.discrepancies group by all order by all
"""
OPEN_ON_BOTH_NIGHTS = {
    ("contracts", "conflict", "amount", 4), ("contracts", "conflict", "currency", 2), ("contracts", "conflict", "interval", 2),
    ("contracts", "conflict", "starts_on", 1), ("contracts", "conflict", "status", 31),
    ("contracts", "right_only", "", 13), ("customers", "conflict", "status", 31), ("customers", "right_only", "", 13),
}  # fmt: skip


def test_night_1_tells_the_story(first_night):
    counts = first_night.query(COUNTS)
    assert {row[:4] for row in counts if row[3]} == OPEN_ON_BOTH_NIGHTS
    assert {(pair, bucket, field, in_flight) for pair, bucket, field, _, in_flight in counts if in_flight} == {
        ("customers", "conflict", "status", 3), ("customers", "conflict", "email", 7), ("customers", "conflict", "country", 4),
        ("customers", "left_only", "", 3), ("contracts", "conflict", "status", 3), ("contracts", "left_only", "", 3),
    }  # fmt: skip
    assert first_night.query(
        """
        select reconciliation, as_of::varchar, verdict, left_in_scope, right_in_scope, open, in_flight, opened, resolved,
            unreconcilable_left, unreconcilable_right
        from marts.runs order by all desc
        """
    ) == [
        ("customers", "2026-03-03 03:00:00+00", "trusted", 1180, 1224, 44, 17, 61, 0, 1, 0),
        ("contracts", "2026-03-03 03:00:00+00", "trusted", 1237, 1281, 53, 6, 65, 0, 1, 0),
    ]
    out = (first_night.folder / "out.txt").read_text()
    for said in ("crm 1,180", "billing 1,224", "trusted", "no baseline yet", "without a usable key", "warehouse.duckdb"):
        assert said in out


def test_a_different_plan_on_each_side_is_quarantined_with_both_records(first_night):
    found = first_night.query("select field, status, response, owner, response_reason from marts.discrepancies where field = 'plan'")
    assert found == [("plan", "quarantined", "quarantine", "Finance", "policy for contracts, conflict, plan: quarantine")] * 6
    records = first_night.query(
        """
        select count(*) from marts.quarantine
        where (left_record ->> 'plan') = left_value and (right_record ->> 'plan') = right_value and left_value != right_value
            and (left_record ->> 'contract_number') = record_key
            and release_action like 'tallystick decide release ' || discrepancy_id || '%'
        """
    )
    assert records == [(6,)]
    assert first_night.query("select distinct quarantined from marts.runs where reconciliation = 'contracts'") == [(6,)]


def test_every_record_of_both_sides_is_in_exactly_one_bucket(first_night, second_night):
    for world in (first_night, second_night.world):
        assert world.query(
            """
            select count(*) from marts.runs
            where left_rows != matched + conflicts + left_only + out_of_scope_left + unreconcilable_left
                or right_rows != matched + conflicts + right_only + out_of_scope_right + unreconcilable_right
            """
        ) == [(0,)]
    rows = first_night.query("select reconciliation, left_rows, right_rows from marts.runs order by all")
    assert rows == [("contracts", 1446, 1413), ("customers", 1366, 1293)]


def test_night_2_resolves_what_was_in_flight_and_opens_nothing(second_night):
    world = second_night.world
    assert {row[:4] for row in world.query(COUNTS) if row[3]} == OPEN_ON_BOTH_NIGHTS
    assert world.query("select count(*) from marts.discrepancies where status = 'in_flight' or runs_seen != 2 or age_hours != 24") == [(0,)]
    last = "run_seq = (select max(run_seq) from marts.runs)"
    assert world.query(
        f"""
        select reconciliation, verdict, left_in_scope, right_in_scope, open, in_flight, opened, resolved
        from marts.runs where {last} order by all desc
        """
    ) == [("customers", "trusted", 1181, 1225, 44, 0, 0, 17), ("contracts", "trusted", 1238, 1282, 53, 0, 0, 6)]
    assert world.query(
        """
        select reconciliation, resolution, count(*) from marts.discrepancy_history
        where resolved_at is not null group by all order by all
        """
    ) == [
        ("contracts", "both sides agree", 3),
        ("contracts", "out of scope on both sides", 3),
        ("customers", "both sides agree", 14),
        ("customers", "out of scope on both sides", 3),
    ]
    assert "new and gone since" in second_night.ran.out and "2026-03-03 03:00 UTC" in second_night.ran.out


def test_the_same_night_again_changes_nothing_and_fail_on_open_exits_6(first_night, yesterday):
    ran = yesterday.reconcile("--quiet", "--fail-on", "open")
    assert (ran.code, ran.err) == (6, "")
    assert contents(yesterday) == contents(first_night)
    assert "customers" in ran.out and "44" in ran.out
    assert "\x1b" not in ran.out and "\r" not in ran.out


def test_a_trusted_run_leaves_its_exports_and_publish_writes_them_again(first_night, yesterday):
    ((run_id,),) = first_night.query("select distinct run_id from marts.runs")
    exports, about = yesterday.state / "exports", f"Tallystick's public tables. Run {run_id} as of 2026-03-03 03:00 UTC."
    assert (exports / "README.txt").read_text().startswith(about)
    shutil.rmtree(exports)
    again = yesterday.run("publish")
    assert (again.code, again.out) == (0, f"published again: Run {run_id} as of 2026-03-03 03:00 UTC.\n"), again.err
    assert (exports / "README.txt").read_text().startswith(about)
    failed = yesterday.run("publish", PUBLISH__POSTGRES__CREDENTIALS="postgresql://somebody@127.0.0.1:9/nowhere")
    assert failed.code == 1 and failed.says("PostgreSQL did not take the tables")
    assert (exports / "tallystick.xlsx").exists()


def test_counts_gives_two_numbers_a_pair_and_publishes_nothing(yesterday):
    yesterday.use_night(2)
    before = yesterday.fingerprint()
    ran = yesterday.run("counts")
    assert (ran.code, ran.err, yesterday.fingerprint()) == (0, "", before)
    assert "customers: crm 1,181, billing 1,225 in scope; 44 apart" in ran.out
    assert "contracts: crm 1,238, billing 1,282 in scope; 44 apart" in ran.out


def test_status_words_that_nobody_mapped_are_told(world):
    deals, customers = world.crm / "deals.csv", world.crm / "customers.csv"
    deals.write_text(deals.read_text().replace(",won,", ",gewonnen,"))
    customers.write_text(customers.read_text().replace(",trial,", ",\x1b[2Jresting,"))
    ran = world.run("reconcile")
    words = world.query("select system, table_name, word, records from marts.unmapped_words order by records")
    assert ran.code == 4 and [word[:3] for word in words] == [("crm", "customers", "\x1b[2Jresting"), ("crm", "deals", "gewonnen")]
    resting, won = (word[3] for word in words)
    assert f"does not know: crm deals 'gewonnen' ({won:,}), crm customers '\N{REPLACEMENT CHARACTER}[2Jresting' ({resting:,})" in ran.out


def test_check_sources_tells_what_a_run_would_read_and_keeps_nothing(world):
    looked = world.run("check-sources")
    assert (looked.code, looked.err) == (0, "")
    assert "billing subscriptions by files: 1,413 declared (manifest.json), 1,413 records read" in looked.out
    assert f"\n  fields: {', '.join(needed_columns('crm')['customers'])}\n" in looked.out
    assert len(looked.out.splitlines()) == 8
    assert not world.state.exists()
    (world.crm / "deals.csv").write_text("contract_number,plan\nK-1,basic\n")
    broken = world.run("check-sources")
    assert broken.code == 3
    assert broken.says(
        "deals.csv has no column 'customer_number'", "Nothing was touched; mend what it names and run tallystick check-sources"
    )


def test_status_is_fresh_within_36_hours_and_stale_after(yesterday):
    fresh = yesterday.run("status", TALLYSTICK_AS_OF="2026-03-04T15:00:00Z")
    assert (fresh.code, fresh.err) == (0, "")
    assert "customers: fresh, last trusted run 000001-" in fresh.out and "as of 2026-03-03 03:00 UTC, 36 h ago" in fresh.out
    stale = yesterday.run("status", TALLYSTICK_AS_OF="2026-03-04T15:00:01Z")
    assert stale.code == 4
    assert "customers: STALE, last trusted run 000001-" in stale.out and "contracts: STALE" in stale.out
    assert "older than 36 hours. Run make reconcile" in stale.err
    by_the_machine = yesterday.run("status")
    assert (by_the_machine.code, "STALE" in by_the_machine.out) == (4, True)


def test_status_of_a_pair_that_was_never_trusted_is_stale(yesterday):
    with duckdb.connect(yesterday.warehouse) as connection:
        connection.execute("update marts.runs set verdict = 'not trustworthy' where reconciliation = 'contracts'")
    ran = yesterday.run("status", TALLYSTICK_AS_OF="2026-03-03T04:00:00Z")
    assert ran.code == 4
    assert "contracts: STALE, no run was ever trusted" in ran.out and "customers: fresh" in ran.out


@pytest.mark.parametrize("command", [["status"], ["accept-counts", "--reason", "x", "--by", "y"]])
def test_before_the_first_run_there_is_nothing_to_tell(world, command):
    ran = world.run(*command)
    assert ran.code == 2
    assert ran.says("There is no", "run make reconcile first")
    assert not world.state.exists()


def test_demo_plays_both_nights_in_a_state_of_its_own(yesterday):
    before = yesterday.fingerprint()
    elsewhere = {"NOTIFY__URLS": f"json{NOBODY[4:]}", "PUBLISH__POSTGRES__CREDENTIALS": f"postgresql{NOBODY[4:]}/bi"}
    ran = yesterday.run("demo", **elsewhere)  # where nobody is: it would be told
    assert (ran.code, ran.err, yesterday.fingerprint()) == (0, "", before)
    first, second = ran.out.split("night-2:")
    assert "1,180" in first and "1,224" in first and "1,181" in second and "1,225" in second
    with duckdb.connect(yesterday.state / "demo/warehouse.duckdb", read_only=True) as connection:
        assert connection.execute("select count(distinct run_id) from marts.runs where verdict = 'trusted'").fetchone() == (2,)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        for_the_sweep({"TALLYSTICK_AS_OF": "yesterday"}, "TALLYSTICK_AS_OF must be an ISO 8601 time with a zone"),
        ({"TALLYSTICK_AS_OF": "2026-03-03T03:00:00"}, "TALLYSTICK_AS_OF must be an ISO 8601 time with a zone"),
        (
            {"SOURCES__CRM__CONNECTOR": "telepathy"},
            "connector is 'telepathy'; there are chargebee, files, hubspot, pipedrive, rest, salesforce, sql, stripe.",
        ),
        for_the_sweep({"SOURCES__CRM__CONNECTOR": ""}, "sources.crm.connector"),
        ({"SOURCES__CRM__ENCODING": "ebcdic"}, "sources.crm.encoding must be one of utf-8, latin-1"),
    ],
)
def test_bad_configuration_exits_2_and_yesterday_stays(yesterday, changes, sentence):
    before = yesterday.fingerprint()
    ran = yesterday.reconcile(**changes)
    assert (ran.code, yesterday.fingerprint()) == (2, before)
    assert ran.says(sentence)


def test_a_setting_that_is_nowhere_names_both_ways_to_set_it(yesterday, project):
    yesterday.project = project
    config = yesterday.project / ".dlt/config.toml"
    config.write_text(config.read_text().replace('connector = "files"', ""))
    ran = yesterday.reconcile()
    assert ran.code == 2
    assert ".connector is not set; set it in .dlt/config.toml or as SOURCES__" in ran.err


@pytest.mark.parametrize("arguments", [["reconcile", "--fail-on", "monday"], ["reconsile"], ["accept-counts", "--reason", "x"]])
def test_arguments_nobody_knows_exit_2(world, arguments):
    ran = world.run(*arguments)
    assert ran.code == 2
    assert "Usage:" in ran.err
    assert not world.state.exists()


def test_it_runs_from_any_folder(yesterday):
    """A cron job starts in its own home. The settings are the project's, so an unreadable export must be all that fails."""
    (yesterday.crm / "customers.csv").write_text("")
    done = subprocess.run(yesterday.command("reconcile"), cwd=yesterday.folder, env=yesterday.environment(), capture_output=True, text=True)
    assert (done.returncode, "the file is empty" in done.stderr) == (3, True), done.stderr


def test_help_names_every_command(world):
    ran = world.run("--help")
    assert ran.code == 0
    for command in ("reconcile", "counts", "status", "accept-counts", "accept-plan", "decide", "demo", "selftest"):
        assert command in ran.out


def test_accept_counts_after_a_trusted_run_has_nothing_to_accept(yesterday):
    seed = yesterday.project / "seeds/accepted_counts.csv"
    before = seed.read_text()
    ran = yesterday.run("accept-counts", "--reason", "because", "--by", "Ana")
    assert ran.code == 2
    assert ran.says("There is nothing to accept: the last run refused nothing")
    assert seed.read_text() == before


def test_accept_counts_wants_a_reason_and_a_name(yesterday):
    ran = yesterday.run("accept-counts", "--reason", "  ", "--by", "Ana")
    assert ran.code == 2
    assert ran.says("needs both --reason and --by")


def test_accept_counts_never_accepts_evidence(yesterday):
    with duckdb.connect(yesterday.warehouse) as connection:
        connection.execute("update marts.trust_checks set passed = false where check_name in ('pull_finished', 'no_implausible_drop')")
    seed = yesterday.project / "seeds/accepted_counts.csv"
    before = seed.read_text()
    ran = yesterday.run("accept-counts", "--reason", "because", "--by", "Ana")
    assert ran.code == 2
    assert ran.says("pull_finished is evidence of an incomplete pull and can't be accepted")
    assert seed.read_text() == before


def test_a_genuine_shrink_is_refused_then_accepted_with_who_and_why(yesterday, project):
    yesterday.project = project
    yesterday.use_night(2)
    for table in ("crm/customers", "crm/deals", "billing/customers", "billing/subscriptions"):
        yesterday.cut(yesterday.folder / f"{table}.csv", 0.79)
    clock = {"TALLYSTICK_AS_OF": "2026-03-04T03:00:00Z"}
    refused = yesterday.reconcile(**clock)
    assert refused.code == 4
    assert "no_implausible_drop" in refused.out and "tallystick accept-counts --reason" in refused.out
    accepted = yesterday.run("accept-counts", "--reason", "the B brand, sold", "--by", "Ana", **clock)
    assert accepted.code == 0
    assert "accepted for customers: no_implausible_drop (left), observed" in accepted.out
    _header, *rows = (yesterday.project / "seeds/accepted_counts.csv").read_text().splitlines()
    assert len(rows) == 4 and all(',"the B brand, sold",Ana,' in row for row in rows)
    again = yesterday.reconcile(**clock)
    assert again.code == 0, again.out + again.err
    assert set(yesterday.verdicts().values()) == {"trusted"}
    explained = yesterday.query("select explanation from marts.trust_checks where accepted_by = 'Ana'")
    assert len(explained) == 4
    assert all("accepted by Ana: the B brand, sold" in explanation for (explanation,) in explained)


def test_accept_counts_takes_the_pairs_that_would_then_pass(yesterday, project):
    yesterday.project = project
    with duckdb.connect(yesterday.warehouse) as connection:
        connection.execute(
            """
            update marts.trust_checks set passed = false
            where check_name = 'no_implausible_drop' or (check_name = 'pull_finished' and reconciliation = 'contracts')
            """
        )
    ran = yesterday.run("accept-counts", "--reason", "because", "--by", "Ana")
    assert ran.code == 0
    assert "accepted for customers: no_implausible_drop (left)" in ran.out
    assert "contracts: pull_finished is evidence of an incomplete pull and can't be accepted" in ran.out
    _header, *rows = (yesterday.project / "seeds/accepted_counts.csv").read_text().splitlines()
    assert len(rows) == 2 and all(row.startswith("customers,") for row in rows)


def test_a_seed_that_says_one_thing_twice_exits_2(yesterday, project):
    yesterday.project = project
    before = yesterday.fingerprint()
    with (yesterday.project / "seeds/key_map.csv").open("a") as lines:
        lines.write("customers,C-1,C-2,\ncustomers, c-1,C-3,\n")
    ran = yesterday.reconcile()
    assert (ran.code, yesterday.fingerprint()) == (2, before)
    assert ran.says("seeds/key_map.csv says customers C-1 2 times; keep one row")


@pytest.mark.parametrize(
    ("seed", "written", "instead", "sentence"),
    [
        (
            "owners",
            "owner",
            "ownr",
            "seeds/owners.csv has no column owner; its first line should be reconciliation,bucket,",
        ),
        for_the_sweep("decisions", ",", ";", "seeds/decisions.csv has no column discrepancy_id; its first line should be"),
        ("response_policies", None, None, "seeds/response_policies.csv can't be read: FileNotFoundError"),
        for_the_sweep("owners", "RevOps", b"Ren\xe9".decode("latin-1"), "seeds/owners.csv can't be read: UnicodeDecodeError"),
        ("owners", ",7", ",seven", "seeds/owners.csv can't be read: Could not convert string 'seven' to INT32."),
        for_the_sweep("owners", ",7", ",7,8", "seeds/owners.csv can't be read: Row 0 has 7 values, but Table only has 6 columns."),
        for_the_sweep("response_policies", "quarantine", "keep", "seeds/response_policies.csv, contracts, conflict, plan: response must"),
    ],
)
def test_a_seed_that_can_not_be_read_exits_2_and_says_which(seed, written, instead, sentence, yesterday, project):
    yesterday.project, before = project, yesterday.fingerprint()
    file = project / f"seeds/{seed}.csv"
    if written is None:
        file.unlink()
    else:
        file.write_text(file.read_text().replace(written, instead), encoding="latin-1")
    ran = yesterday.reconcile()
    assert (ran.code, yesterday.fingerprint()) == (2, before)
    assert ran.says(sentence) and "dbt failed" not in ran.err and "warn" not in ran.err


def test_a_threshold_that_does_not_exist_exits_2(yesterday, project):
    yesterday.project = project
    declared = project / "dbt_project.yml"
    declared.write_text(declared.read_text().replace("    contracts:\n", "    contracts:\n      thresholds: {most_hour_apart: 4}\n"))
    ran = yesterday.reconcile()
    assert ran.code == 2
    assert ran.says("contracts in dbt_project.yml has a threshold 'most_hour_apart'", "most_hours_apart")


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("      left: {system: crm, tables: [deals]}\n", ""),
        ("    contracts:\n", "    1224:\n"),
        ("vars:\n", "vars: [\n"),
        ("vars:\n", "variables:\n"),
    ],
    ids=["no left side", "a number for a name", "no YAML", "no vars"],
)
def test_a_project_file_that_cannot_be_read_exits_2(yesterday, project, written, instead):
    yesterday.project = project
    declared = project / "dbt_project.yml"
    assert written in declared.read_text()
    declared.write_text(declared.read_text().replace(written, instead))
    ran = yesterday.reconcile()
    assert ran.code == 2
    assert ran.says("dbt_project.yml")


SECRET = "canary-0c1f-secret"  # noqa: S105
NO_TOML = {
    "a header cut": ("config", "[sources.crm\n", "at line 1 col 12"),
    "a text cut": ("secrets", f'[sources.crm]\napi_key = "{SECRET}\n', "at line 2 col "),
    "without quotes": ("secrets", f"[sources.crm]\n{SECRET}\n", "at line 2 col "),
    "twice": ("secrets", f"[a]\n{SECRET} = 1\n[a.{SECRET}]\nb = 1\n", "a word may stand there twice"),
    "Latin-1": ("secrets", "[sources.crm]\napi_key = '\xe9'\n", "is not UTF-8"),
}


@pytest.mark.parametrize(
    ("command", "mistake"),
    [
        ("reconcile", "a text cut"),
        ("check-sources", "a header cut"),
        ("check-sources", "twice"),
        ("check-sources", "Latin-1"),
        for_the_sweep("check-sources", "a text cut"),
        for_the_sweep("check-sources", "without quotes"),
    ],
)
def test_settings_that_are_no_toml_exit_2_and_are_not_quoted(world, project, command, mistake):
    world.project = project
    file, content, says = NO_TOML[mistake]
    (project / f".dlt/{file}.toml").write_text(content, encoding="latin-1")
    ran = world.run(command)
    assert ran.code == 2
    assert ran.says(f"A settings file is no TOML: .dlt/{file}.toml, ", says)
    assert SECRET not in ran.out + ran.err


MISSPELT = {
    "a setting": ("archivd = true", "'archivd' in [sources.crm]", "'archived'"),
    "another": ('headrs = {Prefer = "count=exact"}', "'headrs' in [sources.crm]", "'headers'"),
    "what customers are": ('customer_are = "companies"', "'customer_are' in [sources.crm]", "'customers_are'"),
    "a word like no other": ("xyzzy = 1", "'xyzzy' in [sources.crm], which nothing reads. It may say access_token, "),
    "a table": ("[sources.crm.customer]", "'customer' in [sources.crm]", "'customers'"),
    "another side's table": ("[sources.crm.subscriptions]", "'subscriptions' in [sources.crm], which"),
    "tables": ("[sources.crm.table.customers]", "'table' in [sources.crm]", "'tables'"),
    "a table of sql": ('[sources.crm.tables]\ncustomerz = "a"', "'customerz' in [sources.crm.tables]", "'customers'"),
    "a table of rest": ("[sources.crm.tables.deal]", "'deal' in [sources.crm.tables]", "'deals'"),
    "how to sign": ('auth.locaton = "query"', "'locaton' in [sources.crm.auth]", "'location'"),
}


@pytest.mark.parametrize("mistake", MISSPELT)
def test_a_word_that_nothing_reads_is_told_whichever_connector_is_in_use(monkeypatch, mistake):
    said, *says = MISSPELT[mistake]
    monkeypatch.setattr(words, "files", lambda: [StringTomlProvider(f"[sources.crm]\n{said}\n")])
    with pytest.raises(BadConfiguration) as refusal:
        Side("crm", Path(), []).refuse_unknown_words()
    assert all(word in str(refusal.value) for word in says), refusal.value


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("reconcile", "config"),
        ("check-sources", "secrets"),
        for_the_sweep("reconcile", "secrets"),
        for_the_sweep("check-sources", "config"),
    ],
)
def test_a_word_that_nothing_reads_exits_2(world, project, command, file):
    world.project = project
    stated = project / f".dlt/{file}.toml"
    said = (stated.read_text() if stated.exists() else "") + "\n[sources.billing.tables]\ncustomerz = 'a'\n"
    stated.write_text(said)
    ran = world.run(command)
    assert ran.code == 2, ran.out + ran.err
    assert ran.says(
        f".dlt/{file}.toml says 'customerz' in [sources.billing.tables], which nothing reads; the closest there is is 'customers'"
    )


COLUMNS_MISSPELT = {
    "hubspot": ("[sources.crm.customers]\nstatsu = 'a'", "'statsu' in [sources.crm.customers]", "'status'"),
    "pipedrive": ("[sources.crm.customers]\ncompany = 'a'", "'company' in [sources.crm.customers]", "customer_number, email"),
    "salesforce": ("[sources.crm.customers]\nownr = 'a'", "'ownr' in [sources.crm.customers]", "'owner'"),
    "rest": ("[sources.crm.tables.customers.columns]\nbogus_column = 'a'", "'bogus_column' in [sources.crm.tables.customers.columns]"),
}
OF_REST = {"PATH": "a", "DATA_SELECTOR": "$", "PAGINATOR": "single_page"}


@pytest.mark.parametrize("connector", COLUMNS_MISSPELT)
def test_a_column_that_the_table_does_not_have_is_told_before_anything_is_asked(world, project, connector):
    world.project = project
    content, *says = COLUMNS_MISSPELT[connector]
    (project / ".dlt/secrets.toml").write_text(content + "\n")
    names = ("ACCESS_TOKEN", "API_TOKEN", "CLIENT_ID", "CLIENT_SECRET")
    settings = {"CONNECTOR": connector, "BASE_URL": NOBODY, "AUTH__TYPE": "none"} | dict.fromkeys(names, "a")
    settings |= {f"TABLES__{table}__{name}": value for table in ("CUSTOMERS", "DEALS") for name, value in OF_REST.items()}
    stated = {f"SOURCES__CRM__{name}": value for name, value in settings.items()}
    ran = world.run("check-sources", **stated, RUNTIME__REQUEST_MAX_ATTEMPTS="1")
    assert ran.code == 2, ran.out + ran.err
    assert ran.says(*says)


DOCUMENTED = [
    (path.stem, system)
    for path in sorted((ROOT / "docs/sources").glob("*.md"))
    for system in ("crm", "billing")
    if f"[sources.{system}]" in path.read_text()
]


@pytest.mark.parametrize(("page", "system"), DOCUMENTED, ids=["-".join(pair) for pair in DOCUMENTED])
def test_the_settings_that_the_documentation_shows_are_taken(world, project, page, system):
    """As far as the first address, where nobody answers."""
    world.project = project
    stated = {}
    for block in re.findall(r"```toml\n(.*?)```", (ROOT / f"docs/sources/{page}.md").read_text(), re.S):
        merge(stated, tomllib.loads(block).get("sources", {}).get(system, {}))
    if page == "rest":  # it shows one table, and that the other is like it
        shown = next(table for table in stated["tables"].values() if table)
        of_any = {name: value for name, value in shown.items() if name != "columns"}
        stated["tables"] |= {table: of_any for table in needed_columns(system) if not stated["tables"].get(table)}
    (project / ".dlt/secrets.toml").write_text(tomlkit.dumps({"sources": {system: stated}}).replace("…", ""))
    elsewhere = {"BASE_URL": NOBODY, "CONNECTOR": stated["connector"], "AUTH__API_KEY": "a"}
    elsewhere |= {"CREDENTIALS": "sqlite:////nowhere"} if page == "sql" else {}
    ran = world.run(
        "check-sources",
        RUNTIME__REQUEST_MAX_ATTEMPTS="1",
        **{f"SOURCES__{system.upper()}__{name}": value for name, value in elsewhere.items()},
    )
    assert ran.code == (0 if page == "files" else 3), ran.out + ran.err
    assert page in ("files", "sql") or "no whole answer came from 127.0.0.1:1 (ConnectionError)" in ran.err, ran.err


def merge(into: dict, more: dict) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and name in into:
            merge(into[name], value)
        else:
            into[name] = value


def test_an_address_without_its_scheme_exits_2_and_is_not_shown(world):
    settings = {"CONNECTOR": "stripe", "API_KEY": "a", "BASE_URL": f"user:{SECRET}@api.example.com"}
    ran = world.reconcile(**{f"SOURCES__BILLING__{name}": value for name, value in settings.items()})
    assert ran.code == 2
    assert ran.says("sources.billing.base_url must be an address that begins with https:// or http://")
    assert SECRET not in ran.err


def test_status_beside_somebody_who_writes_says_so(yesterday):
    with duckdb.connect(yesterday.warehouse):
        ran = yesterday.run("status")
    assert ran.code == 1
    assert ran.says("is open for writing elsewhere")


def test_a_trusted_pair_is_not_shown_under_another_pairs_old_list(yesterday):
    yesterday.use_night(2)
    deals = yesterday.crm / "deals.csv"
    deals.write_text("".join(deals.read_text().splitlines(keepends=True)[:-1]))
    ran = yesterday.reconcile()
    assert ran.code == 4
    assert "every record" not in ran.out and "declared_total_matches" in ran.out
    now, old = ran.out.split("contracts: the last trusted list, of 2026-03-03 03:00 UTC")
    assert "Differences" in now and "customers right_only" in now and "contracts conflict" not in now
    of_contracts, *_ = old.split("\n\n")
    assert "contracts conflict" in of_contracts and "customers" not in of_contracts


def test_new_is_what_this_run_opened_also_where_the_clock_stands_still(yesterday):
    customers = yesterday.crm / "customers.csv"
    text = customers.read_text()
    customers.write_text(text.replace("example", "elsewhere", 1))
    assert text != customers.read_text()
    ran = yesterday.reconcile()
    assert ran.code == 0, ran.err
    assert [line.split()[-2:] for line in ran.out.splitlines() if line.startswith("customers crm")] == [["1", "0"]]
    kinds = [line.split() for line in ran.out.splitlines() if line.startswith(("customers conflict", "customers right_only"))]
    assert {(words[2], words[-3]) for words in kinds} == {("status", "0"), ("email", "1"), ("country", "0"), ("in", "0")}


def test_the_hint_to_accept_is_given_for_the_pairs_that_can_be(yesterday):
    yesterday.use_night(2)
    for table in ("customers", "deals"):
        yesterday.cut(yesterday.crm / f"{table}.csv", 0.79)
        yesterday.cut(yesterday.billing / f"{'subscriptions' if table == 'deals' else table}.csv", 0.79)
    (yesterday.crm / "deals.csv").rename(yesterday.crm / "deals-2.csv")
    ran = yesterday.reconcile(TALLYSTICK_AS_OF="2026-03-04T03:00:00Z")
    assert ran.code == 4
    assert "contracts: pull_finished" in ran.out
    assert "Is the change genuine? tallystick accept-counts" in ran.out
    assert ran.err.count("assert_both_pulls_were_read_to_their_end") == 1, "a line a gate"


KILLED = """
import os, sys
from pathlib import Path
from pipelines.run import Builder
lock = os.open(sys.argv[1] + "/lock", os.O_CREAT)
with Builder(Path(sys.argv[1]), lock) as builder:
    builder.gates()
    raise SystemExit("the one sentence")
"""


def test_where_the_run_fails_the_dbt_process_that_is_killed_leaves_no_words(project, tmp_path):
    """What tells of leaked semaphores is a process of Python's own, which outlives it."""
    world = new_world(tmp_path / "world", project)
    environment = world.environment()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=project, env=environment, capture_output=True, text=True, timeout=120
    )
    assert killed.stderr == "the one sentence\n"
