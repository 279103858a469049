"""A manager's word, given by PIN at the till, that one sale may be voided: a sealed token that travels in the record.

It has no end: the record may arrive days later, and a sale is voided at most once.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from canteen import clock
from canteen.errors import Forbidden
from canteen.web.security import keyed


class ApprovalRefused(Forbidden):
    code = "approval_refused"
    message = "负责人的授权无效，请负责人重新输入口令授权。"


@dataclass(frozen=True, slots=True)
class Approval:
    """A manager's approval of the void of one sale."""

    person_id: str
    at: datetime


def give(person_id: str, *, tablet_id: str, sale_id: uuid.UUID) -> str:
    """Return the token of a manager who has just proved their identity."""
    at = str(int(clock.now().timestamp()))
    return f"{person_id}~{at}~{_seal(person_id, at, tablet_id, sale_id)}"


def check(token: str, *, tablet_id: str, sale_id: uuid.UUID) -> Approval:
    """Verify an approval token and return the approver. Raises ApprovalRefused: forged, other sale or other tablet."""
    person_id, _, rest = token.partition("~")
    at, _, seal = rest.partition("~")
    right = at.isascii() and at.isdigit() and len(at) <= 12
    if not right or not hmac.compare_digest(seal.encode(), _seal(person_id, at, tablet_id, sale_id).encode()):
        raise ApprovalRefused
    return Approval(person_id, datetime.fromtimestamp(int(at), UTC))


def _seal(person_id: str, at: str, tablet_id: str, sale_id: uuid.UUID) -> str:
    return keyed("approve void", person_id, at, tablet_id, str(sale_id))
