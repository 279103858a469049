"""Quote again from the interned input and rulebook: each distinct pair is priced once (decision 0008)."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable

from sqlalchemy import select

from canteen import keyset
from canteen.policy import case
from canteen.policy import quote as engine
from canteen.policy.rules import Rulebook
from canteen.pos.models import QuoteInput
from canteen.rulebooks import layers
from canteen.settlement.closing.checks import PricedShare, SalePrice

Key = tuple[str, str]  # (input hash, rulebook hash)
KEPT = 10_000  # quotes remembered at most, so that memory stays flat however long the period


class Quotes:
    """Prices each distinct (input, rulebook) once while it is remembered; `priced` counts what was computed.

    own  the inputs are those that we wrote ourselves: they are not checked for form again
    """

    def __init__(self, *, own: bool = False) -> None:
        self._read = case.known_case if own else case.read_case
        self._known: OrderedDict[Key, SalePrice | None] = OrderedDict()
        self._books: dict[str, Rulebook | None] = {}
        self.priced = 0

    def of(self, keys: Iterable[Key]) -> dict[Key, SalePrice | None]:
        """Return the quotes of `keys`; None for what those rulebooks cannot price."""
        wanted = set(keys)
        missing = sorted(wanted - self._known.keys())
        bodies = self._bodies({input_hash for input_hash, _ in missing})
        for key in missing:
            self._known[key] = self._price(bodies.get(key[0]), key[1])
            self.priced += 1
        found = {key: self._known[key] for key in wanted}
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found

    def _bodies(self, hashes: set[str]) -> dict[str, str]:
        ordered = sorted(hashes)
        found: dict[str, str] = {}
        for at in range(0, len(ordered), 500):
            some = ordered[at : at + 500]
            found.update(
                (row[0], row[1])
                for row in keyset.once(
                    select(QuoteInput.hash, QuoteInput.body).where(keyset.among(QuoteInput.hash, some))
                )
            )
        return found

    def under(self, input_hash: str, book: Rulebook) -> SalePrice | None:
        """Price an input under any other rulebook."""
        return self._compute(self._bodies({input_hash}).get(input_hash), book)

    def _price(self, body: str | None, book_hash: str) -> SalePrice | None:
        return self._compute(body, self._book(book_hash))

    def _compute(self, body: str | None, book: Rulebook | None) -> SalePrice | None:
        if body is None or book is None:
            return None
        try:
            asked = self._read(json.loads(body))
            quoted = engine.quote(book, asked.diner, asked.meal, asked.taken)
        except (ValueError, KeyError):
            return None
        return of_quote(quoted)

    def _book(self, digest: str) -> Rulebook | None:
        if digest not in self._books:
            try:
                with keyset.reader() as session:
                    self._books[digest] = layers.stored(session, digest)
            except layers.NoRulebook:
                self._books[digest] = None
        return self._books[digest]


def of_quote(quoted: engine.Quote) -> SalePrice:
    """Convert a quote to the values that the checks compare."""
    parts = tuple(PricedShare(share.fund, share.payer, share.rule, share.fen) for share in quoted.shares)
    return SalePrice(quoted.list, quoted.due, parts, quoted.surcharge_fen)
