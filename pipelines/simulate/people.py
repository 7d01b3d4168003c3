"""Customers and contracts to begin with, by seed: names, e-mails, plans, countries, currencies."""

import random
import unicodedata
from datetime import datetime, timedelta

from pipelines.simulate.world import Row

ROOTS = """Alder Amsel Årdal Birken Bračko Brünn Calder Çınar Corvin Dachs Dünen Eiben Élan Elster Falun Fennel Fjörd Garza
Grünau Heron Hollin Ibis Jasper Kestrel Kolibri Łąka Larkin Linden Lumen Mareld Mistral Möwe Nimbus Norrsken Ñandú Øster
Pinyon Quarz Rowan Señal Tarn Umbra Vesper Żuraw"""
TRADES = """Analytics Bau Biotech Brewing Ceramics Coffee Design Dental Energie Events Foods Freight Gardens Glass Health
Hotels Labs Legal Logistics Marine Media Mobility Optik Paper Pharma Print Robotics Solar Studio Systems Textil Tools"""
FIRST_NAMES = "Ada Bea Carl Dara Emil Finn Greta Hugo Ines Jan Kaia Lars Mila Nora Oskar Pia Rafa Sara Tomas Vera"
LAST_NAMES = "Adler Berg Costa Duda Engel Ferri Gomez Hahn Iversen Jung Kovac Lind Moreau Novak Olsen Peters Roth Silva"
OWNERS = ["Ana Ruiz", "Ben Okafor", "Chiara Lenz", "Dmitri Vogt", "Edda Falk", "Farah Aziz"]
CURRENCIES = {
    "DE": "EUR", "FR": "EUR", "NL": "EUR", "AT": "EUR", "ES": "EUR", "SE": "EUR", "US": "USD", "GB": "GBP", "CH": "CHF", "JP": "JPY",
    "KW": "KWD",
}  # fmt: skip
COUNTRIES = list(CURRENCIES)
OFTEN = [12, 6, 6, 7, 5, 3, 8, 8, 5, 1, 1]
EXPONENTS = {"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "JPY": 0, "KWD": 3}
PLANS = {  # list price a month
    "solo": 12, "starter": 29, "team": 99, "team plus": 149, "business": 290, "business plus": 450, "enterprise": 1200,
}  # fmt: skip
RATES = {"EUR": 100, "USD": 110, "GBP": 85, "CHF": 95, "JPY": 160, "KWD": 330}  # minor units of a price of 1


class People:
    def __init__(self, rng: random.Random):
        self.rng, self.customers, self.contracts = rng, 0, 0
        self.names = [f"{root} {trade}" for root in ROOTS.split() for trade in TRADES.split()]
        rng.shuffle(self.names)

    def customer(self, at: datetime) -> Row:
        self.customers += 1
        lap, place = divmod(self.customers - 1, len(self.names))
        name = self.names[place] + (f" {lap + 1}" if lap else "")
        return {
            "number": f"C-{self.customers:05}", "name": name, "email": self.email(name), "status": "active",
            "country": self.country(), "owner": self.rng.choice(OWNERS), "created_at": at, "updated_at": at,
        }  # fmt: skip

    def contract(self, customer: Row, at: datetime) -> Row:
        self.contracts += 1
        plan, interval = self.rng.choice(list(PLANS)), self.rng.choice(["month", "month", "year"])
        currency = CURRENCIES.get(customer["country"], "EUR")
        return {
            "number": f"K-{at.year}-{self.contracts:05}", "customer": customer["number"], "status": "active", "plan": plan,
            "amount": self.price(plan, currency, interval), "currency": currency, "interval": interval, "starts_on": at.date(),
            "created_at": at, "updated_at": at,
        }  # fmt: skip

    def price(self, plan: str, currency: str, interval: str, unlike: int | None = None) -> int:
        """In minor units, with a discount now and then."""
        prices = [PLANS[plan] * RATES[currency] * (10 if interval == "year" else 1) * share // 100 for share in (100, 95, 90, 85, 80)]
        return self.rng.choice([price for price in prices if price != unlike])

    def email(self, name: str, unlike: str | None = None) -> str:
        """Of somebody at the company, so that no two customers share one."""
        slug = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace(" ", "-")
        first, last = self.rng.choice(FIRST_NAMES.split()).lower(), self.rng.choice(LAST_NAMES.split()).lower()
        email = f"{first}.{last}@{slug}.example"
        return email if email != unlike else f"{last}@{slug}.example"

    def country(self, unlike: str | None = None) -> str:
        return self.rng.choices([c for c in COUNTRIES if c != unlike], [n for c, n in zip(COUNTRIES, OFTEN, strict=True) if c != unlike])[0]

    def between(self, first: datetime, last: datetime) -> datetime:
        return first + timedelta(seconds=self.rng.randrange(1, max(2, int((last - first).total_seconds()))))
