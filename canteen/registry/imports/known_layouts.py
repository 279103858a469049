"""Answers on the columns of files, kept for the next file of the same sender, each a recorded event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import events
from canteen.errors import Invalid
from canteen.events import Event
from canteen.registry.imports.columns import Column, Template
from canteen.registry.imports.layouts import NO_ANSWERS, Answers

KIND: Final = "import.layout"  # of event; its subject is the kind of file and the sender
COLUMNS: Final = 60
LEAVE: Final = "-"  # said of a column that is not read
LEFT: Final = ("", LEAVE, "不导入")


class BadMap(Invalid):
    code = "map_malformed"
    message = (
        "列对照表有误：应有 columns（文件里的列名对应模板的列名，不导入的写“不导入”）和 fill（整份文件都填的内容）。"
    )


def remembered(session: Session, kind: str, sender: str) -> Answers:
    """Return what was said of the columns of this sender's files, last said of each; what fills rows is not kept."""
    query = select(Event.body).where(Event.kind == KIND, Event.subject == _subject(kind, sender)).order_by(Event.number)
    columns: dict[str, str] = {}
    for body in session.execute(query).scalars():
        columns |= json.loads(body)["columns"]
    return Answers(columns) if columns else NO_ANSWERS


def remember(session: Session, kind: str, sender: str, answers: Answers, by: str) -> None:
    """Keep what is new of the answers on columns for a sender's next file."""
    known = remembered(session, kind, sender).columns
    if fresh := {title: key for title, key in answers.columns.items() if known.get(title) != key}:
        events.record(session, KIND, _subject(kind, sender), by=by, body={"columns": fresh})


def read_map(path: Path, template: Template) -> Answers:
    """Read answers from a file of YAML or JSON, columns by title or key. Raises BadMap."""
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadMap("列对照表打不开：应为 UTF-8 编码的 YAML 或 JSON。") from error
    if not isinstance(said, dict) or not said.keys() <= {"columns", "fill"}:
        raise BadMap
    columns = {title: _key(template, name) for title, name in _words(said.get("columns")).items()}
    fill = {_key(template, name): text for name, text in _words(said.get("fill")).items()}
    if "" in fill:
        raise BadMap
    return Answers(columns, fill)


def _words(said: Any) -> Mapping[str, str]:
    if said is None:
        return {}
    if not isinstance(said, dict) or len(said) > COLUMNS:
        raise BadMap
    return {str(name): "" if value is None else str(value) for name, value in said.items()}


def _key(template: Template, name: str) -> str:
    """Return the key of a column by its title or key, '' for one that is not read."""
    if name in LEFT:
        return ""
    found: Column | None = next((each for each in template.every if name in (each.key, each.title, *each.also)), None)
    if found is None:
        raise BadMap(f"列对照表里的“{name}”不是“{template.title}”模板的列。")
    return found.key


def _subject(kind: str, sender: str) -> str:
    return f"{kind}:{sender}"
