"""Every table of the house, for SQLite (STRICT) and PostgreSQL.

Keys carry service month and district from the start, so that monthly partitions and one database per
district stay a migration (decision 0008). The laws that guard the tables follow in 0002.

Revision: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "area",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "level IN ('province', 'city', 'district', 'street', 'community', 'functional')", name=op.f("ck_area_level")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area")),
        sqlite_strict=True,
    )
    op.create_table(
        "attempts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("failures", db.Big, nullable=False),
        sa.Column("since", db.Instant(), nullable=False),
        sa.Column("locked_until", db.Instant(), nullable=True),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_attempts_failures")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_attempts")),
        sqlite_strict=True,
    )
    op.create_table(
        "credential",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("salt_id", sa.Text(), nullable=False),
        sa.Column("row_key", sa.LargeBinary(), nullable=True),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("kind IN ('card', 'id_card', 'social_card', 'phone_code')", name=op.f("ck_credential_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
        sa.UniqueConstraint("digest", name=op.f("uq_credential_digest")),
        sa.UniqueConstraint("number", name=op.f("uq_credential_number")),
        sqlite_strict=True,
    )
    op.create_table(
        "elder",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_elder")),
        sqlite_strict=True,
    )
    op.create_table(
        "event",
        sa.Column("number", db.Big, autoincrement=False, nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_event_hash")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_event_kind"), "event", ["kind"], unique=False)
    op.create_index(op.f("ix_event_subject"), "event", ["subject"], unique=False)
    op.create_table(
        "import_run",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file_hash", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("rows", db.Big, nullable=False),
        sa.Column("bad_rows", db.Big, nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("begun_event", db.Big, nullable=True),
        sa.Column("applied_event", db.Big, nullable=True),
        sa.CheckConstraint("state IN ('staged', 'applied', 'refused')", name=op.f("ck_import_run_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_run")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_import_run_file_hash"), "import_run", ["file_hash"], unique=False)
    op.create_table(
        "installation",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("demo", db.Flag(), nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
        sqlite_strict=True,
    )
    op.create_table(
        "job_run",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", db.Big, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("lease_until", db.Instant(), nullable=False),
        sa.Column("tries", db.Big, nullable=False),
        sa.Column("started_at", db.Instant(), nullable=False),
        sa.Column("finished_at", db.Instant(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("ck_job_run_state")),
        sa.PrimaryKeyConstraint("job", "key", name=op.f("pk_job_run")),
        sqlite_strict=True,
    )
    op.create_table(
        "joined_rulebook",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_joined_rulebook")),
        sqlite_strict=True,
    )
    op.create_table(
        "operator",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("credit_code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator")),
        sa.UniqueConstraint("credit_code", name=op.f("uq_operator_credit_code")),
        sqlite_strict=True,
    )
    op.create_table(
        "payee",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bank", sa.Text(), nullable=False),
        sa.Column("account_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("account_tail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payee")),
        sqlite_strict=True,
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("pin_hash", sa.Text(), nullable=True),
        sa.Column("disabled_at", db.Instant(), nullable=True),
        sa.Column("changed_at", db.Instant(), nullable=False),
        sa.Column("must_change", db.Flag(), nullable=False),
        sa.CheckConstraint(
            "password_hash IS NOT NULL OR pin_hash IS NOT NULL OR disabled_at IS NOT NULL",
            name=op.f("ck_person_way_in"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("login", name=op.f("uq_person_login")),
        sqlite_strict=True,
    )
    op.create_table(
        "quote_input",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_quote_input")),
        sqlite_strict=True,
    )
    op.create_table(
        "rulebook",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("version", db.Big, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("yaml", sa.Text(), nullable=False),
        sa.Column("drafted_by", sa.Text(), nullable=False),
        sa.Column("drafted_at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_rulebook")),
        sa.UniqueConstraint("scheme", "version", name=op.f("uq_rulebook_scheme_version")),
        sqlite_strict=True,
    )
    op.create_table(
        "sale_key",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("service_month", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sale_id", name=op.f("pk_sale_key")),
        sqlite_strict=True,
    )
    op.create_table(
        "amount_used",
        sa.Column("person_id", db.Uid(), nullable=False),
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("used", db.Big, nullable=False),
        sa.Column("limited_to", db.Big, nullable=False),
        sa.CheckConstraint("used >= 0 AND used <= limited_to", name=op.f("ck_amount_used_within_limit")),
        sa.PrimaryKeyConstraint("person_id", "allowance", "window_start", name=op.f("pk_amount_used")),
        sqlite_strict=True,
    )
    op.create_index("ix_amount_used_budget", "amount_used", ["allowance", "window_start"])
    op.create_table(
        "area_link",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=True),
        sa.CheckConstraint("to_day IS NULL OR to_day >= from_day", name=op.f("ck_area_link_days")),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name=op.f("fk_area_link_area_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["area.id"], name=op.f("fk_area_link_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area_link")),
        sa.UniqueConstraint("area_id", "parent_id", "from_day", name=op.f("uq_area_link_area_id_parent_id_from_day")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_area_link_parent_id"), "area_link", ["parent_id"], unique=False)
    op.create_table(
        "canteen",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("seats", db.Big, nullable=False),
        sa.Column("day_turns_at", db.Big, nullable=False),
        sa.Column("opened_on", db.Day(), nullable=False),
        sa.CheckConstraint("profile IN ('counter', 'partner', 'village')", name=op.f("ck_canteen_profile")),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name=op.f("fk_canteen_area_id")),
        sa.ForeignKeyConstraint(["district_id"], ["area.id"], name=op.f("fk_canteen_district_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canteen")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_canteen_district_id"), "canteen", ["district_id"], unique=False)
    op.create_table(
        "card_code",
        sa.Column("credential_id", db.Uid(), nullable=False),
        sa.Column("cipher", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name=op.f("fk_card_code_credential_id")),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_card_code")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_card_code_batch"), "card_code", ["batch"], unique=False)
    op.create_table(
        "credential_fact",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("credential_id", db.Uid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("elder_id", db.Uid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("(kind = 'bound') = (elder_id IS NOT NULL)", name=op.f("ck_credential_fact_bound")),
        sa.CheckConstraint(
            "kind IN ('bound', 'lost', 'found', 'blocked', 'printed')", name=op.f("ck_credential_fact_kind")
        ),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name=op.f("fk_credential_fact_credential_id")),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_credential_fact_elder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential_fact")),
        sqlite_strict=True,
    )
    op.create_index("ix_credential_fact_credential", "credential_fact", ["credential_id", "id"], unique=False)
    op.create_index("ix_credential_fact_elder", "credential_fact", ["elder_id"], unique=False)
    op.create_table(
        "elder_fact",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("elder_id", db.Uid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=True),
        sa.Column("recorded", db.Big, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("retracts", db.Big, nullable=True),
        sa.CheckConstraint(
            "kind IN ('birth', 'sex', 'hukou', 'residence', 'class', 'level', 'status', 'benefit', 'enrolled', 'household', 'merged')",
            name=op.f("ck_elder_fact_kind"),
        ),
        sa.CheckConstraint("to_day IS NULL OR to_day >= from_day", name=op.f("ck_elder_fact_days")),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_elder_fact_elder_id")),
        sa.ForeignKeyConstraint(["retracts"], ["elder_fact.id"], name=op.f("fk_elder_fact_retracts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_elder_fact")),
        sa.UniqueConstraint("retracts", name=op.f("uq_elder_fact_retracts")),
        sqlite_strict=True,
    )
    op.create_index("ix_elder_fact_elder", "elder_fact", ["elder_id", "kind"], unique=False)
    op.create_index("ix_elder_fact_value", "elder_fact", ["kind", "value"], unique=False)
    op.create_table(
        "elder_identity",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("elder_id", db.Uid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pinyin", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("number_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("number_mac", sa.Text(), nullable=True),
        sa.Column("number_masked", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("(document = 'none') = (number_mac IS NULL)", name=op.f("ck_elder_identity_number")),
        sa.CheckConstraint(
            "document IN ('resident', 'hmt', 'foreign', 'none')", name=op.f("ck_elder_identity_document")
        ),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_elder_identity_elder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_elder_identity")),
        sqlite_strict=True,
    )
    op.create_index("ix_elder_identity_elder", "elder_identity", ["elder_id"], unique=False)
    op.create_index("ix_elder_identity_mac", "elder_identity", ["number_mac"], unique=False)
    op.create_index("ix_elder_identity_pinyin", "elder_identity", ["pinyin"], unique=False)
    op.create_table(
        "elder_photo",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("elder_id", db.Uid(), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_elder_photo_elder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_elder_photo")),
        sqlite_strict=True,
    )
    op.create_index("ix_elder_photo_elder", "elder_photo", ["elder_id"], unique=False)
    op.create_table(
        "identity_key",
        sa.Column("number_mac", sa.Text(), nullable=False),
        sa.Column("elder_id", db.Uid(), nullable=False),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_identity_key_elder_id")),
        sa.PrimaryKeyConstraint("number_mac", name=op.f("pk_identity_key")),
        sqlite_strict=True,
    )
    op.create_table(
        "publication",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("rulebook_hash", sa.Text(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=True),
        sa.Column("drafted_by", sa.Text(), nullable=False),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column("published_at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("layer IN ('city', 'district', 'street', 'canteen')", name=op.f("ck_publication_layer")),
        sa.CheckConstraint("published_by <> drafted_by", name=op.f("ck_publication_two_people")),
        sa.CheckConstraint("to_day IS NULL OR to_day >= from_day", name=op.f("ck_publication_days")),
        sa.ForeignKeyConstraint(["rulebook_hash"], ["rulebook.hash"], name=op.f("fk_publication_rulebook_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publication")),
        sa.UniqueConstraint(
            "layer", "node_id", "scheme", "from_day", name=op.f("uq_publication_layer_node_id_scheme_from_day")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "role_grant",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("node_kind", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_at", db.Instant(), nullable=False),
        sa.Column("ended_at", db.Instant(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint("node_kind IN ('area', 'operator', 'canteen')", name=op.f("ck_role_grant_node")),
        sa.CheckConstraint(
            "role IN ('cashier', 'manager', 'reviewer', 'finance', 'admin', 'auditor', 'operator_it')",
            name=op.f("ck_role_grant_role"),
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_role_grant_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grant")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_role_grant_person_id"), "role_grant", ["person_id"], unique=False)
    op.create_table(
        "slot",
        sa.Column("person_id", db.Uid(), nullable=False),
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("limited_to", db.Big, nullable=False),
        sa.Column("unit_day", db.Day(), nullable=True),
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.CheckConstraint("n >= 1 AND n <= limited_to", name=op.f("ck_slot_within_limit")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale_key.sale_id"], name=op.f("fk_slot_sale_id")),
        sa.PrimaryKeyConstraint("person_id", "allowance", "window_start", "n", name=op.f("pk_slot")),
        sqlite_strict=True,
    )
    op.create_index("ix_slot_sale", "slot", ["sale_id"], unique=False)
    op.create_table(
        "closure",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_closure_canteen_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closure")),
        sa.UniqueConstraint("canteen_id", "from_day", name=op.f("uq_closure_canteen_id_from_day")),
        sqlite_strict=True,
    )
    op.create_table(
        "contract",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("canteen_class", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=True),
        sa.CheckConstraint("to_day IS NULL OR to_day >= from_day", name=op.f("ck_contract_days")),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_contract_canteen_id")),
        sa.ForeignKeyConstraint(["district_id"], ["area.id"], name=op.f("fk_contract_district_id")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.id"], name=op.f("fk_contract_operator_id")),
        sa.ForeignKeyConstraint(["payee_id"], ["payee.id"], name=op.f("fk_contract_payee_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract")),
        sa.UniqueConstraint("canteen_id", "from_day", name=op.f("uq_contract_canteen_id_from_day")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_contract_canteen_id"), "contract", ["canteen_id"], unique=False)
    op.create_index(op.f("ix_contract_operator_id"), "contract", ["operator_id"], unique=False)
    op.create_table(
        "meal_window",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("starts", db.Big, nullable=False),
        sa.Column("ends", db.Big, nullable=False),
        sa.Column("grace", db.Big, nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=True),
        sa.CheckConstraint("period IN ('breakfast', 'lunch', 'dinner')", name=op.f("ck_meal_window_period")),
        sa.CheckConstraint(
            "0 <= starts AND starts < ends AND ends <= 1440 AND grace >= 0", name=op.f("ck_meal_window_minutes")
        ),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_meal_window_canteen_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meal_window")),
        sa.UniqueConstraint("canteen_id", "period", "from_day", name=op.f("uq_meal_window_canteen_id_period_from_day")),
        sqlite_strict=True,
    )
    op.create_table(
        "menu_item",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("position", db.Big, nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=True),
        sa.CheckConstraint("period IN ('breakfast', 'lunch', 'dinner')", name=op.f("ck_menu_item_period")),
        sa.CheckConstraint("fen >= 0", name=op.f("ck_menu_item_price")),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_menu_item_canteen_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_menu_item")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_menu_item_canteen_id"), "menu_item", ["canteen_id"], unique=False)
    op.create_table(
        "serving_days",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("week", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=True),
        sa.CheckConstraint("length(week) = 7", name=op.f("ck_serving_days_week")),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_serving_days_canteen_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_serving_days")),
        sa.UniqueConstraint("canteen_id", "from_day", name=op.f("uq_serving_days_canteen_id_from_day")),
        sqlite_strict=True,
    )
    op.create_table(
        "serving_point",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_serving_point_canteen_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_serving_point")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_serving_point_canteen_id"), "serving_point", ["canteen_id"], unique=False)
    op.create_table(
        "tablet",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("enrolled_at", db.Instant(), nullable=False),
        sa.Column("enrolled_by", sa.Text(), nullable=False),
        sa.Column("seen_at", db.Instant(), nullable=True),
        sa.Column("revoked_at", db.Instant(), nullable=True),
        sa.Column("skew_ms", db.Big, nullable=True),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_tablet_canteen_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tablet")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_tablet_canteen_id"), "tablet", ["canteen_id"], unique=False)
    op.create_table(
        "account",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("fund", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('granted', 'open', 'claimed', 'disallowed', 'paid', 'excluded', 'elder', 'cash', 'mobile', 'donated')",
            name=op.f("ck_account_kind"),
        ),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_account_contract_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("contract_id", "fund", "kind", name=op.f("uq_account_contract_id_fund_kind")),
        sqlite_strict=True,
    )
    op.create_table(
        "enrolment_code",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.Column("expires_at", db.Instant(), nullable=False),
        sa.Column("tablet_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_enrolment_code_canteen_id")),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_enrolment_code_tablet_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_enrolment_code")),
        sqlite_strict=True,
    )
    op.create_table(
        "lost_epoch",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("tablet_id", sa.Text(), nullable=False),
        sa.Column("epoch", db.Big, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("declared_by", sa.Text(), nullable=False),
        sa.Column("declared_at", db.Instant(), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", db.Instant(), nullable=True),
        sa.CheckConstraint(
            "confirmed_by IS NULL OR confirmed_by <> declared_by", name=op.f("ck_lost_epoch_two_people")
        ),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_lost_epoch_tablet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lost_epoch")),
        sa.UniqueConstraint("tablet_id", "epoch", name=op.f("uq_lost_epoch_tablet_id_epoch")),
        sqlite_strict=True,
    )
    op.create_index("ix_lost_epoch_tablet", "lost_epoch", ["tablet_id"], unique=False)
    op.create_table(
        "period",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed_at", db.Instant(), nullable=True),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_period_closed_at")),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_period_state")),
        sa.CheckConstraint("to_day >= from_day", name=op.f("ck_period_days")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_period_contract_id")),
        sa.ForeignKeyConstraint(["district_id"], ["area.id"], name=op.f("fk_period_district_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_period")),
        sa.UniqueConstraint("contract_id", "from_day", name=op.f("uq_period_contract_id_from_day")),
        sqlite_strict=True,
    )
    op.create_table(
        "record",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("tablet_id", sa.Text(), nullable=False),
        sa.Column("epoch", db.Big, nullable=False),
        sa.Column("number", db.Big, nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("version", db.Big, nullable=False),
        sa.Column("cipher", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("tablet_at", sa.Text(), nullable=False),
        sa.Column("mono_ms", db.Big, nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("arrived_at", db.Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("resolves", db.Big, nullable=True),
        sa.CheckConstraint("state IN ('accepted', 'quarantined')", name=op.f("ck_record_state")),
        sa.CheckConstraint("number >= 1 AND epoch >= 1", name=op.f("ck_record_number")),
        sa.ForeignKeyConstraint(["resolves"], ["record.id"], name=op.f("fk_record_resolves")),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_record_tablet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
        sa.UniqueConstraint(
            "tablet_id", "epoch", "number", "hash", "state", name=op.f("uq_record_tablet_id_epoch_number_hash_state")
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_record_chain", "record", ["tablet_id", "epoch", "number"], unique=False)
    op.create_table(
        "web_session",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("tablet_id", sa.Text(), nullable=True),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.Column("seen_at", db.Instant(), nullable=False),
        sa.Column("ended_at", db.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_web_session_person_id")),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_web_session_tablet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_web_session")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_web_session_person_id"), "web_session", ["person_id"], unique=False)
    op.create_table(
        "claim",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=False),
        sa.Column("period_id", db.Big, nullable=False),
        sa.Column("statement_hash", sa.Text(), nullable=False),
        sa.Column("meals", db.Big, nullable=False),
        sa.Column("persons", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.CheckConstraint("kind IN ('meal')", name=op.f("ck_claim_kind")),
        sa.CheckConstraint("to_day >= from_day", name=op.f("ck_claim_days")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_claim_contract_id")),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_claim_period_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
        sa.UniqueConstraint(
            "contract_id", "kind", "from_day", "to_day", name=op.f("uq_claim_contract_id_kind_from_day_to_day")
        ),
        sa.UniqueConstraint("number", name=op.f("uq_claim_number")),
        sqlite_strict=True,
    )
    op.create_index("ix_claim_district", "claim", ["district_id", "from_day"], unique=False)
    op.create_table(
        "finding",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("period_id", db.Big, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sale_id", db.Uid(), nullable=True),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("found_at", db.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_finding_period_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
        sa.UniqueConstraint("period_id", "code", "subject", name=op.f("uq_finding_period_id_code_subject")),
        sqlite_strict=True,
    )
    op.create_index("ix_finding_sale", "finding", ["sale_id"], unique=False)
    op.create_table(
        "payment",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("record_id", db.Big, nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("service_month", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("due", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.CheckConstraint("fen >= 0", name=op.f("ck_payment_amount")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_payment_contract_id")),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_payment_record_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_payment_record_id"), "payment", ["record_id"], unique=False)
    op.create_table(
        "statement",
        sa.Column("period_id", db.Big, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("sales_hash", sa.Text(), nullable=False),
        sa.Column("facts_at", db.Big, nullable=False),
        sa.Column("computed_at", db.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_statement_period_id")),
        sa.PrimaryKeyConstraint("period_id", name=op.f("pk_statement")),
        sqlite_strict=True,
    )
    op.create_table(
        "transfer",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("source_id", db.Big, nullable=False),
        sa.Column("target_id", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("movement", sa.Text(), nullable=False),
        sa.Column("sale_id", db.Uid(), nullable=True),
        sa.Column("share_n", db.Big, nullable=True),
        sa.Column("fund", sa.Text(), nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("service_month", sa.Text(), nullable=False),
        sa.Column("service_day", db.Day(), nullable=False),
        sa.Column("period_id", db.Big, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.CheckConstraint(
            "movement IN ('meal', 'verdict', 'void', 'payment', 'refund', 'claim', 'disallow', 'pay', 'hold')",
            name=op.f("ck_transfer_movement"),
        ),
        sa.CheckConstraint("fen > 0", name=op.f("ck_transfer_moves_money")),
        sa.CheckConstraint("source_id <> target_id", name=op.f("ck_transfer_two_ends")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_transfer_contract_id")),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_transfer_period_id")),
        sa.ForeignKeyConstraint(["source_id"], ["account.id"], name=op.f("fk_transfer_source_id")),
        sa.ForeignKeyConstraint(["target_id"], ["account.id"], name=op.f("fk_transfer_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
        sqlite_strict=True,
    )
    op.create_index("ix_transfer_period", "transfer", ["period_id", "movement"], unique=False)
    op.create_index("ix_transfer_sale", "transfer", ["sale_id"], unique=False)
    op.create_table(
        "claim_line",
        sa.Column("claim_id", db.Big, nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fund", sa.Text(), nullable=False),
        sa.Column("service_month", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("meals", db.Big, nullable=False),
        sa.Column("persons", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.CheckConstraint(
            "kind IN ('meals', 'supplement', 'adjustment', 'released', 'carried')", name=op.f("ck_claim_line_kind")
        ),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.id"], name=op.f("fk_claim_line_claim_id")),
        sa.PrimaryKeyConstraint("claim_id", "n", name=op.f("pk_claim_line")),
        sqlite_strict=True,
    )
    op.create_table(
        "decision",
        sa.Column("claim_id", db.Big, nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("n >= 1", name=op.f("ck_decision_n")),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.id"], name=op.f("fk_decision_claim_id")),
        sa.PrimaryKeyConstraint("claim_id", "n", name=op.f("pk_decision")),
        sqlite_strict=True,
    )
    op.create_table(
        "finding_answer",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("finding_id", db.Big, nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("outcome IN ('accepted', 'held', 'disallowed')", name=op.f("ck_finding_answer_outcome")),
        sa.ForeignKeyConstraint(["finding_id"], ["finding.id"], name=op.f("fk_finding_answer_finding_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding_answer")),
        sa.UniqueConstraint("finding_id", "n", name=op.f("uq_finding_answer_finding_id_n")),
        sqlite_strict=True,
    )
    op.create_table(
        "payout",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("claim_id", db.Big, nullable=False),
        sa.Column("attempt", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("voucher", sa.Text(), nullable=False),
        sa.Column("paid_on", db.Day(), nullable=False),
        sa.Column("payee_name", sa.Text(), nullable=False),
        sa.Column("bank", sa.Text(), nullable=False),
        sa.Column("account_tail", sa.Text(), nullable=False),
        sa.Column("entered_by", sa.Text(), nullable=False),
        sa.Column("entered_at", db.Instant(), nullable=False),
        sa.CheckConstraint("fen > 0", name=op.f("ck_payout_moves_money")),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.id"], name=op.f("fk_payout_claim_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint("claim_id", "attempt", name=op.f("uq_payout_claim_id_attempt")),
        sqlite_strict=True,
    )
    op.create_table(
        "sale",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("service_month", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("record_id", db.Big, nullable=False),
        sa.Column("payment_id", db.Uid(), nullable=False),
        sa.Column("arrival", db.Big, nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("point_id", sa.Text(), nullable=True),
        sa.Column("elder_id", db.Uid(), nullable=True),
        sa.Column("guest", sa.Text(), nullable=True),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("how_read", sa.Text(), nullable=False),
        sa.Column("cashier_id", sa.Text(), nullable=False),
        sa.Column("service_day", db.Day(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("tablet_at", db.Instant(), nullable=False),
        sa.Column("estimated_at", db.Instant(), nullable=False),
        sa.Column("arrived_at", db.Instant(), nullable=False),
        sa.Column("skew_ms", db.Big, nullable=False),
        sa.Column("online", db.Flag(), nullable=False),
        sa.Column("amount", db.Big, nullable=True),
        sa.Column("list_fen", db.Big, nullable=False),
        sa.Column("due_fen", db.Big, nullable=False),
        sa.Column("rulebook_hash", sa.Text(), nullable=False),
        sa.Column("own_rulebook_hash", sa.Text(), nullable=False),
        sa.Column("sold_input_hash", sa.Text(), nullable=False),
        sa.Column("own_input_hash", sa.Text(), nullable=False),
        sa.Column("known_at", db.Big, nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.CheckConstraint("how_read IN ('camera', 'wedge', 'typed', 'none')", name=op.f("ck_sale_how_read")),
        sa.CheckConstraint("mode IN ('dine_in', 'take_away', 'delivered', 'collected')", name=op.f("ck_sale_mode")),
        sa.CheckConstraint("period IN ('breakfast', 'lunch', 'dinner')", name=op.f("ck_sale_period")),
        sa.CheckConstraint("(elder_id IS NULL) <> (guest IS NULL)", name=op.f("ck_sale_elder_or_guest")),
        sa.CheckConstraint("list_fen >= 0 AND due_fen >= 0 AND due_fen <= list_fen", name=op.f("ck_sale_money")),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_sale_canteen_id")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_sale_contract_id")),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_sale_elder_id")),
        sa.ForeignKeyConstraint(["id"], ["sale_key.sale_id"], name=op.f("fk_sale_id")),
        sa.ForeignKeyConstraint(["own_input_hash"], ["quote_input.hash"], name=op.f("fk_sale_own_input_hash")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_sale_payment_id")),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_sale_record_id")),
        sa.ForeignKeyConstraint(["sold_input_hash"], ["quote_input.hash"], name=op.f("fk_sale_sold_input_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sale")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_sale_arrival"), "sale", ["arrival"], unique=False)
    op.create_index("ix_sale_canteen_arrival", "sale", ["canteen_id", "arrived_at"], unique=False)
    op.create_index("ix_sale_contract_day", "sale", ["contract_id", "service_day", "id"], unique=False)
    op.create_index("ix_sale_elder_day", "sale", ["elder_id", "service_day"], unique=False)
    op.create_index(op.f("ix_sale_record_id"), "sale", ["record_id"], unique=False)
    op.create_table(
        "tender",
        sa.Column("payment_id", db.Uid(), nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("given", db.Big, nullable=False),
        sa.Column("change", db.Big, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('cash', 'mobile', 'free')", name=op.f("ck_tender_kind")),
        sa.CheckConstraint("fen >= 0 AND given >= fen AND change = given - fen", name=op.f("ck_tender_change")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_tender_payment_id")),
        sa.PrimaryKeyConstraint("payment_id", "n", name=op.f("pk_tender")),
        sqlite_strict=True,
    )
    op.create_table(
        "held",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("claim_id", db.Big, nullable=False),
        sa.Column("line_n", db.Big, nullable=False),
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("share_n", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.CheckConstraint("outcome IN ('held', 'disallowed')", name=op.f("ck_held_outcome")),
        sa.CheckConstraint("fen > 0", name=op.f("ck_held_moves_money")),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.id"], name=op.f("fk_held_claim_id")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_held_sale_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held")),
        sa.UniqueConstraint("claim_id", "sale_id", "share_n", name=op.f("uq_held_claim_id_sale_id_share_n")),
        sqlite_strict=True,
    )
    op.create_table(
        "payout_check",
        sa.Column("payout_id", db.Big, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("entered_by", sa.Text(), nullable=False),
        sa.Column("checked_by", sa.Text(), nullable=False),
        sa.Column("checked_at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("outcome IN ('confirmed', 'refused')", name=op.f("ck_payout_check_outcome")),
        sa.CheckConstraint("checked_by <> entered_by", name=op.f("ck_payout_check_two_people")),
        sa.ForeignKeyConstraint(["payout_id"], ["payout.id"], name=op.f("fk_payout_check_payout_id")),
        sa.PrimaryKeyConstraint("payout_id", name=op.f("pk_payout_check")),
        sqlite_strict=True,
    )
    op.create_table(
        "sale_line",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("quantity", db.Big, nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.CheckConstraint("fen >= 0 AND quantity >= 1", name=op.f("ck_sale_line_amounts")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_sale_line_sale_id")),
        sa.PrimaryKeyConstraint("sale_id", "n", name=op.f("pk_sale_line")),
        sqlite_strict=True,
    )
    op.create_table(
        "sale_use",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("person_id", db.Uid(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("limited_to", db.Big, nullable=False),
        sa.Column("asked", db.Big, nullable=False),
        sa.Column("granted", db.Big, nullable=False),
        sa.Column("n", db.Big, nullable=True),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.CheckConstraint("unit IN ('meal', 'day', 'fen')", name=op.f("ck_sale_use_unit")),
        sa.CheckConstraint("granted >= 0 AND granted <= asked", name=op.f("ck_sale_use_granted")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_sale_use_sale_id")),
        sa.PrimaryKeyConstraint("sale_id", "allowance", "window_start", name=op.f("pk_sale_use")),
        sqlite_strict=True,
    )
    op.create_index("ix_sale_use_window", "sale_use", ["person_id", "allowance", "window_start"], unique=False)
    op.create_table(
        "share",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("service_month", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("fund", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("clause", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("payer IN ('subsidy', 'concession', 'donation')", name=op.f("ck_share_payer")),
        sa.CheckConstraint("fen > 0", name=op.f("ck_share_moves_money")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_share_sale_id")),
        sa.PrimaryKeyConstraint("sale_id", "n", name=op.f("pk_share")),
        sqlite_strict=True,
    )
    op.create_table(
        "void",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("record_id", db.Big, nullable=False),
        sa.Column("service_month", sa.Text(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("cashier_id", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refund_fen", db.Big, nullable=False),
        sa.Column("refund_kind", sa.Text(), nullable=False),
        sa.Column("tablet_at", db.Instant(), nullable=False),
        sa.Column("arrived_at", db.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_void_record_id")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_void_sale_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_void")),
        sa.UniqueConstraint("sale_id", name=op.f("uq_void_sale_id")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_void_record_id"), "void", ["record_id"], unique=False)
    op.create_table(
        "held_answer",
        sa.Column("held_id", db.Big, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("outcome IN ('released', 'disallowed')", name=op.f("ck_held_answer_outcome")),
        sa.ForeignKeyConstraint(["held_id"], ["held.id"], name=op.f("fk_held_answer_held_id")),
        sa.PrimaryKeyConstraint("held_id", name=op.f("pk_held_answer")),
        sqlite_strict=True,
    )
