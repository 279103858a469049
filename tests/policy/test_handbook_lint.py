"""docs/rulebook.md has an example of every finding of the lint, and the lint finds it there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from canteen import policy
from canteen.policy import rulebook as books
from canteen.policy.refusals import Problem
from canteen.rulebooks import yaml_reader
from tests.policy.test_manual import BOOK, FUNDS, MANUAL, OF_BOOK, RULE, STAGE, bare

EXAMPLES = re.findall(r"^```lint (\w+)\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)
SOURCES = [Path(policy.__file__).parent / name for name in ("lint.py", "lint_groups.py", "versions.py")]
KINDS = ("fund", "allowance", "set")


def document_of(fragment: str) -> dict[str, Any]:
    written = bare(fragment)
    own = {word: written.pop(word) for word in (*OF_BOOK, "menu") if word in written}
    rules = written.get("rules", [written])
    stage = {**STAGE, "rules": [{**RULE, **rule} for rule in rules]}
    document = {**BOOK, "funds": FUNDS, **own, "stages": [stage]}
    return dict(yaml_reader.read(yaml.safe_dump(document, allow_unicode=True, default_style='"')))


def found(fragment: str) -> list[Problem]:
    first, _, then = fragment.partition("---\n")
    if not then:
        return books.lint(document_of(first))
    before, after = document_of(first), document_of(then)
    layers = [books.canonical(one) for one in (before, {**after, "id": "below"})]
    return [*books.lint_versions(before, after), *books.lint_layers(layers)]


@pytest.mark.parametrize(("code", "fragment"), EXAMPLES, ids=lambda text: text if len(text) < 30 else "")
def test_the_example_has_the_fault_it_is_given_for(code: str, fragment: str) -> None:
    faults = found(fragment)
    assert code in [one.code for one in faults]
    warned = re.search(rf"`{code}`（提醒）|`{code}` `\w+`（提醒）|`\w+` `{code}`（提醒）", MANUAL)
    assert {one.severity for one in faults if one.code == code} == {"warning" if warned else "error"}
    if "---" not in fragment:  # a version may differ in more than one way
        assert [one.code for one in faults if one.severity == "error" and one.code != code] == []
    for one in faults:
        assert one.path
        assert re.search(r"[\u4e00-\u9fff]", one.message)


def test_every_finding_is_in_the_handbook() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    codes = {code for code in re.findall(r'Problem\(\s*f?"([\w{}]+)"', source) if "{" not in code}
    codes |= {f"unknown_{kind}" for kind in KINDS} | {"rule_gone", "fund_gone"}
    assert {code for code, _ in EXAMPLES} == codes
