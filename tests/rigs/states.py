"""States that many tests start from: each is built once a worker and kind of database, and copied for each test.

    @state
    def town(session: Session) -> Town: ...

    @state
    def january(town: Town) -> Town: ...

These are fixtures like any other: a test that asks for one finds its rows, its keys and what it answered. A state may
build on one other; besides it, it is given `app`, `session` and `config`, but nothing that is of one test alone. What it
answers is copied too: ids and plain values, and the session. It builds at the real time unless it sets the clock itself.
"""

from __future__ import annotations

import copy
import inspect
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen.db import db
from tests.rigs.applications import config_for, running

Builder = Callable[..., Any]
Chain = tuple[Builder, ...]  # a state and all that it builds on, the first of them first

KEPT = 12  # states of one kind of database that are kept: tests come file by file, and a file has few


class Databases(Protocol):
    """One kind of databases, known by their names."""

    template: str

    def copy(self, source: str) -> str: ...
    def drop(self, name: str) -> None: ...
    def url(self, name: str) -> str: ...


@dataclass
class Built:
    """What a state left: its database, the folder of its installation, its session, and what it and its bases answered."""

    database: str
    folder: Path
    session: Session
    answers: dict[Builder, Any]

    def answers_in(self, session: Session) -> dict[Builder, Any]:
        """Copies of what was answered, with `session` where the session was."""
        return copy.deepcopy(self.answers, {id(self.session): session})


@dataclass
class States:
    """The states that a worker has built on one kind of databases."""

    databases: Databases
    folder: Path
    _built: dict[Chain, Built] = field(default_factory=dict)

    def of(self, chain: Chain) -> Built:
        """The state at the end of `chain`, built now if it is not kept."""
        if chain not in self._built:
            base = self.of(chain[:-1]) if len(chain) > 1 else None
            self._built[chain] = self._build(chain[-1], base)
        self._built[chain] = self._built.pop(chain)  # the one used last stands last
        while len(self._built) > KEPT:
            self._forget(next(iter(self._built)))
        return self._built[chain]

    def _build(self, builder: Builder, base: Built | None) -> Built:
        database = self.databases.copy(base.database if base else self.databases.template)
        folder = self.folder / uuid.uuid4().hex
        if base:
            shutil.copytree(base.folder, folder)
        try:
            with running(config_for(self.databases.url(database), folder)) as app:
                session = db.session()
                answers = base.answers_in(session) if base else {}
                answers[builder] = build(builder, app, lambda _name: list(answers.values())[-1])
                session.rollback()
        except BaseException:
            self.databases.drop(database)
            raise
        folder.mkdir(exist_ok=True)
        return Built(database, folder, session, answers)

    def _forget(self, chain: Chain) -> None:
        left = self._built.pop(chain)
        self.databases.drop(left.database)
        shutil.rmtree(left.folder)


class Start:
    """What the databases of one test hold at first."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._built: dict[str, Built] = {}  # by the address of a database that holds it
        self._answers: dict[Builder, Any] = {}

    def database(self, states: States, folder: Path) -> str:
        """Name of a new database that holds the state; its keys and files are put into the test's `folder`."""
        if not self._chain:
            return states.databases.copy(states.databases.template)
        built = states.of(self._chain)
        name = states.databases.copy(built.database)
        shutil.copytree(built.folder, folder, dirs_exist_ok=True)
        self._built[states.databases.url(name)] = built
        return name

    def answer(self, builder: Builder, url: str, session: Session) -> Any:
        """What `builder` answered in the state of the database at `url`. Raises KeyError when that is not of it."""
        if not self._answers and url in self._built:
            self._answers = self._built[url].answers_in(session)
        return self._answers[builder]


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Start:
    """The state with the longest way among the test's fixtures."""
    chains = [chain for name in request.node.fixturenames if (chain := _chain(request, name))]
    return Start(max(chains, key=len, default=()))


def state(builder: Builder) -> Any:
    """Make a fixture of a function that builds a state."""

    def fixture(request: pytest.FixtureRequest, start: Start, app: Flask) -> Any:
        try:
            return start.answer(builder, app.config["CANTEEN"].database_url, db.session())
        except KeyError:  # the test asked for it while it ran, or for another state too
            return build(builder, app, request.getfixturevalue)

    fixture.builder = builder  # by which `_chain` knows it
    return pytest.fixture(name=builder.__name__)(fixture)


def build(builder: Builder, app: Flask, base: Callable[[str], Any]) -> Any:
    """What `builder` answers in `app`; `base` answers for the state that it builds on."""
    given: dict[str, Any] = {"app": app, "session": db.session(), "config": app.config["CANTEEN"]}
    wanted = inspect.signature(builder).parameters
    return builder(**{name: given[name] if name in given else base(name) for name in wanted})


def _chain(request: pytest.FixtureRequest, name: str) -> Chain:
    """The way to the state that is called `name` where the test stands; empty when that is no state."""
    found = request.session._fixturemanager.getfixturedefs(name, request.node)
    builder: Builder | None = getattr(found[-1].func, "builder", None) if found else None
    if builder is None:
        return ()
    bases = [other for other in inspect.signature(builder).parameters if other not in {"app", "session", "config"}]
    (base,) = [_chain(request, other) for other in bases] or [()]
    return (*base, builder)
