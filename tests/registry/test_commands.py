from __future__ import annotations

import json
import re
import stat
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from canteen import cli
from canteen.config import Config
from canteen.errors import Refusal
from canteen.registry import credentials
from canteen.registry.imports.bounds import BadFile
from canteen.registry.imports.known_layouts import BadMap
from tests.auth.house import PASSWORD
from tests.registry.people import STREET, a_roster, an_elder, cells, confirm_all, number, some_areas

Run = Callable[..., Result]


@pytest.fixture
def run(config: Config, session: Session, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on the test's own installation; the test's reading ends before."""
    for name, value in (
        ("CANTEEN_DATABASE_URL", config.database_url),
        ("CANTEEN_DATA", str(config.data_dir)),
        ("CANTEEN_KEYS", str(config.keys_dir)),
    ):
        monkeypatch.setenv(name, value)

    def call(*words: str) -> Result:
        session.rollback()
        return CliRunner().invoke(cli.cli, words)

    some_areas(session)
    return call


def refusal(result: Result) -> Refusal:
    assert isinstance(result.exception, Refusal)
    return result.exception


def test_a_second_person_confirms_on_the_command_line(run: Run, session: Session, tmp_path: Path):
    path = a_roster(tmp_path, cells(classes="低保"), cells(number=number(order=104), classes="低保"))
    applied = run("roster", "apply", str(path)).output
    number_of = re.search(r"2 of them wait for a second person: canteen changes confirm (\d+)", applied)
    assert number_of is not None
    confirm_all(session)  # makes the second person; a request that she has answered is answered once
    later = a_roster(tmp_path, cells(classes="低保、独居"), name="b.csv")
    request = str(json.loads(run("roster", "apply", str(later), "--json").stdout)["request"])
    mine = ("--as", "chief", "--password", PASSWORD)
    assert f"{request}  elder.facts  1 lines" in run("changes", "list", "--as", "chief").output
    assert "人员类别：低保 → 人员类别：低保、独居" in run("changes", "show", request, *mine).output
    assert refusal(run("changes", "confirm", request, "--as", "chief", "--password", "wrong-password")).code
    assert run("changes", "confirm", request, *mine).exit_code == 0
    assert refusal(run("changes", "refuse", request, "--reason", "重复提交", *mine)).code == "change_answered"
    assert "Nothing waits" in run("changes", "list", "--as", "chief").output


def test_a_roster_is_checked_and_applied(run: Run, tmp_path: Path):
    path = a_roster(tmp_path, cells(), cells(number="229901460305102"))
    checked = run("roster", "check", str(path))
    assert checked.exit_code == 0
    assert "2 rows: 1 new, 0 changed, 0 the same, 1 wrong" in checked.output
    assert "第 3 行 证件号码" in checked.output
    applied = json.loads(run("roster", "apply", str(path), "--json").stdout)
    assert (applied["new"], applied["bad"], applied["already"]) == (1, 1, False)
    assert applied["run"]
    again = run("roster", "apply", str(path))
    assert "applied before" in again.output


def test_a_file_that_is_no_table_is_refused(run: Run, tmp_path: Path):
    (path := tmp_path / "x.xlsx").write_bytes(b"PK\x03\x04")
    assert isinstance(refusal(run("roster", "check", str(path))), BadFile)


def test_a_template_is_written_and_reads_back(run: Run, tmp_path: Path):
    for ending in ("xlsx", "csv"):
        assert run("roster", "template", str(tmp_path / f"t.{ending}"), "--kind", "canteens").exit_code == 0
        assert (
            "没有数据" in refusal(run("roster", "check", str(tmp_path / f"t.{ending}"), "--kind", "canteens")).message
        )


def test_cards_are_issued_printed_and_their_codes_destroyed(run: Run, session: Session, tmp_path: Path):
    li = an_elder(session)
    an_elder(session, order=104, name="𠮷田")
    issued = json.loads(run("cards", "issue", "--area", STREET, "--json").stdout)
    assert issued["cards"] == 2
    assert json.loads(run("cards", "issue", "--area", STREET, "--json").stdout) == {"batch": None, "cards": 0}
    assert issued["batch"] in run("cards", "print").output
    out = tmp_path / "print"
    kept = json.loads(run("cards", "print", issued["batch"], "--out", str(out), "--keep-codes", "--json").stdout)
    printed = json.loads(run("cards", "print", issued["batch"], "--out", str(out), "--json").stdout)
    assert kept["files"] == printed["files"]
    (path,) = map(Path, printed["files"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pypdfium2.PdfDocument(path.read_bytes()) as document:
        codes = [each.text for each in zxingcpp.read_barcodes(document[0].render(scale=200 / 72).to_pil())]
    assert li in {credentials.resolve(session, code, on=date(2026, 5, 1)).elder_id for code in codes}
    session.rollback()
    assert refusal(run("cards", "print", issued["batch"], "--out", str(out))).code == "batch_not_found"


def test_a_blank_card_is_bound_and_blocked(run: Run, session: Session, tmp_path: Path):
    li = an_elder(session)
    batch = json.loads(run("cards", "blank", "1", "--json").stdout)["batch"]
    run("cards", "print", batch, "--out", str(tmp_path))
    with pypdfium2.PdfDocument(next(tmp_path.glob("*.pdf")).read_bytes()) as document:
        shown = document[0].get_textpage().get_text_range()
    found = re.search(r"(\d{4}) (\d{4})", shown)
    assert found is not None
    card_number = found[1] + found[2]
    assert run("cards", "bind", card_number, str(li)).output.strip() == card_number
    assert run("cards", "block", card_number, "--reason", "damaged").exit_code == 0
    assert refusal(run("cards", "bind", card_number, str(li))).code == "card_blocked"
    assert refusal(run("cards", "bind", card_number, str(uuid.uuid4()))).code == "elder_not_found"


def test_wrong_usage_differs_from_a_refusal(run: Run):
    assert run("cards", "issue").exit_code == 2
    assert run("cards", "blank", "0").exit_code == 2
    assert refusal(run("cards", "issue", "--area", "999")).code == "area_not_found"
    assert run("roster", "check", "/nowhere.csv").exit_code == 2


def test_no_output_contains_a_number(run: Run, tmp_path: Path):
    path = a_roster(tmp_path, cells(), cells(number=number()[:17] + ("0" if number()[17] != "0" else "1")))
    for words in (("check",), ("apply", "--json")):
        assert number()[6:17] not in run("roster", words[0], str(path), *words[1:]).output


def test_a_map_names_the_columns_of_a_streets_file(run: Run, tmp_path: Path):
    (path := tmp_path / "街道.csv").write_text(f"称呼,证号,楼栋\n李秀英,{number()},3\n", "utf-8")
    (said := tmp_path / "map.yaml").write_text(
        "columns: {称呼: 姓名, 证号: number, 楼栋: 不导入}\nfill: {生效日期: 2026-01-01}\n", "utf-8"
    )
    assert refusal(run("roster", "check", str(path))).details == {
        "unknown": "称呼、证号、楼栋",
        "missing": "姓名、证件号码、生效日期",
    }
    found = json.loads(run("roster", "check", str(path), "--map", str(said), "--json").stdout)
    assert (found["new"], found["sheets"][0]["columns"]["证号"]) == (1, "证件号码")
    for wrong in ("columns: {称呼: 名号}", "[1]", "columns: 1", "fill: {'': x}", "a: [", "sheets: {}"):
        said.write_text(wrong, "utf-8")
        assert isinstance(refusal(run("roster", "check", str(path), "--map", str(said))), BadMap)
