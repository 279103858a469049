"""Run every check over the sales of a closed period that stand out: findings, beside the counts of its statement."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.pos.checkout_rows import is_first
from canteen.settlement.closing import (
    adjustments,
    candidates,
    checks,
    gather,
    gather_limits,
    gather_persons,
    gather_tablets,
    proration,
    provisional_days,
)
from canteen.settlement.closing import counts as counting
from canteen.settlement.closing.checks import Finding
from canteen.settlement.closing.counts import Counts
from canteen.settlement.closing.requote import Quotes
from canteen.settlement.closing.statement import Cut


def judge(period: Period, contract: Contract, known: gather_persons.Clusters, cut: Cut) -> tuple[Counts, list[Finding]]:
    """Count the period's sales, and check those that stand out, page by page: deviations become findings."""
    counts = counting.count(period, known, cut)
    quotes, turns_at, budgets = Quotes(own=True), gather.day_turns_at(contract), gather_limits.Budgets(cut)
    twins = (
        gather_persons.twins({str(elder) for elder in counts.elders}, known, cut, *counts.span) if counts.span else {}
    )
    findings: list[Finding] = []
    for page in candidates.pages(period, counts, known, twins, cut):
        sales = gather.sold(page, turns_at)
        prices = {sale.id: sale.priced for sale in sales if not sale.voided}
        excess = checks.excess(gather_limits.uses([row.id for row in page], known, cut, budgets), known.roots())
        elders = {sale.elder for sale in sales if sale.elder}
        findings += checks.of_prices(sales, quotes.of({sale.own for sale in sales}), checks.excess_rules(excess))
        findings += checks.of_uses(excess, prices)
        findings += checks.of_clocks(sales)
        findings += checks.of_sellers(sales)
        findings += checks.of_deaths(sales, gather_persons.deaths(elders, known, cut))
        findings += checks.of_likely(sales, twins)
        payments = [row.payment_id for row in page if is_first(row.arrival)]  # each with its first sale
        findings += checks.of_payments(gather.payments(payments))
    findings += _of_earlier_sales(period, known, cut, budgets, turns_at)
    findings += of_tablets(period, contract, cut.records)
    findings += adjustments.findings(period)
    findings += proration.findings(period)
    findings += provisional_days.findings(period, cut)
    return counts, findings


def _of_earlier_sales(
    period: Period, known: gather_persons.Clusters, cut: Cut, budgets: gather_limits.Budgets, turns_at: int
) -> Iterator[Finding]:
    """Find what deaths or merges recorded after an earlier close mean for its sales. The closed claim is unchanged.

    Meals after a death (ruling 11), and meals that exceed an allowance now that two entries are known to be one
    (ruling 42). What the close before could have named is not named again.
    """
    ids = gather_persons.known_late(period, known, cut)
    if not ids:
        return
    before = Cut(cut.facts_before, cut.records, cut.facts_before, cut.records_before)
    were = gather_persons.clusters(before)
    sales = gather.by_id(ids, turns_at)
    elders = {sale.elder for sale in sales if sale.elder}
    named = {finding.subject for finding in checks.of_deaths(sales, gather_persons.deaths(elders, were, before))}
    late = checks.of_deaths(sales, gather_persons.deaths(elders, known, cut))
    yield from (finding for finding in late if finding.subject not in named)
    uses = gather_limits.uses(ids, known, cut, budgets)
    there = {(one.use.sale, one.use.allowance, one.use.window) for one in checks.excess(uses, were.roots())}
    found = [
        one
        for one in checks.excess(uses, known.roots())
        if (one.use.sale, one.use.allowance, one.use.window) not in there
    ]
    yield from checks.of_uses(found, {sale.id: sale.priced for sale in sales})


def of_tablets(period: Period, contract: Contract, records: int | None = None) -> list[Finding]:
    """Find gaps and forks of the tablets that served the contract; `records` None looks at all there is now."""
    tablets = gather_tablets.tablets(contract, period.from_day, period.to_day, records)
    links, starts = gather_tablets.chains(tablets, period.from_day - timedelta(days=1), records)
    return list(checks.of_chain(links, period.from_day, period.to_day, starts))
