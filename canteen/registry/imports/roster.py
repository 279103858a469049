"""The roster: elders matched by ID number alone, new ones registered, known ones given the facts that differ.

A row states what is valid from its 生效日期 on. An empty cell states nothing; 无 in a list states that there is none.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, ClassVar, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import change_requests
from canteen.auth.change_requests import RequestLine
from canteen.db import insert_many
from canteen.errors import Refusal
from canteen.places import Area, Canteen
from canteen.registry import benefit_gains, documents, elders, fact_requests, facts, keys, likely_same
from canteen.registry.documents import Document
from canteen.registry.elders import NewElder, NewFact
from canteen.registry.facts import WITHDRAWN, Fact
from canteen.registry.imports import full_lists
from canteen.registry.imports.area_names import AreaNames
from canteen.registry.imports.change_lines import NOTHING, ChangeLine, FieldChange, fields_of
from canteen.registry.imports.columns import BadCell, Row
from canteen.registry.imports.fact_differences import classes_of, differences, ended
from canteen.registry.imports.layouts import NO_ANSWERS
from canteen.registry.imports.roster_columns import NORMAL, ROSTER, SCALES, flag_of
from canteen.registry.labels import CLASSES
from canteen.registry.models import Elder, ElderFact, ElderIdentity, IdentityKey
from canteen.rulebooks.models import RulebookVersion

SOURCE: Final = "import"
AHEAD: Final = 366  # days that a row may lie in the future
AREAS: Final = ("hukou", "residence")
Ready = dict[type[Any], list[dict[str, Any]]]  # rows by the table they go to
ROUNDED: Final = "号码末三位是 000，多半被电子表格改写过，请按证件核对；确实如此的，请在“登记老人”页面单独登记。"


class OutsideScope(BadCell):
    code = "outside_scope"
    message = "这位老人的户籍地和居住地都不在您负责的区域内，请交由所在区县导入。"


class OtherStreet(BadCell):
    """Somebody known in another street than the file's: a question for the importer."""

    code = "other_street"


class Repeated(BadCell):
    code = "row_repeated"


class LikelySame(BadCell):
    """A new entry that is likely somebody on the roster: a question for the importer."""

    code = "likely_same"
    asked = "姓名、出生日期和街道都相同，只有证件号码不同，可能是同一人：请核对号码；确实是两个人的，勾选“确是不同的人”再导入。"


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one good row. `kind`: 'new', 'changed' or 'same'. `facts` are added at once; others are asked for."""

    kind: str
    elder_id: uuid.UUID
    new: NewElder | None = field(default=None, repr=False)
    facts: tuple[NewFact, ...] = ()
    identity: NewElder | None = field(default=None, repr=False)


@dataclass(slots=True)
class Present:
    """The present data of an elder of the file."""

    elder_id: uuid.UUID
    name: str
    phone: str
    document: Document
    facts: list[Fact]
    asked: list[NewFact] = field(default_factory=list)


class Roster:
    """One run over a roster file. `within`: the areas that the importer answers for; None is everywhere.

    A fact that may raise a benefit (`registry.benefit_gains`) is not written but collected in `asked`, for a second person.
    """

    template: ClassVar = ROSTER
    chunk: ClassVar = 500
    asks: ClassVar = fact_requests.KIND
    repeats: ClassVar = False  # whether several rows may speak of one person

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        self._within = within
        self._areas = set(session.execute(select(Area.id)).scalars())
        self._names = AreaNames.on(session, clock.today(), within)
        self._canteens = dict(session.execute(select(Canteen.id, Canteen.name)).all())
        self._seen: dict[str, str] = {}
        self._spoken: dict[str, bool] = dict.fromkeys(CLASSES, True)
        self._today = clock.today()
        self.asked: list[RequestLine] = []
        self.places: set[tuple[str, str]] = set()
        self._people: dict[likely_same.Key, list[tuple[str, frozenset[str]]]] = {}
        self.answers = NO_ANSWERS
        self.lines: list[ChangeLine] = []
        self.nobody = uuid.UUID(int=0)
        self.named = set[str]()  # classes that a list is about
        self.latest = date.min  # the last day from which a row states something
        self._listed = set[uuid.UUID]()
        self._unread = 0

    @property
    def waiting(self) -> int:
        return len(self.asked)

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        """Plan the changes of these rows; rows at fault get their faults and no change."""
        for row in rows:
            self._place(row)
        read = [(row, self._document(row)) for row in rows]
        ring = keys.keyring()
        macs = {id(row): ring.mac(document.key) for row, document in read if document is not None}
        present = _present(session, set(macs.values()))
        new = [(row, document) for row, document in read if document is not None and macs[id(row)] not in present]
        asked = () if self.answers.others else new
        there = likely_same.named(session, {key for each in asked if (key := _likely_key(*each)) is not None})
        changes = []
        self._listed |= {known.elder_id for known in present.values()}
        for row, document in read:
            self.latest = max(self.latest, row.values.get("since", self.latest))
            if document is None:
                self._unread += 1
                continue
            mac = macs[id(row)]
            if (before := self._seen.setdefault(mac, row.place)) != row.place and not self.repeats:
                row.refuse("证件号码", Repeated(f"与{before}是同一个证件号码，请只保留一行。"))
            self._check(row, document, mac in present)
            self._check_likely(row, document, there, known=mac in present)
            if not all(self._is_spoken(session, each) for each in classes_of(row.values)):
                row.refuse("人员类别", BadCell("没有一份补贴标准用到这个类别代码，请核对，或填写类别的名称。"))
            if row.faults:
                continue
            try:
                known = present.get(mac)
                changes.append(self._change(row, document, known) if known else self._new(row, document))
            except Refusal as refusal:
                row.refuse("", refusal)
        return changes

    def rest(self, session: Session) -> list[Change]:
        """Plan what ends for those of the sender's area whom a full list lacks, once all its rows are planned."""
        if not self.answers.full or self._unread:
            return []
        areas = [code for code in self._areas if self._names.lies_in(code, self.answers.sender)]
        changes = []
        for one in full_lists.absent(session, areas, self._listed, self._today):
            ending = self.gone(one)
            if ending is None or ending:
                raised = benefit_gains.raising_kinds(one.facts, ending or (), self._today)
                fields = fields_of(one.facts, ending or (), self.latest, self._names.names | self._canteens, raised)
                self.lines.append(ChangeLine("gone", "", 0, one.name, one.number, tuple(fields)))
            if ending:
                at_once = self._ask(one.elder_id, ending, one.facts, raised)
                changes.append(Change("gone", one.elder_id, facts=tuple(at_once)))
        return changes

    @property
    def unread(self) -> int:
        """Return how many rows of a full list name nobody, so that it ends nothing; 0 for another list."""
        return self._unread if self.answers.full else 0

    def gone(self, one: full_lists.Absent) -> list[NewFact] | None:
        """Return the facts that end what the list no longer states; None: it is shown, and nothing ends."""
        return None

    def _check_likely(
        self, row: Row, document: Document, there: dict[likely_same.Key, list[likely_same.RosterEntry]], *, known: bool
    ) -> None:
        """Hold back a new entry that is likely a person of the roster, or of another row, until it is answered."""
        key = _likely_key(row, document)
        if known or key is None or self.answers.others:
            return
        streets = likely_same.streets_of([row.values.get("hukou"), row.values.get("residence")])
        if any(not streets.isdisjoint(entry.streets) for entry in there.get(key, ())):
            row.refuse("姓名", LikelySame(f"与名册中另一位老人{LikelySame.asked}"))
        before = self._people.setdefault(key, [])
        if twin := next((at for at, theirs in before if not streets.isdisjoint(theirs)), None):
            row.refuse("姓名", LikelySame(f"与{twin}{LikelySame.asked}"))
        before.append((row.place, streets))

    def write(self, session: Session, changes: Iterable[Change], recorded: int, by: str) -> None:
        """Write what was planned, under the import's event."""
        self.put(session, self.ready(changes), recorded)

    def ready(self, changes: Iterable[Change]) -> Ready:
        """Return the rows that the changes need, sealed and complete except for the event's number; takes no lock."""
        made: Ready = {Elder: [], ElderIdentity: [], IdentityKey: [], ElderFact: []}
        at = clock.now()
        for change in changes:
            if change.new is not None:
                made[Elder].append({"id": change.elder_id, "made_at": at})
            if (identity := change.new or change.identity) is not None:
                made[ElderIdentity].append(elders.identity_values(change.elder_id, identity, 0))
                if change.new is not None:
                    made[IdentityKey].append(elders.identity_key_values(change.elder_id, identity.document))
            made[ElderFact] += [elders.fact_values(change.elder_id, each, SOURCE, 0) for each in change.facts]
        return made

    def put(self, session: Session, ready: Ready, recorded: int) -> None:
        for model, rows in ready.items():
            if rows:
                under = {} if model is IdentityKey else {"recorded": recorded}
                insert_many(session, model, [row | under for row in rows])

    def overtaken(self, session: Session, ready: Ready, head: int, own: Collection[uuid.UUID]) -> bool:
        """Return whether anything was recorded after event `head` of an elder in the file, except its own new ones."""
        about = {row["elder_id"] for model in (ElderFact, ElderIdentity) for row in ready[model]}
        about |= {uuid.UUID(line.subject) for line in self.asked}.difference(own)
        since = [select(model.elder_id).where(model.recorded > head) for model in (ElderFact, ElderIdentity)]
        return any(elder_id in about for query in since for elder_id in session.execute(query).scalars())

    def _document(self, row: Row) -> Document | None:
        number = row.values.get("number")
        if number is None:
            return None
        try:
            return documents.parse(row.values.get("document", "resident"), number, today=self._today)
        except Refusal as refusal:
            row.refuse("证件号码", refusal)
            return None

    def _place(self, row: Row) -> None:
        """Replace names of areas and addresses by codes."""
        for key, title in (("hukou", "户籍区划代码"), ("residence", "居住区划代码")):
            if key in row.values:
                try:
                    row.values[key] = self._names.code_of(row.values[key])
                    row.street = self._names.street_of(row.values[key])
                except BadCell as refusal:
                    row.refuse(title, refusal)

    def _is_spoken(self, session: Session, code: str) -> bool:
        """Return whether a class is one of ours or in some rulebook: one that no rule names would help nobody."""
        if code not in self._spoken:
            bodies = select(RulebookVersion.body).where(RulebookVersion.body.contains(f'"{code}"', autoescape=True))
            self._spoken[code] = any(f'"{code}"' in body for body in session.execute(bodies).scalars())
        return self._spoken[code]

    def _check(self, row: Row, document: Document, known: bool) -> None:
        """Check what every row must satisfy, new elder or known."""
        values = row.values
        if documents.looks_rounded(document.number) and not known:
            row.refuse("证件号码", documents.RoundedNumber(ROUNDED))
        for key, title, derived in (("birth", "出生日期", document.birth), ("sex", "性别", document.sex)):
            if derived is not None and values.get(key, derived) != derived:
                row.refuse(title, BadCell("与身份证号码不一致，请对照证件核对。"))
        for code, word in CLASSES.items():
            if code in values.get("classes", ()) and values.get(flag_of(code)) is False:
                row.refuse("人员类别", BadCell(f"列出了{word}，“是否{word}”却填了否，请核对。"))
        if not set(values.get("enrolled", ())) <= self._canteens.keys() | self._areas:
            row.refuse("登记食堂", BadCell("没有这个食堂编号，请核对。"))
        if "since" in values:
            self._check_days(row, values["since"])

    def _check_days(self, row: Row, since: date) -> None:
        values = row.values
        status_from = values.get("status_from", since)
        until = values.get("class_until")
        if until is not None and not classes_of(values):
            row.refuse("类别截止日期", BadCell("填了截止日期，“人员类别”却空着或为“无”，请核对。"))
        elif isinstance(until, date) and until < since:
            row.refuse("类别截止日期", BadCell("早于生效日期，请核对。"))
        if "status_from" in values and "status" not in values:
            row.refuse("状态日期", BadCell("填了状态日期，“状态”却空着，请核对。"))
        for title, stated in (("生效日期", since), ("状态日期", status_from)):
            if stated > self._today + timedelta(days=AHEAD):
                row.refuse(title, BadCell("日期在一年以后，请核对年份。"))
        if values.get("status") == "deceased" and status_from > self._today:
            row.refuse("状态日期", BadCell("日期在今天以后，请核对。"))

    def _new(self, row: Row, document: Document) -> Change:
        values = row.values
        since: date = values["since"]
        birth, sex = document.birth or values.get("birth"), document.sex or values.get("sex")
        if birth is None or sex is None:
            raise BadCell("这种证件看不出出生日期和性别，请填写这两列。")
        self._reach({values.get("hukou"), values.get("residence")})
        first = [NewFact("birth", birth.isoformat(), birth), NewFact("sex", sex, birth)]
        first += self._stated(row, since)
        new = NewElder(values["name"], document, birth, sex, phone=values.get("phone", ""))
        self.lines.append(ChangeLine("new", row.sheet, row.number, new.name, document.masked))
        elder_id = uuid.uuid4()
        at_once = self._ask(elder_id, first, [], benefit_gains.raising_kinds((), first, self._today, fresh=True))
        return Change("new", elder_id, new=new, facts=tuple(at_once))

    def _change(self, row: Row, document: Document, present: Present) -> Change:
        values = row.values
        since: date = values["since"]
        valid = facts.on_day(present.facts, since)
        current = {fact.kind: fact.value for fact in valid}
        for key, title in (("birth", "出生日期"), ("sex", "性别")):
            stated = values.get(key)
            if stated is not None and document.birth is None and str(stated) != current.get(key):
                raise BadCell(f"{title}与登记的不一致；如登记有误，请在老人页面更正。")
        self._reach({current.get("hukou"), current.get("residence"), values.get("hukou"), values.get("residence")})
        self._check_street(values, current)
        added = differences(self._stated(row, since), valid, since, row.values)
        undone = [fact for fact in facts.unretracted(present.facts) if fact.value == WITHDRAWN]
        added += [ended(fact, fact.from_day) for fact in undone]
        renamed = values["name"] != present.name or values.get("phone", present.phone) != present.phone
        identity = NewElder(values["name"], document, phone=values.get("phone", present.phone)) if renamed else None
        added = [fact for fact in added if fact not in present.asked]
        kind = "changed" if added or identity else "same"
        raised = benefit_gains.raising_kinds(present.facts, added, self._today, fresh=bool(undone))
        if kind == "changed":
            pairs = (
                ("姓名", present.name, values["name"]),
                ("联系电话", present.phone, values.get("phone", present.phone)),
            )
            fields = [FieldChange(title, was or NOTHING, now) for title, was, now in pairs if was != now]
            fields += fields_of(present.facts, added, since, self._names.names | self._canteens, raised)
            self.lines.append(
                ChangeLine("changed", row.sheet, row.number, present.name, document.masked, tuple(fields))
            )
        at_once = self._ask(present.elder_id, added, present.facts, raised)
        return Change(kind, present.elder_id, facts=tuple(at_once), identity=identity)

    def _ask(
        self, elder_id: uuid.UUID, added: Sequence[NewFact], known: Sequence[Fact], kinds: set[str]
    ) -> list[NewFact]:
        """Collect what is asked for of an elder, and return what is valid at once."""
        if asked := [fact for fact in added if fact.kind in kinds]:
            self.asked.append(fact_requests.line_of(elder_id, asked, SOURCE))
            placed = [fact for fact in added if fact.kind in fact_requests.AREAS]
            self.places |= set(fact_requests.place_of([*known, *benefit_gains.as_facts(known, placed)], self._within))
        return [fact for fact in added if fact.kind not in kinds]

    def _reach(self, areas: set[str | None]) -> None:
        if self._within is not None and not areas & self._within:
            raise OutsideScope

    def _check_street(self, values: dict[str, Any], current: dict[str, str]) -> None:
        """Hold back the change of somebody known in another street than the sender's, or the row's, until it is answered."""
        known = [current[kind] for kind in AREAS if current.get(kind)]
        if not known or self.answers.moved:
            return
        if sender := self.answers.sender:
            theirs = any(self._names.lies_in(code, sender) for code in known)
        else:
            said = [values[kind] for kind in AREAS if kind in values]
            theirs = not said or not likely_same.streets_of(said).isdisjoint(likely_same.streets_of(known))
        if not theirs:
            street = self._names.names.get(known[-1], "别的街道")
            raise OtherStreet(
                f"这位老人登记在“{street}”，不在这份文件的街道：确是要改的，勾选后再导入；否则请交由所在街道办理。"
            )

    def _stated(self, row: Row, since: date) -> list[NewFact]:
        """Return the facts that a row states, as if nothing were known yet."""
        values = row.values
        stated = [NewFact(kind, values[kind], since) for kind in ("hukou", "residence", "household") if kind in values]
        until = values.get("class_until")
        last = until if isinstance(until, date) else None
        stated += [NewFact("class", each, since, last) for each in classes_of(values)]
        stated += [NewFact("enrolled", each, since) for each in values.get("enrolled", ())]
        stated += [
            NewFact("level", f"{scale}={values[scale]}", since) for scale in SCALES if values.get(scale) is not None
        ]
        if values.get("status", NORMAL) != NORMAL:
            stated.append(NewFact("status", values["status"], values.get("status_from", since)))
        return stated


def _likely_key(row: Row, document: Document) -> likely_same.Key | None:
    name, birth = row.values.get("name"), document.birth or row.values.get("birth")
    return (name, birth.isoformat()) if name is not None and birth is not None else None


def _present(session: Session, macs: set[str]) -> dict[str, Present]:
    """Return the elders known by these keyed hashes, with their facts that count."""
    owners = select(IdentityKey.number_mac, IdentityKey.elder_id).where(IdentityKey.number_mac.in_(macs))
    by_elder = {elder_id: mac for mac, elder_id in session.execute(owners)}
    if not by_elder:
        return {}
    newest = select(func.max(ElderIdentity.id)).where(ElderIdentity.elder_id.in_(by_elder))
    named = select(ElderIdentity).where(ElderIdentity.id.in_(newest.group_by(ElderIdentity.elder_id)))
    ring, found = keys.keyring(), dict[str, Present]()
    for row in session.execute(named).scalars():
        phone = ""
        if row.phone_cipher is not None:
            phone = ring.identity.open(row.phone_cipher, f"elder.phone {row.elder_id}").decode()
        found[by_elder[row.elder_id]] = Present(row.elder_id, row.name, phone, documents.NONE, [])
        session.expunge(row)
    for elder_id, known in elders.facts_of_many(session, list(by_elder)).items():
        present = found[by_elder[elder_id]]
        found[by_elder[elder_id]] = replace(present, facts=facts.unretracted(known))
    asked = change_requests.asked_about(session, fact_requests.KIND, [str(elder_id) for elder_id in by_elder])
    for elder_id, mac in by_elder.items():
        for _, line in asked.get(str(elder_id), ()):
            found[mac].asked.extend(fact_requests.facts_of(line))
    return found
