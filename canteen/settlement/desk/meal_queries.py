"""Read meals as people see them, for pages and exports: by id, or all of a claim by keyset pages."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, or_, select

from canteen import keyset, names
from canteen.db import batches
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Period, Transfer
from canteen.ledger.queries import TARGET, signed, to_target, with_ends
from canteen.money import Fen
from canteen.pos import share_terms
from canteen.pos.models import Record, Sale, ShareTerms, Void
from canteen.pos.sale_rows import LINE, TENDER, out_of_json
from canteen.registry.models import Credential, ElderFact, ElderIdentity
from canteen.settlement.closing import adjustments, close, gather, gather_persons, lines
from canteen.settlement.closing.statement import Cut
from canteen.settlement.labels import excluded_name, say
from canteen.settlement.models import BenefitReallocation, Claim, WithheldMeal


@dataclass(frozen=True, slots=True)
class ShownShare:
    """One share of a meal with its reason."""

    n: int
    fund: str
    payer: str
    rule: str
    clause: str
    fen: Fen
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class MealRow:
    """One meal of a claim as people read it; `claimable` is what the claim includes of it, 0 when voided."""

    id: uuid.UUID
    day: date
    period: str
    canteen: str
    card_tail: str
    name: str
    age: int | None
    items: str
    list_fen: Fen
    due_fen: Fen
    surcharge_fen: Fen
    parts: tuple[ShownShare, ...]
    claimable: Fen
    tenders: tuple[str, ...]
    mode: str
    cashier: str
    online: bool
    reference: str
    rulebook: str
    voided: bool
    remark: str

    @property
    def subsidies(self) -> list[ShownShare]:
        return [part for part in self.parts if part.payer == "subsidy"]

    @property
    def concession(self) -> Fen:
        return sum(part.fen for part in self.parts if part.payer == "concession")

    @property
    def donation(self) -> Fen:
        return sum(part.fen for part in self.parts if part.payer == "donation")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A meal as its claim was drafted with it, and what the claim's reviewers kept out of it."""

    meal: MealRow
    elder: str  # one id a person, whatever entries the roster has of her
    parts: dict[int, tuple[str, Fen]]  # by number of the share: (fund, fen claimed)
    withheld: Fen
    disallowed: Fen
    why: tuple[str, ...]

    def of_fund(self, fund: str) -> Fen:
        return sum(fen for of, fen in self.parts.values() if of == fund)

    @property
    def fen(self) -> Fen:
        return sum(fen for _, fen in self.parts.values())


@dataclass(frozen=True, slots=True)
class Upto:
    """The close as of which a claim's meals are shown, so that its file is always the same (P16)."""

    period_id: int
    cut: Cut


@dataclass(frozen=True, slots=True)
class Other:
    """An earlier meal in this claim: added late, or taken back."""

    kind: str
    sale: uuid.UUID
    day: date
    fund: str
    origin: str
    fen: Fen
    reason: str


Named = int | Mapping[uuid.UUID, int] | None
"""The event that names are as of: of all meals, by meal, or the present one."""


def meals(claim: Claim, *, insider: bool = True) -> Iterator[list[Claimed]]:
    """Yield all meals booked to the claim's period, by day and id, in pages, as the close saw them."""
    claim_id, period = claim.id, close.load(claim.period_id)
    cut, _ = close.cut_of(period)
    known, upto, eaters = gather_persons.clusters(cut), Upto(period.id, cut), Eaters(cut.facts)
    query = select(Sale.service_day, Sale.id, Sale.elder_id).where(gather.belongs(period, cut))
    for page in keyset.rows(query, (Sale.service_day, Sale.id)):
        ids = [sale for _, sale, _ in page]
        persons = {sale: known.root(str(elder)) for _, sale, elder in page}
        booked, out = _booked(period, ids), kept(claim_id, ids)
        claimable = {sale: sum(fen for _, fen in parts.values()) for sale, parts in booked.items()}
        yield [
            Claimed(meal, persons[meal.id], booked.get(meal.id, {}), *out.get(meal.id, (0, 0, ())))
            for meal in _shown(ids, claimable, _excluded(ids, upto), upto, eaters, named=cut.facts, insider=insider)
        ]


def _booked(period: Period, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[int, tuple[str, Fen]]]:
    """Sum what the period's transfers leave in `open` of each meal, share by share: what its claim asks for."""
    found: dict[uuid.UUID, dict[int, tuple[str, Fen]]] = defaultdict(dict)
    for sale, share_n, fund, fen in lines.by_share(period, ids):
        if fen:
            found[sale][share_n] = (fund, fen)
    return found


def kept(claim_id: int, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[Fen, Fen, tuple[str, ...]]]:
    """Return (withheld, disallowed, reasons) of the claim's meals."""
    query = select(WithheldMeal.sale_id, WithheldMeal.outcome, WithheldMeal.fen, WithheldMeal.reason).where(
        WithheldMeal.claim_id == claim_id, keyset.among(WithheldMeal.sale_id, ids)
    )
    found: dict[uuid.UUID, tuple[Fen, Fen, tuple[str, ...]]] = {}
    for sale, outcome, fen, reason in keyset.once(query.order_by(WithheldMeal.id)):
        withheld, disallowed, why = found.get(sale, (0, 0, ()))
        added = (withheld + fen, disallowed) if outcome == "withheld" else (withheld, disallowed + fen)
        found[sale] = (*added, tuple(dict.fromkeys((*why, f"{say('answer', outcome)}：{reason}"))))
    return found


def by_ids(ids: Sequence[uuid.UUID], *, named: Named = None, insider: bool = True) -> list[MealRow]:
    """Read these meals as of now, by day and id.

    named    the event that names are as of, of all or by meal: pages of a closed period show what became of a meal
             since, under the names of its close; None is the present
    insider  whether the reader may read of deaths (ruling 12)
    """
    if not ids:
        return []
    claimable, excluded = _now(ids)
    return _shown(ids, claimable, excluded, None, Eaters(None), named=named, insider=insider)


class Eaters:
    """Names and birthdays of elders, each read once; birthdays of facts recorded up to event `facts`."""

    def __init__(self, facts: int | None) -> None:
        self._facts = facts
        self._called: dict[uuid.UUID, list[tuple[int, str]]] = {}
        self._births: dict[uuid.UUID, date] = {}

    def read(self, elders: Iterable[uuid.UUID | None]) -> None:
        """Read those of these elders that are not known yet."""
        unknown = [elder for elder in set(elders) if elder is not None and elder not in self._called]
        if not unknown:
            return
        self._called |= {elder: [] for elder in unknown}
        identities = select(ElderIdentity.elder_id, ElderIdentity.recorded, ElderIdentity.name).where(
            keyset.among(ElderIdentity.elder_id, unknown)
        )
        for elder, recorded, name in keyset.bare(identities.order_by(ElderIdentity.id)):
            self._called[elder].append((recorded, name))
        births = select(ElderFact.elder_id, ElderFact.value).where(
            keyset.among(ElderFact.elder_id, unknown), ElderFact.kind == "birth", ElderFact.value != ""
        )
        known = births if self._facts is None else births.where(ElderFact.recorded <= self._facts)
        for elder, day in keyset.bare(known.order_by(ElderFact.recorded)):
            self._births[elder] = date.fromisoformat(day)

    def name(self, elder: uuid.UUID | None, upto: int | None) -> str:
        """Return the name as of event `upto`, the newest for None; '' where none is known."""
        called = self._called.get(elder, ()) if elder is not None else ()
        return next((name for recorded, name in reversed(called) if upto is None or recorded <= upto), "")

    def birth(self, elder: uuid.UUID | None) -> date | None:
        """Return the birthday; None where it is not known."""
        return None if elder is None else self._births.get(elder)


def _shown(
    ids: Sequence[uuid.UUID],
    claimable: Mapping[uuid.UUID, Fen],
    excluded: Mapping[uuid.UUID, Sequence[str]],
    upto: Upto | None,
    eaters: Eaters,
    *,
    named: Named,
    insider: bool,
) -> list[MealRow]:
    void_known = (Void.sale_id == Sale.id) if upto is None else and_(
        Void.sale_id == Sale.id, Void.record_id <= upto.cut.records
    )  # fmt: skip
    rows = keyset.bare(
        select(
            Sale.id, Sale.service_day, Sale.period, Sale.canteen_id, Sale.elder_id, Sale.guest, Sale.list_fen, Sale.due_fen,
            Sale.surcharge_fen, Sale.mode,
            Sale.cashier_id, Sale.online, Sale.rulebook_hash, Sale.flags, Sale.lines, ShareTerms.terms, Sale.share_fens, Record.tenders, Record.epoch, Record.number, Record.tablet_id,
            Void.reason.label("void_reason"), Credential.number.label("card_number"),
        )
        .join(ShareTerms, ShareTerms.hash == Sale.share_terms)
        .join(Record, Record.id == Sale.record_id)
        .outerjoin(Credential, Credential.digest == Sale.credential)
        .outerjoin(Void, void_known)
        .where(keyset.among(Sale.id, ids))
        .order_by(Sale.service_day, Sale.id)
    )  # fmt: skip
    with keyset.reader() as session:
        called = names.of_kinds(
            session,
            {
                "canteen": {row.canteen_id for row in rows},
                "tablet": {row.tablet_id for row in rows},
                "person": {row.cashier_id for row in rows},
            },
        )
    canteens, tablets, staff = called["canteen"], called["tablet"], called["person"]
    eaters.read(row.elder_id for row in rows)
    facts = {row.id: named.get(row.id) if isinstance(named, Mapping) else named for row in rows}
    return [
        MealRow(
            id=sale.id,
            day=sale.service_day,
            period=sale.period,
            canteen=canteens.at(sale.canteen_id, facts[sale.id]),
            card_tail=(sale.card_number or "")[-4:],
            name=eaters.name(sale.elder_id, facts[sale.id]) or say("guest", sale.guest or ""),
            age=_age(eaters.birth(sale.elder_id), sale.service_day),
            items=_items(sale.lines) or "仅核销",
            list_fen=sale.list_fen,
            due_fen=sale.due_fen,
            surcharge_fen=sale.surcharge_fen,
            parts=_parts(sale.terms, sale.share_fens),
            claimable=claimable.get(sale.id, 0),
            tenders=tuple(dict.fromkeys(tender["kind"] for tender in out_of_json(TENDER, sale.tenders))),
            mode=sale.mode,
            cashier=staff.at(sale.cashier_id, facts[sale.id]),
            online=sale.online,
            reference=f"{tablets.at(sale.tablet_id, facts[sale.id])} {sale.epoch}-{sale.number}",
            rulebook=sale.rulebook_hash,
            voided=sale.void_reason is not None,
            remark="；".join(_remarks(sale.flags, sale.void_reason, excluded.get(sale.id, ()), insider=insider)),
        )
        for sale in rows
    ]


def _remarks(flags: str, void_reason: str | None, excluded: Sequence[str], *, insider: bool) -> Iterator[str]:
    if void_reason is not None:
        yield f"已撤单：{void_reason}"
    for reason in excluded:
        yield f"不予申报：{excluded_name(reason, insider=insider)}"
    for flag in flags.split():
        if flag not in excluded:
            yield say("flag", flag)


def _age(birth: date | None, day: date) -> int | None:
    """Return completed years on `day`."""
    return None if birth is None else day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def _parts(terms: str, fens: str) -> tuple[ShownShare, ...]:
    """Read a sale's shares, in the order in which it was sold."""
    return tuple(
        ShownShare(
            n, one["fund"], one["payer"], one["rule"], one["clause"], one["fen"], one["label"], one["reason"],
        )
        for n, one in enumerate(share_terms.shares(terms, fens), 1)
    )  # fmt: skip


def _items(lines: str) -> str:
    """Name what was on the tray; '' where nothing was rung up."""
    return "、".join(
        one["name"] if one["quantity"] == 1 else f"{one['name']}×{one['quantity']}" for one in out_of_json(LINE, lines)
    )


def _now(ids: Sequence[uuid.UUID]) -> tuple[dict[uuid.UUID, Fen], dict[uuid.UUID, tuple[str, ...]]]:
    """Read of each meal as sold what may be claimed of it now, and why something of it was excluded.

    Approvals move sums, so they do not show here.
    """
    query = (
        with_ends(
            select(
                Transfer.sale_id, Transfer.movement, Transfer.share_n, Transfer.reason, TARGET.kind, Transfer.fen,
                signed("open"),
            )
        )
        .where(keyset.among(Transfer.sale_id, ids), Transfer.movement.in_((*lines.CLAIMABLE, "disallow")))
        .order_by(Transfer.id)
    )  # fmt: skip
    claimable, verdicts = Counter[uuid.UUID](), list[tuple[uuid.UUID, str, str, Fen]]()
    for sale, movement, share_n, reason, kind, fen, open_fen in keyset.bare(query):
        if sale is None:
            continue
        if share_n is not None and share_n < FIRST_DIFFERENCE_SHARE:
            claimable[sale] += open_fen
        if movement == "verdict":
            verdicts.append((sale, reason, kind, fen))
    return claimable, _still_out(verdicts)


def _excluded(ids: Sequence[uuid.UUID], upto: Upto) -> dict[uuid.UUID, tuple[str, ...]]:
    """Read why something of a meal was excluded by what was booked to the period."""
    query = (
        to_target(select(Transfer.sale_id, Transfer.reason, TARGET.kind, Transfer.fen))
        .where(keyset.among(Transfer.sale_id, ids), Transfer.movement == "verdict")
        .where(Transfer.period_id == upto.period_id)
        .order_by(Transfer.id)
    )
    return _still_out((sale, reason, kind, fen) for sale, reason, kind, fen in keyset.bare(query) if sale is not None)


def _still_out(verdicts: Iterable[tuple[uuid.UUID, str, str, Fen]]) -> dict[uuid.UUID, tuple[str, ...]]:
    """Name the reasons of verdicts by meal; nothing where all of it was let in again."""
    found: dict[uuid.UUID, tuple[str, ...]] = {}
    out = Counter[uuid.UUID]()
    for sale, reason, kind, fen in verdicts:
        out[sale] += fen if kind == "excluded" else -fen
        if kind == "excluded":
            found[sale] = tuple(dict.fromkeys((*found.get(sale, ()), reason)))
    return {sale: reasons for sale, reasons in found.items() if out[sale] > 0}


def others(claim: Claim) -> list[Other]:
    """Read earlier meals that the claim adds late or takes back."""
    period = close.load(claim.period_id)
    late = [(key, sale, day, fen) for key, sale, day, fen in lines.late(period) if fen]
    reasons = _reasons([sale for key, sale, _, _ in late if key.kind != "supplement"])
    result = []
    for key, sale, day, fen in late:
        why = "迟到的就餐记录" if key.kind == "supplement" else reasons.get(sale, "核实后冲减")
        result.append(Other(key.kind, sale, day, key.fund, key.origin, fen, why))
    titles = adjustments.titles()
    for one in adjustments.booked(period):
        if one.fen:
            why = titles.get(one.key.origin.rpartition("/")[2], "")
            result.append(Other(one.key.kind, one.sale, one.day, one.key.fund, one.key.origin, one.fen, why))
    return sorted(result, key=lambda other: (other.kind, other.day, str(other.sale), other.fund))


def _reasons(sales: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Say why these meals were taken back or given again: voided, or a benefit moved to or from them."""
    voided, given, gave = dict[uuid.UUID, str](), dict[uuid.UUID, str](), dict[uuid.UUID, str]()
    to, from_ = BenefitReallocation.sale_id, BenefitReallocation.from_sale_id
    for some in batches(sales, keyset.PAGE):
        moved = select(to, from_).where(or_(keyset.among(to, some), keyset.among(from_, some)))
        for sale, other in keyset.bare(moved):
            given[sale] = "审核补入享受"
            if other is not None:
                gave[other] = "享受转给另一餐"
        voids = select(Void.sale_id, Void.reason).where(keyset.among(Void.sale_id, some))
        voided |= {sale: f"撤单：{reason}" for sale, reason in keyset.bare(voids)}
    return gave | given | voided
