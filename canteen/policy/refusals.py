"""Problems of a document that the engine cannot accept: values to list, or one exception."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document. `path` is like `stages[0].rules[2].label`; an error forbids publishing."""

    code: str
    path: str
    message: str
    found: str = ""
    expected: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        place = self.path or "（整份文件）"
        wanted = f"，应为{self.expected}" if self.expected else ""
        seen = f"，现为“{self.found}”" if self.found else ""
        return f"{place}：{self.message}{seen}{wanted}"


class Refused(ValueError):
    """Raised for a document that is not valid; it has the first problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code} at {problem.path or '(root)'}")
        self.code = problem.code
        self.path = problem.path
        self.message = str(problem)
        self.found = problem.found
        self.expected = problem.expected
        self.problem = problem


def shown(value: object) -> str:
    """Shorten any value to fit a message."""
    text = value if isinstance(value, str) else repr(value)
    clean = "".join(mark if mark.isprintable() else "?" for mark in text[:60])
    return clean + ("…" if len(text) > len(clean) else "")
