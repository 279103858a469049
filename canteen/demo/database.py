"""Where the demo city is built: a side file renamed when whole, or an empty PostgreSQL database."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from flask import Flask
from sqlalchemy import event, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from canteen import config as settings
from canteen.app import create_app
from canteen.config import Config
from canteen.db import db, owner_engine, upgrade
from canteen.errors import Conflict
from canteen.places import Installation


class NotADemo(Conflict):
    code = "not_a_demo_database"
    message = "这个数据库不是演示数据库，演示数据只能建在单独的空数据库里。"


class NoDemoInProduction(Conflict):
    code = "demo_in_production"
    message = "生产环境不能建立演示数据。"


class AlreadyBuilding(Conflict):
    code = "demo_being_built"
    message = "另一个进程正在建立演示数据，请等它完成后再试。"


class CannotReplace(Conflict):
    code = "demo_not_replaced"
    message = "PostgreSQL 上的演示数据库不会被覆盖：请新建一个空数据库，再用 CANTEEN_DATABASE_URL 指明。"


def stands(config: Config) -> bool:
    """Return whether a complete demo city is there, and migrate it. Raises NotADemo, NoDemoInProduction."""
    if config.production:
        raise NoDemoInProduction
    if config.sqlite and not _file(config).exists():
        return False
    if not config.sqlite and _empty(config):
        return False
    if not _is_demo(config):
        raise NotADemo
    upgrade(config.database_url)
    return True


def _is_demo(config: Config) -> bool:
    engine = owner_engine(config.database_url)
    try:
        with engine.connect() as connection:
            return bool(connection.execute(select(Installation.demo)).scalar())
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def _empty(config: Config) -> bool:
    engine = owner_engine(config.database_url)
    try:
        return not inspect(engine).get_table_names()
    finally:
        engine.dispose()


@contextmanager
def building(config: Config, *, anew: bool = False) -> Iterator[Flask]:
    """Yield the application on a database to fill, which takes its place when the block ends well.

    anew    over an existing demo city; refused on PostgreSQL. Raises NotADemo, CannotReplace, AlreadyBuilding,
            NoDemoInProduction.
    """
    if config.sqlite:
        with _alone(config), _side_file(config, anew=anew) as app:
            yield app
    elif stands(config):
        raise CannotReplace
    else:
        upgrade(config.database_url)
        with opened(replace(config, demo=True)) as app:
            yield app


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """Let one process build at a time; the lock ends with the process, however that ends."""
    target = _file(config)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyBuilding from error
        yield


@contextmanager
def _side_file(config: Config, *, anew: bool) -> Iterator[Flask]:
    if stands(config) and not anew:
        raise CannotReplace
    target = _file(config)
    side = target.with_name(f".{target.name}.building")
    for left in target.parent.glob(f"{side.name}*"):
        left.unlink()
    aside = replace(config, database_url=f"sqlite:///{side}", demo=True)
    upgrade(aside.database_url)
    with opened(aside, hurried=True) as app:
        yield app
    with side.open("rb") as whole:
        os.fsync(whole.fileno())
    side.replace(target)


@contextmanager
def opened(config: Config, *, hurried: bool = False) -> Iterator[Flask]:
    """Yield the application on a database, in its context; connections are closed at the end."""
    app = create_app(config)
    with app.app_context():
        if hurried:
            event.listen(db.engine, "connect", _hurry)
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()


def _hurry(connection: object, _record: object) -> None:
    """Skip waiting for the disk: a side file that is not whole is thrown away."""
    for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -65536"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def _file(config: Config) -> Path:
    return Path(make_url(config.database_url).database or "")


def of_environment() -> Config:
    """Return the settings as the demo reads them: in a database of its own unless one is named."""
    env = dict(os.environ)
    env.setdefault("CANTEEN_DATA", str(settings.ROOT / "data" / "demo"))
    return replace(settings.from_environment(env), demo=True)
