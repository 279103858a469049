"""The desk's pages of rulebooks: where and when, in words, compared, written, tried, published; the calendar of holidays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from canteen import calendars, clock
from canteen.auth import guard, humans
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.auth.models import Person
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Missing, Refusal
from canteen.places import Area, Canteen
from canteen.policy import rulebook as books
from canteen.registry.words import CANTEEN_CLASSES, CLASSES
from canteen.rulebooks import layers, yaml_reader, yaml_writer
from canteen.rulebooks import publications as rulebooks
from canteen.rulebooks.models import LAYER_OF, LAYERS, Publication, RulebookDraft, RulebookVersion
from canteen.rulebooks.publications import RulebookFaulty
from canteen.ruledesk.desk import timeline
from canteen.ruledesk.editor import comparison, drafts, form_changes, form_input, forms, preview, prose, yaml_patch
from canteen.ruledesk.editor.preview import Asked
from canteen.ruledesk.proposal import Proposal
from canteen.ruledesk.publication import gate
from canteen.ruledesk.publication.gate import names
from canteen.web import filters, nav
from canteen.web.days import read_day
from canteen.web.errors import status_of
from canteen.web.numbers import whole

bp = Blueprint("ruledesk", __name__)
nav.add("ruledesk.home", "补贴标准", position=20)
nav.add("ruledesk.calendar", "节假日", position=22)

REFUSED = (Invalid, Conflict, Forbidden, Missing)
LAYER_WORDS = {"city": "市级", "district": "区县级", "street": "街道（乡镇）级", "canteen": "食堂级"}
LEVEL_WORDS = {**LAYER_WORDS, "functional": "功能区"}
TEMPLATES = (
    ("tiers", "按年龄分档"), ("classes", "按人员类别"), ("percent", "打折"), ("free", "高龄免费餐"), ("plain", "每餐补贴"),
)  # fmt: skip
DONE = {
    "saved": "草稿已保存。",
    "submitted": "已提交为新版本，等待另一位同事发布。",
    "dropped": "草稿已删除。",
    "published": "已发布。",
    "arranged": "节假日安排已保存，从下一次计价起生效。",
    "asked": "已开始模拟，完成后在本页显示结果。",
    "cancelled": "已取消。",
}
filters.add_labels({f"layer.{code}": word for code, word in LAYER_WORDS.items()})


def done() -> str:
    """What was done just before; a form that is sent again from such an address has not done it once more."""
    return DONE.get(request.args.get("done", ""), "") if request.method == "GET" else ""


def covers(permission: Permission, layer: str, node_id: str) -> bool:
    """Whether the caller holds a permission over a whole place."""
    kind = "canteen" if layer == "canteen" else "area"
    return guard.scope(permission).covers_node(db.session(), kind, node_id)


def need(permission: Permission, layer: str, node_id: str) -> None:
    """Raises NotCovered, as if there were no such place; so too for a district that is called a city."""
    area = db.session.get(Area, node_id) if layer != "canteen" else None
    wrong = area is not None and LAYER_OF.get(area.level) != layer
    if layer not in LAYERS or not covers(permission, layer, node_id) or wrong:
        raise NotCovered


def reachable(permission: Permission) -> list[tuple[str, str]]:
    """('layer/node', name) of the places where the caller may act, most general first."""
    session, scope = db.session(), guard.scope(permission)
    areas = session.execute(select(Area).where(Area.level.in_(LAYER_OF)).order_by(Area.id)).scalars()
    within = scope.areas(session)
    found = [
        (f"{LAYER_OF[one.level]}/{one.id}", f"{LEVEL_WORDS[one.level]} · {one.name}")
        for one in areas
        if one.id in within
    ]
    found.sort(key=lambda one: LAYERS.index(one[0].partition("/")[0]))
    canteens = session.execute(select(Canteen).order_by(Canteen.id)).scalars()
    own = scope.canteens(session)
    return found + [(f"canteen/{one.id}", f"食堂级 · {one.name}") for one in canteens if one.id in own]


def document_of(version: RulebookVersion) -> dict[str, Any]:
    document = books.parse(version.body.encode())
    assert isinstance(document, dict)
    return document


# --- in force, and in words ---


@bp.get("/desk/ruledesk")
@allowed(Permission.SEE_RULEBOOKS)
def home() -> ResponseReturnValue:
    """Where and when each rulebook holds; what is being written; what waits for a second person."""
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
    """One version as people read it, the others of its scheme, where it was published, the YAML behind it."""
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
    """Two versions compared in meaning."""
    session = db.session()
    old = drafts.version(session, request.args.get("old", ""))
    new = drafts.version(session, request.args.get("new", ""))
    found = comparison.compare(document_of(old), document_of(new), names())
    return render_template("ruledesk/compare.html", old=old, new=new, differences=found)


@bp.get("/desk/ruledesk/publications/<int:number>")
@allowed(Permission.SEE_RULEBOOKS)
def publication_page(number: int) -> ResponseReturnValue:
    """What the publisher had before the eyes; figures of meals only for those who answer for the whole place (P20)."""
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


# --- drafts ---


@bp.post("/desk/ruledesk/drafts")
@allowed(Permission.RULEBOOKS)
def start() -> ResponseReturnValue:
    """Begin a draft from a template, or from a version."""
    layer, _, node = request.form.get("place", "").partition("/")
    need(Permission.RULEBOOKS, layer, node)
    if digest := request.form.get("from", ""):
        version = drafts.version(db.session(), digest)
        text, title = version.yaml, str(document_of(version)["title"])
    else:
        title = request.form.get("title", "").strip() or "新标准"
        scheme = request.form.get("scheme", "").strip() or f"local-{node}"
        first = clock.today().isoformat()
        form = form_input.template(
            request.form.get("template", ""), scheme=scheme, title=title, place=node, first_day=first
        )
        text = yaml_writer.dump(forms.tree_of(form))
    number = drafts.start(text, title, layer=layer, node_id=node, by=g.person.id)
    return redirect(url_for("ruledesk.draft_page", number=number))


def _draft(number: int) -> RulebookDraft:
    """The caller's own open draft; another's is as if it were not there."""
    row = drafts.find(db.session(), number)
    if row.by != g.person.id or row.state != "open":
        raise drafts.NoDraft
    return row


@bp.get("/desk/ruledesk/drafts/<int:number>")
@allowed(Permission.RULEBOOKS)
def draft_page(number: int) -> ResponseReturnValue:
    """The form, with an elder to try beside it."""
    row = _draft(number)
    form = _form(row.yaml)
    if form is None:
        return redirect(url_for("ruledesk.yaml_page", number=number))
    return _form_page(row, form, row.yaml, Asked())


def _form(text: str) -> forms.Form | None:
    try:
        return forms.form_of(yaml_reader.tree(text))
    except yaml_reader.YamlFaulty:
        return None


def _form_page(
    row: RulebookDraft,
    form: forms.Form,
    text: str,
    asked: Asked,
    refusal: Refusal | None = None,
    *,
    stale: bool = False,
) -> ResponseReturnValue:
    """`stale`: the form was read from a text that was changed since, so it is not tried with what is now behind it."""
    document, faults = drafts.check(text)
    tried, untried = (None, drafts.ChangedMeanwhile.message) if stale else _try(row, document, asked)
    tree = yaml_reader.tree(row.yaml)
    assert isinstance(tree, dict)
    page = render_template(
        "ruledesk/form.html",
        draft=row,
        seen=-1 if isinstance(refusal, drafts.ChangedMeanwhile) else row.changes,
        form=form,
        faults=faults,
        wrong=_wrong(faults),
        fields=[_row_name(one.path) for one in faults],
        said=_said(document) if document else {},
        area_names=names(),
        kept={place: yaml_writer.dump(rest) for place, rest in form_changes.kept(tree).items()},
        asked=asked,
        today=clock.today(),
        tried=tried,
        untried=untried,
        place_name=names().get(row.node_id, row.node_id),
        canteens=_canteens(),
        areas=[(one.id, one.name) for one in db.session.execute(select(Area).order_by(Area.id)).scalars()],
        canteen=request.form.get("try-canteen", ""),
        classes=CLASSES.items(),
        canteen_classes=CANTEEN_CLASSES.items(),
        prose=prose,
        done=done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _wrong(faults: Sequence[drafts.Fault]) -> dict[str, list[str]]:
    """What is wrong, by the field of the form that it stands beside."""
    found: dict[str, list[str]] = {}
    for one in faults:
        path = f"{one.path}.{one.expected}".removeprefix(".") if one.code == "missing_field" else one.path
        found.setdefault(form_changes.field_at(path), []).append(one.told)
    return found


_ROWS = {"funds": "资金", "limits": "限额", "stages": "步骤", "rules": "标准", "tiers": "年龄档", "parts": "承担方"}


def _row_name(path: str) -> str:
    """Which row of the form a path belongs to, as its headings count: '步骤 1 标准 2'."""
    found = re.findall(r"(funds|limits|stages|rules|tiers|parts)-(\d+)", form_changes.field_at(path))
    return " ".join(f"{_ROWS[kind]} {int(number) + 1}" for kind, number in found) or "这份标准"


def _said(document: Mapping[str, Any]) -> dict[str, list[prose.Row]]:
    """Each rule in words, by its place in the form."""
    return {
        f"stages-{place}-rules-{number}": list(prose.rows_of(rule, document, names()))
        for place, stage in enumerate(document["stages"])
        for number, rule in enumerate(stage["rules"])
        if "rules" not in rule
    }


def _canteens() -> list[tuple[str, str]]:
    within = guard.scope(Permission.RULEBOOKS).canteens(db.session())
    rows = db.session.execute(select(Canteen.id, Canteen.name).order_by(Canteen.id)).all()
    return [(number, name) for number, name in rows if number in within]


def _try(row: RulebookDraft, document: Any, asked: Asked) -> tuple[preview.Tried | None, str]:
    if document is None:
        return None, "改正错误后才能试算。"
    wanted = request.form.get("try-canteen", "")
    known = dict(_canteens())
    canteen = db.session.get(Canteen, wanted) if wanted in known else None
    proposal = Proposal(row.layer, row.node_id, document)
    try:
        return preview.attempt(db.session(), proposal, canteen, asked, clock.today()), ""
    except (Refusal, ValueError) as error:
        return None, error.message if isinstance(error, Refusal) else "试算没有结果，请检查标准和所填内容。"


def _asked(sent: Mapping[str, Any]) -> Asked:
    return Asked(
        age=sent.get("try-age", "75").strip(),
        classes=tuple(code for code in request.form.getlist("try-classes") if code in CLASSES),
        home=sent.get("try-home", "").strip(),
        price=sent.get("try-price", "12.00").strip(),
        day=sent.get("try-day", "").strip(),
        period=sent.get("try-period", "lunch") if sent.get("try-period") in prose.PERIODS else "lunch",
        alone=sent.get("try-alone") == "yes",
    )


@bp.post("/desk/ruledesk/drafts/<int:number>")
@allowed(Permission.RULEBOOKS)
def change_draft(number: int) -> ResponseReturnValue:
    """Save the form, add or take out a row, try an elder, or submit; the YAML behind it changes where the form did."""
    row = _draft(number)
    form, act = form_input.of_request(request.form), request.form.get("act", "save")
    form_input.change(form, act)
    tree = None if _form(row.yaml) is None else yaml_reader.tree(row.yaml)
    if not isinstance(tree, dict):
        raise drafts.ChangedMeanwhile
    text = yaml_patch.rewrite(row.yaml, form_changes.applied(tree, form))
    seen = request.form.get("seen", "")
    if act == "try":
        return _form_page(row, form, text, _asked(request.form), stale=whole(seen) != row.changes)
    try:
        drafts.save(number, text, seen=whole(seen), by=g.person.id)
        form_input.settle(form)
        if act == "submit":
            return _submit(number)
    except REFUSED as refusal:
        return _form_page(_draft(number), form, text, _asked(request.form), refusal)
    if act in _AFTER_SAVING:
        return _gone_on(number, act)
    return _form_page(_draft(number), form, text, _asked(request.form))


_AFTER_SAVING = ("save", "yaml", "form", "simulate")


def _gone_on(number: int, act: str) -> ResponseReturnValue:
    """To the page asked for, now that what was written is saved: form, YAML and simulation are always of one text."""
    if act == "simulate":
        return redirect(url_for("simulations.simulations", draft=number, done="saved"))
    page = "ruledesk.yaml_page" if act == "yaml" else "ruledesk.draft_page"
    return redirect(url_for(page, number=number, done="saved"))


def _submit(number: int) -> ResponseReturnValue:
    digest = drafts.submit(number, by=g.person.id)
    return redirect(url_for("ruledesk.version_page", digest=digest, done="submitted"))


@bp.get("/desk/ruledesk/drafts/<int:number>/yaml")
@allowed(Permission.RULEBOOKS)
def yaml_page(number: int) -> ResponseReturnValue:
    """The YAML itself."""
    row = _draft(number)
    return _yaml_page(row, row.yaml)


def _yaml_page(row: RulebookDraft, text: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    document, faults = drafts.check(text)
    page = render_template(
        "ruledesk/yaml.html",
        draft=row,
        seen=-1 if isinstance(refusal, drafts.ChangedMeanwhile) else row.changes,
        yaml=text,
        faults=faults,
        text=prose.read(document, names())
        if document and not [one for one in faults if one.severity == "error"]
        else None,
        limits={one["id"]: prose.allowance(one) for one in _listed(document)},
        fits=_form(text) is not None,
        done=done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _listed(document: Any) -> list[dict[str, Any]]:
    found = document.get("allowances", []) if isinstance(document, dict) else []
    return list(found)


@bp.post("/desk/ruledesk/drafts/<int:number>/yaml")
@allowed(Permission.RULEBOOKS)
def change_yaml(number: int) -> ResponseReturnValue:
    """Save the text, faulty or not; submit it; or drop the draft."""
    row = _draft(number)
    text, seen, act = request.form.get("yaml", ""), request.form.get("seen", ""), request.form.get("act", "save")
    try:
        if act == "drop":
            drafts.drop(number, by=g.person.id)
            return redirect(url_for("ruledesk.home", done="dropped"))
        drafts.save(number, text, seen=whole(seen), by=g.person.id)
        if act == "submit":
            return _submit(number)
    except (RulebookFaulty, drafts.NoSource) as refusal:
        return _yaml_page(_draft(number), text, refusal)
    except REFUSED as refusal:
        return _yaml_page(row, text, refusal)
    return _gone_on(number, act if act == "form" else "yaml")


# --- publishing ---


@bp.get("/desk/ruledesk/versions/<digest>/publish")
@allowed(Permission.PUBLISH)
def publish_page(digest: str) -> ResponseReturnValue:
    return _publish_page(digest)


def _publish_page(digest: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    sent = request.values
    layer, _, node = sent.get("place", "").partition("/")
    need(Permission.PUBLISH, layer, node)
    tomorrow = date.fromordinal(clock.today().toordinal() + 1)
    begins = clock.day_of(document_of(drafts.version(db.session(), digest))["from"])
    first = read_day(sent.get("from", "")) or max(tomorrow, begins)
    seen = gate.review(db.session(), digest, layer, node, first, names())
    version = drafts.version(db.session(), digest)
    page = render_template(
        "ruledesk/publish.html",
        version=version,
        title=document_of(version)["title"],
        review=seen,
        place=f"{layer}/{node}",
        place_name=names().get(node, node),
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
    """Publish: by another person than the writer, after the gate."""
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


# --- the calendar ---


def _calendar_lacks() -> Iterator[nav.Notice]:
    """A year whose days nobody has entered, named to whoever may read the rulebooks."""
    if not guard.may(Permission.SEE_RULEBOOKS):
        return
    session, today = db.session(), clock.today()
    for year in calendars.lacking(session, today):
        asking = layers.asking_day_kind(session, today)
        text = f"{year} 年放假安排尚未录入：该年日期只按星期和法定节日暂定，调休等按公布的安排录入后才准确。"
        if asking:
            text += f"“{'”“'.join(asking[:3])}”按日期类别计算补贴，未录入会算错，请立即录入。"
        yield nav.Notice("bad" if asking else "warn", text, "ruledesk.calendar", "录入节假日")


nav.tell("calendar", _calendar_lacks)


@bp.get("/desk/calendar")
@allowed(Permission.SEE_RULEBOOKS)
def calendar() -> ResponseReturnValue:
    return _calendar()


def _calendar(refusal: Refusal | None = None) -> ResponseReturnValue:
    today = clock.today()
    wanted = request.args.get("year", "")
    session = db.session()
    due = next(iter(calendars.lacking(session, today)), today.year)
    year = whole(wanted) if 2004 <= whole(wanted) <= today.year + 2 else due
    page = render_template(
        "ruledesk/calendar.html",
        year=year,
        years=range(today.year - 1, today.year + 3),
        told=calendars.year(session, year),
        provisional=calendars.provisional(session, year),
        kinds=calendars.WORDS,
        may_arrange=_arranges(),
        today=today,
        form=request.form,
        done=done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _arranges() -> bool:
    """One calendar holds for the whole city: who drafts for a city may change it."""
    return any(place.startswith("city/") for place, _ in reachable(Permission.RULEBOOKS))


@bp.post("/desk/calendar")
@allowed(Permission.RULEBOOKS)
def arrange() -> ResponseReturnValue:
    """Say of some days what they are."""
    if not _arranges():
        raise Forbidden
    first = read_day(request.form.get("first", "")) or date.min
    last = read_day(request.form.get("last", "")) or first
    try:
        calendars.arrange(
            first, last, request.form.get("kind", ""), request.form.get("name", "").strip(), by=g.person.id
        )
    except REFUSED as refusal:
        return _calendar(refusal)
    return redirect(url_for("ruledesk.calendar", year=first.year, done="arranged"))
