"""Show rulebooks: where and when each is in force, one version in words, two compared, one publication."""

from __future__ import annotations

import json

from flask import g, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from canteen import clock
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.auth.models import Person
from canteen.db import db
from canteen.rulebooks.models import Publication, RulebookVersion
from canteen.ruledesk.desk import timeline
from canteen.ruledesk.desk.blueprint import TEMPLATES, bp, covers, document_of, done, reachable
from canteen.ruledesk.editor import comparison, drafts, prose
from canteen.ruledesk.publication import gate
from canteen.ruledesk.publication.gate import names


@bp.get("/desk/ruledesk")
@allowed(Permission.SEE_RULEBOOKS)
def home() -> ResponseReturnValue:
    """Show where and when each rulebook is in force, open drafts, and what waits for a second person."""
    session, today = db.session(), clock.today()
    published = select(Publication.rulebook_hash)
    waiting = session.execute(
        select(RulebookVersion, Person.name)
        .outerjoin(Person, Person.id == RulebookVersion.drafted_by)
        .where(RulebookVersion.hash.not_in(published))
        .order_by(RulebookVersion.drafted_at.desc())
        .limit(50)
    ).all()
    return render_template(
        "ruledesk/home.html",
        drawn=timeline.draw(session, names(), today),
        waiting=[(row, document_of(row)["title"], who or row.drafted_by) for row, who in waiting],
        drafts=drafts.open_ones(session, g.person.id),
        places=reachable(Permission.RULEBOOKS),
        templates=TEMPLATES,
        names=names(),
        today=today,
        done=done(),
    )


@bp.get("/desk/ruledesk/versions/<digest>")
@allowed(Permission.SEE_RULEBOOKS)
def version_page(digest: str) -> ResponseReturnValue:
    """Show a version in words, the others of its scheme, where it was published, and its YAML."""
    session = db.session()
    version = drafts.version(session, digest)
    document = document_of(version)
    versions = session.execute(
        select(RulebookVersion).where(RulebookVersion.scheme == version.scheme).order_by(RulebookVersion.version.desc())
    ).scalars()
    published = session.execute(
        select(Publication).where(Publication.rulebook_hash == digest).order_by(Publication.from_day)
    ).scalars()
    people = dict(session.execute(select(Person.id, Person.name)).all())
    return render_template(
        "ruledesk/version.html",
        version=version,
        document=document,
        text=prose.read(document, names()),
        limits={one["id"]: prose.allowance(one) for one in document.get("allowances", ())},
        versions=list(versions),
        published=list(published),
        people=people,
        names=names(),
        places=reachable(Permission.RULEBOOKS),
        publishes=reachable(Permission.PUBLISH),
        done=done(),
    )


@bp.get("/desk/ruledesk/compare")
@allowed(Permission.SEE_RULEBOOKS)
def compare_page() -> ResponseReturnValue:
    """Compare two versions in meaning."""
    session = db.session()
    old = drafts.version(session, request.args.get("old", ""))
    new = drafts.version(session, request.args.get("new", ""))
    found = comparison.compare(document_of(old), document_of(new), names())
    return render_template("ruledesk/compare.html", old=old, new=new, differences=found)


@bp.get("/desk/ruledesk/publications/<int:number>")
@allowed(Permission.SEE_RULEBOOKS)
def publication_page(number: int) -> ResponseReturnValue:
    """Show what the publisher saw; figures of meals only to those who answer for the whole place (P20)."""
    session = db.session()
    row = session.get(Publication, number)
    if row is None:
        raise NotCovered
    file = gate.file_of(session, number)
    return render_template(
        "ruledesk/publication.html",
        publication=row,
        version=drafts.version(session, row.rulebook_hash),
        differences=json.loads(file.diff) if file else None,
        gate=json.loads(file.gate) if file else None,
        replay=json.loads(file.replay) if file and file.replay else None,
        within=covers(Permission.SEE_RULEBOOKS, row.layer, row.node_id),
        people=dict(session.execute(select(Person.id, Person.name)).all()),
        names=names(),
        done=done(),
    )
