"""Every page that is read by GET, with addresses of it that the database at hand knows.

A route without arguments needs nothing; one with arguments is listed here, or nobody may add it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

_ARGUMENT = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_HEX = re.compile(r"[0-9a-f]{32}")
Rows = Callable[[str], Sequence[Sequence[Any]]]
CLAIMS = "SELECT number FROM claim ORDER BY made_at DESC, id DESC"
EXPORTS = "SELECT c.number, e.id FROM claim_export e JOIN claim c ON c.id = e.claim_id ORDER BY e.id DESC"
TABLETS = "SELECT id FROM tablet ORDER BY id"
VERSIONS = "SELECT hash FROM rulebook ORDER BY hash"
DRAFTS = "SELECT id FROM rulebook_draft ORDER BY id DESC"
SIMULATIONS = "SELECT id FROM simulation ORDER BY id DESC"
ELDERS = "SELECT DISTINCT elder_id FROM elder_identity ORDER BY elder_id"

APPLICATIONS = "SELECT id FROM application ORDER BY id"
DISHES = "SELECT id FROM menu_item ORDER BY id"
EXAMPLES = {
    "/desk/people/<person_id>": "SELECT id FROM person ORDER BY login",
    "/desk/canteen/menu/<item>": DISHES,
    "/desk/canteen/menu/<item>/photo": DISHES,
    "/desk/applications/<int:number>": APPLICATIONS,
    "/desk/applications/<int:number>/form": APPLICATIONS,
    "/desk/complaints/<int:number>": "SELECT id FROM complaint ORDER BY id",
    "/desk/changes/<int:request_id>": "SELECT id FROM change_request ORDER BY id",
    "/desk/imports/<kind>.<ending>": "SELECT 'roster', 'csv' UNION SELECT 'roster', 'xlsx' UNION SELECT 'staff', 'csv'",
    "/desk/tablets/<tablet_id>/lost": TABLETS,
    "/desk/tablets/<tablet_id>": TABLETS,
    "/desk/elders/<uuid:elder_id>": ELDERS,
    "/desk/elders/<uuid:elder_id>/photo": ELDERS,
    "/desk/revaluations/<int:number>": "SELECT id FROM revaluation ORDER BY id",
    "/desk/ruledesk/drafts/<int:number>": DRAFTS,
    "/desk/ruledesk/drafts/<int:number>/yaml": DRAFTS,
    "/desk/ruledesk/publications/<int:number>": "SELECT id FROM publication ORDER BY id",
    "/desk/ruledesk/versions/<digest>": VERSIONS,
    "/desk/ruledesk/versions/<digest>/publish": VERSIONS,
    "/desk/claims/<number>": CLAIMS,
    "/desk/claims/<number>/export.xlsx": CLAIMS,
    "/desk/claims/<number>/exports/<int:job>": EXPORTS,
    "/desk/claims/<number>/exports/<int:job>.xlsx": EXPORTS,
    "/desk/claims/<number>/findings": CLAIMS,
    "/desk/claims/<number>/lines/<int:n>": (
        "SELECT c.number, l.n FROM claim_line l JOIN claim c ON c.id = l.claim_id ORDER BY l.meals DESC, c.id, l.n"
    ),
    "/desk/meals/<uuid:sale>": "SELECT id FROM sale ORDER BY arrival DESC",
    "/desk/claims/<number>/findings/<int:finding>/reallocation": (
        "SELECT c.number, f.id FROM finding f JOIN claim c ON c.period_id = f.period_id"
        " WHERE f.sale_id IS NOT NULL ORDER BY f.id"
    ),
    "/desk/ruledesk/simulations/<int:number>": SIMULATIONS,
    "/desk/ruledesk/simulations/<int:number>/export.xlsx": SIMULATIONS,
}
FILES = ("static", "vendor.vendor")  # of the page itself: no database is asked


class Unlisted(LookupError):
    """A route with arguments of which nobody said how to find an address."""


def reading(app: Flask) -> Iterator[Rule]:
    """Yield the routes that answer GET, in order of their addresses. Raises Unlisted."""
    rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ()) and rule.endpoint not in FILES]
    for rule in sorted(rules, key=lambda rule: rule.rule):
        if rule.arguments and rule.rule not in EXAMPLES:
            raise Unlisted(f"say in bench/routes.py how to find an address of {rule.rule}")
        yield rule


def addresses(app: Flask, rule: Rule, rows: Rows, most: int) -> list[str]:
    """At most so many addresses of a route; none where the database holds nothing that it shows.

    rows    answers a statement with its rows
    """
    if not rule.arguments:
        return [rule.rule]
    names = _ARGUMENT.findall(rule.rule)
    found = rows(f"{EXAMPLES[rule.rule]} LIMIT {most}")
    adapter = app.url_map.bind("localhost")
    return [adapter.build(rule.endpoint, dict(zip(names, map(_shown, row), strict=True))) for row in found]


def _shown(value: Any) -> Any:
    """Return a value as an address shows it: SQLite keeps an id as 32 hex digits."""
    return str(uuid.UUID(value)) if isinstance(value, str) and _HEX.fullmatch(value) else value
