"""Pages: login, one's own account, people and their roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.auth import change_requests, guard, logins, people, reach, sessions
from canteen.auth.change_requests import Shown
from canteen.auth.guard import ROLE_NAMES, Permission, allowed, own_account, public
from canteen.auth.models import ChangeRequest, Grant, Person
from canteen.auth.reach import Reach
from canteen.db import db, transaction
from canteen.errors import Conflict, Forbidden, Invalid, Refusal
from canteen.places import Area, Canteen, Operator
from canteen.web import filters, nav, security
from canteen.web.errors import status_of

bp = Blueprint("auth", __name__)
nav.add("auth.people_list", "人员", position=50)
filters.add_labels({f"role.{role}": name for role, name in ROLE_NAMES.items()})

DONE = {
    "created": "账号已建立。",
    "granted": "已授予角色，对方下一次操作即生效。",
    "created_asked": "账号已建立；角色须由另一位管理员复核，复核前没有任何权限。",
    "asked": "已提交，须由另一位管理员复核，复核前不生效。",
    "ended": "已结束角色，立即生效。",
    "disabled": "账号已停用，立即生效。",
    "enabled": "账号已启用。",
    "password": "密码已设置，对方下次登录须自行修改。",
    "pin": "口令已设置。",
    "unlocked": "已解除锁定。",
    "own_password": "密码已修改，其他设备上的登录已退出。",
    "own_pin": "收银口令已修改。",
}
REFUSED = (Invalid, Conflict, Forbidden)


# --- in and out ---


@bp.get("/")
@public("sends everyone to where they belong")
def home() -> ResponseReturnValue:
    """Redirect to the first page of the caller's menu, or to the login."""
    if g.person is None:
        return redirect(url_for("auth.login"))
    entries = guard.nav_entries()
    return redirect(url_for(entries[0].endpoint if entries else "auth.account"))


@bp.get("/login")
@public("where people log in")
def login() -> ResponseReturnValue:
    return _login_page()


@bp.post("/login")
@public("where people log in; guesses are counted")
def log_in() -> ResponseReturnValue:
    """Open a new login under a new id; one that the browser brought ends."""
    name, password = request.form.get("login", ""), request.form.get("password", "")
    if not (security.secure() or security.on_loopback_host()):
        return _login_page("此网址不是安全连接（https），不能登录。请联系系统运维改用 https 网址。", name, 403)
    try:
        entered = logins.by_password(name, password, device=sessions.known_device(name))
    except REFUSED as refusal:
        return _login_page(refusal.message, name, status_of(refusal))
    _end_current()
    response = redirect(_safe(request.form.get("next", "")))
    security.set_cookie(response, "desk", entered.token)
    sessions.remember_device(response, name)
    sessions.note_browser(response, entered.person_id)
    return response


@bp.post("/logout")
@public("ends the caller's own login, if any")
def log_out() -> ResponseReturnValue:
    """End the login on the server, so that a copied cookie is worth nothing."""
    _end_current()
    response = redirect(url_for("auth.login", done="out"))
    security.drop_cookie(response, "desk")
    return response


def _login_page(message: str = "", name: str = "", status: int = 200) -> ResponseReturnValue:
    target = request.values.get("next", "")
    out = request.args.get("done") == "out"
    return render_template("auth/login.html", message=message, login=name, next=target, out=out), status


def _end_current() -> None:
    if g.person is not None:
        session_id = g.person.session_id
        with transaction() as session:
            sessions.end(session, session_id)


def _safe(target: str) -> str:
    """Return a target within this site; anything that might lead elsewhere becomes the start page."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain and "\\" not in target else url_for("auth.home")


# --- one's own account ---


@bp.get("/desk/account")
@own_account
def account() -> ResponseReturnValue:
    return _account_page()


@bp.post("/desk/account/password")
@own_account
def change_password() -> ResponseReturnValue:
    """Set a password of one's own choice; all logins end and this one goes on under a new id."""
    old, new, again = (request.form.get(name, "") for name in ("old", "new", "again"))
    person_id, name = g.person.id, g.person.login
    try:
        if new != again:
            raise Invalid("两次输入的新密码不一致，请重新输入。")
        logins.confirm_password(person_id, old, device=sessions.known_device(name))
        with transaction() as session:
            people.set_own_password(session, person_id, new)
            token = sessions.start(session, person_id)
    except REFUSED as refusal:
        return _account_page(refusal)
    response = redirect(url_for("auth.account", done="own_password"))
    security.set_cookie(response, "desk", token)
    sessions.remember_device(response, name)
    return response


@bp.post("/desk/account/pin")
@own_account
def change_pin() -> ResponseReturnValue:
    """Set a PIN of one's own choice for the till; asks for the password."""
    person_id, name = g.person.id, g.person.login
    try:
        if request.form.get("pin", "") != request.form.get("pin_again", ""):
            raise Invalid("两次输入的口令不一致，请重新输入。")
        logins.confirm_password(person_id, request.form.get("password", ""), device=sessions.known_device(name))
        with transaction() as session:
            people.set_own_pin(session, person_id, request.form["pin"])
    except REFUSED as refusal:
        return _account_page(refusal)
    return redirect(url_for("auth.account", done="own_pin"))


def _account_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    own = session.get_one(Person, g.person.id)
    sells = guard.may(Permission.SELL)
    return render_template(
        "auth/account.html",
        own=own,
        grants=_shown(session, guard.live_grants(session, own.id)),
        sells=sells,
        refusal=refusal,
        done=DONE.get(request.args.get("done", "")),
    ), (status_of(refusal) if refusal else 200)


# --- people ---


@bp.get("/desk/people")
@allowed(Permission.SEE_PEOPLE, Permission.PEOPLE, Permission.STAFF)
def people_list() -> ResponseReturnValue:
    """Show the accounts in the caller's places, found by name or login."""
    session, search = db.session(), request.args.get("q", "")
    scopes, every = _looking()
    found = people.listed(session, scopes, every=every, search=search)
    grants = guard.live_grants_of(session, [person.id for person in found])
    shown = dict(_shown(session, [grant for some in grants.values() for grant in some]))
    rows = [(person, [(grant, shown[grant]) for grant in grants[person.id]]) for person in found]
    full = len(found) == people.LISTED
    return render_template("auth/people.html", rows=rows, search=search, full=full, makes=_makes())


@bp.get("/desk/people/new")
@allowed(Permission.PEOPLE, Permission.STAFF)
def person_form() -> ResponseReturnValue:
    return _new_page()


@bp.post("/desk/people/new")
@allowed(Permission.PEOPLE, Permission.STAFF)
def create_person() -> ResponseReturnValue:
    """Create someone else's account with its first role."""
    form = request.form
    try:
        person_id = people.create(
            form.get("login", ""),
            form.get("name", ""),
            password=form.get("password") or None,
            pin=form.get("pin") or None,
            grants=[(form.get("role", ""), *_node(form.get("node", "")))],
            by=g.person.id,
        )
    except REFUSED as refusal:
        return _new_page(refusal)
    waits = bool(_waiting(db.session(), person_id))
    return redirect(url_for("auth.person_page", person_id=person_id, done="created_asked" if waits else "created"))


@bp.get("/desk/people/<person_id>")
@allowed(Permission.SEE_PEOPLE, Permission.PEOPLE, Permission.STAFF)
def person_page(person_id: str) -> ResponseReturnValue:
    return _person_page(person_id)


@bp.post("/desk/people/<person_id>/<act>")
@allowed(Permission.PEOPLE, Permission.STAFF)
def change_person(person_id: str, act: str) -> ResponseReturnValue:
    """Do one act on someone else's account: a role, the password, the PIN, shut, open, unlock."""
    form, by = request.form, g.person.id
    try:
        match act:
            case "grant":
                waits = people.grant(person_id, form.get("role", ""), *_node(form.get("node", "")), by=by)
                done = "asked" if waits else "granted"
            case "end":
                people.end_grant(person_id, _number(form.get("grant", "")), by=by)
                done = "ended"
            case "password":
                people.reset_password(person_id, form.get("password", ""), by=by)
                done = "password"
            case "pin":
                people.reset_pin(person_id, form.get("pin", ""), by=by)
                done = "pin"
            case "disable":
                people.disable(person_id, by=by)
                done = "disabled"
            case "enable":
                done = "asked" if people.enable(person_id, by=by) else "enabled"
            case "unlock":
                people.unlock(person_id, by=by)
                done = "unlocked"
            case _:
                raise people.NoPerson
    except REFUSED as refusal:
        return _person_page(person_id, refusal)
    return redirect(url_for("auth.person_page", person_id=person_id, done=done))


def _person_page(person_id: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    scopes, every = _looking()
    shown = people.seen(session, person_id, scopes, every=every)
    reach = Reach.of(session, g.person.id)
    query = select(Grant).where(Grant.person_id == person_id).order_by(Grant.id.desc())
    given = list(session.execute(query).scalars())
    grants = [
        (*row, reach.grants(session, row[0].role, row[0].node_kind, row[0].node_id)) for row in _shown(session, given)
    ]
    return render_template(
        "auth/person.html",
        shown=shown,
        grants=grants,
        makers=_names(session, [name for grant, *_ in grants for name in (grant.granted_by, grant.ended_by)]),
        manages=_makes() and reach.manages(session, person_id),
        grantable=_makes() and person_id != g.person.id,
        roles=[(role, ROLE_NAMES[role]) for role in reach.roles()],
        nodes=nodes_within(session, reach),
        waiting=_waiting(session, person_id),
        refusal=refusal,
        done=DONE.get(request.args.get("done", "")),
    ), (status_of(refusal) if refusal else 200)


def _waiting(session: Session, person_id: str) -> list[tuple[ChangeRequest, Shown]]:
    """Return the requests about the account that wait, in words."""
    return [
        (found, change_requests.kind_of(kind).show(session, [line])[0])
        for kind in (people.GRANT, people.ENABLE)
        for found, line in change_requests.asked_about(session, kind, [person_id]).get(person_id, ())
    ]


def _new_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    reach = Reach.of(session, g.person.id)
    return render_template(
        "auth/person_new.html",
        roles=[(role, ROLE_NAMES[role]) for role in reach.roles()],
        nodes=nodes_within(session, reach),
        form=request.form,
        refusal=refusal,
    ), (status_of(refusal) if refusal else 200)


def nodes_within(session: Session, reach: Reach) -> dict[str, list[tuple[str, str]]]:
    """Return the places for roles by group, as ('kind:id', name); communities are reached by their street."""
    canteens = reach.people.canteens(session) | reach.staff.canteens(session)
    groups: dict[str, list[tuple[str, str]]] = {}
    if reach.people:
        areas = (
            select(Area).where(Area.id.in_(reach.people.areas(session)), Area.level != "community").order_by(Area.id)
        )
        groups["区域"] = [(f"area:{area.id}", area.name) for area in session.execute(areas).scalars()]
        operators = session.execute(select(Operator).order_by(Operator.name)).scalars()
        within = [each for each in operators if reach.people.covers_node(session, "operator", each.id)]
        groups["运营方"] = [(f"operator:{each.id}", each.name) for each in within]
    query = select(Canteen).where(Canteen.id.in_(canteens)).order_by(Canteen.name)
    groups["食堂"] = [(f"canteen:{each.id}", each.name) for each in session.execute(query).scalars()]
    return {name: nodes for name, nodes in groups.items() if nodes}


def _looking() -> tuple[list[guard.Scope], bool]:
    """Return the scopes in which the caller may see accounts, and whether those without any role are shown."""
    every = guard.may(Permission.PEOPLE)
    return [guard.scope(each) for each in (Permission.SEE_PEOPLE, Permission.PEOPLE, Permission.STAFF)], every


def _makes() -> bool:
    return guard.may(Permission.PEOPLE) or guard.may(Permission.STAFF)


def _shown(session: Session, grants: Sequence[Grant]) -> list[tuple[Grant, str]]:
    names = people.node_names(session, {(grant.node_kind, grant.node_id) for grant in grants})
    return [(grant, names[grant.node_kind, grant.node_id]) for grant in grants]


def _names(session: Session, ids: Iterable[str | None]) -> dict[str, str]:
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_({each for each in ids if each})))
    return {reach.SYSTEM: "系统安装", **dict(rows.all())}


def _node(text: str) -> tuple[str, str]:
    kind, _, node_id = text.partition(":")
    return kind, node_id


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
