"""Which of the things that a till reads an event may have changed, so that memory survives all other events.

A concern is the name of such a thing, as 'elder:5f0c…' or 'places'. What is kept in memory lists the concerns that it
was read from. A kind of event that is not named here concerns everything: forgetting to name one costs time only.
"""

from __future__ import annotations

import json
from typing import Any, Final

EVERYTHING: Final = "everything"
PLACES: Final = "places"  # areas, canteens, contracts, opening hours, closures, kinds of days
ELDERS: Final = "elders"  # many elders at once, or who is one person
STAFF: Final = "staff"  # many accounts at once
MENUS: Final = "menus"  # dishes of many canteens
SETTINGS: Final = "settings"  # what the bureau decided by form

CARDS: Final = "cards"  # new cards; a lost one stopped for a new one reads as stopped before

_FAMILIES: Final = ("claim.", "complaint.", "payout.", "withheld.")  # of acts of the desk, none of which a till reads
_NOTHING: Final = {
    "backup.make",
    "application.opinion",
    "application.take",
    "cards.download",
    "cards.print",
    "change.ask",
    "change.refuse",
    "elder.reveal",
    "finding.answer",
    "finding.reallocate",
    "import.accept",
    "import.begin",
    "import.layout",
    "import.points",
    "incarnation.renew",
    "period.close",
    "person.password",
    "person.pin",
    "person.same_human",
    "person.unlock",
    "refund.export",
    "refund.give",
    "revaluation.ask",
    "revaluation.order",
    "point.change",
    "rulebook.draft",
    "sale.withhold",
    "simulation.export",
    "tablet.code",
    "tablet.confirm_lost",
    "tablet.declare_lost",
}
_MANY: Final = {
    "calendar.arrange": PLACES,
    "cards.make": CARDS,
    "elder.note_many": ELDERS,
    "import.agents": ELDERS,
    "import.areas": PLACES,
    "import.canteens": PLACES,
    "import.closures": PLACES,
    "import.contracts": PLACES,
    "import.menus": MENUS,
    "contract.made": PLACES,
    "import.classes": ELDERS,
    "import.deaths": ELDERS,
    "import.households": ELDERS,
    "import.levels": ELDERS,
    "import.residents": ELDERS,
    "import.roster": ELDERS,
    "import.staff": STAFF,
    "import.undo": ELDERS,
    "setting.begin": SETTINGS,
    "setting.set": SETTINGS,
}
_ONE: Final = {  # its subject
    "agent.end": "elder",
    "agent.name": "elder",
    "card.bind": "card",
    "card.blocked": "card",
    "card.found": "card",
    "card.lost": "card",
    "elder.amend": "elder",
    "elder.note": "elder",
    "elder.photo": "elder",
    "elder.register": "elder",
    "menu.item": "menu",
    "menu.photo": "menu",
    "menu.plan": "menu",
    "menu.price": "menu",
    "menu.sold_out": "menu",
    "person.create": "person",
    "person.disable": "person",
    "person.enable": "person",
    "person.end_grant": "person",
    "person.grant": "person",
    "tablet.enrol": "tablet",
    "tablet.revoke": "tablet",
}


def elder(elder_id: object) -> str:
    """Name what is known of one entry of the roster."""
    return f"elder:{elder_id}"


def card(credential_id: object) -> str:
    """Name the life of one card."""
    return f"card:{credential_id}"


def person(person_id: str) -> str:
    """Name one account and its roles."""
    return f"person:{person_id}"


def tablet(tablet_id: str) -> str:
    """Name one tablet."""
    return f"tablet:{tablet_id}"


def menu(canteen_id: str) -> str:
    """Name what one canteen sells."""
    return f"menu:{canteen_id}"


def node(node_id: str) -> str:
    """Name the rulebooks published at an area or a canteen."""
    return f"node:{node_id}"


def of(kind: str, subject: str, body: str) -> tuple[str, ...]:
    """Return the concerns of an event."""
    if kind in _NOTHING or kind.startswith(_FAMILIES):
        return ()
    if kind in _MANY:
        return (_MANY[kind],)
    if kind == "rulebook.publish":
        return (node(str(_read(body).get("node"))),)
    one = _ONE.get(kind)
    if one is None:
        return (EVERYTHING,)
    if one == "elder" and '"merged"' in body:  # who is one person changes for others than its subject too
        return (ELDERS,)
    stopped = _read(body).get("ended", ()) if kind == "card.bind" else ()
    return (f"{one}:{subject}", *(card(each) for each in stopped))


def _read(body: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found
