"""Make, verify and restore backups: what the commands do, and what they compare."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url

from canteen import clock, keychecks
from canteen.backups import dumps, sealing
from canteen.backups.figures import Figures, differences
from canteen.backups.sealing import BadBackup
from canteen.config import Config
from canteen.db import newest_revision
from canteen.errors import Conflict

MANIFEST: Final = "manifest.json"
SECRET: Final = "backup"  # noqa: S105 - the name of a secret
ENDING: Final = ".backup"


class Differs(Conflict):
    """What was read back is not what was written; `details` names where."""

    code = "backup_differs"
    message = "读回来的数据与备份时记下的笔数、金额不一致，这个备份不能用。请立即重做一份，并联系系统运维。"


class OtherDatabase(Conflict):
    code = "backup_other_database"
    message = "这个备份是另一种数据库做的。请把 CANTEEN_DATABASE_URL 设为同一种数据库后再试。"


class OtherVersion(Conflict):
    code = "backup_other_version"
    message = "这个备份是另一版本的程序做的。请用那个版本恢复，再按升级步骤升到现在的版本。"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made or read. `figures` are those of its moment."""

    path: Path
    made_at: datetime
    bytes: int
    dialect: str
    figures: Figures

    def doc(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "made_at": self.made_at.isoformat(),
            "bytes": self.bytes,
            "database": self.dialect,
            "schema": self.figures.revision,
            "tables": len(self.figures.rows),
            "rows": sum(self.figures.rows.values()),
            "sums": self.figures.sums,
        }


def make(config: Config, path: Path) -> Backup:
    """Back the database up while everything runs, as the file `path` or, where that is a folder, a new one in it.

    Raises NoProgram, DumpFailed, FileExistsError, OSError.
    """
    at = clock.now()
    if path.is_dir():
        path = path / f"canteen-{clock.local(at):%Y%m%d-%H%M%S}{ENDING}"
    if path.exists():
        raise FileExistsError(path)
    with _scratch(path.parent) as folder:
        figures = dumps.dump(config, folder)
        manifest = {"made_at": at.isoformat(), "dialect": _dialect(config), "figures": figures.doc()}
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        files = [folder / MANIFEST, folder / dumps.DATABASE]
        size = sealing.write(path, files, config.secret(SECRET))
    return Backup(path, at, size, _dialect(config), figures)


def verify(config: Config, path: Path, scratch: str = "") -> Backup:
    """Read a backup back whole and compare it with what was noted when it was made.

    On SQLite the copy is opened and checked page by page; on PostgreSQL it is restored into the empty database at
    `scratch`, and without one only its table of contents is read.
    Raises BadBackup, Differs, OtherDatabase, and what `dumps.load` raises.
    """
    with _opened(config, path) as (folder, backup):
        if config.sqlite:
            found = dumps.load(_at(config, f"sqlite:///{folder / 'read.db'}"), folder)
            faults = dumps.faults_of_file(folder / "read.db")
        elif scratch:
            found, faults = dumps.load(_at(config, scratch), folder), []
        else:
            dumps.list_contents(config, folder)
            return backup
        if said := faults + differences(backup.figures, found):
            raise Differs(details={"where": said[:20]})
        return backup


def restore(config: Config, path: Path) -> Backup:
    """Put a backup into the empty database of `config`, and compare. The incarnation is still the old one.

    Raises BadBackup, Differs, WrongKeys, OtherDatabase, OtherVersion, and what `dumps.load` raises.
    """
    with _opened(config, path) as (folder, backup):
        if backup.figures.revision != newest_revision():
            raise OtherVersion(details={"schema": backup.figures.revision})
        kept = sorted(backup.figures.keys.items())
        keychecks.refuse(
            fault
            for name, value in kept
            if (fault := keychecks.fault_of(name, keychecks.read(config, name), value)) is not None
        )
        found = dumps.load(config, folder)
        if said := differences(backup.figures, found):
            raise Differs(details={"where": said[:20]})
        return backup


@contextmanager
def _opened(config: Config, path: Path) -> Iterator[tuple[Path, Backup]]:
    secret = keychecks.read(config, SECRET)
    if secret is None:
        keychecks.refuse([keychecks.missing(SECRET)])
    assert secret is not None
    with _scratch(config.data_dir) as folder:
        sealing.read(path, folder, secret)
        try:
            doc = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            figures = Figures(**doc["figures"])
            made_at = datetime.fromisoformat(doc["made_at"])
            backup = Backup(path, made_at, path.stat().st_size, doc["dialect"], figures)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadBackup from error
        if backup.dialect != _dialect(config):
            raise OtherDatabase
        yield folder, backup


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """Yield a folder for this process alone, on the disk of `beside`, removed whatever happens."""
    beside.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=".backup-", dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _dialect(config: Config) -> str:
    return make_url(config.database_url).get_dialect().name


def _at(config: Config, url: str) -> Config:
    """Return the same settings on another database."""
    return replace(config, database_url=url)
