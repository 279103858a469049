"""The tablet's shell at /pos, its service worker and manifest. Its data comes from the API, signed.

The shell contains no personal data, so anyone may fetch it. The service worker's text begins with the list of files
and their common hash: it changes exactly when one of them does.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, current_app, render_template, url_for

from canteen.config import ROOT
from canteen.web.doors import public
from canteen.web.vendor import vendor_url

STATIC = ROOT / "static"
NOT_SHIPPED = frozenset({"sw.js", "decoder.js"})  # served under /pos, so that the worker's scope covers them
LIBRARY = ("reader/index.js", "share.js", "reader/zxing_reader.wasm")
INDEX = ROOT / "templates" / "pos" / "index.html"
TOKENS = STATIC / "css" / "tokens.css"
ASK_AGAIN = "no-cache"  # a browser asks each time whether it is still the same

bp = Blueprint("tablet", __name__, url_prefix="/pos")


@bp.get("", strict_slashes=False)
@public("an empty shell: all it shows is asked for with the tablet's signature")
def shell() -> Response:
    """Serve the one page of the tablet."""
    page = render_template("pos/index.html", reader=_library("reader/index.js"), wasm=_library(LIBRARY[2]))
    return _answer(page, "text/html")


@bp.get("/sw.js")
@public("part of the shell")
def service_worker() -> Response:
    """Serve the service worker; its scope is /pos with all below."""
    text = f"self.SHELL = {json.dumps(_listing())}\n{_text('sw.js')}"
    response = _answer(text, "text/javascript")
    response.headers["Service-Worker-Allowed"] = url_for("tablet.shell")
    return response


@bp.get("/decoder.js")
@public("part of the shell")
def decoder() -> Response:
    """Serve the worker that reads codes: under /pos, not /static, so that the service worker caches it too."""
    return _answer(_text("devices/decoder.js"), "text/javascript")


@bp.get("/manifest.webmanifest")
@public("part of the shell")
def manifest() -> Response:
    """Serve the manifest with which a tablet puts the page on its home screen."""
    icon = {"src": url_for("static", filename="pos/icon.svg"), "sizes": "any", "type": "image/svg+xml"}
    page = url_for("tablet.shell")
    document = {
        "name": "敬老餐厅收银",
        "short_name": "餐厅收银",
        "lang": "zh-Hans",
        "start_url": page,
        "scope": page,
        "id": page,
        "display": "fullscreen",
        "background_color": "#ffffff",
        "theme_color": "#0b4468",
        "icons": [{**icon, "purpose": "any"}, {**icon, "purpose": "maskable"}],
    }
    return _answer(json.dumps(document, ensure_ascii=False), "application/manifest+json")


def _listing() -> dict[str, object]:
    """List every file of the shell by its address, with the hash of them all."""
    own = [
        url_for("static", filename=path.relative_to(STATIC).as_posix())
        for path in _files()
        if path.name not in NOT_SHIPPED
    ]
    served = [url_for("tablet.decoder"), url_for("tablet.manifest")]
    vendored = [_library(name) for name in LIBRARY]
    return {
        "version": _version(current_app.debug or current_app.testing),
        "page": url_for("tablet.shell"),
        "files": [*own, *served, *vendored],
    }


def _version(fresh: bool) -> str:
    return _hash.__wrapped__() if fresh else _hash()


@cache
def _hash() -> str:
    """Hash names and contents of all files of the shell; vendored files change only with their version."""
    whole = hashlib.sha256()
    for path in [*_files(), INDEX, Path(__file__)]:
        whole.update(f"{path.relative_to(ROOT)}\n".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    whole.update("".join(_library(name) for name in LIBRARY).encode())
    return whole.hexdigest()[:16]


def _files() -> list[Path]:
    return [TOKENS, *sorted(path for path in (STATIC / "pos").rglob("*") if path.is_file())]


def _library(name: str) -> str:
    return vendor_url("zxing-wasm", name)


def _text(name: str) -> str:
    return (STATIC / "pos" / name).read_text(encoding="utf-8")


def _answer(text: str, mimetype: str) -> Response:
    response = Response(text, mimetype=mimetype)
    response.headers["Cache-Control"] = ASK_AGAIN
    return response
