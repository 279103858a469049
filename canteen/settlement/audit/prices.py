"""Price stored inputs again, once for all that a rulebook cannot tell apart.

A month's inputs differ meal by meal, mostly in nothing but the diner's birth day. Of it a rulebook sees no more than
a band of ages, so two inputs of one day that are otherwise the same text have one price.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import select

from canteen import keyset
from canteen.policy.age_bands import AgeBands, age_bands
from canteen.pos.models import QuoteInput
from canteen.rulebooks.models import JoinedRulebook
from canteen.settlement.closing.checks import SalePrice
from canteen.settlement.closing.requote import Quotes

Key = tuple[str, str]  # input hash, rulebook hash
KEPT = 10_000  # prices remembered at most, so that memory stays flat however long the period
_BIRTH = re.compile(r'"birth_day":(-?[0-9]{1,6})(?=[,}])')
_DAY = re.compile(r'"day":(-?[0-9]{1,6})(?=[,}])')


class Priced(NamedTuple):
    """The price of an input under a rulebook, None where it cannot be priced, and the class of those priced with it."""

    alike: bytes
    price: SalePrice | None


class Prices:
    """Prices again what sales stored; `priced` counts what the engine computed."""

    def __init__(self) -> None:
        self._quotes = Quotes()
        self._bands: dict[str, AgeBands | None] = {}
        self._known: OrderedDict[bytes, SalePrice | None] = OrderedDict()

    @property
    def priced(self) -> int:
        return self._quotes.priced

    def of(self, keys: Iterable[Key]) -> dict[Key, SalePrice | None]:
        """Return the prices of `keys`; None for what those rulebooks cannot price."""
        return {key: one.price for key, one in self.alike(keys).items()}

    def alike(self, keys: Iterable[Key], bodies: Mapping[str, str] | None = None) -> dict[Key, Priced]:
        """Return the prices of `keys`, each with its class; `bodies`: those of their inputs that were read already."""
        wanted, read = set(keys), dict(bodies or {})
        if missing := {one for one, _ in wanted} - read.keys():
            read |= _bodies(missing)
        names = _classes(wanted, read, {book: self._of(book) for book in {book for _, book in wanted}})
        first = {name: key for key, name in reversed(names.items()) if name not in self._known}
        if first:
            priced = self._quotes.of(first.values())
            self._known.update((name, priced[key]) for name, key in first.items())
        found = {key: Priced(name, self._known[name]) for key, name in names.items()}
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found

    def _of(self, book: str) -> AgeBands | None:
        """Return the bands of a stored rulebook; None where it has none."""
        if book not in self._bands:
            found = keyset.bare(select(JoinedRulebook.body).where(JoinedRulebook.hash == book))
            self._bands[book] = age_bands(json.loads(found[0][0])) if found else None
        return self._bands[book]


def _bodies(hashes: Collection[str]) -> dict[str, str]:
    query = select(QuoteInput.hash, QuoteInput.body).where(keyset.among(QuoteInput.hash, hashes))
    return {row[0]: row[1] for row in keyset.bare(query)}


def _classes(keys: Iterable[Key], bodies: Mapping[str, str], bands: Mapping[str, AgeBands | None]) -> dict[Key, bytes]:
    """Name the class of each key: the digest of rulebook, band, and the rest of the text; of all where it is unusual."""
    found: dict[Key, bytes] = {}
    for key in keys:
        input_hash, book = key
        body, of_book = bodies.get(input_hash, ""), bands[book]
        text = f"{book} {input_hash}"
        if of_book is not None and "\\" not in body:
            births, served = list(_BIRTH.finditer(body)), _DAY.findall(body)
            if len(births) == len(served) == 1:
                birth = births[0]
                band = of_book.of(int(birth[1]), int(served[0]))
                text = f"{book} {band} {body[: birth.start()]}{body[birth.end() :]}"
        found[key] = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return found
