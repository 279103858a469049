"""canteen policy: price one case under a rulebook, or check a rulebook, without a database; the rest in policy_desk.

RULEBOOK is a YAML file, or the id of one of the published schemes that come with the product. It says what a meal costs
(it has stages) or what canteens are given for a span (a funding scheme, it has lines); its form tells which.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import click

from canteen import policy as engine
from canteen.errors import Invalid
from canteen.policy import canonical, days, funding
from canteen.policy.case import read_case
from canteen.policy.funding import FUNDING
from canteen.policy.funding_case import is_funding_case, read_funding_case
from canteen.policy.funding_quote import funding_quote_doc, funding_sentences, quote_funding
from canteen.policy.grammar import RULEBOOK
from canteen.policy.quote import quote as priced
from canteen.policy.quote import quote_doc, say
from canteen.policy.refusals import Problem, Refused
from canteen.policy.rulebook import lint as linted
from canteen.policy.rulebook import load
from canteen.rulebooks import yaml_reader
from canteen.rulebooks.yaml_reader import Located, YamlFaulty, kind_of

_DAYS = frozenset({"birth_day", "residence_since", "since", "day", "days", "window"})
_LARGEST = 4_000_000  # bytes: far more than a rulebook may have
SCHEMES = Path(engine.__file__).parent / "schemes"


class CaseFaulty(Invalid):
    code = "case_faulty"
    message = "案例文件有误，请按提示修改后再试。"


class FileMissing(Invalid):
    code = "file_missing"
    message = "没有这个文件，也没有这个编号的标准。"


class WithDesk(click.Group):
    """Loads the commands that need a database only when one of them is named."""

    DESK = {"diff": "desk", "publish": "desk", "revalue": "revalue", "simulate": "desk"}  # command -> its module

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.DESK])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.DESK:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"canteen.commands.policy_{self.DESK[cmd_name]}")
        found: click.Command = getattr(module, cmd_name)
        return found


@click.group(cls=WithDesk)
def policy() -> None:
    """Check rulebooks, price a case under them, replay the past under them, compare and publish them."""


@policy.command("quote")
@click.argument("rulebook")
@click.argument("case", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The quote as JSON (quote.schema.json).")
def quote_case(rulebook: str, case: Path, as_json: bool) -> None:
    """Price the meal in CASE (JSON, case.schema.json) under RULEBOOK.

    Where RULEBOOK is a funding scheme, CASE tells of canteens in a span (funding_case.schema.json), and what each line
    gives them is named (funding_quote.schema.json).
    """
    text = text_of(rulebook)
    if kind_of(text) == "funding":
        _quote_funding(text, rulebook, case, as_json=as_json)
        return
    book = _loaded(text, rulebook)
    found = priced(book, *_asked(case))
    if as_json:
        _print(quote_doc(found))
        return
    said = say(found)
    click.echo(said.counter)
    click.echo(said.audit)


def _quote_funding(text: str, file: str, case: Path, *, as_json: bool) -> None:
    """Print the amounts of a funding scheme; one with a fault gives none, as its tiers and shares make them."""
    if faults := problems(text, file):
        raise YamlFaulty(faults)
    try:
        found = quote_funding(yaml_reader.read(text, FUNDING, file), read_funding_case(_case(case)))
    except Refused as refused:
        raise CaseFaulty(f"案例文件有误：{refused.message}") from refused
    if as_json:
        _print(funding_quote_doc(found))
    else:
        click.echo("\n".join(funding_sentences(found)))


@policy.command("lint")
@click.argument("rulebook")
@click.option("--json", "as_json", is_flag=True, help="The problems as JSON, each with its line.")
def lint_rulebook(rulebook: str, as_json: bool) -> None:
    """Tell every problem of RULEBOOK by line; exit code 1 where one forbids publishing.

    Which kind it was taken for is printed on the error output, in JSON as `kind`: rulebook or funding.
    """
    text = text_of(rulebook)
    found, kind = problems(text, rulebook), kind_of(text)
    if as_json:
        _print({"kind": kind or "rulebook", "problems": [_shown(one) for one in found]})
    else:
        click.echo(_TAKEN_FOR[kind], err=True)
        for one in found:
            click.echo(str(one))
        click.echo(f"共 {len(found)} 处待核。" if found else "未发现问题。")
    if any(one.problem.severity == "error" for one in found):
        sys.exit(1)


_TAKEN_FOR = {
    "rulebook": "按就餐补贴标准检查（有 stages）。",
    "funding": "按食堂资金标准检查（有 lines）。",
    "": "看不出是哪一种标准：就餐补贴标准写 stages，食堂资金标准写 lines。先按就餐补贴标准检查。",
}


def problems(text: str, file: str) -> list[Located]:
    """Return the faults that reader and lint find in a YAML text of either kind, each with its line and clause."""
    is_funding = kind_of(text) == "funding"
    try:
        document, lines = yaml_reader.read_with_lines(text, FUNDING if is_funding else RULEBOOK, file)
    except YamlFaulty as faulty:
        return faulty.problems
    found = funding.lint(document) if is_funding else linted(document)
    return [yaml_reader.located(one, document, lines, file) for one in found]


def text_of(rulebook: str) -> str:
    """Return the YAML of a file or of a scheme that comes with the product. Raises FileMissing."""
    for path in (Path(rulebook), SCHEMES / f"{rulebook}.yaml"):
        if path.is_file():
            return _decoded(path)
    raise FileMissing(f"没有文件 {rulebook}，也没有这个编号的标准；请核对路径。")


def _decoded(path: Path) -> str:
    if path.stat().st_size > _LARGEST:
        raise FileMissing(f"文件 {path} 过大（超过 {_LARGEST // 1_000_000} MB），不会是一份标准或案例；请核对路径。")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileMissing(f"文件 {path} 不是 UTF-8 编码的文本，请另存为 UTF-8 后再试。") from error
    except OSError as error:
        raise FileMissing(f"文件 {path} 读不出来，请核对路径和权限。") from error


def _loaded(text: str, file: str) -> Any:
    document = yaml_reader.read(text, file=file)
    try:
        return load(canonical.canonical(document))
    except Refused as refused:
        raise YamlFaulty([Located(1, refused.problem, file=file)]) from refused


def _asked(path: Path) -> tuple[Any, Any, Any]:
    document = _case(path)
    if is_funding_case(document):
        problem = Problem(
            "funding_case", "", "这是食堂资金标准的案例；就餐补贴标准的案例写一餐", "canteens", "diner、meal"
        )
        raise CaseFaulty(f"案例文件有误：{problem}")
    try:
        case = read_case(document)
    except Refused as refused:
        raise CaseFaulty(f"案例文件有误：{refused.message}") from refused
    return case.diner, case.meal, case.taken


def _case(path: Path) -> Any:
    """Return the JSON of a case of either kind, its days as numbers. Raises FileMissing and CaseFaulty."""
    if not path.is_file():
        raise FileMissing(f"没有文件 {path}，请核对路径。")
    try:
        return _numbered(json.loads(_decoded(path)))
    except (ValueError, RecursionError) as error:
        raise CaseFaulty("案例文件不是正确的 JSON，请检查括号和引号。") from error


def _numbered(value: Any, word: str = "") -> Any:
    """Return a case with its days, written like 2026-11-22, as the numbers that the engine counts days by."""
    if isinstance(value, dict):
        return {key: _numbered(inner, word if word == "since" else key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbered(inner, word) for inner in value]
    if not isinstance(value, str) or word not in _DAYS:
        return value
    day, slash, period = value.partition("/")
    try:
        number = days.of_iso(day)
    except ValueError:
        return value  # a code, or faulty: the reader of cases says which
    return f"{number}{slash}{period}" if word == "window" else number


def _shown(one: Located) -> dict[str, object]:
    names = ("code", "path", "message", "found", "expected", "severity")
    return {"file": one.file, "line": one.line, "clause": one.clause} | {
        name: getattr(one.problem, name) for name in names
    }


def _print(document: object) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True))
