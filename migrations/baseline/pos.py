"""Records of tablets, what is lost of them, sales with their shares, and the limits that they use."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline import lists, tables
from migrations.baseline.tables import big, blob, check, day, digest, flag, index, instant, table, text, to, uid, unique

LOST_OVERLAPS = """EXISTS (SELECT 1 FROM lost_numbers o WHERE o.tablet_id = NEW.tablet_id AND o.epoch = NEW.epoch
    AND o.first_number <= NEW.last_number AND o.last_number >= NEW.first_number)"""
DECLARED = ("id", "tablet_id", "epoch", "first_number", "last_number", "reason", "declared_by", "declared_at")
DOUBTED = "(flags LIKE '%self_dated%' OR flags LIKE '%cashier_not_logged_in%')"

# What each element of a list holds, in this order; a name that ends with ' #' is a whole number.
TENDER = ("kind", "fen #", "given #", "change #", "reference")
RIGHT_TENDER = """{kind} IN ('cash', 'mobile', 'free') AND {fen} >= 0 AND {given} >= {fen}
    AND {change} = {given} - {fen}"""
LINE = ("item_id", "name", "fen #", "quantity #", "tags")
SURCHARGE = ("rule", "clause", "stage", "fen #", "label", "reason")
TERM = ("fund", "payer", "rule", "clause", "stage", "label", "reason")


def create() -> None:
    _records()
    _sales()
    _limits()


def _records() -> None:
    table(
        "record",
        big("id", primary_key=True),
        text("tablet_id", to("tablet.id")),
        big("epoch"),
        big("number"),
        digest("previous"),
        digest("hash"),
        big("version"),
        text("cipher"),
        text("key_id", nullable=True),
        text("kind"),
        blob("body"),
        text("tablet_at"),
        big("mono_ms"),
        text("boot"),
        instant("arrived_at"),
        text("state"),
        text("reason"),
        big("resolves", to("record.id"), nullable=True),
        uid("payment_id", nullable=True),
        big("payment_due", nullable=True),
        big("payment_fen", nullable=True),
        text("tenders", nullable=True),
        check("numbered", "number >= 1 AND epoch >= 1 AND state IN ('accepted', 'quarantined')"),
        check(
            "payment",
            """(payment_id IS NULL AND payment_due IS NULL AND payment_fen IS NULL AND tenders IS NULL)
    OR (payment_id IS NOT NULL AND payment_due IS NOT NULL AND payment_fen >= 0 AND tenders IS NOT NULL)""",
        ),
        unique("payment_id"),
        unique("tablet_id", "epoch", "number", "hash", "state"),
    )
    tables.store_as_it_is("record", "body")
    table(
        "lost_numbers",
        big("id", primary_key=True),
        text("tablet_id", to("tablet.id")),
        big("epoch"),
        big("first_number"),
        big("last_number"),
        text("reason"),
        text("declared_by"),
        instant("declared_at"),
        text("confirmed_by", nullable=True),
        instant("confirmed_at", nullable=True),
        check("run", "first_number >= 1 AND last_number >= first_number"),
        check("two_people", "confirmed_by IS NULL OR confirmed_by <> declared_by"),
        unique("tablet_id", "epoch", "first_number"),
    )
    invariants.protect("record")
    invariants.refuse_insert("record_tenders", "record", lists.wrong("tenders", TENDER, RIGHT_TENDER))
    invariants.view(
        "payment",
        """SELECT payment_id AS id, id AS record_id, payment_due AS due, payment_fen AS fen
           FROM record WHERE payment_id IS NOT NULL""",
    )
    invariants.view("tender", lists.rows_of("record", "tenders", TENDER, payment_id="payment_id"))
    invariants.allow("INSERT, UPDATE", "lost_numbers")
    invariants.refuse_insert("lost_apart", "lost_numbers", LOST_OVERLAPS)
    altered = " OR ".join(f"NEW.{column} <> OLD.{column}" for column in DECLARED)
    invariants.refuse_change("lost_confirmed_once", "lost_numbers", f"OLD.confirmed_by IS NOT NULL OR {altered}")
    invariants.refuse_removal("lost_numbers")


def _sales() -> None:
    table(
        "quote_input",
        digest("hash", primary_key=True),
        blob("body"),
    )
    table(
        "share_terms",
        digest("hash", primary_key=True),
        big("size"),
        text("terms"),
    )
    table(
        "sale",
        uid("id", primary_key=True),
        digest("content_hash"),
        text("service_month"),
        text("district_id"),
        big("record_id", to("record.id")),
        uid("payment_id", to("record.payment_id")),
        big("arrival"),
        text("contract_id", to("contract.id")),
        text("canteen_id", to("canteen.id")),
        text("point_id", nullable=True),
        uid("elder_id", to("elder.id"), nullable=True),
        text("guest", nullable=True),
        text("credential", nullable=True),
        text("how_read"),
        text("cashier_id"),
        day("service_day"),
        text("period"),
        text("mode"),
        instant("tablet_at"),
        instant("estimated_at"),
        instant("arrived_at"),
        big("skew_ms"),
        flag("online"),
        big("amount", nullable=True),
        big("list_fen"),
        big("due_fen"),
        big("surcharge_fen"),
        digest("rulebook_hash"),
        digest("own_rulebook_hash"),
        digest("sold_input_hash", to("quote_input.hash")),
        digest("own_input_hash", to("quote_input.hash")),
        big("known_at"),
        text("lines"),
        digest("share_terms"),
        text("share_fens"),
        text("surcharges"),
        text("flags"),
        flag("to_check"),
        check("elder_or_guest", "(elder_id IS NULL) <> (guest IS NULL)"),
        check(
            "words",
            """period IN ('breakfast', 'lunch', 'dinner') AND mode IN ('dine_in', 'take_away', 'delivered', 'collected')
    AND how_read IN ('camera', 'wedge', 'typed', 'none')""",
        ),
        check(
            "money",
            """list_fen >= 0 AND surcharge_fen >= 0 AND due_fen >= surcharge_fen
    AND due_fen <= list_fen + surcharge_fen""",
        ),
    )
    index("ix_sale_arrival", "sale", "arrival")
    index("ix_sale_contract_day", "sale", "contract_id", "service_day", "id")
    index("ix_sale_elder_day", "sale", "elder_id", "service_day")
    index("ix_sale_to_check", "sale", "contract_id", "service_day", "id", where="to_check")
    index("ix_sale_doubted", "sale", "contract_id", "service_day", where=DOUBTED)
    table(
        "void",
        uid("id", primary_key=True),
        uid("sale_id", to("sale.id")),
        big("record_id", to("record.id")),
        text("service_month"),
        text("district_id"),
        text("cashier_id"),
        text("approved_by", nullable=True),
        text("reason"),
        big("refund_fen"),
        text("refund_kind"),
        instant("tablet_at"),
        instant("arrived_at"),
        unique("sale_id"),
    )
    index("ix_void_record_id", "void", "record_id")
    invariants.protect("quote_input", "share_terms", "sale", "void")
    payers = "{payer} IN ('subsidy', 'concession', 'donation')"
    sized = f"NEW.size <> {lists.size('NEW.terms')}"
    invariants.refuse_insert("share_terms_known", "share_terms", f"{sized} OR {lists.wrong('terms', TERM, payers)}")
    wrong = (
        lists.wrong("lines", LINE, "{fen} >= 0 AND {quantity} >= 1"),
        lists.wrong_amounts("share_fens", "(SELECT t.size FROM share_terms t WHERE t.hash = NEW.share_terms)"),
        f"NEW.surcharges <> '[]' AND {lists.wrong('surcharges', SURCHARGE, '{fen} > 0')}",
    )
    invariants.refuse_insert("sale_lists", "sale", " OR ".join(wrong))
    of_month = {"service_month": "service_month", "district_id": "district_id"}
    invariants.view("sale_line", lists.rows_of("sale", "lines", LINE, sale_id="id"))
    invariants.view(
        "share", lists.rows_with_amounts("sale", "share_terms", "terms", "share_fens", TERM, sale_id="id", **of_month)
    )
    invariants.view("surcharge", lists.rows_of("sale", "surcharges", SURCHARGE, sale_id="id"))


def _limits() -> None:
    """What a sale was granted is a fact; who holds a limit now is state that the facts explain."""
    table(
        "sale_use",
        uid("sale_id", to("sale.id"), primary_key=True),
        text("allowance", primary_key=True),
        text("window_start", primary_key=True),
        uid("person_id"),
        text("unit"),
        big("limited_to"),
        big("asked"),
        big("granted"),
        big("n", nullable=True),
        text("rules"),
        check("granted", "granted >= 0 AND granted <= asked"),
        check("unit", "unit IN ('meal', 'day', 'fen')"),
    )
    index("ix_sale_use_window", "sale_use", "person_id", "allowance", "window_start")
    table(
        "slot",
        uid("person_id", primary_key=True),
        text("allowance", primary_key=True),
        text("window_start", primary_key=True),
        big("n", primary_key=True),
        big("limited_to"),
        day("unit_day", nullable=True),
        uid("sale_id", to("sale.id")),
        check("within_limit", "n >= 1 AND n <= limited_to"),
    )
    index("ix_slot_sale", "slot", "sale_id")
    table(
        "amount_used",
        uid("person_id", primary_key=True),
        text("allowance", primary_key=True),
        text("window_start", primary_key=True),
        big("used"),
        big("limited_to"),
        check("within_limit", "used >= 0 AND used <= limited_to"),
    )
    index("ix_amount_used_budget", "amount_used", "allowance", "window_start")
    invariants.protect("sale_use")
    invariants.allow("INSERT, UPDATE, DELETE", "slot")
    invariants.allow("INSERT, UPDATE", "amount_used")
