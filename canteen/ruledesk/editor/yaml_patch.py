"""Change a YAML text only where it must change: comments, blank lines, quotes and order stay as written.

`rewrite` compares the text with the wanted tree and edits the places that differ: it replaces values, and inserts or
removes fields and list members with their lines. Comments directly above a member are removed with it; those above a
field stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from canteen.rulebooks import yaml_reader, yaml_writer

_BLOCK_TEXT = ("|", ">")


def rewrite(text: str, tree: Mapping[str, Any]) -> str:
    """Change the text so that it reads as `tree`, a tree of bare texts. Raises YamlFaulty for what is not YAML.

    Where the layout is too unusual to edit in place, the text is rewritten below its comments.
    """
    old = yaml_reader.tree(text)
    if old == tree:
        return text
    whole = text if text.endswith("\n") else text + "\n"
    node = yaml.compose(whole, Loader=yaml.SafeLoader)
    if isinstance(node, MappingNode) and not node.flow_style and isinstance(old, dict):
        patch = _Patch(whole)
        patch.mapping(node, old, tree)
        changed = patch.applied()
        if _reads_as(changed, tree):
            return changed
    comments = [line.strip() for line in whole.splitlines() if line.lstrip().startswith("#")]
    return "".join(f"{line}\n" for line in comments) + yaml_writer.dump(tree)


def _reads_as(text: str, tree: object) -> bool:
    try:
        return yaml_reader.tree(text) == tree
    except yaml_reader.YamlFaulty:
        return False


@dataclass
class _Patch:
    """Edits of one text: none overlaps another; those at one place are in the order in which they were made."""

    text: str
    _edits: list[tuple[int, int, str]] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)  # where each line begins

    def __post_init__(self) -> None:
        self._lines = [0, *(place + 1 for place, mark in enumerate(self.text) if mark == "\n")]

    def applied(self) -> str:
        parts, at = list[str](), 0
        for start, end, new in sorted(self._edits, key=lambda edit: (edit[0], edit[1])):
            parts += [self.text[at:start], new]
            at = max(at, end)
        return "".join((*parts, self.text[at:]))

    # --- values -------------------------------------------------------------------------------------------------

    def value(self, node: Node, old: Any, new: Any) -> bool:
        """Change a value in place; return False where its kind changes, so that its whole field must be rewritten."""
        if old == new:
            return True
        if isinstance(node, ScalarNode) and isinstance(new, str):
            if node.style in _BLOCK_TEXT:
                return False
            empty = node.start_mark.index == node.end_mark.index
            self._edits.append(
                (node.start_mark.index, node.end_mark.index, (" " if empty else "") + yaml_writer.inline(new))
            )
            return True
        if isinstance(node, MappingNode) and isinstance(new, dict) and new:
            return self._flow(node, old, new) if node.flow_style else self.mapping(node, old, new)
        if isinstance(node, SequenceNode) and isinstance(new, list) and new:
            return self._flow(node, old, new) if node.flow_style else self._sequence(node, old, new)
        return False

    def _flow(self, node: MappingNode | SequenceNode, old: Any, new: Any) -> bool:
        """Patch what is between braces: value by value where only values change, else all of it."""
        if isinstance(new, dict) and list(new) == list(old):
            values = [(value, old[key.value], new[key.value]) for key, value in node.value]
            kept = len(self._edits)
            if all(self.value(*one) for one in values):
                return True
            del self._edits[kept:]
        if "#" in self.text[node.start_mark.index : node.end_mark.index]:
            return False
        self._edits.append((node.start_mark.index, node.end_mark.index, yaml_writer.inline(new)))
        return True

    # --- mappings -----------------------------------------------------------------------------------------------

    def mapping(self, node: MappingNode, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        """Patch a block of fields."""
        entries = {str(key.value): (key, value) for key, value in node.value}
        gone = [name for name in entries if name not in new]
        if len(gone) == len(entries):
            return False
        column = node.value[0][0].start_mark.column
        for name, (key, value) in entries.items():
            if name in new and not self.value(value, old[name], new[name]):
                self._replace(key.start_mark.index, value, yaml_writer.entry(name, new[name]), column)
        before = ""
        for name in new:
            if name not in entries:
                self._insert(entries, before, yaml_writer.entry(name, new[name]), column)
            else:
                before = name
        self._remove(list(entries.items()), gone)
        return True

    def _insert(self, entries: Mapping[str, tuple[Node, Node]], before: str, text: str, column: int) -> None:
        """Insert a new field below the one named, or above all."""
        shifted = _indented(text, column)
        if before:
            place = self._below(entries[before][1])
            self._edits.append((place, place, f"{' ' * column}{shifted}\n"))
        else:
            place = next(iter(entries.values()))[0].start_mark.index
            self._edits.append((place, place, f"{shifted}\n{' ' * column}"))

    def _remove(self, entries: Sequence[tuple[str, tuple[Node, Node]]], gone: Sequence[str]) -> None:
        """Remove fields and their lines; the first on a line after a dash leaves its place to the next."""
        for place, (name, (key, value)) in enumerate(entries):
            if name not in gone:
                continue
            start = key.start_mark.index
            line = self._lines[key.start_mark.line]
            if self.text[line:start].strip() == "":
                self._edits.append((line, self._below(value), ""))
                continue
            stays = next(other for other, _ in entries[place:] if other not in gone)
            after = dict(entries)[stays][0].start_mark
            between = self.text[self._below(value) : self._lines[after.line]]
            self._edits.append((line, line, _comments(between)))
            self._edits.append((start, after.index, ""))
            return self._remove([one for one in entries if one[1][0].start_mark.index > after.index], gone)
        return None

    # --- lists --------------------------------------------------------------------------------------------------

    def _sequence(self, node: SequenceNode, old: Sequence[Any], new: Sequence[Any]) -> bool:
        """Patch a block of members, identified by their ids, else by their content."""
        column = node.start_mark.column
        matcher = SequenceMatcher(None, _names(old), _names(new), autojunk=False)
        for act, low, high, first, last in matcher.get_opcodes():
            common = min(high - low, last - first) if act != "insert" else 0
            for one, other in zip(range(low, low + common), range(first, first + common), strict=True):
                member = node.value[one]
                if not self.value(member, old[one], new[other]):
                    self._replace(
                        member.start_mark.index, member, yaml_writer.member(new[other])[2:], member.start_mark.column
                    )
            for one in range(low + common, high):
                self._drop(node, one, column)
            above = node.value[low + common - 1] if low + common else None
            for member_text in (yaml_writer.member(each) for each in new[first + common : last]):
                place = self._below(above) if above is not None else self._first_line(node, column)
                self._edits.append((place, place, f"{' ' * column}{_indented(member_text, column)}\n"))
        return True

    def _drop(self, node: SequenceNode, place: int, column: int) -> None:
        """Remove a member, with the comments directly above it."""
        least = self._below(node.value[place - 1]) if place else self._lines[node.start_mark.line]
        start = self._dash_line(node.value[place], column)
        while start > least:
            above = self.text.rindex("\n", 0, start - 1) + 1 if "\n" in self.text[: start - 1] else 0
            if above < least or not self.text[above:start].lstrip().startswith("#"):
                break
            start = above
        self._edits.append((start, self._below(node.value[place]), ""))

    def _first_line(self, node: SequenceNode, column: int) -> int:
        return self._dash_line(node.value[0], column)

    def _dash_line(self, member: Node, column: int) -> int:
        """Return where the line of a member's dash begins."""
        number = member.start_mark.line
        while self.text[self._lines[number] + column : self._lines[number] + column + 1] != "-":
            number -= 1
        return self._lines[number]

    # --- places -------------------------------------------------------------------------------------------------

    def _replace(self, start: int, value: Node, text: str, column: int) -> None:
        """Rewrite a whole field or member; comments inside move above it."""
        end = self._end(value)
        line = self.text.rindex("\n", 0, start) + 1 if "\n" in self.text[:start] else 0
        if comments := _comments(self.text[start:end]):
            self._edits.append((line, line, comments))
        self._edits.append((start, max(end, start), _indented(text, column)))

    def _end(self, node: Node) -> int:
        """Return the position just behind the last mark of a value."""
        if isinstance(node, ScalarNode) and node.style in _BLOCK_TEXT:
            return node.start_mark.index + len(self.text[node.start_mark.index : node.end_mark.index].rstrip())
        if isinstance(node, ScalarNode) or getattr(node, "flow_style", False):
            return int(node.end_mark.index)
        last = node.value[-1]
        return self._end(last[1] if isinstance(node, MappingNode) else last)

    def _below(self, node: Node) -> int:
        """Return the beginning of the line after a value's last."""
        return self.text.index("\n", self._end(node)) + 1


def _indented(text: str, column: int) -> str:
    return text.replace("\n", "\n" + " " * column)


def _comments(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if line.lstrip().startswith("#"))


def _names(values: Sequence[Any]) -> list[str]:
    """Return what members are identified by."""
    return [f"id {one['id']}" if isinstance(one, dict) and "id" in one else repr(one) for one in values]
