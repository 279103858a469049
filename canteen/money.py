"""Money in whole fen. Nothing else in the product rounds; a split always adds up to the whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

Fen: TypeAlias = int

_YUAN = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,2}))?", re.ASCII)


def yuan(text: str) -> Fen:
    """Turn '12.5' into 1250. Raises ValueError for anything but digits with at most two decimals."""
    found = _YUAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    sign, whole, part = found.groups()
    fen = int(whole) * 100 + int((part or "").ljust(2, "0"))
    return -fen if sign else fen


def show(fen: Fen) -> str:
    """Turn 1250 into '12.50', the way every screen and export writes an amount of yuan."""
    sign, rest = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{rest // 100}.{rest % 100:02d}"


def split(fen: Fen, weights: Sequence[int]) -> list[Fen]:
    """Share out `fen` (>= 0) by weights, largest remainder first, ties to the earlier one; sums to `fen`."""
    total = sum(weights)
    if fen < 0 or total <= 0 or min(weights) < 0:
        raise ValueError("a split needs fen >= 0 and weights that are not all zero")
    parts = [fen * weight // total for weight in weights]
    if rest := fen - sum(parts):
        by_remainder = sorted(range(len(weights)), key=lambda i: (-(fen * weights[i] % total), i))
        for i in by_remainder[:rest]:
            parts[i] += 1
    return parts
