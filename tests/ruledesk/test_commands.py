"""canteen policy diff, simulate, publish: 0 done, 1 refused with the reason on stderr, 2 wrong usage."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen import cli, clock
from canteen.config import Config
from canteen.db import db
from canteen.rulebooks import publications
from tests import world
from tests.auth.house import a_person
from tests.settlement.conftest import MADE, Town

MORE = world.GUARDED.replace("less: 5.00", "less: 6.50")
Ran = tuple[int, str, str]


@pytest.fixture
def canteen(
    app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run canteen("policy", "diff", …) as the shell does: exit code, stdout, stderr."""
    monkeypatch.setenv("CANTEEN_DATABASE_URL", config.database_url)
    monkeypatch.setenv("CANTEEN_DATA", str(config.data_dir))
    monkeypatch.setenv("CANTEEN_KEYS", str(config.keys_dir))
    monkeypatch.setenv("CANTEEN_PRODUCTION", "0")

    def run(*words: str) -> Ran:
        db.session.rollback()
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["canteen", "policy", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as done:
            code = int(done.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_a_clerk_compares_simulates_and_publishes_from_the_shell(
    canteen: Callable[..., Ran], session: Session, tmp_path: Path
) -> None:
    with clock.at(MADE):
        town = Town(world.make(session), session)
        old = world.a_rulebook(session)
        town.elder()
    town.sell(date(2026, 1, 5), town.cards[0])
    a_person("chief", ("admin", "area", world.CITY))
    a_person("other", ("admin", "area", world.OTHER_DISTRICT))
    draft = tmp_path / "more.yaml"
    draft.write_text(MORE, encoding="utf-8")
    digest = publications.draft(MORE, by="p-admin")
    tomorrow = date.fromordinal(clock.today().toordinal() + 1).isoformat()

    code, out, _ = canteen("diff", old[:12], str(draft))
    assert (code, out) == (0, "标准 aged（第一条）：标准由“减 5.00 元”改为“减 6.50 元”\n")

    code, out, _ = canteen("simulate", str(draft), world.DISTRICT, "2026-01", "--json")
    assert (code, json.loads(out)["meals"]) == (0, 1)
    assert canteen("simulate", str(draft), world.CITY, "2019-01")[0] == 1
    assert canteen("simulate", str(draft), world.CITY)[0] == 2

    code, _, err = canteen("publish", digest[:12], world.CITY, "2026-01-06", "--by", "chief")
    assert (code, "back_dated" in err) == (1, True)
    assert canteen("publish", digest[:12], world.CITY, tomorrow, "--by", "other")[0] == 1
    code, out, _ = canteen("publish", digest[:12], world.CITY, tomorrow, "--by", "chief", "--json")
    assert (code, json.loads(out)["rulebook"]) == (0, digest)


HOSTILE = {
    "random.yaml": bytes(range(256)) * 20,
    "huge.yaml": b"a: " + b"x" * 5_000_000,
    "long.yaml": b"# x\n" * 150_000,
    "bomb.yaml": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "deep.yaml": b"[" * 5000,
    "nested.yaml": b"a: " + b"{a: " * 300 + b"1" + b"}" * 300,
    "gbk.yaml": "title: 标准".encode("gbk"),
    "utf16.yaml": "title: 标准".encode("utf-16"),
    "tag.yaml": b'a: !!python/object/apply:os.system ["true"]\n',
    "empty.yaml": b"",
    "list.yaml": b"- a\n- b\n",
    "nul.yaml": b"a: \x00\x01\n",
    "surrogate.yaml": b'title: "\\ud800"\n',
    "two.yaml": b"a: 1\n---\nb: 2\n",
    "merge.yaml": b"<<: {format: 1}\n",
    "twice.yaml": b"id: a\nid: b\n",
}


def test_whatever_a_file_contains_is_refused_in_a_sentence(
    canteen: Callable[..., Ran], session: Session, tmp_path: Path
) -> None:
    with clock.at(MADE):
        world.make(session)
        world.a_rulebook(session)
    good = tmp_path / "good.yaml"
    good.write_text(MORE, encoding="utf-8")
    case = tmp_path / "case.json"
    case.write_text('{"diner": NaN}', encoding="utf-8")
    for name, body in {**HOSTILE, "missing.yaml": None, "folder.yaml": "folder"}.items():
        path = tmp_path / name
        if isinstance(body, bytes):
            path.write_bytes(body)
        elif body:
            path.mkdir()
        with_file = [("lint", str(path)), ("quote", str(path), str(case)), ("quote", str(good), str(path))]
        if name in ("random.yaml", "bomb.yaml", "missing.yaml", "folder.yaml"):  # these read files in the same way
            with_file += [("diff", str(path), str(good)), ("simulate", str(path), world.CITY, "2026-01")]
        for words in with_file:
            code, out, err = canteen(*words, "--json")
            assert code == 1, (words, out, err)
            assert "Traceback" not in out + err, words
            assert out or err.strip(), words


def test_unknown_places_versions_months_and_people_are_refused(
    canteen: Callable[..., Ran], session: Session, tmp_path: Path
) -> None:
    with clock.at(MADE):
        world.make(session)
        digest = world.a_rulebook(session)
    good = tmp_path / "good.yaml"
    good.write_text(MORE, encoding="utf-8")
    tomorrow = date.fromordinal(clock.today().toordinal() + 1).isoformat()
    refused = [
        ("simulate", str(good), "nowhere", "2026-01"), ("simulate", str(good), world.CITY, "二〇二六"),
        ("simulate", "no-such-scheme", world.CITY, "2026-01"), ("diff", "ab", digest), ("diff", "'; --", digest),
        ("publish", digest[:12], "nowhere", tomorrow, "--by", "x"), ("publish", "0" * 12, world.CITY, tomorrow, "--by", "x"),
    ]  # fmt: skip
    for words in refused:
        code, out, err = canteen(*words, "--json")
        assert (code, out) == (1, ""), (words, err)
        assert err.strip()
        assert "Traceback" not in err
    for words in (("diff", digest), ("publish", digest, world.CITY, "tomorrow", "--by", "x"), ("nonsense",)):
        assert canteen(*words)[0] == 2
    assert canteen("diff", "changchun", "changchun", "--json") == (0, "[]\n", "")
