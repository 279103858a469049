"""The four families of refusal. Each error carries a stable `code` and a Chinese sentence for people."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """Something was not done, for a reason that a person can act on.

    `code` is stable and machine-readable; `message` says in Chinese what happened and what to do;
    `details` names fields or lines, free of personal data.
    """

    code: ClassVar[str] = "refused"
    message: str = "操作未能完成。"

    def __init__(self, message: str | None = None, *, details: dict[str, object] | None = None) -> None:
        self.message = message or type(self).message
        self.details = details or {}
        super().__init__(f"{self.code}: {self.message}")


class Invalid(Refusal):
    """The input is not well formed."""

    code = "invalid"
    message = "填写的内容有误，请检查后再试。"


class Missing(Refusal):
    """It does not exist, or not for this caller."""

    code = "not_found"
    message = "没有找到，请核对后再试。"


class Forbidden(Refusal):
    """The caller may not do this."""

    code = "forbidden"
    message = "您没有办理此事的权限，请联系管理员。"


class Conflict(Refusal):
    """It contradicts what is already there."""

    code = "conflict"
    message = "内容与已有记录不一致，请刷新后核对。"
