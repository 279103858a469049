"""The net balance of an account kind, by kind and by account, is what the accounts themselves say."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.ledger import transfers
from canteen.ledger.models import KINDS, Transfer
from canteen.ledger.queries import account_ids, net, of_kind, signed_at, touching, with_ends
from tests import world
from tests.rigs.states import state
from tests.world import NOON


@state
def balances(app: Flask, session: Session) -> dict[str, int]:
    """By kind, after a meal sold at a price that is only in part ours, and a guest's meal."""
    till = world.make(session)
    world.a_rulebook(session)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        quote = body["sales"][0]["quote"]
        quote["shares"][0]["fen"], quote["due"] = 800, 400
        body["payment"].update(due=400, tenders=[{"kind": "cash", "fen": 400, "given": 400, "change": 0}])
        world.bring(till, world.seal(till, body))
        world.sell(till, None)
    session.rollback()
    stands = transfers.balances(session, "k1")
    return {kind: sum(fen for (_, of), fen in stands.items() if of == kind) for kind in KINDS}


def test_net_of_a_kind_is_what_its_accounts_hold(session: Session, balances: dict[str, int]) -> None:
    assert (balances["open"], balances["excluded"]) == (500, 300)
    for kind, fen in balances.items():
        assert (session.execute(with_ends(select(net(kind)))).scalar() or 0) == fen
        touched = with_ends(select(net(kind))).where(of_kind(kind))
        assert (session.execute(touched).scalar() or 0) == fen


def test_net_by_account_is_the_net_of_its_kind(session: Session, balances: dict[str, int]) -> None:
    for kind, fen in balances.items():
        ids = session.execute(account_ids("k1", kind)).scalars().all()
        query = select(func.sum(signed_at(ids))).select_from(Transfer).where(touching(ids))
        assert (session.execute(query).scalar() or 0) == fen


def test_accounts_of_one_fund_leave_out_the_others(session: Session, balances: dict[str, int]) -> None:
    assert session.execute(account_ids("k1", "open", fund="city")).scalars().all()
    assert not session.execute(account_ids("k1", "open", fund="county")).scalars().all()
