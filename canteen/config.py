"""Settings from the environment: typed, with safe defaults, refused when wrong."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flask import current_app

from canteen.errors import Invalid

SECRETS = ("identity", "identity-lookup", "card-salt", "card-wrap", "session", "stamp", "pepper", "backup")
ROOT = Path(__file__).resolve().parent.parent


class BadSetting(Invalid):
    code = "bad_setting"
    message = "系统配置有误，请系统运维检查环境变量。"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one installation. `keys_dir` contains the secrets: they are never in the database."""

    database_url: str
    data_dir: Path
    keys_dir: Path
    production: bool = False
    demo: bool = False
    app_role: str = "canteen_app"  # PostgreSQL: SET ROLE on every connection of the application; empty = as logged in
    allowed_origins: tuple[str, ...] = ()  # besides the request's own host
    proxies: int = 0  # trusted hops in front; 0 = addresses are taken from the socket
    pool_size: int = 10
    period_from: int = 1  # day of the month on which a period begins; a new value applies from the chain's end on
    max_body: int = 8 * 1024 * 1024
    testing: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    def secret(self, name: str) -> bytes:
        """Return the 32 random bytes of `keys_dir/<name>.key`, made at first use outside production.

        Raises BadSetting in production when the file is missing: a key must be put there on purpose.
        """
        known = _SECRETS.get((self.keys_dir, name))
        if known is not None:
            return known
        path = self.keys_dir / f"{name}.key"
        if not path.exists():
            if self.production:
                raise BadSetting(
                    f"缺少密钥文件 {path.name}：请从密钥备份放回；只有全新的系统才运行 canteen keys init。"
                )
            self.keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_new(path, secrets.token_bytes(32))
        return _SECRETS.setdefault((self.keys_dir, name), path.read_bytes())


_SECRETS: dict[tuple[Path, str], bytes] = {}  # a key never changes under its name, so each file is read once a process


def _write_new(path: Path, data: bytes) -> None:
    """Create `path` with `data` complete; the first process wins."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def current() -> Config:
    """Return the settings of the application whose context we are in."""
    config: Config = current_app.config["CANTEEN"]
    return config


def from_environment(env: Mapping[str, str] | None = None) -> Config:
    """Read CANTEEN_* variables. Raises BadSetting naming the variable that is wrong."""
    env = os.environ if env is None else env
    data_dir = Path(env.get("CANTEEN_DATA", str(ROOT / "data"))).resolve()
    url = env.get("CANTEEN_DATABASE_URL", f"sqlite:///{data_dir / 'canteen.db'}")
    if url.startswith(("postgres://", "postgresql://")):
        url = "postgresql+psycopg://" + url.split("://", 1)[1]
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise BadSetting("CANTEEN_DATABASE_URL 只支持 sqlite:/// 或 postgresql://。")
    return Config(
        database_url=url,
        data_dir=data_dir,
        keys_dir=Path(env.get("CANTEEN_KEYS", str(data_dir / "keys"))).resolve(),
        production=_flag(env, "CANTEEN_PRODUCTION"),
        demo=_flag(env, "CANTEEN_DEMO"),
        app_role=env.get("CANTEEN_APP_ROLE", "canteen_app"),
        allowed_origins=tuple(o.strip() for o in env.get("CANTEEN_ORIGINS", "").split(",") if o.strip()),
        proxies=_number(env, "CANTEEN_PROXIES", 0, 0, 5),
        pool_size=_number(env, "CANTEEN_POOL", 10, 1, 100),
        period_from=_number(env, "CANTEEN_PERIOD_FROM", 1, 1, 28),
    )


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "0").lower()
    if text not in {"0", "1", "true", "false", "yes", "no", ""}:
        raise BadSetting(f"{name} 只能是 1 或 0。")
    return text in {"1", "true", "yes"}


def _number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name, str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise BadSetting(f"{name} 应为 {low} 到 {high} 的整数。")
    return int(text)
