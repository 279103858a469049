"""Pages of applications: what waits for an opinion, the form at the counter, one application, and its paper."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.auth import guard
from canteen.auth.change_pages import names_of
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db, transaction
from canteen.errors import Conflict, Forbidden, Invalid, Missing, Refusal
from canteen.places import Canteen
from canteen.registry import credentials, documents, elders, fact_lines, identities, lookup
from canteen.registry.applications import notices, opinions, queries, taking
from canteen.registry.applications.models import Application
from canteen.registry.applications.opinions import Decision
from canteen.registry.applications.taking import AskedClass, LikelySame, NewApplication
from canteen.registry.elders import NewElder
from canteen.registry.labels import CLASSES, SEXES
from canteen.web import filters, nav
from canteen.web.days import read_day
from canteen.web.errors import status_of
from canteen.web.security import CAMERA

bp = Blueprint("applications", __name__)
nav.add("applications.applications_page", "申请", position=31)

CONSENTS: Final = {"signed": "本人签字", "fingerprint": "本人按手印", "by_agent": "代办人签字"}
MODES: Final = {"dine_in": "堂食", "delivered": "送餐"}
STEPS: Final = {"community": "社区意见", "street": "街道意见"}
OUTCOMES: Final = {"agreed": "同意", "refused": "不同意"}
CLASS_ROWS: Final = 3  # classes that one application may ask for
PHOTO_LIMIT: Final = 8 * 1024 * 1024  # bytes
REFUSED: Final = (Invalid, Conflict, Missing, Forbidden)
DONE: Final = {
    "taken": "申请已受理。可以先发卡就餐（待核），人员类别在街道同意并生效后才计入。",
    "bound": "卡已绑定，立即可用。",
    "agreed": "意见已记录。",
    "refused": "已记录为不同意。",
}
filters.add_labels({f"application.{state}": word for state, word in queries.STATES.items()})


@bp.get("/desk/applications")
@allowed(Permission.SEE_APPLICATIONS)
def applications_page() -> ResponseReturnValue:
    """Show what waits for the reader's opinion, then all applications, newest first."""
    session = db.session()
    before, after = (request.args.get(name, type=int) for name in ("before", "after"))
    return render_template(
        "registry/applications.html",
        waiting=queries.waiting(session, g.person.id, after=after or 0),
        page=queries.listed(session, guard.scope(Permission.SEE_APPLICATIONS), before=before),
        takes=guard.may(Permission.TAKE_APPLICATION),
        done=DONE.get(request.args.get("done", "")),
    )


@bp.get("/desk/applications/notice")
@allowed(Permission.SEE_APPLICATIONS)
def notice_page() -> ResponseReturnValue:
    """Show the privacy notice in large print, for the counter and the printer."""
    return render_template(
        "registry/application_notice.html", version=notices.CURRENT, notice=notices.notice(notices.CURRENT)
    )


@bp.get("/desk/applications/new")
@allowed(Permission.TAKE_APPLICATION)
def new_form() -> ResponseReturnValue:
    return _new_page()


@bp.post("/desk/applications/new")
@allowed(Permission.TAKE_APPLICATION)
def take_application() -> ResponseReturnValue:
    """Take the application on the form."""
    try:
        with transaction() as session:
            number = taking.take(session, _filled(session), g.person.id, _within(session))
    except REFUSED as refusal:
        return _new_page(refusal)
    return redirect(url_for("applications.application_page", number=number, done="taken"))


@bp.get("/desk/applications/<int:number>")
@allowed(Permission.SEE_APPLICATIONS)
def application_page(number: int) -> ResponseReturnValue:
    return _page(number)


@bp.get("/desk/applications/<int:number>/form")
@allowed(Permission.SEE_APPLICATIONS)
def paper(number: int) -> ResponseReturnValue:
    """Show the application as it is printed and signed, with the notice that was agreed to. For whom may see classes."""
    shown = _shown(db.session(), number)
    if not shown["whole"]:
        raise NotCovered
    version = shown["application"].notice
    return render_template(
        "registry/application_form.html", **shown, notice=notices.notice(version), version=version, today=clock.today()
    )


@bp.post("/desk/applications/<int:number>/<act>")
@allowed(Permission.COMMUNITY_OPINION, Permission.STREET_OPINION, Permission.CARD_COUNTER)
def act_on(number: int, act: str) -> ResponseReturnValue:
    """Give the opinion of the community or the street, or bind a card to who is new."""
    try:
        _found(db.session(), number)
        if act == "bind":
            done = _bind(number)
        elif act in STEPS:
            done = _give(number, act)
        else:
            raise NotCovered
    except REFUSED as refusal:
        if isinstance(refusal, NotCovered):
            raise
        return _page(number, refusal)
    return redirect(url_for("applications.application_page", number=number, done=done))


# --- the acts ---


def _give(number: int, step: str) -> str:
    form = request.form
    agrees = form.get("outcome") == "agreed"
    if not agrees and form.get("outcome") != "refused":
        raise opinions.BadOpinion("请选择同意或不同意。")
    day = read_day(form.get("effective", "").strip())
    opinions.give(number, step, Decision(agrees, form.get("reason", ""), day), by=g.person.id)
    return "agreed" if agrees else "refused"


def _bind(number: int) -> str:
    """Bind a blank card to an applicant who came on the roster by this application, and was not refused."""
    guard.require(Permission.CARD_COUNTER)
    with transaction() as session:
        application = _found(session, number)
        if not application.registers or queries.state_of(opinions.opinions_of(session, number)) == "refused":
            raise NotCovered
        credentials.bind(session, request.form.get("scan", ""), application.elder_id, g.person.id)
    return "bound"


def _filled(session: Session) -> NewApplication:
    """Return what the form says. Raises Invalid: a number, a day or a canteen that cannot be."""
    form = request.form
    birth = read_day(form.get("birth", "").strip())
    if form.get("birth") and birth is None:
        raise elders.BadElder("请填写出生日期，如 1946-03-05。")
    elder = NewElder(
        form.get("name", ""),
        documents.parse(form.get("document", ""), form.get("number", "")),
        birth=birth,
        sex=form.get("sex") or None,
        hukou=form.get("hukou", "").strip(),
        residence=form.get("residence", "").strip(),
        known_from=clock.today(),
        phone=form.get("phone", ""),
    )
    classes = [
        AskedClass(form[f"class-{n}"], form.get(f"proof-{n}", ""), form.get(f"proof-number-{n}", ""))
        for n in range(1, CLASS_ROWS + 1)
        if form.get(f"class-{n}")
    ]
    picture = request.files.get("photo")
    return NewApplication(
        elder,
        classes,
        mode=form.get("mode", ""),
        consent=form.get("consent", "") if form.get("agrees") else "",
        notice=form.get("notice", ""),
        canteen_id=_canteen(session),
        address=form.get("address", ""),
        contact_name=form.get("contact_name", ""),
        contact_phone=form.get("contact_phone", ""),
        apart=bool(form.get("apart")),
        photo=picture.read(PHOTO_LIMIT) if picture else b"",
    )


def _canteen(session: Session) -> str | None:
    """Return the canteen at whose desk the application is taken; None for staff of an area."""
    scope = guard.scope(Permission.TAKE_APPLICATION)
    if scope.areas(session):
        return None
    there = scope.canteens(session)
    asked = next(iter(there)) if len(there) == 1 else request.form.get("canteen", "")
    if asked not in there:
        raise taking.BadApplication("请选择受理的食堂。")
    return asked


# --- what pages are made of ---


def _within(session: Session) -> set[str]:
    """Return the areas that the caller takes applications from: at a canteen's desk, its district."""
    scope = guard.scope(Permission.TAKE_APPLICATION)
    if areas := scope.areas(session):
        return areas
    districts = select(Canteen.district_id).where(Canteen.id.in_(scope.canteens(session)))
    return places.below_all(session, session.execute(districts).scalars().all(), clock.today())


def _found(session: Session, number: int) -> Application:
    """Return the application. Raises NotCovered outside the caller's places."""
    found = queries.found(session, number, guard.scope(Permission.SEE_APPLICATIONS))
    if found is None:
        raise NotCovered
    return found


def _shown(session: Session, number: int) -> dict[str, Any]:
    """Return what page and paper show. `whole`: classes and proofs too, for staff of the area and the taker alone."""
    application = _found(session, number)
    given = opinions.opinions_of(session, number)
    identity = identities.current(session, application.elder_id)
    facts = elders.facts_about(session, application.elder_id)
    lines = fact_lines.timeline(session, facts, clock.today())
    areas = guard.scope(Permission.SEE_APPLICATIONS).areas(session)
    whole = application.area_id in areas or application.taken_by == g.person.id
    there = session.get(Canteen, application.canteen_id) if application.canteen_id else None
    return {
        "application": application,
        "identity": identity,
        "phone": identities.phone_of(identity),
        "facts": {line.kind: line.value for line in reversed(lines) if line.state == "valid" and line.kind != "class"},
        "whole": whole,
        "classes": CLASSES,
        "details": taking.details_of(application) if whole else {},
        "given": given,
        "state": queries.state_of(given),
        "canteen": there.name if there else "",
        "people": names_of(session, [application.taken_by, *(opinion.by for opinion in given)]),
        "modes": MODES,
        "consents": CONSENTS,
        "steps": STEPS,
        "outcomes": OUTCOMES,
    }


def _page(number: int, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    shown = _shown(session, number)
    application, given = shown["application"], shown["given"]
    step = opinions.next_step(given)
    counts = application.registers and shown["state"] != "refused"
    page = render_template(
        "registry/application.html",
        **shown,
        step=step,
        gives=opinions.may_give(session, application, given, g.person.id),
        binds=counts and guard.may(Permission.CARD_COUNTER),
        cards=credentials.of_elder(session, application.elder_id) if counts else [],
        sees_elder=lookup.reached(session, application.elder_id, guard.scope(Permission.SEE_ELDERS).areas(session)),
        today=clock.today(),
        refusal=refusal,
        done=DONE.get(request.args.get("done", "")),
    )
    return page, status_of(refusal) if refusal else 200


def _new_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    session, today = db.session(), clock.today()
    scope = guard.scope(Permission.TAKE_APPLICATION)
    own: set[str] = set() if scope.areas(session) else scope.canteens(session)
    names = session.execute(select(Canteen.id, Canteen.name).where(Canteen.id.in_(own)).order_by(Canteen.name)).all()
    page = render_template(
        "registry/application_new.html",
        refusal=refusal,
        likely=refusal.details.get("masked", "") if isinstance(refusal, LikelySame) else "",
        form=request.form,
        number=documents.shown_again(request.form.get("number", "")),
        documents=documents.KINDS.items(),
        sexes=SEXES.items(),
        classes=CLASSES.items(),
        modes=MODES.items(),
        consents=CONSENTS.items(),
        rows=range(1, CLASS_ROWS + 1),
        canteens=[(canteen_id, name) for canteen_id, name in names],
        areas=lookup.area_choices(session, _within(session), today),
        version=notices.CURRENT,
        notice=notices.notice(notices.CURRENT),
    )
    return page, status_of(refusal) if refusal else 200, {"Permissions-Policy": CAMERA}
