"""Run both engines: ours, and the tablet's in one node process that answers line by line."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from canteen.policy.canonical import canonical
from canteen.policy.case import case_doc, read_case
from canteen.policy.quote import quote, quote_doc, say, wanted
from canteen.policy.refusals import Refused
from canteen.policy.rulebook import load
from canteen.policy.rules import Rulebook

ROOT = Path(__file__).resolve().parents[2]
Answer = dict[str, Any]


class Tablet:
    """The engine of static/pos/model/policy, asked over a pipe."""

    def __enter__(self) -> Self:
        self._node = subprocess.Popen(
            [ROOT / "tools" / "node", ROOT / "tests" / "js" / "answers.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.communicate()

    def answers(self, book: bytes, cases: Sequence[str]) -> Answer:
        """Return the tablet's result for a book's bytes and the texts of cases, in the form of `ours`."""
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        question = {"book": base64.b64encode(book).decode(), "cases": cases}
        self._node.stdin.write(json.dumps(question).encode() + b"\n")
        self._node.stdin.flush()
        answer: Answer = json.loads(self._node.stdout.readline())
        return answer


def ours(book: bytes, cases: Sequence[str]) -> Answer:
    """Return our engine's result: a refusal by code and path, or an answer to each case."""
    try:
        loaded = load(book)
    except Refused as refused:
        return {"refused": [refused.code, refused.path]}
    return {"answers": [_answer(loaded, text) for text in cases]}


def _answer(book: Rulebook, text: str) -> Answer:
    try:
        case = read_case(json.loads(text))
    except Refused as refused:
        return {"refused": [refused.code, refused.path]}
    found = quote(book, case.diner, case.meal, case.taken)
    said = say(found)
    asked = [
        {"allowance": one.allowance, "window": one.window, "unit": one.unit, "scope": one.scope}
        for one in wanted(book, case.diner, case.meal)
    ]
    return {
        "case": canonical(case_doc(case.diner, case.meal, case.taken)).decode(),
        "quote": canonical(quote_doc(found)).decode(),
        "say": {"counter": said.counter, "audit": said.audit},
        "wanted": canonical(asked).decode(),
    }
