"""Read the YAML that a clerk writes to a rulebook document, strictly, and find the line of each place.

Every scalar is read as text (no implicit types, so `no`, `1e3` and `09:30` are never surprises); repeated keys,
anchors, tags and several documents are refused. Then the grammar turns texts into fen, days and codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from canteen.errors import Invalid
from canteen.policy.canonical import Document
from canteen.policy.funding import is_funding
from canteen.policy.grammar import RULEBOOK
from canteen.policy.refusals import Problem, Refused
from canteen.policy.rulebook import canonical
from canteen.policy.shapes import Shape

_LONGEST = 150_000  # twenty times what a long notice takes; reading one is work that cashiers wait for
_DEEPEST = 40
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Located:
    """A problem with its line (counted from 1), and where known its clause and file."""

    line: int
    problem: Problem
    clause: str = ""
    file: str = ""

    def __str__(self) -> str:
        clause = f"（{self.clause}）" if self.clause else ""
        return f"{self.file} 第 {self.line} 行{clause} {self.problem}".lstrip()


class YamlFaulty(Invalid):
    """The text is no rulebook. `problems` names every place by line."""

    code = "rulebook_faulty"
    message = "补贴标准文件有误，请按提示修改后再试。"

    def __init__(self, problems: list[Located]) -> None:
        self.problems = problems
        super().__init__(
            f"补贴标准文件有 {len(problems)} 处错误：{problems[0]}",
            details={"problems": [str(problem) for problem in problems]},
        )


def read(text: str, shape: Shape = RULEBOOK, file: str = "") -> Document:
    """Read a document from a YAML text. Raises YamlFaulty with every problem; they name `file` where it is given."""
    return read_with_lines(text, shape, file)[0]


def read_with_lines(text: str, shape: Shape = RULEBOOK, file: str = "") -> tuple[Document, dict[str, int]]:
    """Read a document and the line of each path in it; `shape` says its kind. Raises YamlFaulty."""
    try:
        tree, lines = _tree(text)
    except YamlFaulty as faulty:
        raise YamlFaulty([replace(one, file=file) for one in faulty.problems]) from faulty
    problems: list[Problem] = []
    if shape is RULEBOOK and is_funding(tree):
        raise YamlFaulty([located(_FUNDING_HERE, tree, lines, file)])
    document = shape.parse(tree, "", problems)
    if not problems:
        try:
            canonical(document)
        except Refused as refused:
            problems.append(refused.problem)
    if problems:
        raise YamlFaulty([located(problem, tree, lines, file) for problem in problems])
    assert isinstance(document, dict)
    return document, lines


_FUNDING_HERE = Problem(
    "funding_scheme",
    "lines",
    "这是食堂资金标准（有 lines），这里只收就餐补贴标准；检查和试算用 canteen policy lint 与 quote",
    "lines",
    "stages",
)


def kind_of(text: str) -> str:
    """Tell the kind of a text by its form: 'rulebook' has stages, 'funding' has lines, '' is neither."""
    try:
        found = tree(text)
    except YamlFaulty:
        return ""
    if is_funding(found):
        return "funding"
    return "rulebook" if isinstance(found, dict) and "stages" in found else ""


def tree(text: str) -> object:
    """Read bare texts, lists and dicts from a YAML text, not yet checked against the language. Raises YamlFaulty."""
    return _tree(text)[0]


def located(problem: Problem, tree: object, lines: dict[str, int], file: str = "") -> Located:
    """Add line and clause to a problem; `tree` is the document, or what was read of it."""
    return Located(line_of(problem.path, lines), problem, clause_of(problem.path, tree), file)


def clause_of(path: str, tree: object) -> str:
    """Return the clause of the rule, tier or line that a path leads into; '' where there is none."""
    found, node = "", tree
    for name in re.findall(r"[^.\[\]]+", path):
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            break
        clause = node.get("clause") if isinstance(node, dict) else None
        found = clause if isinstance(clause, str) else found
    return found


def line_of(path: str, lines: dict[str, int]) -> int:
    """Return the line of a path, or of the nearest place above it that the file has."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path, 1)


def _tree(text: str) -> tuple[object, dict[str, int]]:
    if len(text) > _LONGEST:
        raise _faulty(1, "too_long", "文件过大", f"不超过 {_LONGEST} 字")
    try:
        node = yaml.compose(text, Loader=_Composer)
    except (yaml.YAMLError, UnicodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _faulty(mark.line + 1 if mark else 1, "not_yaml", "不是正确的 YAML 写法", "缩进、冒号或引号") from error
    except RecursionError as error:
        raise _faulty(1, "too_deep", "嵌套过深", f"不超过 {_DEEPEST} 层") from error
    if node is None:
        raise _faulty(1, "empty", "文件是空的", "一份补贴标准")
    lines: dict[str, int] = {}
    return _plain(node, "", lines, 0), lines


class _Composer(yaml.SafeLoader):
    """A composer of nodes only; it refuses aliases, so no text can grow without bound."""

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "alias", event.start_mark)
        return super().compose_node(parent, index)


def _plain(node: Node, path: str, lines: dict[str, int], depth: int) -> object:
    """Return texts, lists and dicts of a node; refuse a tag of its own."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if depth > _DEEPEST:
        raise _faulty(line, "too_deep", "嵌套过深", f"不超过 {_DEEPEST} 层")
    if node.tag.startswith("!"):
        raise _faulty(line, "tag", "不能使用 YAML 标签", "普通写法")
    if isinstance(node, ScalarNode):
        return _text(node)
    if isinstance(node, SequenceNode):
        return [_plain(item, f"{path}[{place}]", lines, depth + 1) for place, item in enumerate(node.value)]
    assert isinstance(node, MappingNode)
    return _mapping(node, path, lines, depth)


def _text(node: ScalarNode) -> str:
    """Return the text of a scalar; refuse escapes for characters that cannot be stored or shown."""
    text = str(node.value)
    if _UNWRITABLE.search(text):
        raise _faulty(node.start_mark.line + 1, "bad_character", "含有不能使用的字符（多半写成了转义）", "普通文字")
    return text.strip()


def _mapping(node: MappingNode, path: str, lines: dict[str, int], depth: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise _faulty(line, "key", "字段名应是一个词", "字段名")
        name = _text(key)
        if name in found:
            raise _faulty(line, "duplicate_key", f"字段 {name} 写了两次", "只写一次")
        under = f"{path}.{name}" if path else name
        lines[under] = line
        found[name] = _plain(value, under, lines, depth + 1)
    return found


def _faulty(line: int, code: str, message: str, expected: str) -> YamlFaulty:
    return YamlFaulty([Located(line, Problem(code, "", message, "", expected))])
