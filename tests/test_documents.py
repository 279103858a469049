"""Everything that code cites is in docs/, and everything that documents name is in the tree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CODE = (".py", ".js", ".html", ".css")
CITED = re.compile(r"\b(decision|ruling)s? (\d+(?:(?:, | and |, and )\d+)*)")
PROMISE = re.compile(r"\bP(\d{1,2})\b")
LONGEST = 60  # characters of a test's name: enough to say one rule, and a report shows it on one line
PRIVATE = {  # words that this code alone gave a meaning, and the terms of the field to say instead
    "lean": "draw on, LimitRef",
    "leans": "draws on, LimitRef",
    "leant": "drawn on",
    "regrant": "reallocation, reallocate",
    "reckon": "compute, recompute, reprice",
    "reckoned": "computed, recomputed, repriced",
    "leaning": "drawing on",
    "regranting": "reallocating",
    "reckons": "computes, recomputes, reprices",
    "told": "reported, shown, said",
    "untold": "not reported",
    "lacking": "missing, without",
    "worlds": "states",
    "laws": "invariants, constraints",
    "barred": "unclaimable_reason, blocked_by, skip_reason",
}
NAMED = re.compile(r"`((?:canteen|tests|static|templates|migrations|tools|bench|docs|requirements)/[\w./-]*\w/?)`")


def tracked(*endings: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if name.endswith(endings) and (ROOT / name).is_file()]


def citations(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    found = {f"{kind} {int(number)}" for kind, numbers in CITED.findall(text) for number in re.findall(r"\d+", numbers)}
    return found | {f"promise {int(number)}" for number in PROMISE.findall(text)}


def known() -> set[str]:
    decisions = {f"decision {int(page.name[:4])}" for page in (DOCS / "decisions").glob("[0-9]*.md")}
    rows = re.findall(r"^\| (\d+) \|", (DOCS / "rulings.md").read_text(encoding="utf-8"), re.MULTILINE)
    promised = re.findall(r"^\| P(\d+) \|", (DOCS / "promises.md").read_text(encoding="utf-8"), re.MULTILINE)
    return decisions | {f"ruling {int(row)}" for row in rows} | {f"promise {int(row)}" for row in promised}


def test_every_citation_in_code_has_its_document():
    there = known()
    void = {
        str(path.relative_to(ROOT)): sorted(lost)
        for path in tracked(*CODE)
        if path != Path(__file__) and (lost := citations(path) - there)
    }
    assert not void


def test_no_code_cites_a_document_of_elsewhere():
    elsewhere = re.compile(r"\bdesign \d|\b(?:rulings|promises|design|schemes|peers)\.md\b|\bthreat T\d")
    lines = [
        f"{path.relative_to(ROOT)}:{n}"
        for path in tracked(*CODE)
        if path != Path(__file__)
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if elsewhere.search(line)
    ]
    assert not lines


@pytest.mark.parametrize("path", [*tracked(".md")], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_only_what_is_there(path: Path):
    named = NAMED.findall(path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def modules_named(text: str) -> set[str]:
    """Return the modules that a page of architecture names: by path, or by file in a section or row of their folder."""
    named, section, room = set[str](), "", ""
    for line in text.splitlines():
        if line.startswith("#"):
            folder = re.search(r"`((?:canteen|static)/[\w/]*)`", line)
            section, room = folder[1] if folder else "", ""
        if found := re.match(r"\| (?:`([\w/]+/)`|[^|]*[^|\s][^|]*) \|", line):
            room = found[1] or ""
        named |= {section + room + name for name in re.findall(r"`(\w+\.(?:py|js))`", line)}
        named |= set(re.findall(r"`((?:canteen|static)/[\w/]+\.(?:py|js))`", line))
    return named


def test_the_page_of_architecture_names_every_module():
    named = modules_named((DOCS / "architecture.md").read_text(encoding="utf-8"))
    there = {str(path.relative_to(ROOT)) for path in tracked(".py", ".js") if not path.name.startswith("__")}
    wanted = {name for name in there if name.startswith(("canteen/", "static/pos/"))}
    assert sorted(wanted - named) == []
    rooms = {name for name in named if name.count("/") > 1 and not (ROOT / name).exists()}
    assert sorted(rooms) == []


def test_a_module_counts_as_named_only_in_its_own_room():
    page = "## Rooms: `canteen/a/`\n| `b/` | `c.py` |\n| | `d.py` |\n| – | `e.py` |\n## Others\n`canteen/f.py`, `g.py`"

    assert modules_named(page) >= {"canteen/a/b/c.py", "canteen/a/b/d.py", "canteen/a/e.py", "canteen/f.py"}
    assert not {"canteen/g.py", "canteen/a/g.py"} & modules_named(page)


def test_a_citation_of_nothing_is_seen(tmp_path: Path):
    lost = tmp_path / "code.py"
    lost.write_text(" ".join(["# decision", "9999; rulings", "12, 999; P" + "77"]), encoding="utf-8")

    assert citations(lost) - known() == {"decision 9999", "ruling 999", "promise 77"}


def test_every_test_is_named_in_sixty_characters():
    long = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked(".py")
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if len(name) > LONGEST
    ]
    long += [
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked(".test.js")
        for _, name in re.findall(r"""\btest\(\s*(['"`])(.*?)\1""", path.read_text(encoding="utf-8"))
        if len(name) > LONGEST
    ]
    assert not long


def test_no_private_word_stands_for_a_term():
    """In names as well as in prose: `LeanKey` and `to_lean` contain the word `lean`, `clean` does not."""
    found = {
        f"{path.relative_to(ROOT)}: {word}, say {PRIVATE[word]}"
        for path in tracked(*CODE)
        if path.relative_to(ROOT).parts[0] in {"canteen", "migrations", "static", "templates"}
        for word in map(str.lower, re.findall(r"[A-Z]?[a-z]+|[A-Z]+", path.read_text(encoding="utf-8")))
        if word in PRIVATE
    }
    assert not sorted(found)
