"""Chance that repeats: one generator for each part of the city, so that a part can grow without moving the others."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def source(seed: int, part: str) -> random.Random:
    """Return the generator of one part of the city."""
    return random.Random(f"{seed}/{part}")


def uid(rng: random.Random) -> uuid.UUID:
    """Draw a version 4 UUID from the generator."""
    return uuid.UUID(int=rng.getrandbits(128), version=4)


def weighted(rng: random.Random, weights: Mapping[T, float]) -> T:
    """Draw one key, the heavier the likelier."""
    return rng.choices(list(weights), list(weights.values()))[0]


def shuffled(rng: random.Random, items: Sequence[T]) -> list[T]:
    """Shuffle the items."""
    return rng.sample(list(items), len(items))
