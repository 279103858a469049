"""Each kind of limit from two server processes at once: exact, and not so where locks and rows are taken away (P11)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from canteen.config import Config
from canteen.db import db, owner_engine
from tests import world
from tests.races.rig import Key, Shot, fire
from tests.races.test_races import canteens, claimable, hosts, open_all_day
from tests.races.test_what_holds import ADD_KEY, DROP_KEY, UNLOCKED, as_owner, two
from tests.rigs.servers import Serve, Server
from tests.world import World

__all__ = ["canteens", "hosts"]

CROWD = 12  # at one time
Rounds = Callable[[int, int], int]


@dataclass(frozen=True)
class Kind:
    """A kind of limit, hung on a rule of its own for the elders of one class; `most` fen may be claimed of it.

    elders   so many share it: a household's members, or anybody where it is a budget
    """

    code: str
    limit: str
    most: int
    elders: int = 1


MEALS, FEN = "unit: meal, limit: 3, window: month", "unit: fen, limit_fen: 12.00, window: month"
KINDS = (
    Kind("dibao", f"{MEALS}, scope: person", 1500),
    Kind("tekun", f"{FEN}, scope: person", 1200),
    Kind("dibao_edge", f"{FEN}, scope: fund", 1200),
    Kind("entitled", f"{MEALS}, scope: household", 1500, elders=4),
    Kind("disabled", f"{FEN}, scope: household", 1200, elders=4),
)
BUDGET = Kind("honoured", "", 1200, elders=CROWD)
DROP_CHECK = "ALTER TABLE amount_used DROP CONSTRAINT ck_amount_used_within_limit"
ADD_CHECK = (
    "ALTER TABLE amount_used ADD CONSTRAINT ck_amount_used_within_limit CHECK (used >= 0 AND used <= limited_to)"
)


def book() -> str:
    """A rulebook in which each class has its own five yuan off, under the limit of its kind and no other."""
    lines = [
        "{format: 1, id: t, title: 测试标准, source: 测试, from: 2020-01-01, guard: none,",
        "funds: [{id: city, name: 市级, payer: subsidy},",
        "  {id: pot, name: 有限, payer: subsidy, budget: {limit: 12.00, window: month, at_end: stop}}],",
        "allowances: [" + ", ".join(f"{{id: t.{kind.code}, {kind.limit}}}" for kind in KINDS) + "],",
        "stages: [{id: s, title: 补贴, pick: sum, rules: [",
    ]
    for kind in (*KINDS, BUDGET):
        paid = f"fund: city, limits: [t.{kind.code}]" if kind.limit else "fund: pot"
        words = "label: 助餐补贴, reason: 测试, clause: 第一条, less: 5.00"
        lines.append(f"  {{id: {kind.code}, {words}, when: {{class: [{kind.code}]}}, {paid}}},")
    return "\n".join([*lines, "]}]}"])


@dataclass
class City:
    """Canteens with their keys, where elders are sold to everywhere at once."""

    session: Session
    tills: Sequence[World]
    keys: dict[str, Key]

    @classmethod
    def make(cls, session: Session, tills: Sequence[World]) -> City:
        world.a_rulebook(session, book())
        open_all_day(session)
        return cls(session, tills, {till.tablet: Key.given_to(till.tablet) for till in tills})

    def race(self, kind: Kind, hosts: Sequence[Server]) -> int:
        """Fen that may be claimed after CROWD sales at once, each quoted before any was sold; no record is lost."""
        home = uuid.uuid4().hex
        people = [world.an_elder(self.session, classes=[kind.code], household=home) for _ in range(kind.elders)]
        cards = [world.a_card(self.session, each) for each in people]
        shots = []
        for n in range(CROWD):
            till = self.tills[n % len(self.tills)]
            record = world.seal(till, world.checkout_body(till, [cards[n % len(cards)]]))
            shots.append(Shot(hosts[n // 2 % 2].url, self.keys[till.tablet], [record]))
        results = fire(shots)
        assert {result["outcome"] for result in results} <= {"created", "kept"}, results
        found = sum(claimable(self.session, each) for each in people)
        self.session.rollback()
        empty_the_pot()
        return found


def empty_the_pot() -> None:
    """Begin the budget anew: what is drawn of it is state, and all other limits are counted for new ids each time."""
    with owner_engine(str(db.engine.url.render_as_string(hide_password=False))).begin() as connection:
        connection.execute(text("DELETE FROM amount_used WHERE allowance = 'budget.pot'"))


@pytest.mark.parametrize("kind", [*KINDS, BUDGET], ids=lambda kind: kind.limit or "a budget")
def test_a_limit_of_each_kind_is_exact_whatever_two_processes_do(
    app: Flask, session: Session, canteens: list[World], hosts: list[Server], rounds: Rounds, kind: Kind
) -> None:
    city = City.make(session, canteens)
    for _ in range(rounds(2, 200)):
        assert city.race(kind, hosts) == kind.most


class TestWhatHolds:
    """PostgreSQL: SQLite has one writer, whose lock cannot be taken away."""

    @pytest.fixture
    def database_url(self, postgres_url: str) -> str:
        return postgres_url

    def test_lock_or_row_alone_keeps_every_limit_but_a_budget(
        self, app: Flask, session: Session, canteens: list[World], config: Config, serve: Serve, rounds: Rounds
    ) -> None:
        city = City.make(session, canteens)

        bare = two(config, serve, PYTHONPATH=UNLOCKED, WITHOUT="locks rows")
        as_owner(DROP_KEY, DROP_CHECK)
        for kind in (*KINDS, BUDGET):
            assert any(city.race(kind, bare) > kind.most for _ in range(rounds(12, 50))), kind
        end(bare)

        rowless = two(config, serve, PYTHONPATH=UNLOCKED, WITHOUT="rows")
        for kind in (*KINDS, BUDGET):
            assert all(city.race(kind, rowless) == kind.most for _ in range(rounds(1, 50))), kind
        end(rowless)

        as_owner("DELETE FROM slot", "DELETE FROM amount_used", ADD_KEY, ADD_CHECK)
        unlocked = two(config, serve, PYTHONPATH=UNLOCKED, WITHOUT="locks")
        for kind in KINDS:
            assert all(city.race(kind, unlocked) == kind.most for _ in range(rounds(1, 50))), kind
        assert any(city.race(BUDGET, unlocked) > BUDGET.most for _ in range(rounds(12, 50)))
        end(unlocked)


def end(servers: Sequence[Server]) -> None:
    for server in servers:
        server.kill()
