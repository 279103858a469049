"""Define what `period verify` answers, and the keys that its parts share."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

LineKey = tuple[str, str, str]  # kind, fund, service month
ShareKey = tuple[uuid.UUID, int]  # sale, number of the share


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """A disagreement of the second computation: which check, of what subject, the stored value and the right one."""

    code: str
    subject: str
    there: str
    expected: str
