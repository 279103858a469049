"""Third-party files are served by list."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from canteen.config import ROOT
from canteen.web import vendor


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    vendor.register(app)
    return app.test_client()


@pytest.mark.parametrize(("package", "name"), [(p, n) for p, names in vendor.FILES.items() for n in names])
def test_a_listed_file_is_kept_for_good_under_its_version(client: FlaskClient, package: str, name: str) -> None:
    with client.get(vendor.vendor_url(package, name)) as answer:
        assert answer.status_code == 200
        assert answer.mimetype == ("application/wasm" if name.endswith(".wasm") else "text/javascript")
        assert "immutable" in answer.headers["Cache-Control"]


def test_a_file_without_a_version_is_revalidated(client: FlaskClient) -> None:
    with client.get("/static/vendor/zxing-wasm/share.js") as first:
        assert first.headers["Cache-Control"] == "public, no-cache"
    with client.get("/static/vendor/zxing-wasm/share.js", headers={"If-None-Match": first.headers["ETag"]}) as again:
        assert again.status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        "zxing-wasm@0.0.1/share.js",
        "zxing-wasm/package.json",
        "zxing-wasm/../package.json",
        "zxing-wasm/%2e%2e/%2e%2e/package.json",
        "typescript/bin/tsc",
        "zxing-wasm/",
    ],
)
def test_what_is_not_listed_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(f"/static/vendor/{path}").status_code == 404


def test_scripts_import_only_what_is_listed() -> None:
    for package, names in vendor.FILES.items():
        for name, stored in names.items():
            if not name.endswith("index.js"):
                continue
            script = (ROOT / "node_modules" / package / stored).read_text(encoding="utf-8")
            for target in re.findall(r'from\s*"(\.[^"]+)"', script):
                assert (Path("/") / name).parent.joinpath(target).resolve().relative_to("/").as_posix() in names


def test_the_installed_versions_are_the_ones_asked_for() -> None:
    assert list(vendor.missing()) == []
