"""Write the sample exports: a CRM and a billing system over two nights, the same bytes every time.

Every account is first opened so that both systems agree; its role then says what went wrong with it.
Usage: python3 sample/make_sample.py [folder]      (default: the folder of this script)
"""

import csv
import json
import random
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NIGHT_1 = datetime(2026, 3, 3, 3, tzinfo=UTC)  # the CRM's export; billing's comes 4 minutes later
NIGHT_2, OLD = NIGHT_1 + DAY, NIGHT_1 - 3 * DAY  # what is not in flight on night 1 last changed before OLD

ROLES = {
    "in step": 1146, "churned": 65, "lead": 87, "no subscription": 4,  # the last three are out of scope
    "email moved": 7, "country moved": 4, "churned last night": 3,  # in flight, and 3 new ones on top
    "churned in CRM": 31, "never in CRM": 13,  # open
    "other plan": 6, "other amount": 4, "other currency": 2, "other interval": 2, "other start": 1, "a cent off": 5,  # contracts only
}  # fmt: skip
AMOUNT_OFF = {
    "other amount": ["25.00", "-12.50", "100.00", "-4.90"],
    "a cent off": ["0.01", "-0.01", "0.005", "-0.005", "0.01"],
}
ROOTS = """Alder Amsel Årdal Birken Bračko Brünn Calder Çınar Corvin Dachs Dünen Eiben Élan Elster Falun Fennel Fjörd Garza
Grünau Heron Hollin Ibis Jasper Kestrel Kolibri Łąka Larkin Linden Lumen Mareld Mistral Möwe Nimbus Norrsken Ñandú Øster
Pinyon Quarz Rowan Señal Tarn Umbra Vesper Żuraw"""
TRADES = """Analytics Bau Biotech Brewing Ceramics Coffee Design Dental Energie Events Foods Freight Gardens Glass Health
Hotels Labs Legal Logistics Marine Media Mobility Optik Paper Pharma Print Robotics Solar Studio Systems Textil Tools Travel"""
COMMON = [
    "DE",
    "FR",
    "NL",
    "AT",
    "ES",
    "PL",
    "SE",
    "US",
    "CA",
    "GB",
    "CH",
]  # in-step accounts are now and then from JP or KW
LEGAL_FORM = dict(DE=" GmbH & Co. KG", FR=" SARL", NL=" B.V.", AT=" GmbH", ES=", S.L.", PL=" sp. z o.o.", SE=" AB", US=", Inc.",
                  CA=" Ltd", GB=" Ltd", CH=" AG", JP=" 株式会社", KW=" W.L.L.")  # fmt: skip
CURRENCY = dict(US="USD", CA="USD", GB="GBP", CH="CHF", JP="JPY", KW="KWD")  # others EUR
PLANS = {
    "starter": 29,
    "team": 99,
    "business": 290,
    "enterprise": 1200,
}  # list price a month, times the rate = minor units
RATE = dict(EUR=100, USD=110, GBP=85, CHF=95, JPY=160, KWD=330)
OTHER = {"plan": list(PLANS), "currency": ["EUR", "USD", "GBP", "CHF"], "interval": ["month", "year"]}
OWNERS = ["Ana Ruiz", "Ben Okafor", "Chiara Lenz", "Dmitri Vogt", "Edda Falk", "Farah Aziz"]
NOISE = [
    str.swapcase,
    " {}".format,
    "{}  ".format,
    "{}\t".format,
    "{}\u00a0".format,
    "\u200b{}".format,
]  # e-mails: the first three

rng = random.Random(1180_1224)
names = [f"{root} {trade}" for root in ROOTS.split() for trade in TRADES.split()]
rng.shuffle(names)
accounts = []  # in the order of their numbers


def between(first, last):
    return first + timedelta(seconds=rng.randrange(int((last - first).total_seconds())))


def open_account(role, created, latest):
    """A customer of both systems. The keys of a row stand in the order of the exported columns, here and in sell."""
    country = rng.choice(["JP", "KW"] if role == "in step" and rng.random() < 0.03 else COMMON)
    number, name = f"C-{len(accounts) + 1:05d}", names.pop()
    slug = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace(" ", ".")
    email, company = f"{slug}@example.{rng.choice(['com', 'org', 'net'])}", name + LEGAL_FORM[country]
    status = "trial" if created > NIGHT_1 - 30 * DAY else "active"
    crm = dict(customer_number=number, company=company, email=email, status=status, country=country, owner=rng.choice(OWNERS),
               created_at=created, updated_at=between(created, latest))  # fmt: skip
    billing = dict(customer_number=number, name=company, email=email, country=country, created_at=created,
                   updated_at=between(created, latest))  # fmt: skip
    account = SimpleNamespace(role=role, crm=crm, billing=billing, in_crm=True, in_billing=True, contracts=[])
    accounts.append(account)
    sell(account, between(created, min(created + 2 * DAY, latest)), latest)
    return account


def sell(account, start, latest):
    """A contract: a deal in the CRM and a subscription in billing."""
    number, sold = account.crm["customer_number"], sum(len(a.contracts) for a in accounts) + 1
    contract, plan, interval = (
        f"K-{start.year}-{sold:05d}",
        rng.choice(list(PLANS)),
        rng.choice(["month", "month", "year"]),
    )
    currency = CURRENCY.get(account.crm["country"], "EUR")
    minor = PLANS[plan] * RATE[currency] * (10 if interval == "year" else 1) * rng.choice([100, 95, 90, 85]) // 100
    amount = Decimal(minor).scaleb(-{"JPY": 0, "KWD": 3}.get(currency, 2))
    status = "trialing" if account.crm["status"] == "trial" else rng.choice(["active"] * 12 + ["past_due"])
    deal = dict(contract_number=contract, customer_number=number, stage="won", plan=plan, amount=amount, currency=currency,
                interval=interval, starts_on=start.date(), created_at=start, updated_at=between(start, latest))  # fmt: skip
    subscription = dict(subscription_id=f"sub_{sold + 4000}", customer_number=number, contract_number=contract, status=status,
                        plan=plan, amount_minor=minor, currency=currency, interval=interval, started_at=start, canceled_at="",
                        updated_at=between(start, latest))  # fmt: skip
    account.contracts.append((deal, subscription))


def end(account, when, *systems):
    if "crm" in systems:
        account.crm.update(status="churned", updated_at=when)
    for deal, subscription in account.contracts:
        if "crm" in systems:
            deal.update(stage="terminated", updated_at=when)
        if "billing" in systems:
            subscription.update(status="canceled", canceled_at=when, updated_at=when)


def play(account, nth, night=NIGHT_1):
    """Do to an account that agrees so far what its role says; nth counts the accounts of the role."""
    role, (deal, subscription) = account.role, account.contracts[0]
    one_side = [account.crm, account.billing][nth % 2]
    long_ago = between(max(subscription["started_at"], NIGHT_1 - 200 * DAY), OLD)
    last_night = night - rng.randrange(120, 1320) * MINUTE
    if role == "in step":
        live(account, subscription["started_at"])
    elif role == "email moved":
        one_side.update(email="finance." + one_side["email"].strip(), updated_at=last_night)
    elif role == "country moved":
        one_side.update(country=COMMON[COMMON.index(one_side["country"]) - 1], updated_at=last_night)
    elif role == "churned last night":
        end(account, last_night, "crm")
    elif role == "churned in CRM":
        end(account, long_ago, "crm")
        subscription["status"] = ["active", "active", "past_due", "active", "trialing"][nth % 5]
    elif role == "churned":
        end(account, long_ago, "crm", "billing")
    elif role in ("never in CRM", "no subscription"):
        account.in_crm, account.contracts = False, account.contracts if role == "never in CRM" else []
    elif role in AMOUNT_OFF:
        deal["amount"] += Decimal(AMOUNT_OFF[role][nth])
    elif role == "other start":
        deal["starts_on"] += 31 * DAY
    elif role.startswith("other "):
        column = role.removeprefix("other ")
        deal[column] = OTHER[column][OTHER[column].index(deal[column]) - 1]
    elif role == "lead":
        account.crm["status"], deal["stage"] = "lead", "open" if nth % 5 else "lost"
        account.in_billing, account.contracts = False, account.contracts if nth % 2 else []
        if nth == 21:  # unreconcilable
            account.crm["customer_number"] = deal["contract_number"] = ""


def live(account, start):
    """Sometimes a second contract, and noise that has to match all the same."""
    if start < NIGHT_1 - 400 * DAY and rng.random() < 0.12:
        if rng.random() < 0.6:  # the first one ran out
            end(account, start + 365 * DAY, "crm", "billing")
            account.crm.update(status="active", updated_at=between(start + 366 * DAY, OLD))
        sell(account, start + 366 * DAY, OLD)
    if rng.random() < 0.02:
        account.crm["country"] = account.billing["country"] = ""
    for column in ("customer_number", "email", "contract_number"):
        if rng.random() < 0.025:
            row = rng.choice(account.contracts[0] if column == "contract_number" else (account.crm, account.billing))
            row[column] = rng.choice(NOISE[:3] if column == "email" else NOISE)(row[column])


def night_1():
    roles = rng.sample(list(ROLES), counts=list(ROLES.values()), k=sum(ROLES.values()))
    opened = sorted(between(datetime(2022, 1, 10, tzinfo=UTC), NIGHT_1 - 6 * DAY) for _ in roles)
    for place, role in enumerate(roles):
        play(open_account(role, opened[place], OLD), nth=roles[:place].count(role))
    for hours in (14, 9, 4):
        open_account("new in CRM", NIGHT_1 - hours * HOUR, NIGHT_1 - (hours - 2) * HOUR).in_billing = False


def night_2():
    """Life goes on, the sync catches up with that and with what was in flight. What was open stays as it was."""
    for nth, account in enumerate(rng.sample([a for a in accounts if a.role == "in step" and len(a.contracts) == 1], 11)):
        account.role = "churned last night" if nth < 5 else "email moved"
        play(account, nth, NIGHT_2)
    for account in accounts:
        crm, billing, synced = account.crm, account.billing, between(NIGHT_2 - 2 * HOUR, NIGHT_2)
        if account.role in ("email moved", "country moved"):
            newer, older = (crm, billing) if crm["updated_at"] > billing["updated_at"] else (billing, crm)
            older.update(email=newer["email"], country=newer["country"], updated_at=synced)
        elif account.role == "churned last night":
            end(account, synced, "billing")
        elif account.role == "new in CRM":
            account.in_billing = True
            billing.update(created_at=synced, updated_at=synced)
            account.contracts[0][1].update(updated_at=synced)
    for hours in (4, 7, 10, 13, 16, 19):
        open_account("in step", NIGHT_1 + hours * HOUR, NIGHT_1 + (hours + 3) * HOUR)


def text(value):
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def write(folder, exported_at):
    crm, billing = [a for a in accounts if a.in_crm], [a for a in accounts if a.in_billing]
    subscriptions = [subscription for a in billing for _, subscription in a.contracts]
    export(
        folder / "crm",
        exported_at,
        customers=[a.crm for a in crm],
        deals=[deal for a in crm for deal, _ in a.contracts],
    )
    export(
        folder / "billing",
        exported_at + 4 * MINUTE,
        customers=[a.billing for a in billing],
        subscriptions=subscriptions,
    )


def export(folder, exported_at, **tables):
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.dumps({"exported_at": text(exported_at), "records": {name: len(rows) for name, rows in tables.items()}})
    (folder / "manifest.json").write_text(manifest + "\n", encoding="utf-8", newline="\n")
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([list(rows[0]), *(map(text, row.values()) for row in rows)])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, exported_at, happen in (("night-1", NIGHT_1, night_1), ("night-2", NIGHT_2, night_2)):
        happen()
        write(target / name, exported_at)
