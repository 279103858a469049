"""Take an application: somebody new comes on the roster without the classes, which wait for the opinions.

Until then they eat by age and place alone: provisional.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.errors import Conflict, Invalid
from canteen.registry import elders, fact_requests, identities, keys, likely_same, lookup
from canteen.registry import facts as dated
from canteen.registry.applications.models import CONSENTS, MODES, Application, ApplicationClass, Opinion
from canteen.registry.applications.notices import CURRENT
from canteen.registry.elders import NewElder, NumberTaken
from canteen.registry.labels import CLASSES
from canteen.registry.text_forms import fold, name_of, phone_of

MOST = 60  # characters of an address or a proof
SUSPENDED = "suspended"  # the status of somebody whose application was refused


class BadApplication(Invalid):
    code = "application_malformed"
    message = "申请表填写有误，请检查后再试。"


class NoConsent(Invalid):
    code = "application_no_consent"
    message = "请先让老人看过或听过《个人信息告知书》，同意后勾选，再提交申请。"


class OpenAlready(Conflict):
    code = "application_open"
    message = "这位老人已有一份申请在办理中，不要重复提交。"


class OnRoster(Conflict):
    code = "application_not_needed"
    message = "这位老人已在名册中，不必再申请；要增加人员类别，请选择申请的类别。"


class OtherName(Conflict):
    code = "application_other_name"
    message = "这个证件号码已登记在另一姓名下，请核对姓名和号码。"


class Stopped(Conflict):
    code = "application_stopped"
    message = "这位老人的登记已停用，请先在老人页面核实更正。"


class LikelySame(Conflict):
    code = "application_likely_same"
    message = "名册中有姓名、出生日期和街道都相同的人，多半是同一位老人换了证件号码。确认不是同一人，再勾选后提交。"


@dataclass(frozen=True, slots=True)
class AskedClass:
    """A class asked for, with the name and the number of its proof."""

    code: str
    proof: str = field(repr=False)
    number: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class NewApplication:
    """An application as filled in.

    elder    who applies; without classes
    apart    the taker saw who is likely the same person, and says they are not
    photo    a picture file; b'' where none was made
    """

    elder: NewElder
    classes: Sequence[AskedClass] = ()
    mode: str = "dine_in"
    consent: str = ""
    notice: str = CURRENT
    canteen_id: str | None = None
    address: str = field(default="", repr=False)
    contact_name: str = field(default="", repr=False)
    contact_phone: str = field(default="", repr=False)
    apart: bool = False
    photo: bytes = field(default=b"", repr=False)


def take(session: Session, new: NewApplication, by: str, within: Collection[str]) -> int:
    """Record an application, register the applicant where new, and return its number, an event's.

    within    areas that `by` takes applications from

    Raises what `elders.register` and `identities.set_photo` raise, and the refusals of this module.
    """
    details = _checked(new)
    elder_id, registers = _applicant(session, new, by, within)
    if new.photo:
        identities.set_photo(session, elder_id, new.photo, by)
    known = elders.facts_about(session, elder_id)
    ((_, area),) = fact_requests.place_of(dated.on_day(dated.unretracted(known), clock.today()), within)
    body: dict[str, object] = {"area": area, "canteen": new.canteen_id, "notice": new.notice, "consent": new.consent}
    body |= {"registers": registers, "classes": len(new.classes)}
    number = events.record(session, "application.take", str(elder_id), by=by, body=body)
    session.add(
        Application(
            id=number,
            elder_id=elder_id,
            area_id=area,
            canteen_id=new.canteen_id,
            registers=registers,
            mode=new.mode,
            details_cipher=keys.keyring().identity.seal(json.dumps(details).encode(), _about(number)),
            notice=new.notice,
            consent=new.consent,
            taken_by=by,
            taken_at=clock.now(),
        )
    )
    try:
        session.flush()
    except IntegrityError as error:  # two desks at once: the trigger decides
        raise OpenAlready from error
    session.add_all(ApplicationClass(application_id=number, class_code=asked.code) for asked in new.classes)
    session.flush()
    return number


def details_of(application: Application) -> dict[str, object]:
    """Return address, contact and proofs in clear."""
    found: dict[str, object] = json.loads(
        keys.keyring().identity.open(application.details_cipher, _about(application.id))
    )
    return found


def open_of(session: Session, ids: Collection[uuid.UUID]) -> Application | None:
    """Return the application that waits for an opinion, of the entries of one person."""
    closing = select(Opinion.application_id).where((Opinion.outcome == "refused") | (Opinion.step == "street"))
    query = select(Application).where(Application.elder_id.in_(ids), Application.id.not_in(closing))
    return session.execute(query.limit(1)).scalar_one_or_none()


def _about(number: int) -> str:
    return f"application.details {number}"


def _checked(new: NewApplication) -> dict[str, object]:
    """Return the details to seal. Raises NoConsent, BadApplication, BadName, BadPhone."""
    if new.consent not in CONSENTS:
        raise NoConsent
    if new.notice != CURRENT:
        raise NoConsent("告知书已更新，请让老人看过新的告知书，再提交。")
    if new.mode not in MODES:
        raise BadApplication("请选择就餐方式。")
    codes = [asked.code for asked in new.classes]
    if len(set(codes)) != len(codes) or not set(codes) <= set(CLASSES):
        raise BadApplication("申请的类别重复或不在选项中，请重新选择。")
    if any(not fold(asked.proof) for asked in new.classes):
        raise BadApplication("申请人员类别须写明证明材料的名称，如“低保证”。")
    texts = [new.address, *(text for asked in new.classes for text in (asked.proof, asked.number))]
    if any(len(fold(text)) > MOST or not fold(text).isprintable() for text in texts):
        raise BadApplication(f"地址、证明名称和编号各不超过 {MOST} 个字。")
    return {
        "address": fold(new.address),
        "contact_name": name_of(new.contact_name) if new.contact_name.strip() else "",
        "contact_phone": phone_of(new.contact_phone),
        "proofs": [{key: fold(text) for key, text in asdict(asked).items()} for asked in new.classes],
    }


def _applicant(session: Session, new: NewApplication, by: str, within: Collection[str]) -> tuple[uuid.UUID, bool]:
    """Return the applicant's id, and whether they were registered by this."""
    elder = replace(new.elder, facts=())
    known = lookup.by_document(session, elder.document) if elder.document.number else None
    if known is not None:
        _may_apply(session, known, new, within)
        return known, False
    if not {elder.residence or elder.hukou} & set(within):
        raise BadApplication("居住地（没有填写时为户籍地）不在您受理的区域内，请到居住地社区申请。")
    if not new.apart:
        _ask_likely(session, elder)
    return elders.register(session, elder, by, source="application"), True


def _may_apply(session: Session, elder_id: uuid.UUID, new: NewApplication, within: Collection[str]) -> None:
    if not lookup.reached(session, elder_id, within):
        raise NumberTaken("这个证件号码已在别处登记，请先联系原登记社区办理迁移。")
    elders.lock(session, elder_id)
    facts = elders.facts_about(session, elder_id)
    _, ids = elders.cluster_in(facts, elder_id)
    if identities.current(session, elder_id).name != name_of(new.elder.name):
        raise OtherName
    if elders.stopped_in(facts, elder_id, clock.today()):
        raise Stopped
    if open_of(session, ids) is not None:
        raise OpenAlready
    # A suspension begins on the day after the refusal; who applies again on the same day is suspended too.
    suspended = any(
        (fact.kind, fact.value) == ("status", SUSPENDED)
        for fact in elders.of_person(facts, elder_id, clock.today() + dated.ONE_DAY)
    )
    if not new.classes and not suspended:
        raise OnRoster


def _ask_likely(session: Session, elder: NewElder) -> None:
    """Raise LikelySame when somebody of this name, birth date and street is on the roster."""
    birth = elder.document.birth or elder.birth
    if birth is None:
        return
    key, streets = (name_of(elder.name), birth.isoformat()), likely_same.streets_of([elder.hukou, elder.residence])
    for entry in likely_same.named(session, {key}).get(key, ()):
        if not entry.streets.isdisjoint(streets):
            raise LikelySame(details={"masked": entry.masked})
