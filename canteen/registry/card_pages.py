"""Pages of cards: blank batches, cards for a whole area, sheets to print, and what became of one card."""

from __future__ import annotations

import itertools
from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen import clock, events, settings
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed, reads_only
from canteen.db import batches, db, transaction
from canteen.errors import Conflict, Invalid, Missing, Refusal
from canteen.registry import card_print, credentials, lookup, print_runs
from canteen.registry.credentials import BATCH_LIMIT
from canteen.web import nav
from canteen.web.errors import status_of

bp = Blueprint("cards", __name__)
nav.add("cards.cards_page", "助餐卡", position=32)

REFUSED: Final = (Invalid, Conflict, Missing)
DONE: Final = {
    "made": "已制卡，请下载打印。",
    "none": "这个区域的老人都已有可用的卡，没有制新卡。",
    "printed": "已确认打印，卡码已销毁。",
}


@bp.get("/desk/cards")
@allowed(Permission.SEE_CARDS, Permission.CARDS)
def cards_page() -> ResponseReturnValue:
    return _page()


@bp.post("/desk/cards/find")
@allowed(Permission.SEE_CARDS, Permission.CARDS)
@reads_only("a card's code stands in no address")
def find_card() -> ResponseReturnValue:
    """Go to the holder's page of a card scanned or typed, or show what it is."""
    session = db.session()
    try:
        card = credentials.find(session, request.form.get("scan", ""))
        state = credentials.state_of(session, card.id)
        if state.elder_id is None:
            return _page(message=f"卡号 {card.number}：空白卡，{'已停用' if state.blocked else '尚未登记给老人'}。")
        areas = guard.scope(Permission.SEE_ELDERS).areas(session)
        if not lookup.reached(session, state.elder_id, areas):
            raise NotCovered
    except REFUSED as refusal:
        return _page(refusal)
    return redirect(url_for("registry.elder_page", elder_id=state.elder_id))


@bp.post("/desk/cards/blank")
@allowed(Permission.CARDS)
def make_blank() -> ResponseReturnValue:
    """Make numbered cards that are given to elders later."""
    count = request.form.get("count", "")
    try:
        if not (count.isascii() and count.isdigit() and len(count) < 6):
            raise Invalid(f"张数应为 1 到 {BATCH_LIMIT} 的整数。")
        with transaction() as session:
            credentials.blank(session, int(count), g.person.id)
    except REFUSED as refusal:
        return _page(refusal)
    return redirect(url_for("cards.cards_page", done="made"))


@bp.post("/desk/cards/issue")
@allowed(Permission.CARDS)
def issue_to_area() -> ResponseReturnValue:
    """Make cards for everybody who lives in an area and has none that works."""
    area = request.form.get("area", "").strip()
    try:
        if not guard.scope(Permission.CARDS).covers_area(area):
            raise lookup.NoArea
        living = lookup.living_in(db.session(), area, clock.today())
        batch, made = credentials.new_batch(), 0
        for part in batches(living, BATCH_LIMIT):
            with transaction() as session:
                made += len(credentials.issue(session, part, g.person.id, batch=batch))
    except REFUSED as refusal:
        return _page(refusal)
    return redirect(url_for("cards.cards_page", done="made" if made else "none"))


@bp.post("/desk/cards/<batch>/sheets")
@allowed(Permission.CARDS)
def sheets(batch: str) -> ResponseReturnValue:
    """Send one file of at most 1000 cards. It contains codes, so the download is on record and never in an address."""
    part = request.form.get("part", "1")
    if not (part.isascii() and part.isdigit() and 1 <= int(part) <= BATCH_LIMIT):
        raise NotCovered
    first = (int(part) - 1) * card_print.FILE_LIMIT
    print_runs.need(db.session(), batch, _reach())
    faces = print_runs.faces(db.session(), batch)
    chosen = list(itertools.islice(faces, first, first + card_print.FILE_LIMIT))
    if not chosen:
        raise print_runs.NoBatch
    decided = settings.read(db.session())
    pdf = card_print.sheet(chosen, brand=decided.text("card_brand"), phone=decided.text("contact_phone"))
    with transaction() as session:
        events.record(session, "cards.download", batch, by=g.person.id, body={"part": int(part), "cards": len(chosen)})
    name = {"Content-Disposition": f'attachment; filename="cards-{batch}-{part}.pdf"'}
    return Response(pdf, mimetype="application/pdf", headers=name)


@bp.post("/desk/cards/<batch>/printed")
@allowed(Permission.CARDS)
def confirm_printed(batch: str) -> ResponseReturnValue:
    """Record that the batch is on paper: its codes are destroyed."""
    try:
        with transaction() as session:
            print_runs.need(session, batch, _reach())
            print_runs.printed(session, batch, g.person.id)
    except REFUSED as refusal:
        return _page(refusal)
    return redirect(url_for("cards.cards_page", done="printed"))


def _reach() -> print_runs.Reach | None:
    """Return whose cards the caller may print; None for everybody's."""
    within = guard.scope(Permission.CARDS).within(db.session())
    return None if within is None else print_runs.Reach(within, g.person.id)


def _page(refusal: Refusal | None = None, message: str = "") -> ResponseReturnValue:
    session, makes = db.session(), guard.may(Permission.CARDS)
    covered = guard.scope(Permission.CARDS).areas(session)
    page = render_template(
        "registry/cards.html",
        waiting=print_runs.waiting(session, _reach()) if makes else [],
        size=card_print.FILE_LIMIT,
        makes=makes,
        limit=BATCH_LIMIT,
        areas=lookup.area_choices(session, covered, clock.today()) if makes else [],
        form=request.form,
        refusal=refusal,
        message=message,
        done=DONE.get(request.args.get("done", "")),
    )
    return page, status_of(refusal) if refusal else 200
