"""Publish a version after the gate, by another person than its writer."""

from __future__ import annotations

from datetime import date

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from canteen import clock
from canteen.auth import humans
from canteen.auth.guard import Permission, allowed
from canteen.auth.models import Person
from canteen.db import db
from canteen.errors import Invalid, Refusal
from canteen.rulebooks import publications as rulebooks
from canteen.ruledesk.desk.blueprint import REFUSED, bp, document_of, need
from canteen.ruledesk.editor import drafts
from canteen.ruledesk.publication import gate
from canteen.ruledesk.publication.gate import names
from canteen.web.days import read_day
from canteen.web.errors import status_of


@bp.get("/desk/ruledesk/versions/<digest>/publish")
@allowed(Permission.PUBLISH)
def publish_page(digest: str) -> ResponseReturnValue:
    return _publish_page(digest)


def _publish_page(digest: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    sent = request.values
    layer, _, node = sent.get("place", "").partition("/")
    need(Permission.PUBLISH, layer, node)
    begins = clock.day_of(document_of(drafts.version(db.session(), digest))["from"])
    first = read_day(sent.get("from", "")) or max(gate.earliest(layer, node), begins)
    known = names()
    db.session.rollback()  # the review may take minutes: this request's read ends before it
    seen = gate.review(digest, layer, node, first, known)
    version = drafts.version(db.session(), digest)
    page = render_template(
        "ruledesk/publish.html",
        version=version,
        title=document_of(version)["title"],
        review=seen,
        place=f"{layer}/{node}",
        place_name=known.get(node, node),
        same=humans.same(db.session(), g.person.id, {version.drafted_by}),
        drafter=db.session.execute(select(Person.name).where(Person.id == version.drafted_by)).scalar()
        or version.drafted_by,
        yesterday=date.fromordinal(clock.today().toordinal() - 1),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.post("/desk/ruledesk/versions/<digest>/publish")
@allowed(Permission.PUBLISH)
def publish(digest: str) -> ResponseReturnValue:
    """Publish a version, after the gate; only another person than its writer may."""
    layer, _, node = request.form.get("place", "").partition("/")
    need(Permission.PUBLISH, layer, node)
    first = read_day(request.form.get("from", "")) or date.min
    try:
        if first == date.min:
            raise Invalid("请填写生效日期，如 2026-12-01。", details={"field": "from"})
        number = rulebooks.publish(digest, layer=layer, node_id=node, from_day=first, by=g.person.id)
    except REFUSED as refusal:
        return _publish_page(digest, refusal)
    return redirect(url_for("ruledesk.publication_page", number=number, done="published"))
