"""The tablet's shell and its service worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from canteen.pos import pages


def _listing(client: FlaskClient) -> dict[str, object]:
    first = client.get("/pos/sw.js").text.partition("\n")[0]
    listing: dict[str, object] = json.loads(first.removeprefix("self.SHELL = "))
    return listing


def test_service_worker_controls_all_of_pos_and_is_not_cached(client: FlaskClient) -> None:
    answer = client.get("/pos/sw.js")
    assert answer.headers["Service-Worker-Allowed"] == "/pos"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.mimetype == "text/javascript"


def test_every_file_that_the_shell_lists_is_served_here(client: FlaskClient) -> None:
    listing = _listing(client)
    files = listing["files"]
    assert isinstance(files, list)
    assert {"/static/pos/main.js", "/static/pos/css/page.css", "/pos/decoder.js"} <= set(files)
    assert [path for path in [listing["page"], *files] if client.get(str(path), buffered=True).status_code != 200] == []


def test_every_module_of_the_tablet_is_in_the_list(client: FlaskClient) -> None:
    files = _listing(client)["files"]
    assert isinstance(files, list)
    modules = {f"/static/{path.relative_to(pages.STATIC)}" for path in (pages.STATIC / "pos").rglob("*.js")}
    assert modules - set(files) == {"/static/pos/sw.js", "/static/pos/devices/decoder.js"}


def test_a_changed_file_is_a_new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "tokens.css"
    monkeypatch.setattr(pages, "ROOT", Path("/"))
    monkeypatch.setattr(pages, "TOKENS", changed)
    versions = []
    for text in ("a {}", "a {}", "b {}"):
        changed.write_text(text)
        versions.append(pages._hash.__wrapped__())
    assert versions[0] == versions[1] != versions[2]


def test_shell_has_no_inline_script_and_asks_no_other_host(client: FlaskClient) -> None:
    answer = client.get("/pos")
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "'wasm-unsafe-eval'" in policy
    assert "worker-src 'self'" in policy
    assert answer.text.count("<script") == 1
    assert "importmap" not in answer.text
    assert "://" not in answer.text.replace("https）", "")


def test_the_manifest_opens_the_shell(client: FlaskClient) -> None:
    manifest = client.get("/pos/manifest.webmanifest").get_json(force=True)
    assert (manifest["start_url"], manifest["scope"], manifest["lang"]) == ("/pos", "/pos", "zh-Hans")
    assert client.get(manifest["icons"][0]["src"], buffered=True).mimetype == "image/svg+xml"
