"""Third-party files of the pages: served from node_modules by an explicit list, never by path.

/static/vendor/<package>@<version>/<file>   kept by browsers for good; another version than ours is not found
/static/vendor/<package>/<file>             asked for again each time, answered 304 while it is the same
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, send_file

from canteen.config import ROOT
from canteen.web.doors import public

PREFIX = "/static/vendor"
MODULES = ROOT / "node_modules"
TYPES = {".js": "text/javascript", ".wasm": "application/wasm"}
FILES = {
    "htmx.org": {"htmx.min.js": "dist/htmx.min.js"},
    "zxing-wasm": {
        "reader/index.js": "dist/es/reader/index.js",
        "share.js": "dist/es/share.js",
        "reader/zxing_reader.wasm": "dist/reader/zxing_reader.wasm",
    },
}
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, no-cache"

bp = Blueprint("vendor", __name__, url_prefix=PREFIX)


@bp.get("/<package>/<path:name>")
@public("published libraries hold nothing of anyone")
def vendor(package: str, name: str) -> Response:
    """Send one listed file."""
    package, _, version = package.partition("@")
    if name not in FILES.get(package, {}) or (version and version != versions()[package]):
        abort(404)
    path = _path(package, name)
    if not path.is_file():
        abort(404)
    response = send_file(path, mimetype=TYPES[path.suffix], conditional=True)
    response.headers["Cache-Control"] = FOR_GOOD if version else ASK_AGAIN
    return response


def register(app: Flask) -> None:
    """Serve the listed files, and give templates `vendor_url`."""
    app.register_blueprint(bp)
    app.jinja_env.globals["vendor_url"] = vendor_url


def vendor_url(package: str, name: str) -> str:
    """Return the address of a listed file, to be cached for good. Raises KeyError for one that is not listed."""
    if name not in FILES[package]:
        raise KeyError(name)
    return f"{PREFIX}/{package}@{versions()[package]}/{name}"


def missing() -> Iterator[str]:
    """Yield the listed files that are not installed: the environment was not made, or not completely."""
    for package, names in FILES.items():
        yield from (f"{package}/{name}" for name in names if not _path(package, name).is_file())


@functools.cache
def versions() -> dict[str, str]:
    """Return the exact versions that package.json asks for, by package."""
    asked: dict[str, str] = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return asked


def _path(package: str, name: str) -> Path:
    return MODULES / package / FILES[package][name]
