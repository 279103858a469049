"""Refusals to HTTP: a problem document (RFC 9457) for programs, a Chinese page for people. The only place that knows both."""

from __future__ import annotations

import http
import json
import logging
import traceback
from typing import ClassVar
from urllib.parse import quote

from flask import Flask, Response, current_app, g, redirect, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from canteen.db import DatabaseAway, db, is_away
from canteen.errors import Conflict, Forbidden, Invalid, Missing, Refusal

log = logging.getLogger("canteen")


class Malformed(Invalid):
    code = "malformed"
    message = "提交的内容无法识别，请重试；如仍不行，请联系系统运维。"
    status: ClassVar[int] = 400


class WrongContentType(Invalid):
    code = "wrong_content_type"
    message = "提交的内容类型不对，请从本系统的页面操作。"
    status: ClassVar[int] = 415


class BodyTooLarge(Invalid):
    code = "body_too_large"
    message = "提交的内容太大，系统不接收。请减小文件或分几次提交。"
    status: ClassVar[int] = 413


class BadCharacter(Invalid):
    code = "bad_character"
    message = "填写的内容里有无法保存的字符（多半是粘贴时带入的），请删去后重新输入。"


class LoginNeeded(Forbidden):
    code = "login_needed"
    message = "请先登录。"
    status: ClassVar[int] = 401


class Locked(Forbidden):
    """`details['minutes']` tells how long, rounded up."""

    code = "locked"
    message = "输错次数过多，已暂时锁定，请稍后再试。"
    status: ClassVar[int] = 429


class ForeignOrigin(Forbidden):
    code = "foreign_origin"
    message = "这个请求不是从本系统的页面发出的，未执行。请从本系统页面重新操作。"


class NotFound(Missing):
    code = "not_found"
    message = "没有这个页面或内容，请检查地址。"


class WrongMethod(Refusal):
    code = "method_not_allowed"
    message = "此地址不支持这种操作方式。"
    status: ClassVar[int] = 405


class Broken(Refusal):
    code = "internal_error"
    message = "系统出现意外错误，本次操作未完成。请稍后再试，如仍出现请联系系统运维。"
    status: ClassVar[int] = 500


FAMILIES: tuple[tuple[type[Refusal], int], ...] = (
    (DatabaseAway, 503),
    (Invalid, 422),
    (Missing, 404),
    (Forbidden, 403),
    (Conflict, 409),
)
BY_STATUS: dict[int, type[Refusal]] = {
    400: Malformed,
    401: LoginNeeded,
    403: Forbidden,
    404: NotFound,
    405: WrongMethod,
    408: Malformed,
    409: Conflict,
    413: BodyTooLarge,
    414: BodyTooLarge,
    415: WrongContentType,
    422: Invalid,
    429: Locked,
    431: BodyTooLarge,
    503: DatabaseAway,
}
TITLES = {
    400: "请求有误",
    401: "需要登录",
    403: "没有权限",
    404: "没有找到",
    405: "不支持的操作",
    409: "内容冲突",
    413: "内容太大",
    415: "内容类型不对",
    422: "填写有误",
    429: "暂时锁定",
    500: "系统错误",
    503: "系统暂时不可用",
}


def status_of(refusal: Refusal) -> int:
    """Return the HTTP status of a refusal: its own if it names one, else its family's."""
    own = getattr(refusal, "status", None)
    if isinstance(own, int):
        return own
    return next((status for family, status in FAMILIES if isinstance(refusal, family)), 400)


def for_programs() -> bool:
    """Return whether the caller reads problem documents rather than pages."""
    return request.path.startswith("/api/")


def answer(refusal: Refusal, *, status: int | None = None, headers: dict[str, str] | None = None) -> Response:
    """Make the response to a refusal, in the form that the caller can read."""
    status = status or status_of(refusal)
    if isinstance(refusal, LoginNeeded) and not for_programs() and request.method == "GET":
        return _to_login()
    response = _problem(refusal, status) if for_programs() else _page(refusal, status)
    response.headers.update(headers or {})
    if status == 503:
        response.headers["Retry-After"] = "5"
    if status == 429 and isinstance(minutes := refusal.details.get("minutes"), int):
        response.headers["Retry-After"] = str(60 * minutes)
    return response


def _problem(refusal: Refusal, status: int) -> Response:
    body: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES.get(status, http.HTTPStatus(status).phrase),
        "status": status,
        "code": refusal.code,
        "detail": refusal.message,
    }
    if refusal.details:
        body["details"] = refusal.details
    return Response(
        json.dumps(body, ensure_ascii=False), status, content_type="application/problem+json; charset=utf-8"
    )


def _page(refusal: Refusal, status: int) -> Response:
    title = TITLES.get(status, "操作未完成")
    return Response(render_template("error.html", title=title, refusal=refusal, status=status), status)


def _to_login() -> Response:
    target = request.full_path.rstrip("?")
    return redirect("/login" if target == "/" else "/login?next=" + quote(target, safe=""))  # type: ignore[return-value]


def on_refusal(refusal: Refusal) -> Response:
    return answer(refusal)


def on_http(error: HTTPException) -> Response:
    """Answer Werkzeug's and webargs' own exceptions in our words. Redirects pass as they are."""
    status = error.code or 500
    if status < 400:
        return error.get_response()  # type: ignore[return-value]
    if isinstance(cause := error.__cause__, Refusal):
        return answer(cause)
    refusal = BY_STATUS.get(status, Broken)()
    messages = getattr(error, "data", {}).get("messages") if isinstance(getattr(error, "data", None), dict) else None
    if messages:
        refusal.details["fields"] = sorted(fields_of(messages))
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return answer(refusal, status=status, headers=headers)


def fields_of(messages: object, path: str = "") -> set[str]:
    """Return the dotted paths that a schema refused: {'json': {'sales': {0: {'id': […]}}}} -> {'sales.0.id'}."""
    if not isinstance(messages, dict):
        return {path or "body"}
    found = set[str]()
    for key, below in messages.items():
        at_top = not path and key in {"json", "query", "form", "headers", "json_or_form", "path"}
        found |= fields_of(below, path if at_top or key == "_schema" else f"{path}.{key}".lstrip("."))
    return found


def on_exception(error: Exception) -> Response:
    """Answer an unforeseen error without its details; log its kind and place only, as its text may contain personal data (P28)."""
    db.session.rollback()
    if is_away(error):
        log.warning("database away: %s", type(error).__name__)
        return answer(DatabaseAway())
    if current_app.testing or current_app.debug:
        log.error("unforeseen at %s %s", request.method, request.endpoint, exc_info=error)
    else:
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("unforeseen %s at %s %s\n%s", type(error).__name__, request.method, request.endpoint, where)
    g.pop("caller", None)
    return answer(Broken())


def register(app: Flask) -> None:
    """Answer every error of `app`."""
    app.register_error_handler(Refusal, on_refusal)
    app.register_error_handler(HTTPException, on_http)
    app.register_error_handler(Exception, on_exception)
