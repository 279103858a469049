"""Terms of shares: who pays, by which rule and clause, in which words (decision 0031).

Thousands of sales are shared on the same terms: a list of them is kept once, and a sale has its hash beside its own
amounts. Nothing but the amounts differs from meal to meal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from canteen.db import intern
from canteen.policy.outcome import Share
from canteen.pos.models import ShareTerms
from canteen.prepared import Prepared, database_of

TERM: Final = ("fund", "payer", "rule", "clause", "stage", "label", "reason")
"""What each element of a list of terms holds, in this order."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a sale's shares in their order: JSON, its hash, and how many they are."""

    hash: str
    body: str
    size: int

    @property
    def row(self) -> dict[str, Any]:
        return {"hash": self.hash, "size": self.size, "terms": self.body}


def of(shares: Iterable[Share]) -> Terms:
    """Return the terms of these shares."""
    return _terms(
        tuple(
            (share.fund, share.payer, share.rule, share.clause, share.stage, share.label, share.reason)
            for share in shares
        )
    )


@lru_cache(4096)
def _terms(elements: tuple[tuple[str, ...], ...]) -> Terms:
    body = json.dumps(elements, ensure_ascii=False, separators=(",", ":"))
    return Terms(hashlib.sha256(body.encode()).hexdigest(), body, len(elements))


def fens(shares: Iterable[Share]) -> str:
    """Write the amounts of these shares as a sale's row holds them, in the order of their terms."""
    return f"[{','.join([str(share.fen) for share in shares])}]"


def shares(terms: str, amounts: str) -> list[dict[str, Any]]:
    """Read a sale's shares from both lists: fund, payer, rule, clause, stage, label, reason and fen by name."""
    both = zip(json.loads(terms), json.loads(amounts), strict=True)
    return [{**dict(zip(TERM, each, strict=True)), "fen": fen} for each, fen in both]


_THERE = Prepared(select(ShareTerms.hash).where(ShareTerms.hash.in_(bindparam("hashes", expanding=True))))
_kept: set[tuple[str, str]] = set()  # databases and hashes


def keep(session: Session, wanted: Sequence[Terms]) -> None:
    """Insert the terms that are not there, before the sales that name them.

    They are never removed, so those once seen in the database are not looked up again; what this transaction inserts
    may still be rolled back.
    """
    database = database_of(session)
    new = {terms.hash: terms for terms in wanted if (database, terms.hash) not in _kept}
    if not new:
        return
    own: set[str] = session.info.setdefault("interned", set())
    there = {hash_ for (hash_,) in _THERE.rows(session, {"hashes": list(new)})}
    _kept.update((database, hash_) for hash_ in there - own)
    if missing := [terms.row for hash_, terms in sorted(new.items()) if hash_ not in there]:
        own.update(row["hash"] for row in missing)
        intern(session, ShareTerms, missing)
