"""What docs/protocol.md says of kinds and reasons is what the server does."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.auth import approvals, tablets
from canteen.config import ROOT
from canteen.errors import Conflict
from canteen.pos import checkout, cipher, envelope, orders, pricing, records, verdicts, voids
from canteen.pos.models import Record, Sale
from tests import world
from tests.world import NOON

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
REASONS = {
    refusal.code
    for refusal in (
        tablets.TabletRevoked, cipher.KeyUnknown, cipher.CipherBroken, records.TooLarge, records.ForeignTablet,
        records.HashWrong, envelope.ClockImpossible, records.KindUnknown, orders.BodyMalformed, checkout.SaleConflict,
        records.PaymentTaken, Conflict, checkout.ElderUnknown, checkout.ForeignCanteen, pricing.CannotPrice,
        places.NoContract, verdicts.QuoteInconsistent, voids.SaleUnknown, voids.AlreadyVoided, voids.RefundTooLarge, voids.NeedsManager, voids.OwnSale,
        approvals.ApprovalRefused, records.Unexpected,
    )
}  # fmt: skip


def test_the_page_names_every_kind_and_reason():
    section = PAGE[PAGE.index("## Reasons") : PAGE.index("## Kinds")]
    named = {
        code for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)
    }
    assert named == REASONS
    kinds = PAGE[PAGE.index("## Kinds") :]
    assert set(re.findall(r"^### `(\w+)`", kinds, re.MULTILINE)) == set(envelope.BOOKED)
    assert set(re.findall(r"^\| `(\w+)` \|", kinds, re.MULTILINE)) == set(envelope.RESERVED)


@pytest.mark.parametrize("kind", envelope.RESERVED)
def test_a_reserved_kind_is_stored_and_not_booked(session: Session, kind: str):
    till = world.make(session)
    with clock.at(NOON):
        sealed = world.seal(till, {"id": "x"}, kind=kind)
        (result,) = world.bring(till, sealed)

    assert (result.outcome, result.reason) == ("quarantined", "kind_unknown")
    (row,) = session.execute(select(Record)).scalars()
    assert (row.kind, row.state, row.body.decode()) == (kind, "quarantined", sealed["body"])
    assert session.execute(select(Sale)).first() is None


def test_a_kind_never_heard_of_is_refused_and_not_stored(session: Session):
    till = world.make(session)
    with clock.at(NOON):
        (result,) = world.bring(till, {**world.seal(till, {}), "kind": "banquet"})

    assert (result.outcome, result.reason) == ("refused", "envelope_malformed")
    assert session.execute(select(Record)).first() is None
