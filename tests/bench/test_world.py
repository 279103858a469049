from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench import trees, world


def test_a_sealed_checkout_is_taken_by_the_product(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    tree, path = trees.product(), tmp_path / "requests.jsonl"
    tree.run("make", url, tmp_path, elders=8, tills=2, meals=0)
    tree.run("seal", url, tmp_path, wanted=[1, 0], path=str(path), diners=2)
    assert json.loads((tmp_path / "state.json").read_text())["card"] == 2
    assert len(tree.run("accept", url, tmp_path, path=str(path), seconds=60)["took"]) == 1


def test_cards_run_out_rather_than_feed_anybody_twice(tmp_path: Path) -> None:
    state = {"card": 7, "elders": 8, "tills": [{"token": "", "number": 0, "previous": ""}]}
    with pytest.raises(SystemExit, match="not enough elders"):
        world.seal(state, [1], tmp_path / "requests.jsonl", diners=2)


def test_a_clone_without_the_build_before_leaves_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ROOT", tmp_path)
    assert trees.before(tmp_path / "before") is None


def test_the_build_before_seals_what_its_tablets_would_send(tmp_path: Path) -> None:
    tree, path, url = trees.before(tmp_path / "before"), tmp_path / "requests.jsonl", f"sqlite:///{tmp_path / 'b.db'}"
    known = subprocess.run(["git", "-C", str(trees.ROOT), "cat-file", "-e", f"{trees.BEFORE}^{{tree}}"], check=False)
    assert (tree is None) == (known.returncode != 0)
    if tree is None:  # a shallow clone: the bench leaves the build before out
        return
    tree.run("make", url, tmp_path, elders=4, tills=1, meals=0)
    tree.run("seal", url, tmp_path, wanted=[1], path=str(path), diners=2)
    (line,) = path.read_text().splitlines()
    (record,) = json.loads(json.loads(line)["body"])["records"]
    assert (record["cipher"], len(json.loads(record["body"])["sales"])) == ("none", 2)
