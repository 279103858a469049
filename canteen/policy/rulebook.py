"""Compile a canonical document to a Rulebook ready to quote, and join several layers into one.

A joined book keeps its layers whole, most general first; each is compiled in its own terms. Rule and stage ids are
qualified by their scheme; fund and allowance ids are common to all layers, so an allowance that two layers define
is the one of the more general layer. An allowance that had another id in an earlier version keeps that oldest id, so
that its uses are counted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from canteen.policy import budget_ids, days
from canteen.policy.benefits import ON_LIST, TARGETS, price_list, worth_of
from canteen.policy.canonical import Document, canonical, digest, parse
from canteen.policy.conditions import Terms, base_of, both, living, test_of
from canteen.policy.grammar import BENEFITS, FORMAT, JOINED, RULEBOOK
from canteen.policy.lint import lint, rules_in, stable_id
from canteen.policy.refusals import Problem, Refused
from canteen.policy.rules import (
    Allowance,
    Budget,
    Fund,
    Goods,
    Group,
    LimitRef,
    Rounding,
    Rule,
    Rulebook,
    SplitPart,
    Stage,
    Step,
    Test,
)
from canteen.policy.shapes import Problems
from canteen.policy.versions import lint_layers, lint_versions

__all__ = ["GUARD", "Problem", "canonical", "digest", "join", "lint", "lint_layers", "lint_versions", "load", "parse"]

GUARD = Allowance("guard.meal", "meal", "person", "period", 1)
"""One subsidised meal per person and period across all canteens, even where a scheme is silent."""

_WHOLE = 10_000  # hundredths of a percent
_MIDDLE = 500  # a stage's place among the layers where it names none


def join(layers: Sequence[bytes]) -> bytes:
    """Join the layers in force, most general first, to canonical bytes; none at all give a book without rules."""
    return canonical({"format": FORMAT, "layers": [parse(layer) for layer in layers]})


def load(body: bytes) -> Rulebook:
    """Load a rulebook from canonical bytes, of one scheme or joined. Raises Refused with the first problem found."""
    document = parse(body)
    problems: Problems = []
    joined = isinstance(document, dict) and "layers" in document
    (JOINED if joined else RULEBOOK).check(document, "", problems)
    if problems:
        raise Refused(problems[0])
    assert isinstance(document, dict)
    layers: list[dict[str, Any]] = document["layers"] if joined else [document]
    shared: dict[str, Allowance] = {}
    compiled = [_Layer(layer, shared) for layer in layers]
    stages = sorted((stage for layer in compiled for stage in layer.stages), key=lambda stage: stage.order)
    refs = dict.fromkeys(ref for layer in compiled for ref in layer.limit_refs)
    title = "；".join(layer["title"] for layer in layers)
    asks = frozenset(name for layer in compiled for name in layer.asks)
    scheme = "+".join(layer["id"] for layer in layers)
    return Rulebook(scheme, title, digest(body), tuple(stages), tuple(refs), asks)


class _Layer:
    """One scheme being compiled. Raises Refused where a name leads nowhere."""

    def __init__(self, document: Mapping[str, Any], shared: dict[str, Allowance]) -> None:
        self.document = document
        self.scheme: str = document["id"]
        self.first_day: int = document["from"]
        self.last_day: int = document.get("to", days.LATEST)
        self.limit_refs: list[LimitRef] = []
        self.asks: set[str] = set()
        self.rules = {rule["id"] for _, rule in rules_in(document["stages"], "stages")}
        for one in document.get("allowances", ()):
            known = shared.setdefault(stable_id(one), _allowance(one, self.first_day))
            shared.setdefault(one["id"], known)
        self.shared = shared
        self.guard = self._guard(document.get("guard", GUARD.id))
        age = document.get("age", {})
        self.terms = Terms(
            reckoning=age.get("reckoning", "birthday"),
            leap_day=age.get("leap_day", "mar1"),
            approval=document.get("approval", "same_day"),
            death=document.get("death", ""),
            sets={one["id"]: _goods(one) for one in document.get("sets", ())},
            allowances=shared,
            limit_refs=self.limit_refs,
        )
        self._fund_docs = {one["id"]: one for one in document.get("funds", ())}
        self._funds: dict[str, Fund] = {}
        self._opening: set[str] = set()
        try:
            self.test = both(living(self.terms), test_of(document.get("when"), self.terms))
            self.stages = [self._stage(one) for one in document["stages"]]
        except KeyError as error:
            raise Refused(
                Problem("unknown_name", "", "引用了没有定义的名称", str(error.args[0]), "先在文件里定义它")
            ) from error

    def _guard(self, name: str) -> Allowance | None:
        if name == "none":
            return None
        return self.shared.setdefault(name, Allowance(name, GUARD.unit, GUARD.scope, GUARD.window, GUARD.limit))

    # --- stages, groups, rules --------------------------------------------------------------------------------

    def _stage(self, doc: dict[str, Any]) -> Stage:
        name = f"{self.scheme}/{doc['id']}"
        test = both(self.test, test_of(doc.get("when"), self.terms))
        members = tuple(self._member(one, name) for one in doc["rules"])
        return Stage(name, doc.get("order", _MIDDLE), Group(name, doc.get("pick", "best"), test, members))

    def _member(self, doc: dict[str, Any], stage: str) -> Rule | Group:
        if "pick" not in doc:
            return self._rule(doc, stage)
        members = tuple(self._member(one, stage) for one in doc["rules"])
        return Group(f"{self.scheme}/{doc['id']}", doc["pick"], test_of(doc.get("when"), self.terms), members)

    def _rule(self, doc: dict[str, Any], stage: str) -> Rule:
        name = f"{self.scheme}/{doc['id']}"
        steps = tuple(self._steps(doc, name))
        if doc.get("used_up") == "ask":
            self.asks.add(name)
        rounding = {**self.document.get("rounding", {}), **doc.get("rounding", {})}
        return Rule(
            id=name,
            stage=stage,
            first_day=max(self.first_day, doc.get("from", self.first_day)),
            last_day=min(self.last_day, doc.get("to", self.last_day)),
            test=test_of(doc.get("when"), self.terms),
            excludes=tuple(self._named(one) for one in doc.get("excludes", ())),
            only_above=doc.get("only_if") == "bill_above_benefit",
            floor=max(doc.get("floor", 0), self.document.get("floor", 0)),
            rounding=Rounding(**rounding),
            stops=doc.get("used_up") in ("stop", "ask"),
            steps=steps,
            clause=doc["clause"],
            reason=doc["reason"],
        )

    def _named(self, rule: str) -> str:
        """Qualify the id of a rule of this scheme; a rule of another is already named with its scheme."""
        return rule if "/" in rule and rule not in self.rules else f"{self.scheme}/{rule}"

    def _steps(self, doc: dict[str, Any], rule: str) -> list[Step]:
        if "by_age" in doc:
            tiers = [(one, {"age": _span(one)}) for one in doc["by_age"]]
        elif "by_level" in doc:
            scale = doc["by_level"]["scale"]
            tiers = [(one, {"level": {"scale": scale, **_span(one)}}) for one in doc["by_level"]["steps"]]
        elif "by_class" in doc:
            tiers = [
                (one, {**one.get("when", {}), **({"class": one["class"]} if "class" in one else {})})
                for one in doc["by_class"]
            ]
        else:
            tiers = [(doc, {})]
        return [self._step(doc, own, test_of(when, self.terms), rule) for own, when in tiers]

    def _step(self, doc: dict[str, Any], own: dict[str, Any], test: Test | None, rule: str) -> Step:
        verb = next(word for word in BENEFITS if word in own)
        caps = [one["most"] for one in (doc, own) if "most" in one]
        worth, by_item = worth_of(verb, own[verb], self.terms)
        base = doc.get("base", {})
        return Step(
            test=test,
            verb=verb,
            value=own[verb],
            worth=worth,
            by_item=by_item,
            listed=price_list(own[verb]) if verb == "prices" else None,
            base=base_of(
                {**base, "of": "left"} if verb in TARGETS else base, self.terms, "list" if verb in ON_LIST else "left"
            ),
            limits=self._limits(doc, own, rule),
            most=min(caps) if caps else None,
            label=own.get("label", doc["label"]),
            reason=own.get("reason", doc["reason"]),
            clause=own.get("clause", doc["clause"]),
            parts=self._parts(doc, own, rule),
        )

    def _limits(self, doc: dict[str, Any], own: dict[str, Any], rule: str) -> tuple[LimitRef, ...]:
        """Return the rule's limits and the tier's credit; those counted by fund are the parts'."""
        names = [*doc.get("limits", ()), *([own["credit"]] if "credit" in own else [])]
        limits = [self._limit_ref(one, rule) for one in names if self._allowed(one).scope != "fund"]
        return tuple({ref.allowance.id: ref for ref in limits}.values())

    # --- money ------------------------------------------------------------------------------------------------

    def _parts(self, doc: dict[str, Any], own: dict[str, Any], rule: str) -> tuple[SplitPart, ...]:
        split = own.get("split") or doc.get("split")
        if split is None:
            split = [{"fund": doc["fund"], "rest": True}] if "fund" in doc else []
        if sum(one.get("percent", 0) for one in split) > _WHOLE:
            raise Refused(Problem("split_sum", "", "分担比例之和超过 100%", rule, "100%"))
        credit = [own["credit"]] if "credit" in own else []
        by_fund = [one for one in (*doc.get("limits", ()), *credit) if self._allowed(one).scope == "fund"]
        return tuple(self._part(one, rule, by_fund) for one in split)

    def _part(self, doc: dict[str, Any], rule: str, limits: Sequence[str]) -> SplitPart:
        fund = self._fund(doc["fund"])
        how = next(word for word in ("fen", "percent", "ratio", "rest") if word in doc)
        return SplitPart(
            fund=fund,
            how="ratio" if how == "rest" else how,
            amount=1 if how == "rest" else doc[how],
            test=test_of(doc.get("when"), self.terms),
            instead=self._fund(doc["instead"]) if "instead" in doc else None,
            limits=tuple(
                ref for ref in _once(self._limit_ref(one, rule, fund.id) for one in limits) if ref not in fund.limits
            ),
        )

    def _fund(self, name: str) -> Fund:
        """Compile a fund, once; refuse one whose budget passes on to itself."""
        if name in self._funds:
            return self._funds[name]
        doc = self._fund_docs[name]
        if name in self._opening:
            raise Refused(Problem("fund_circle", "funds", "预算用完后的接续资金转了一圈又回到自己", name))
        self._opening.add(name)
        limits = [self._limit_ref(one, "", name) for one in doc.get("limits", ())]
        if doc["payer"] == "subsidy" and self.guard is not None:
            limits.insert(0, self._limit_ref(self.guard.id, "", name))
        budget = self._budget(doc["budget"], name) if "budget" in doc else None
        test = test_of(doc.get("when"), self.terms)
        self._funds[name] = Fund(name, doc["name"], doc["payer"], test, _once(limits), budget)
        return self._funds[name]

    def _budget(self, doc: dict[str, Any], fund: str) -> Budget:
        where = doc.get("where", "everywhere")
        allowance = Allowance(budget_ids.budget_id(fund), "fen", "budget", doc["window"], doc["limit"], where=where)
        self.limit_refs.append(LimitRef(allowance, ""))
        following = self._fund(doc["next"]) if "next" in doc else None
        return Budget(allowance, doc.get("warn", 0), doc["at_end"], following)

    # --- limits -----------------------------------------------------------------------------------------------

    def _allowed(self, name: str) -> Allowance:
        return self.shared[name]

    def _limit_ref(self, name: str, rule: str, fund: str = "") -> LimitRef:
        allowance = self._allowed(name)
        suffix = {"rule": f"#{rule}", "fund": f"#{fund}"}.get(allowance.scope, "")
        ref = LimitRef(allowance, suffix)
        self.limit_refs.append(ref)
        return ref


def _allowance(doc: Mapping[str, Any], first_day: int) -> Allowance:
    carry = doc.get("carry", {})
    return Allowance(
        id=stable_id(doc),
        unit=doc["unit"],
        scope=doc["scope"],
        window=doc["window"],
        limit=doc.get("limit", doc.get("limit_fen", 0)),
        scale=doc.get("limit_level", ""),
        where=doc.get("where", "everywhere"),
        carry=carry.get("windows", 0),
        carry_most=carry.get("most_fen", carry.get("most", 0)),
        carry_within=carry.get("within", ""),
        since=doc.get("from", first_day),
        earlier=tuple(sorted((one["to"], one.get("limit", one.get("limit_fen", 0))) for one in doc.get("earlier", ()))),
    )


def _once(refs: Iterable[LimitRef]) -> tuple[LimitRef, ...]:
    """Keep each allowance once: one named twice is not used twice."""
    return tuple({(ref.allowance.id, ref.suffix): ref for ref in refs}.values())


def _goods(doc: Mapping[str, Any]) -> Goods:
    return Goods(frozenset(doc.get("items", ())), frozenset(doc.get("tags", ())))


def _span(doc: Mapping[str, Any]) -> Document:
    return {edge: doc[edge] for edge in ("from", "below") if edge in doc}
