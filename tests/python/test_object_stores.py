"""Exports in object stores: S3's API as moto serves it and an SFTP server, on loopback; and what can go wrong on the way from them."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import stores
import test_files
from conftest import ROOT, World
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from stores import KEY, PASSWORD, SECRET, USER, Bucket, Host, Proxy
from test_files import HEADER, RECORD, Exports

from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.sources.side import Side
from pipelines.sources.stores import RemoteFolder

exports = test_files.exports
FILE = f"{HEADER}\n{RECORD}\n"
LONG_FILE = HEADER + "\n" + "".join(RECORD.replace("C-1", f"C-{number}") + "\n" for number in range(2000))


@pytest.fixture(scope="module")
def served() -> Iterator[Bucket]:
    with stores.s3() as bucket:
        yield bucket


@pytest.fixture
def bucket(served: Bucket) -> Bucket:
    """Empty, and asks for no rights."""
    requests.post(f"{served.url}/moto-api/reset", timeout=10)
    served.client.create_bucket(Bucket=served.name)
    return served


def s3_settings(system: str, path: str, url: str) -> dict[str, str]:
    credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "ENDPOINT_URL": url, "REGION_NAME": "us-east-1"}
    settings = {"CONNECTOR": "files", "PATH": path} | {f"CREDENTIALS__{name}": value for name, value in credentials.items()}
    return {f"SOURCES__{system.upper()}__{name}": value for name, value in settings.items()}


class Remote:
    """The CRM's customers in a bucket, through a proxy that a test can spoil."""

    def __init__(self, exports: Exports, bucket: Bucket, proxy: Proxy):
        self.exports, self.bucket, self.proxy = exports, bucket, proxy
        self.pull = exports.pull

    def refused(self, *says: str) -> str:
        with pytest.raises(SourceFailed) as refused:
            self.pull()
        sentence = str(refused.value)
        assert refused.value.exit_code == 3
        assert all(said in sentence for said in says), sentence
        assert SECRET not in sentence and PASSWORD not in sentence
        return sentence


@pytest.fixture
def remote(exports, bucket, monkeypatch) -> Iterator[Remote]:
    with Proxy(bucket.url) as proxy:
        for name, value in s3_settings("crm", "s3://exports/crm", proxy.url).items():
            monkeypatch.setenv(name, value)
        bucket.put("crm/customers.csv", FILE)
        yield Remote(exports, bucket, proxy)


def test_what_lies_in_a_bucket_lands_as_from_a_folder(remote, monkeypatch):
    asked = "files, bytes, digest, fetched, landed, end_seen, end_evidence, unmapped_columns"
    pulled = remote.pull()
    assert pulled.customers("*") == [tuple(RECORD.split(","))]
    listed = remote.bucket.client.list_objects_v2(Bucket="exports")["Contents"][0]["LastModified"]
    assert pulled.evidence("connector, written_at") == ("files", listed.astimezone(UTC))
    remote.exports.customers.write_text(FILE)
    monkeypatch.setenv("SOURCES__CRM__PATH", str(remote.exports.folder / "crm"))
    assert remote.pull().evidence(asked) == pulled.evidence(asked)


def test_a_manifest_in_a_bucket_declares_totals_and_the_clock(remote):
    remote.bucket.put("crm/manifest.json", '{"exported_at": "2026-03-03T03:00:00Z", "records": {"customers": 7}}')
    assert remote.pull().evidence("declared_total, declared_by, exported_at::varchar") == (7, "manifest.json", "2026-03-03 03:00:00+00")
    remote.bucket.put("crm/manifest.json", '{"records": {"custmers": 7}}')
    remote.refused("s3://exports/crm/manifest.json can't be read: it says 'custmers'")


def test_more_parts_than_one_listing_holds_all_land(remote, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # of S3's 1,000
    remote.bucket.client.delete_object(Bucket="exports", Key="crm/customers.csv")
    for number in range(25):
        remote.bucket.put(f"crm/customers/part-{number:05}.csv", f"{HEADER}\n{RECORD.replace('C-1', f'C-{number}')}\n")
    pulled = remote.pull()
    assert pulled.evidence("files, fetched, landed, end_seen") == (25, 25, 25, True)
    assert pulled.query("select count(distinct customer_number) from crm.customers") == [(25,)]
    assert sum("continuation-token" in path for path in remote.proxy.seen) == 4  # two more pages before the pull, and after it


@pytest.mark.parametrize("prefix", ["night 1", "nächte/März", "a+b&c=d%20#?", "o'brien [1] *"])
def test_a_prefix_of_any_name_is_read_and_no_other(remote, monkeypatch, prefix):
    remote.bucket.put(f"{prefix}/customers/Teil 0é.csv", FILE.replace("C-1", "mine"))
    remote.bucket.put(f"{prefix}/", "")
    remote.bucket.put(f"{prefix}/customers/", "")
    remote.bucket.put(f"{prefix}s/customers.csv", FILE.replace("C-1", "other"))
    monkeypatch.setenv("SOURCES__CRM__PATH", f"s3://exports/{prefix}/")
    assert remote.pull().customers() == [("mine", "Alder")]


def test_only_what_belongs_to_the_tables_is_copied(remote):
    for key in ("crm/invoices.csv", "crm/archive/customers.csv", "crm/customers/_SUCCESS", "customers.csv"):
        remote.bucket.put(key, "x")
    remote.pull()
    copied = [path for path in remote.proxy.seen if "list-type" not in path]
    assert copied == ["/exports/crm/customers.csv"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_every_format_comes_from_a_bucket(remote, suffix):
    remote.bucket.client.delete_object(Bucket="exports", Key="crm/customers.csv")
    local = remote.exports.write_jsonl(test_files.FIELDS) if suffix == "jsonl" else remote.exports.write_parquet(test_files.parquet_of())
    for number in (1, 2):
        remote.bucket.put(f"crm/customers-{number}.{suffix}", local.read_bytes())
    assert remote.pull().customers("*") == [tuple(RECORD.split(","))] * 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            f"{HEADER}\n{RECORD}\nC-2,short\n",
            "s3://exports/crm/customers.csv can't be read: line 3: Expected Number of Columns: 8 Found: 2",
        ),
        (f"{HEADER}\n{RECORD}\n{HEADER}\n", "s3://exports/crm/customers.csv, line 3: the header stands there again"),
        (HEADER.replace("email", "mail") + "\n", "s3://exports/crm/customers.csv has no column 'email'"),
    ],
)
def test_what_cannot_be_read_right_is_named_by_its_url(remote, content, sentence):
    remote.bucket.put("crm/customers.csv", content)
    assert str(remote.exports.folder) not in remote.refused(sentence)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("s3://nowhere/crm", ["crm: there is no s3://nowhere/crm", "The specified bucket does not exist"]),
        ("s3://exports/nowhere", ["crm: there is no s3://exports/nowhere"]),
        ("s3://exports", ["there is no file for customers in s3://exports (wanted: customers.csv"]),
    ],
)
def test_what_is_not_there_is_told(remote, monkeypatch, path, says):
    monkeypatch.setenv("SOURCES__CRM__PATH", path)
    remote.refused(*says)


def test_a_wrong_key_is_told_in_the_stores_own_words(remote):
    requests.post(f"{remote.bucket.url}/moto-api/reset-auth", data=b"0", timeout=10)
    try:
        remote.refused("s3://exports/crm can't be read: PermissionError", "Access Key Id")
    finally:
        requests.post(f"{remote.bucket.url}/moto-api/reset-auth", data=b"inf", timeout=10)


def denied(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said by the store</Message></Error>".encode()


def test_a_broken_file_is_named_by_its_url(remote):
    remote.bucket.client.delete_object(Bucket="exports", Key="crm/customers.csv")
    remote.bucket.put("crm/customers.parquet", b"PAR1 and no more")
    assert str(remote.exports.folder) not in remote.refused("s3://exports/crm/customers.parquet can't be read")


def test_a_table_may_have_a_file_and_a_folder_of_one_name(remote):
    remote.bucket.put("crm/customers", "x")
    remote.bucket.put("crm/customers/1.csv", FILE)
    assert remote.pull().evidence("files, fetched") == (2, 2)


@pytest.mark.parametrize("where", ["list-type=2", "customers.csv"])
def test_denied_is_told(remote, where):
    remote.proxy.status = {where: 403}
    remote.proxy.spoil = lambda path, body: denied("AccessDenied") if where in path else body
    remote.refused("s3://exports/crm", "can't be read: PermissionError: said by the store")


def test_a_listing_that_fails_in_the_middle_is_no_listing(remote, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(25):
        remote.bucket.put(f"crm/customers-{number + 1}.csv", FILE)
    remote.proxy.status = {"continuation-token": 403}
    remote.proxy.spoil = lambda path, body: denied("InternalError") if "continuation-token" in path else body
    remote.refused("s3://exports/crm can't be read", "said by the store")


def test_a_listing_that_is_cut_is_no_listing(remote):
    remote.proxy.spoil = lambda path, body: body[:-20] if "list-type" in path else body
    remote.refused("s3://exports/crm can't be read")


def of_the_object(spoiled) -> stores.Spoil:
    return lambda path, body: spoiled(body) if path.endswith("customers.csv") else body


@pytest.mark.parametrize(
    ("spoiled", "says"),
    [
        (lambda body: body[: len(body) // 2], "came"),
        (lambda body: body[: body.rindex(b"\n", 0, -1) + 1], "came"),
        (lambda body: b"", "came"),
        (lambda body: body + b"C-9", "came"),
        (lambda body: None, "can't be read"),
    ],
    ids=["half", "without its last line", "empty", "longer", "hung up"],
)
def test_an_object_that_is_cut_on_the_way_is_refused(remote, spoiled, says):
    remote.bucket.put("crm/customers.csv", LONG_FILE)
    remote.proxy.spoil = of_the_object(spoiled)
    remote.refused("s3://exports/crm/customers.csv", says)


def test_what_is_cut_once_is_asked_for_again(remote):
    remote.bucket.put("crm/customers.csv", LONG_FILE)
    left = [None]
    remote.proxy.spoil = of_the_object(lambda body: left.pop() if left else body)
    assert remote.pull().evidence("fetched, landed, end_seen") == (2000, 2000, True)
    assert left == [] and sum(path.endswith("customers.csv") for path in remote.proxy.seen) > 1


def test_a_large_object_comes_in_one_stream(remote, monkeypatch):
    """In blocks asked for one by one, a block that came short would be zeros in a file of the right size."""
    monkeypatch.setenv("SOURCES__CRM__KWARGS", '{"default_block_size": 1000}')
    remote.bucket.put("crm/customers.csv", LONG_FILE)
    assert remote.pull().evidence("fetched, end_seen") == (2000, True)
    assert sum(path.endswith("customers.csv") for path in remote.proxy.seen) == 1


def test_a_slow_store_is_waited_for(remote):
    remote.proxy.meanwhile = lambda path: time.sleep(0.5)
    assert remote.pull().evidence("fetched, end_seen") == (1, True)


def once(happens):
    """Just before the object is served, after it was listed."""
    left = [happens]
    return lambda path: left.pop()() if path.endswith("customers.csv") and left else None


def test_an_object_that_is_gone_when_its_turn_comes_is_told(remote):
    remote.proxy.meanwhile = once(lambda: remote.bucket.client.delete_object(Bucket="exports", Key="crm/customers.csv"))
    remote.refused("crm: there is no s3://exports/crm/customers.csv")


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("crm/customers.csv", FILE + RECORD.replace("C-1", "C-2") + "\n"),
        ("crm/customers.csv", FILE.replace("C-1", "C-2")),
        ("crm/customers-1.csv", FILE),
        ("crm/manifest.json", "{}"),
    ],
    ids=["longer", "as long", "another part", "a manifest"],
)
def test_a_bucket_that_changes_while_it_is_read_is_no_end(remote, key, content):
    remote.proxy.meanwhile = once(lambda: remote.bucket.put(key, content))
    assert remote.pull().evidence("end_seen, end_evidence") == (False, "a file changed while it was read")


def test_a_part_that_is_missing_is_no_end(remote):
    remote.bucket.put("crm/customers-2.csv", FILE)
    assert remote.pull().evidence("fetched, end_seen, end_evidence") == (2, False, "part 1 of customers is missing")


def test_a_library_that_is_not_installed_is_bad_configuration(remote, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(BadConfiguration, match=r"sources\.crm needs s3fs, which is not installed; run make setup"):
        remote.pull()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("http://exports/crm", "path begins with http://; there are s3://, gs://"),
        ("sftp://me:secret@host/crm", "path holds a user, a password or a port"),
        ("sftp://host:2222/crm", "path holds a user, a password or a port"),
        ("az://exports/crm", r"credentials or \.path is not complete or can't be read; docs/sources/files.md has what az:// needs"),
        ("s3://", "credentials or .path is not complete"),
    ],
)
def test_settings_that_name_no_store_are_bad_configuration(remote, monkeypatch, path, sentence):
    monkeypatch.setenv("SOURCES__CRM__PATH", path)
    with pytest.raises(BadConfiguration, match=sentence) as refused:
        remote.pull()
    assert refused.value.exit_code == 2 and "secret@" not in str(refused.value)


def test_no_library_of_a_store_is_imported_for_a_folder():
    libraries = "{'s3fs', 'aiobotocore', 'botocore', 'gcsfs', 'adlfs', 'paramiko', 'aiohttp'}"
    script = f"import sys, pipelines.pull, pipelines.sources.files; print(sorted({libraries} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout == "[]\n"


# What Google's and Azure's stores answer is not tested: no server of theirs runs here. Only that the settings reach their libraries.


def filesystem(monkeypatch, url: str, **credentials: str):
    for name, value in credentials.items():
        monkeypatch.setenv(f"SOURCES__CRM__CREDENTIALS__{name.upper()}", value)
    folder = RemoteFolder(Side("crm", Path(), []), url)
    return folder.filesystem, folder.root


def test_the_settings_of_gs_reach_gcsfs(monkeypatch):
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    reader = {"project_id": "shop", "client_email": "reader@shop.iam.gserviceaccount.com", "private_key": key}
    store, root = filesystem(monkeypatch, "gs://exports/crm", **reader)
    assert (type(store).__qualname__, store.project, root) == ("GCSFileSystem", "shop", "exports/crm")
    assert store.credentials.credentials.service_account_email == reader["client_email"]


@pytest.mark.parametrize("url", ["az://exports/crm", "abfss://exports@shop.dfs.core.windows.net/crm"])
def test_the_settings_of_az_reach_adlfs(monkeypatch, url):
    account = {"azure_storage_account_name": "shop", "azure_storage_account_key": "Y2FuYXJ5"}
    store, root = filesystem(monkeypatch, url, **account)
    assert (type(store).__module__.split(".")[0], store.account_name, store.account_key) == ("adlfs", "shop", "Y2FuYXJ5")
    assert root == "exports/crm"


@pytest.fixture
def host(exports, tmp_path, monkeypatch) -> Iterator[Host]:
    with stores.sftp(tmp_path / "served") as host:
        (tmp_path / "served/crm").mkdir(parents=True)
        (tmp_path / "served/crm/customers.csv").write_text(LONG_FILE)
        for name, value in sftp_settings("crm", host, tmp_path).items():
            monkeypatch.setenv(name, value)
        yield host


def sftp_settings(system: str, host: Host, folder: Path) -> dict[str, str]:
    (folder / "known_hosts").write_text(host.known)
    credentials = {"SFTP_PORT": str(host.port), "SFTP_USERNAME": USER, "SFTP_PASSWORD": PASSWORD}
    off = {"SFTP_ALLOW_AGENT": "false", "SFTP_LOOK_FOR_KEYS": "false"}
    settings = {"CONNECTOR": "files", "PATH": f"sftp://127.0.0.1/{system}", "KNOWN_HOSTS": str(folder / "known_hosts")}
    settings |= {f"CREDENTIALS__{name}": value for name, value in (credentials | off).items()}
    return {f"SOURCES__{system.upper()}__{name}": value for name, value in settings.items()}


def test_sftp_lands_as_a_folder_does(exports, host):
    served = host.files.root / "crm"
    (served / "customers-1.csv").symlink_to(served / "customers.csv")
    pulled = exports.pull()
    assert pulled.evidence("files, bytes, fetched, landed, end_seen") == (2, 2 * len(LONG_FILE), 4000, 4000, True)
    assert pulled.evidence("written_at") == (datetime.fromtimestamp(int((served / "customers.csv").stat().st_mtime), UTC),)


def test_sftp_that_changes_or_loses_a_file_meanwhile_is_told(exports, host):
    served = host.files.root / "crm/customers.csv"
    host.files.meanwhile = staticmethod(lambda path: served.write_text(LONG_FILE + RECORD + "\n"))
    assert exports.pull().evidence("end_seen, end_evidence") == (False, "a file changed while it was read")
    host.files.meanwhile = staticmethod(lambda path: served.unlink())
    with pytest.raises(SourceFailed, match=r"there is no sftp://127\.0\.0\.1/crm/customers\.csv"):
        exports.pull()


def test_sftp_to_somebody_else_sends_no_password(exports, host, tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(stores.Account, "check_auth_password", lambda self, *given: tried.append(given))
    for known in ("", host.known.replace(host.known.split()[2][-8:-4], "AAAA")):
        (tmp_path / "known_hosts").write_text(known)
        with pytest.raises(SourceFailed, match=rf"the ecdsa-sha2-nistp256 key of \[127\.0\.0\.1\]:{host.port} is not in .*known_hosts"):
            exports.pull()
    assert tried == []


def test_sftp_with_a_wrong_password_is_told_without_it(exports, host, monkeypatch):
    monkeypatch.setenv("SOURCES__CRM__CREDENTIALS__SFTP_PASSWORD", "canary-wrong")
    with pytest.raises(SourceFailed, match="can't be read: AuthenticationException") as refused:
        exports.pull()
    assert "canary" not in str(refused.value)


def written_by(world: World) -> list[Path]:
    return [path for path in world.folder.rglob("*") if path.is_file() and path.name != "known_hosts"]


def test_the_sample_in_a_bucket_and_on_a_host_gives_the_same_differences(first_night, world, bucket):
    """And neither a succeeding nor a failing run writes a secret."""
    bucket.put_folder(world.crm, "night 1/crm")
    with stores.sftp(world.folder) as host:
        settings = s3_settings("crm", "s3://exports/night 1/crm", bucket.url) | sftp_settings("billing", host, world.folder)
        looked = world.run("check-sources", **settings)
        ran = world.reconcile(**settings)
        bucket.put("night 1/crm/deals.csv", "contract_number\nK-1\n")
        failed = world.reconcile(**settings)
        denied = world.reconcile(**settings | {"SOURCES__BILLING__CREDENTIALS__SFTP_USERNAME": "nobody"})
    assert (looked.code, looked.err) == (0, "")
    assert "crm customers by files: 1,366 declared (manifest.json), 1,366 records read" in looked.out
    assert (ran.code, ran.err) == (0, "")
    found = "select * from marts.discrepancies order by all"
    assert world.query(found) == first_night.query(found) != []
    assert (failed.code, denied.code) == (3, 3)
    assert failed.says("s3://exports/night 1/crm/deals.csv has no column 'customer_number'")
    assert denied.says("billing: sftp://127.0.0.1/billing can't be read: AuthenticationException")
    for canary in (SECRET, PASSWORD):
        assert [path for path in written_by(world) if canary.encode() in path.read_bytes()] == []
        assert not any(canary in run.out + run.err for run in (looked, ran, failed, denied))
    assert any(world.state.rglob("next/*"))
