"""Headers, cookies, requests from elsewhere (P24), and what production refuses to start with."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from sqlalchemy import column, func, select, table
from sqlalchemy.orm import Session
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as BaseResponse

from canteen.config import SECRETS, BadSetting, Config
from canteen.web.doors import SAFE, Door, list_public
from canteen.web.errors import BadCharacter, ForeignOrigin, WrongContentType

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", "[::1]"})
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
DEMO_LOGINS = "demo-%"
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
TABLET_POLICY = POLICY | {"script-src": "'self' 'wasm-unsafe-eval'", "worker-src": "'self'"}
CAMERA = "camera=(self), microphone=(), geolocation=()"  # of a page of the desk that may use a camera
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class UnsafeStart(BadSetting):
    code = "unsafe_start"
    message = "生产环境不安全，系统拒绝启动。"


def settings() -> Config:
    """Return the configuration of the current application."""
    found: Config = current_app.config["CANTEEN"]
    return found


def register(app: Flask, config: Config) -> None:
    """Limit the requests, and put the headers on the responses."""
    app.config["CANTEEN"] = config
    app.config["MAX_CONTENT_LENGTH"] = config.max_body
    app.config["MAX_FORM_MEMORY_SIZE"] = min(config.max_body, 512 * 1024)
    app.config["MAX_FORM_PARTS"] = 500
    app.config["SECRET_KEY"] = None  # nothing is kept in client-side sessions
    if config.proxies:
        hops = config.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.after_request(_finish)
    app.jinja_env.globals["csrf_token"] = csrf_token
    if "static" in app.view_functions:
        list_public(app, "static", "style sheets, scripts and fonts hold nothing of anyone")


# --- what goes out ---


def _fixed(*, tablet: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers that every answer carries, to the tablet's pages or to others."""
    policy = "; ".join(f"{name} {value}" for name, value in (TABLET_POLICY if tablet else POLICY).items())
    permissions = CAMERA if tablet else CAMERA.replace("self", "")
    return ("Content-Security-Policy", policy), ("Permissions-Policy", permissions), *HEADERS.items()


_FIXED = {tablet: _fixed(tablet=tablet) for tablet in (False, True)}


def _finish(response: Response) -> Response:
    path, headers = request.path, response.headers
    tablet = path == "/pos" or path.startswith(("/pos/", "/static/pos/"))
    there = {name.lower() for name in headers.keys()}  # noqa: SIM118 - of headers, which are pairs
    for name, value in _FIXED[tablet]:
        if name.lower() not in there:
            headers.add(name, value)
    if request.is_secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if "cache-control" not in there and request.endpoint != "static":
        headers.add("Cache-Control", "no-store")
    if visitor := g.pop("new_visitor", None):
        set_cookie(response, "visitor", visitor)
    return response


def secure() -> bool:
    """Return whether cookies must be Secure: on HTTPS, and always in production."""
    return request.is_secure or settings().production


def on_loopback_host() -> bool:
    """Return whether the address in the browser is this machine itself."""
    return (urlsplit(f"//{request.host}").hostname or "") in LOOPBACK


def from_loopback() -> bool:
    """Return whether the request was made on this machine, not through a proxy on it."""
    relayed = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip"))
    return request.remote_addr in {"127.0.0.1", "::1"} and not relayed


def cookie_name(base: str) -> str:
    return f"__Host-{base}" if secure() else base


def set_cookie(response: BaseResponse, base: str, value: str, *, seconds: int | None = None) -> None:
    """Set a cookie no script reads and no other host sets; without `seconds` it dies with the browser."""
    response.set_cookie(
        cookie_name(base), value, max_age=seconds, path="/", secure=secure(), httponly=True, samesite="Lax"
    )


def drop_cookie(response: BaseResponse, base: str) -> None:
    response.set_cookie(cookie_name(base), "", max_age=0, path="/", secure=secure(), httponly=True, samesite="Lax")


def cookie(base: str) -> str | None:
    return request.cookies.get(cookie_name(base))


def keyed(purpose: str, *parts: str) -> str:
    """Return HMAC-SHA-256 under the installation's key, hex; different purposes and parts never give one result."""
    text = "".join(f"{len(part.encode())}:{part}" for part in (purpose, *parts))
    return hmac.new(settings().secret("session"), text.encode(), hashlib.sha256).hexdigest()


# --- requests from elsewhere ---


def csrf_token() -> str:
    """Return the token that forms carry: the session's, or before login one tied to a visitor's cookie."""
    own = g.get("csrf")
    if isinstance(own, str):
        return own
    visitor = g.get("new_visitor") or cookie("visitor")
    if not visitor:
        visitor = g.new_visitor = secrets.token_urlsafe(24)
    return keyed("csrf", visitor)


def check_source(door: Door) -> None:
    """Refuse changes asked from another origin, whatever the content type (P24).

    What a tablet signed cannot be forged by a page, so it needs JSON alone; a form needs its token;
    JSON needs our header and our Origin. Raises ForeignOrigin, WrongContentType.
    """
    if request.method in SAFE:
        return
    if door.tablet:
        _need_json()
        return
    origin = request.headers.get("Origin")
    if origin is not None and not _ours(origin):
        raise ForeignOrigin
    if request.path.startswith("/api/"):
        _need_json()
        if origin is None or not request.headers.get("X-Requested-With"):
            raise ForeignOrigin
        return
    if request.mimetype not in FORMS:
        raise WrongContentType
    sent = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    if not hmac.compare_digest(sent.encode(), csrf_token().encode()):
        raise ForeignOrigin("页面已过期，操作未执行。请刷新页面后重试。")


def check_text() -> None:
    """Refuse NUL in an address or a form: PostgreSQL keeps no text with it, and nobody types it. Raises BadCharacter."""
    sent = [request.args, request.form] if request.mimetype in FORMS else [request.args]
    if any("\0" in text for part in sent for pair in part.items(multi=True) for text in pair):
        raise BadCharacter


def _need_json() -> None:
    if request.mimetype != "application/json" and (request.content_length or request.mimetype):
        raise WrongContentType


def _ours(origin: str) -> bool:
    return origin == f"{request.scheme}://{request.host}" or origin in settings().allowed_origins


# --- what production refuses ---


def refuse_unsafe(config: Config, session: Session, *, debug: bool = False) -> None:
    """Raise UnsafeStart naming all that is wrong, when this is production and anything is."""
    if not config.production:
        return
    wrong = [fault for name in SECRETS if (fault := _faulty_secret(config.keys_dir / f"{name}.key"))]
    if debug or config.testing:
        wrong.append("调试或测试模式开着")
    if config.demo:
        wrong.append("配置为演示（CANTEEN_DEMO）")
    installation, person = (
        table("installation", column("demo")),
        table("person", column("login"), column("disabled_at")),
    )
    if session.execute(select(func.count()).where(installation.c.demo).select_from(installation)).scalar_one():
        wrong.append("数据库是演示数据库")
    demo_people = select(func.count()).where(person.c.login.like(DEMO_LOGINS), person.c.disabled_at.is_(None))
    if session.execute(demo_people.select_from(person)).scalar_one():
        wrong.append("存在演示账号")
    if wrong:
        raise UnsafeStart("生产环境不安全，系统拒绝启动：" + "；".join(wrong) + "。")


def _faulty_secret(path: Path) -> str | None:
    if not path.is_file():
        return f"缺少密钥文件 {path.name}"
    if path.stat().st_mode & 0o077:
        return f"密钥文件 {path.name} 其他用户可读"
    if len(secret := path.read_bytes()) < 32 or len(set(secret)) < 12:
        return f"密钥文件 {path.name} 不是足够长的随机内容"
    return None
