"""`tallystick selftest`: it passes here, and fails where an installation sees too little, or believes what it did not see."""

import pytest
from conftest import ROOT, copy_project, new_world

ELSEWHERE = {"NOTIFY__URLS": "json://127.0.0.1:1", "PUBLISH__POSTGRES__CREDENTIALS": "postgresql://127.0.0.1:1/bi"}


@pytest.fixture
def tampered(tmp_path):
    return new_world(tmp_path / "world", copy_project(ROOT, tmp_path / "project"))


def test_it_plays_the_sample_and_touches_nothing_else(yesterday):
    before = yesterday.fingerprint()
    ran = yesterday.run("selftest", **ELSEWHERE)
    assert (ran.code, yesterday.fingerprint()) == (0, before), ran.out + ran.err
    assert [line[:4] for line in ran.out.splitlines()] == ["ok  ", "ok  ", "    ", "ok  ", "ok  ", "ok  ", "What"]
    assert all("FAIL 2 assert_no_side" in line for line in ran.err.splitlines()), ran.err


def test_a_record_that_is_not_seen_fails_it(tampered):
    exported = tampered.project / "sample/night-1/billing/customers.csv"
    exported.write_text("".join(line for line in exported.open() if "C-00051" not in line))
    manifest = exported.with_name("manifest.json")
    manifest.write_text(manifest.read_text().replace("1293", "1292"))
    ran = tampered.run("selftest")
    assert ran.code == 1
    assert ran.says("Not so: the sample's first night", "Nothing was touched outside", "believe no list")


@pytest.mark.sweep
def test_half_a_side_that_is_believed_fails_it(tampered):
    """As somebody may leave it who wanted one night to pass."""
    project = tampered.project / "dbt_project.yml"
    loosened = project.read_text()
    for threshold in ("least_share_of_last_run", "least_share_of_high_water", "least_share_of_other_side"):
        assert f"    {threshold}: 0." in loosened
        loosened = loosened.replace(f"    {threshold}: 0.", f"    {threshold}: 0.0")
    project.write_text(loosened.replace("most_share_different: 0.5", "most_share_different: 1"))
    ran = tampered.run("selftest")
    assert ran.code == 1
    assert "ok  the same night again" in ran.out and ran.says("Not so: with half of billing gone")


def test_a_project_of_other_systems_has_no_selftest(tampered):
    (tampered.project / "sample").rename(tampered.project / "kept")
    ran = tampered.run("selftest")
    assert ran.code == 2
    assert ran.says("selftest plays the sample")
