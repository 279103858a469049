"""Pages of elders: found by name, number or card; shown masked, with what is known since when; changed by facts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import date
from typing import Final

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed, reads_only
from canteen.db import db, transaction
from canteen.errors import Conflict, Forbidden, Invalid, Missing, Refusal
from canteen.registry import (
    agents,
    credentials,
    documents,
    elder_titles,
    elders,
    fact_lines,
    fact_requests,
    identities,
    likely_same,
    lookup,
)
from canteen.registry.agents import NewAgent
from canteen.registry.applications import queries
from canteen.registry.credentials import REASONS
from canteen.registry.documents import KINDS
from canteen.registry.elders import NewElder, NewFact
from canteen.registry.facts import WITHDRAWN, BadFact
from canteen.registry.imports.columns import EARLIEST, LATEST, whole
from canteen.registry.imports.roster_columns import CARE
from canteen.registry.labels import CLASSES, SEXES, STATUSES
from canteen.web import filters, nav, numbers
from canteen.web.days import required_day
from canteen.web.errors import status_of

bp = Blueprint("registry", __name__)
nav.add("registry.elders_page", "老人", position=30)
filters.add_labels({f"reason.{code}": word for code, word in REASONS.items()})

UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
PHOTO_LIMIT: Final = 8 * 1024 * 1024  # bytes
REFUSED: Final = (Invalid, Conflict, Missing, Forbidden)
DONE: Final = {
    "registered": "已登记。",
    "noted": "已记录，立即生效。",
    "registered_asked": "已登记；人员类别须由另一位工作人员复核，复核前不生效。",
    "asked": "已提交，须由另一位工作人员复核，复核前不生效。",
    "taken_back": "已更正：这项记录不再计入，原记录保留可查。",
    "amended": "姓名和电话已更新。",
    "photo": "照片已更新。",
    "merged": "已合并为同一人，享受次数合并计算。",
    "agent_named": "已登记代领人，即可代领。",
    "agent_ended": "已取消代领人，即不能代领。",
    "issued": "已制卡，请到“助餐卡”页面打印。",
    "holds_card": "已有可用的卡，没有重复制卡。",
    "bound": "已绑定，新卡立即可用；原有的卡已停用。",
    "lost": "已挂失，立即停用；找到后可以解除。",
    "found": "已解除挂失，卡可以继续使用。",
    "blocked": "已永久停用。",
    "replaced": "旧卡已停用，新卡已制，请到“助餐卡”页面打印。",
}


class OtherOffice(Forbidden):
    code = "elder_of_another_area"
    message = "这位老人现在的户籍地和居住地都不在您负责的区域内，请交由现在所在的街道办理。"


@bp.route("/desk/elders", methods=["GET", "POST"])
@allowed(Permission.SEE_ELDERS)
@reads_only("names and numbers that are asked for stand in no address")
def elders_page() -> ResponseReturnValue:
    """Show the list; the query is sent by POST, so that names and numbers are in no address."""
    session, asked = db.session(), request.form.get("q", "").strip()
    found = lookup.find(session, asked, _areas(session, Permission.SEE_ELDERS))
    if asked and len(found) == 1 and any(char.isdigit() for char in asked):
        return redirect(url_for("registry.elder_page", elder_id=found[0].id))
    return render_template(
        "registry/elders.html",
        found=found,
        asked=bool(asked),
        again=documents.shown_again(asked) if len(found) != 1 else "",
        full=len(found) == lookup.SHOWN,
        makes=guard.may(Permission.ROSTER),
    )


@bp.get("/desk/elders/likely")
@allowed(Permission.ROSTER)
def likely_page() -> ResponseReturnValue:
    """Show entries that are likely one person, to be merged or left."""
    session, within = db.session(), _areas(db.session(), Permission.ROSTER)
    groups = likely_same.groups(session, within)
    reached = lookup.reached_among(session, [one.id for group in groups for one in group], within)
    return render_template("registry/likely.html", groups=groups, reached=reached)


@bp.get("/desk/elders/new")
@allowed(Permission.ROSTER)
def elder_form() -> ResponseReturnValue:
    return _new_page()


@bp.post("/desk/elders/new")
@allowed(Permission.ROSTER)
def register_elder() -> ResponseReturnValue:
    """Put one person on the roster."""
    form, session = request.form, db.session()
    try:
        kind = form.get("document", "")
        classes = [NewFact("class", code, _day("since")) for code in form.getlist("class") if code in CLASSES]
        new = NewElder(
            form.get("name", ""),
            documents.parse(kind, form.get("number", "")),
            birth=_day("birth") if form.get("birth") else None,
            sex=form.get("sex") or None,
            hukou=form.get("hukou", "").strip(),
            residence=form.get("residence", "").strip(),
            known_from=_day("since"),
            phone=form.get("phone", ""),
            facts=classes,
        )
        if not {new.hukou, new.residence} & _areas(session, Permission.ROSTER):
            raise BadFact("户籍地和居住地都不在您负责的区域内，请交由所在区县登记。")
        with transaction() as writing:
            elder_id, asked = fact_requests.register(writing, new, g.person.id, _areas(writing, Permission.ROSTER))
    except REFUSED as refusal:
        return _new_page(refusal)
    done = "registered_asked" if asked else "registered"
    return redirect(url_for("registry.elder_page", elder_id=elder_id, done=done))


@bp.get("/desk/elders/<uuid:elder_id>")
@allowed(Permission.SEE_ELDERS)
def elder_page(elder_id: uuid.UUID) -> ResponseReturnValue:
    return _elder_page(elder_id)


@bp.get("/desk/elders/<uuid:elder_id>/photo")
@allowed(Permission.SEE_ELDERS)
def photo(elder_id: uuid.UUID) -> Response:
    _need(db.session(), elder_id, Permission.SEE_ELDERS)
    jpeg = elder_titles.photo(db.session(), [elder_id])
    if jpeg is None:
        raise NotCovered
    return Response(jpeg, mimetype="image/jpeg")


@bp.post("/desk/elders/<uuid:elder_id>/number")
@allowed(Permission.SEE_ID_NUMBERS)
def reveal(elder_id: uuid.UUID) -> ResponseReturnValue:
    """Show the whole number once, on record."""
    try:
        with transaction() as session:
            _need(session, elder_id, Permission.SEE_ID_NUMBERS)
            number = identities.reveal(session, elder_id, request.form.get("reason", ""), g.person.id)
    except Invalid as refusal:
        return _elder_page(elder_id, refusal)
    return _elder_page(elder_id, number=number or "无证件号码")


@bp.post("/desk/elders/<uuid:elder_id>/<act>")
@allowed(Permission.ROSTER, Permission.CARDS, Permission.CARD_COUNTER)
def change_elder(elder_id: uuid.UUID, act: str) -> ResponseReturnValue:
    """Do one act on an elder or their cards."""
    if act not in ACTS:
        raise NotCovered
    permission, do = ACTS[act]
    guard.require(permission)
    try:
        with transaction() as session:
            _need(session, elder_id, permission)
            if permission == Permission.ROSTER and not _keeps(session, elder_id):
                raise OtherOffice
            done = do(session, elder_id)
    except REFUSED as refusal:
        if isinstance(refusal, NotCovered):
            raise
        return _elder_page(elder_id, refusal)
    return redirect(url_for("registry.elder_page", elder_id=elder_id, done=done))


# --- the acts, by name ---


def _note(session: Session, elder_id: uuid.UUID) -> str:
    form = request.form
    kind, value = form.get("kind", ""), form.get("value", "").strip()
    last = _day("to") if form.get("to") else None
    if kind not in {"class", "status", "hukou", "residence", "household", "level"}:
        raise BadFact
    if kind == "level":
        value = f"{CARE}={whole(0, 9)(value)}"
    if kind == "status" and value == "deceased" and _day("from") > clock.today():
        raise BadFact("去世日期不能在今天以后，请核对。")
    return _noted(session, elder_id, NewFact(kind, value, _day("from"), last), "noted")


def _noted(session: Session, elder_id: uuid.UUID, fact: NewFact, done: str) -> str:
    """Return the message that the fact is valid at once, or else that it was asked for."""
    within = _areas(session, Permission.ROSTER)
    return "asked" if fact_requests.note(session, elder_id, [fact], g.person.id, within) else done


def _take_back(session: Session, elder_id: uuid.UUID) -> str:
    number = request.form.get("fact", "")
    fact = next((each for each in elders.facts_about(session, elder_id) if str(each.id) == number), None)
    if fact is None or fact.elder_id != elder_id or fact.kind in {"birth", "sex"}:
        raise BadFact("这项记录不能这样更正，请刷新后再试。")
    return _noted(session, elder_id, NewFact(fact.kind, "", fact.from_day, None, fact.id), "taken_back")


def _amend(session: Session, elder_id: uuid.UUID) -> str:
    identities.amend(session, elder_id, request.form.get("name", ""), request.form.get("phone", ""), g.person.id)
    return "amended"


def _set_photo(session: Session, elder_id: uuid.UUID) -> str:
    picture = request.files.get("photo")
    identities.set_photo(session, elder_id, picture.read(PHOTO_LIMIT) if picture else b"", g.person.id)
    return "photo"


def _merge(session: Session, elder_id: uuid.UUID) -> str:
    if twin := request.form.get("twin"):
        other = uuid.UUID(twin) if UUID.fullmatch(twin) else elder_id
        if other == elder_id or not lookup.reached(session, other, _areas(session, Permission.ROSTER)):
            raise BadFact("没有要合并的另一登记，请刷新后再试。")
        return _noted(session, elder_id, NewFact("merged", str(other), clock.today()), "merged")
    others = lookup.find(session, request.form.get("other", ""), _areas(session, Permission.ROSTER), limit=2)
    if len(others) != 1 or others[0].id == elder_id or not any(char.isdigit() for char in request.form["other"]):
        raise BadFact("请用另一登记的证件号码或卡号指明是哪一位。")
    return _noted(session, elder_id, NewFact("merged", str(others[0].id), clock.today()), "merged")


def _issue(session: Session, elder_id: uuid.UUID) -> str:
    return "issued" if credentials.issue(session, [elder_id], g.person.id) else "holds_card"


def _bind(session: Session, elder_id: uuid.UUID) -> str:
    credentials.bind(session, request.form.get("scan", ""), elder_id, g.person.id)
    return "bound"


def _report(kind: credentials.Report) -> Callable[[Session, uuid.UUID], str]:
    def do(session: Session, elder_id: uuid.UUID) -> str:
        reason = request.form.get("reason", "lost" if kind == "lost" else "other")
        if reason not in REASONS:
            raise Invalid
        credentials.report(session, _own_card(session, elder_id), kind, g.person.id, reason)
        return kind

    return do


def _replace(session: Session, elder_id: uuid.UUID) -> str:
    credentials.replace(session, _own_card(session, elder_id), g.person.id, "replaced")
    return "replaced"


def _name_agent(session: Session, elder_id: uuid.UUID) -> str:
    form, last = request.form, _day("to") if request.form.get("to") else None
    new = NewAgent(form.get("agent", ""), form.get("relation", ""), form.get("agent_phone", ""), _day("from"), last)
    agents.name(session, elder_id, new, g.person.id)
    return "agent_named"


def _end_agent(session: Session, elder_id: uuid.UUID) -> str:
    _, ids = elders.cluster(session, elder_id)
    agents.end(session, ids, numbers.whole(request.form.get("agent", "")), g.person.id)
    return "agent_ended"


Act = tuple[Permission, Callable[[Session, uuid.UUID], str]]
ACTS: Final[dict[str, Act]] = {
    "note": (Permission.ROSTER, _note),
    "take_back": (Permission.ROSTER, _take_back),
    "amend": (Permission.ROSTER, _amend),
    "set_photo": (Permission.ROSTER, _set_photo),
    "merge": (Permission.ROSTER, _merge),
    "name_agent": (Permission.ROSTER, _name_agent),
    "end_agent": (Permission.ROSTER, _end_agent),
    "issue": (Permission.CARDS, _issue),
    "replace": (Permission.CARDS, _replace),
    "block": (Permission.CARDS, _report("blocked")),
    "bind": (Permission.CARD_COUNTER, _bind),
    "lose": (Permission.CARD_COUNTER, _report("lost")),
    "find": (Permission.CARD_COUNTER, _report("found")),
}


def _own_card(session: Session, elder_id: uuid.UUID) -> str:
    """Return the digest of the card that the form names, if it is this elder's."""
    asked = request.form.get("card", "")
    for card, _ in credentials.of_elder(session, elder_id):
        if str(card.id) == asked:
            return card.digest
    raise NotCovered


# --- what pages are made of ---


def _areas(session: Session, permission: Permission) -> set[str]:
    return guard.scope(permission).areas(session)


def _need(session: Session, elder_id: uuid.UUID, permission: Permission) -> None:
    """Raise NotCovered, as if there were nobody, when the elder lies outside the caller's areas."""
    if not lookup.reached(session, elder_id, _areas(session, permission)):
        raise NotCovered


def _keeps(session: Session, elder_id: uuid.UUID) -> bool:
    """Return whether the caller keeps the records of this elder: lives or is registered in the caller's areas."""
    return lookup.belongs(session, elder_id, _areas(session, Permission.ROSTER), clock.today())


def _day(name: str) -> date:
    refusal = BadFact("请填写日期，如 2026-01-05。")
    found = required_day(request.form.get(name, "").strip(), refusal)
    if not EARLIEST <= found <= LATEST:
        raise refusal
    return found


def _new_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    page = render_template(
        "registry/elder_new.html",
        refusal=refusal,
        form=request.form,
        number=documents.shown_again(request.form.get("number", "")),
        documents=KINDS.items(),
        sexes=SEXES.items(),
        classes=CLASSES.items(),
        areas=lookup.area_choices(db.session(), _areas(db.session(), Permission.ROSTER), clock.today()),
        today=clock.today(),
    )
    return page, status_of(refusal) if refusal else 200


def _elder_page(elder_id: uuid.UUID, refusal: Refusal | None = None, number: str = "") -> ResponseReturnValue:
    session, today = db.session(), clock.today()
    _need(session, elder_id, Permission.SEE_ELDERS)
    facts = elders.facts_about(session, elder_id)
    person = elders.known(session, elder_id, today)
    identity = identities.current(session, elder_id)
    lines = fact_lines.timeline(session, facts, today)
    keeps = guard.may(Permission.ROSTER) and _keeps(session, elder_id)
    page = render_template(
        "registry/elder.html",
        elder_id=elder_id,
        identity=identity,
        phone=identities.phone_of(identity),
        title=elder_titles.title(session, elder_id, today, person),
        merged=len(person.ids) > 1,
        own={fact.id for fact in facts if fact.elder_id == elder_id},
        lines=lines,
        valid_facts=fact_lines.valid_facts(lines),
        waiting=fact_requests.waiting_about(session, person.ids),
        applications=queries.of_elder(session, person.ids) if guard.may(Permission.SEE_APPLICATIONS) else [],
        checks=guard.may(Permission.ROSTER) or guard.may(Permission.SEE_AUDIT),
        agents=agents.of_people(session, person.ids, loads=True),
        cards=credentials.of_elder(session, elder_id),
        allows={
            act: keeps if permission == Permission.ROSTER else guard.may(permission)
            for act, (permission, _) in ACTS.items()
        },
        revalues=guard.may(Permission.CONFIRM_ELDERS),
        reveals=guard.may(Permission.SEE_ID_NUMBERS),
        number=number,
        refusal=refusal,
        done=DONE.get(request.args.get("done", "")),
        classes=CLASSES.items(),
        statuses=[(code, word) for code, word in STATUSES.items() if code != WITHDRAWN],
        reasons=REASONS.items(),
        areas=lookup.area_choices(session, _areas(session, Permission.ROSTER), today),
        today=today,
    )
    return page, status_of(refusal) if refusal else 200
