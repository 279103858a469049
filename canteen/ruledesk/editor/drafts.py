"""Drafts of rulebooks: stored on the server, changed by their writer alone, submitted as a version or dropped."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.errors import Conflict, Forbidden, Invalid, Missing
from canteen.policy import rulebook as books
from canteen.policy.canonical import Document
from canteen.policy.refusals import Problem
from canteen.rulebooks import publications, yaml_reader
from canteen.rulebooks.models import LAYERS, RulebookDraft, RulebookVersion
from canteen.ruledesk.editor.form_input import UNFILLED

LONGEST = 150_000


class NoDraft(Missing):
    code = "draft_not_found"
    message = "没有找到这份草稿，可能已经提交或删除。"


class NotYours(Forbidden):
    code = "draft_not_yours"
    message = "草稿只能由起草人修改；如需改动，请以它为底稿另起一份。"


class ChangedMeanwhile(Conflict):
    code = "draft_changed"
    message = "这份草稿在别的窗口里改过了，请刷新后再改，以免覆盖。"


class DraftTooLong(Invalid):
    code = "draft_too_long"
    message = "内容过长，无法保存。"


class NoSource(Invalid):
    code = "draft_without_source"
    message = "还没有写明依据的文件，请在“依据的文件”里填写文件名称和文号，再提交。"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a text: where, what, found and expected value; an error prevents submitting."""

    line: int
    path: str
    message: str
    found: str
    expected: str
    severity: str
    code: str

    @property
    def sentence(self) -> str:
        """Return the fault as one sentence."""
        found = f"；现为“{self.found}”" if self.found else ""
        return self.message + found + (f"；应为{self.expected}" if self.expected else "")


def start(text: str, title: str, *, layer: str, node_id: str, by: str) -> int:
    """Begin a draft and return its id."""
    if layer not in LAYERS:
        raise Invalid
    now = clock.now()
    with transaction() as session:
        row = RulebookDraft(
            title=title, yaml=_bounded(text), layer=layer, node_id=node_id, state="open", hash=None, by=by, changes=0,
            made_at=now, changed_at=now,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def save(draft_id: int, text: str, *, seen: int, by: str) -> None:
    """Save the text, faulty or not. Raises NoDraft, NotYours, ChangedMeanwhile, DraftTooLong."""
    with transaction() as session:
        row = _own(session, draft_id, by)
        title = _title(text) or row.title
        changed = session.execute(
            update(RulebookDraft)
            .where(RulebookDraft.id == draft_id, RulebookDraft.changes == seen, RulebookDraft.state == "open")
            .values(yaml=_bounded(text), title=title, changes=seen + 1, changed_at=clock.now())
            .returning(RulebookDraft.id)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        if changed is None:
            raise ChangedMeanwhile


def submit(draft_id: int, *, by: str) -> str:
    """Make the draft a version to publish; return its hash. Raises RulebookFaulty, NoSource, those of `save`."""
    with transaction() as session:
        row = _own(session, draft_id, by)
        if any(one.code == NoSource.code for one in check(row.yaml)[1]):
            raise NoSource
        digest = publications.draft(row.yaml, by=by)
        row.state, row.hash, row.changed_at = "submitted", digest, clock.now()
    return digest


def drop(draft_id: int, *, by: str) -> None:
    """Give the draft up; the row stays."""
    with transaction() as session:
        row = _own(session, draft_id, by)
        row.state, row.changed_at = "dropped", clock.now()


def find(session: Session, draft_id: int) -> RulebookDraft:
    """Return a draft. Raises NoDraft."""
    row = session.get(RulebookDraft, draft_id)
    if row is None:
        raise NoDraft
    return row


def open_ones(session: Session, by: str) -> list[RulebookDraft]:
    """Return the open drafts of a person, last touched first."""
    query = select(RulebookDraft).where(RulebookDraft.by == by, RulebookDraft.state == "open")
    return list(session.execute(query.order_by(RulebookDraft.changed_at.desc())).scalars())


def version(session: Session, digest: str) -> RulebookVersion:
    """Return a version by its hash. Raises NoDraft."""
    row = session.get(RulebookVersion, digest)
    if row is None:
        raise NoDraft("没有找到这个版本。")
    return row


def check(text: str) -> tuple[Document | None, list[Fault]]:
    """Read a text: its document, if it is one, and everything wrong with it by line."""
    try:
        document, lines = yaml_reader.read_with_lines(text)
    except yaml_reader.YamlFaulty as faulty:
        return None, [_fault(each.line, each.problem) for each in faulty.problems]
    problems = books.lint(document)
    if document["source"] == UNFILLED:
        problems.insert(0, Problem(NoSource.code, "source", "还没有写明依据的文件", UNFILLED, "文件名称和文号"))
    return document, [_fault(yaml_reader.line_of(each.path, lines), each) for each in problems]


def _fault(line: int, problem: Problem) -> Fault:
    return Fault(line, problem.path, problem.message, problem.found, problem.expected, problem.severity, problem.code)


def _own(session: Session, draft_id: int, by: str) -> RulebookDraft:
    """Lock the caller's draft, so that a save beside a submit is either in the version or refused."""
    row = session.get(RulebookDraft, draft_id, with_for_update={"key_share": True})
    if row is None or row.state != "open":
        raise NoDraft
    if row.by != by:
        raise NotYours
    return row


def _bounded(text: str) -> str:
    if len(text) > LONGEST:
        raise DraftTooLong
    return text.replace("\r\n", "\n")


def _title(text: str) -> str:
    try:
        tree = yaml_reader.tree(text)
    except yaml_reader.YamlFaulty:
        return ""
    title = tree.get("title") if isinstance(tree, dict) else None
    return title if isinstance(title, str) else ""
