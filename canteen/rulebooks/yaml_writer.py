"""Write a rulebook document as the YAML that a clerk would write; `yaml_reader` reads back the same document.

Texts have no quotes where none are needed; fields are in the order of the grammar, long ones last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from canteen import money
from canteen.policy import days
from canteen.policy.documents import Either, Named
from canteen.policy.grammar import RULEBOOK
from canteen.policy.shapes import Day, Fen, Flag, ListOf, MapOf, Minute, Percent, Record, Shape

_LAST = ("rules", "stages")  # long fields are written last
_SHORT = 72  # a record of at most so many characters is written on one line


def write(document: Mapping[str, object]) -> str:
    """Write a well-formed document as YAML."""
    return dump(texts(document))


def texts(value: object, shape: Shape = RULEBOOK) -> Any:
    """Return the tree of bare texts that `shape` parses to `value`: the inverse of `Shape.parse`."""
    shape = _meant(value, shape)
    if isinstance(shape, Record) and isinstance(value, dict):
        known = {**shape.needed, **shape.maybe}
        ordered = sorted((name for name in known if name in value), key=lambda name: name in _LAST)
        return {name: texts(value[name], known[name]) for name in ordered}
    if isinstance(shape, MapOf) and isinstance(value, dict):
        return {name: texts(inner, shape.inner) for name, inner in value.items()}
    if isinstance(shape, ListOf) and isinstance(value, list):
        return [texts(inner, shape.inner) for inner in value]
    return _scalar(value, shape)


def _meant(value: object, shape: Shape) -> Shape:
    """Resolve a named or alternative shape to the one that applies."""
    while isinstance(shape, (Named, Either)):
        if isinstance(shape, Named):
            shape = shape.make()
        else:
            shape = shape.marked if isinstance(value, dict) and shape.mark in value else shape.other
    return shape


def _scalar(value: object, shape: Shape) -> str:
    if isinstance(shape, Flag):
        return "yes" if value else "no"
    if isinstance(value, int):
        if isinstance(shape, Fen):
            return money.show(value)
        if isinstance(shape, Percent):
            return money.show(value).removesuffix(".00") + "%"
        if isinstance(shape, Day):
            return days.iso(value)
        if isinstance(shape, Minute):
            return f"{value // 60:02d}:{value % 60:02d}"
    return str(value)


def dump(tree: Mapping[str, object]) -> str:
    """Write a tree of texts as YAML, whether or not it is a good rulebook."""
    return _dumped(dict(tree))


def entry(name: str, value: object) -> str:
    """Write a field of a block: 'name: value' and the lines below, without a newline at the end."""
    return _dumped(_Open({name: value})).rstrip("\n")


def member(value: object) -> str:
    """Write a list's member of a block: '- value' and the lines below, without a newline at the end."""
    return _dumped(_Listed([value])).rstrip("\n")


def inline(value: object) -> str:
    """Write a value on one line, as between braces."""
    listed = yaml.dump(_Flow([value]), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return listed.strip().removeprefix("[").removesuffix("]")


def _dumped(tree: object) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Open(dict[str, object]):
    """A mapping on lines of its own, however short."""


class _Listed(list[object]):
    """A list on lines of its own, however short."""


class _Flow(list[object]):
    """A list on one line, however long."""


class _Dumper(yaml.SafeDumper):
    """A dumper that writes every text as it is: texts are not guessed to be numbers or dates, so they need no quotes."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _short(value: object) -> bool:
    parts = value.values() if isinstance(value, dict) else value
    assert isinstance(parts, (list, type({}.values())))
    flat = all(not isinstance(part, dict) and (not isinstance(part, list) or _short(part)) for part in parts)
    return flat and len(str(value)) <= _SHORT


def _list(dumper: yaml.SafeDumper, value: list[object]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=_short(value))


def _dict(dumper: yaml.SafeDumper, value: dict[str, object]) -> yaml.Node:
    return dumper.represent_mapping(
        "tag:yaml.org,2002:map", value.items(), flow_style=_short(value) and "title" not in value
    )


def _str(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    """Escape line ends other than a newline: other quotes would not read them back."""
    style = '"' if any(mark in value for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _str)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(dict, _dict)


def _open(dumper: yaml.SafeDumper, value: dict[str, object]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=False)


def _listed(dumper: yaml.SafeDumper, value: list[object]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=isinstance(value, _Flow))


_Dumper.add_representer(_Open, _open)
_Dumper.add_representer(_Listed, _listed)
_Dumper.add_representer(_Flow, _listed)
