"""Areas, operators, payees, canteens with their days and points, contracts, and every name that they had."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, blob, check, day, index, table, text, to, unique


def create() -> None:
    _areas_and_parties()
    _canteens()
    _names()


def _areas_and_parties() -> None:
    table(
        "area",
        text("id", primary_key=True),
        text("name"),
        text("level"),
        check("level", "level IN ('province', 'city', 'district', 'street', 'community', 'functional')"),
    )
    table(
        "area_link",
        big("id", primary_key=True),
        text("area_id", to("area.id")),
        text("parent_id", to("area.id")),
        day("from_day"),
        day("to_day", nullable=True),
        check("days", "to_day IS NULL OR to_day >= from_day"),
        unique("area_id", "parent_id", "from_day"),
    )
    index("ix_area_link_parent_id", "area_link", "parent_id")
    table(
        "operator",
        text("id", primary_key=True),
        text("name"),
        text("credit_code", nullable=True),
        unique("credit_code"),
    )
    table(
        "payee",
        text("id", primary_key=True),
        text("name"),
        text("bank"),
        blob("account_cipher"),
        text("account_tail"),
    )
    invariants.allow("INSERT, UPDATE", "area", "area_link", "operator", "payee")


def _canteens() -> None:
    table(
        "canteen",
        text("id", primary_key=True),
        text("name"),
        text("area_id", to("area.id")),
        text("district_id", to("area.id")),
        text("profile"),
        big("seats"),
        big("day_turns_at"),
        day("opened_on"),
        big("offline_days"),
        check("offline_days", "offline_days BETWEEN 0 AND 60"),
        check("profile", "profile IN ('counter', 'partner', 'village')"),
    )
    index("ix_canteen_district_id", "canteen", "district_id")
    table(
        "meal_window",
        big("id", primary_key=True),
        text("canteen_id", to("canteen.id")),
        text("period"),
        big("starts"),
        big("ends"),
        big("grace"),
        day("from_day"),
        day("to_day", nullable=True),
        check("minutes", "0 <= starts AND starts < ends AND ends <= 1440 AND grace >= 0"),
        check("period", "period IN ('breakfast', 'lunch', 'dinner')"),
        unique("canteen_id", "period", "from_day"),
    )
    table(
        "serving_days",
        big("id", primary_key=True),
        text("canteen_id", to("canteen.id")),
        text("week"),
        day("from_day"),
        day("to_day", nullable=True),
        check("week", "length(week) = 7"),
        unique("canteen_id", "from_day"),
    )
    table(
        "closure",
        big("id", primary_key=True),
        text("canteen_id", to("canteen.id")),
        day("from_day"),
        day("to_day"),
        text("reason"),
        unique("canteen_id", "from_day"),
    )
    table(
        "serving_point",
        text("id", primary_key=True),
        text("canteen_id", to("canteen.id")),
        text("name"),
        text("kind"),
        day("ended_on", nullable=True),
        check("kind", "kind IN ('window', 'delivery', 'village')"),
    )
    index("ix_serving_point_canteen_id", "serving_point", "canteen_id")
    table(
        "contract",
        text("id", primary_key=True),
        text("canteen_id", to("canteen.id")),
        text("operator_id", to("operator.id")),
        text("payee_id", to("payee.id")),
        text("district_id", to("area.id")),
        text("canteen_class"),
        text("grade"),
        day("from_day"),
        day("to_day", nullable=True),
        check("days", "to_day IS NULL OR to_day >= from_day"),
        unique("canteen_id", "from_day"),
    )
    index("ix_contract_canteen_id", "contract", "canteen_id")
    index("ix_contract_operator_id", "contract", "operator_id")
    invariants.allow("INSERT, UPDATE", "canteen", "meal_window", "serving_days", "closure", "serving_point", "contract")


def _names() -> None:
    """Keep names: those of people and tablets are entered here too."""
    table(
        "name_entry",
        text("kind", primary_key=True),
        text("subject", primary_key=True),
        big("n", primary_key=True),
        text("name"),
        text("bank"),
        text("account_tail"),
        blob("account_cipher", nullable=True),
        big("recorded"),
        check("kind", "kind IN ('canteen', 'operator', 'payee', 'area', 'person', 'tablet')"),
    )
    invariants.protect("name_entry")
    invariants.keep_names("area", "operator", "payee", "canteen")
