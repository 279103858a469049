"""Write a draft by form or as YAML, try an elder with it, submit it or drop it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from canteen import clock
from canteen.auth import guard
from canteen.auth.guard import Permission, allowed
from canteen.db import db
from canteen.errors import Refusal
from canteen.places import Area, Canteen
from canteen.registry.labels import CANTEEN_CLASSES, CLASSES
from canteen.rulebooks import yaml_reader, yaml_writer
from canteen.rulebooks.models import RulebookDraft
from canteen.rulebooks.publications import RulebookFaulty
from canteen.ruledesk.desk.blueprint import REFUSED, bp, document_of, done, need
from canteen.ruledesk.editor import drafts, form_changes, form_input, forms, preview, prose, yaml_patch
from canteen.ruledesk.editor.preview import Asked
from canteen.ruledesk.proposal import Proposal
from canteen.ruledesk.publication.gate import names
from canteen.web.errors import status_of
from canteen.web.numbers import whole


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
    """Return the caller's own open draft. Raises NoDraft, for another's too."""
    row = drafts.find(db.session(), number)
    if row.by != g.person.id or row.state != "open":
        raise drafts.NoDraft
    return row


@bp.get("/desk/ruledesk/drafts/<int:number>")
@allowed(Permission.RULEBOOKS)
def draft_page(number: int) -> ResponseReturnValue:
    """Show the form, with a preview for an invented elder beside it."""
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
    """Render the form; if `stale`, it was read from a text that changed since, so nothing is previewed."""
    document, faults = drafts.check(text)
    previewed, no_preview = (None, drafts.ChangedMeanwhile.message) if stale else _preview(row, document, asked)
    tree, called = yaml_reader.tree(row.yaml), names()
    assert isinstance(tree, dict)
    page = render_template(
        "ruledesk/form.html",
        draft=row,
        seen=-1 if isinstance(refusal, drafts.ChangedMeanwhile) else row.changes,
        form=form,
        faults=faults,
        wrong=_wrong(faults),
        fields=[_row_name(one.path) for one in faults],
        said=_said(document, called) if document else {},
        area_names=called,
        kept={place: yaml_writer.dump(rest) for place, rest in form_changes.kept(tree).items()},
        asked=asked,
        today=clock.today(),
        preview=previewed,
        no_preview=no_preview,
        place_name=called.get(row.node_id, row.node_id),
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
    """Return the faults by the field of the form that they belong to."""
    found: dict[str, list[str]] = {}
    for one in faults:
        path = f"{one.path}.{one.expected}".removeprefix(".") if one.code == "missing_field" else one.path
        found.setdefault(form_changes.field_at(path), []).append(one.sentence)
    return found


_ROWS = {"funds": "资金", "limits": "限额", "stages": "步骤", "rules": "标准", "tiers": "年龄档", "parts": "承担方"}


def _row_name(path: str) -> str:
    """Name the form's row that a path belongs to, as its headings count: '步骤 1 标准 2'."""
    found = re.findall(r"(funds|limits|stages|rules|tiers|parts)-(\d+)", form_changes.field_at(path))
    return " ".join(f"{_ROWS[kind]} {int(number) + 1}" for kind, number in found) or "这份标准"


def _said(document: Mapping[str, Any], called: Mapping[str, str]) -> dict[str, list[prose.RuleRow]]:
    """Return each rule in words, by its place in the form; `called` names areas and canteens by id."""
    return {
        f"stages-{place}-rules-{number}": list(prose.rows_of(rule, document, called))
        for place, stage in enumerate(document["stages"])
        for number, rule in enumerate(stage["rules"])
        if "rules" not in rule
    }


def _canteens() -> list[tuple[str, str]]:
    within = guard.scope(Permission.RULEBOOKS).canteens(db.session())
    rows = db.session.execute(select(Canteen.id, Canteen.name).order_by(Canteen.id)).all()
    return [(number, name) for number, name in rows if number in within]


def _preview(row: RulebookDraft, document: Any, asked: Asked) -> tuple[preview.Preview | None, str]:
    if document is None:
        return None, "改正错误后才能试算。"
    wanted = request.form.get("try-canteen", "")
    known = dict(_canteens())
    canteen = db.session.get(Canteen, wanted) if wanted in known else None
    proposal = Proposal(row.layer, row.node_id, document)
    try:
        return preview.preview_meal(db.session(), proposal, canteen, asked, clock.today()), ""
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
    """Save the form, add or remove a row, preview an elder, or submit; the YAML changes only where the form did."""
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
    """Redirect to the page asked for, now that the input is saved: form, YAML and simulation share one text."""
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
    """Show the YAML itself."""
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
