-- The least a checkout can be: a card, its elder, a sale with a line, four ledger rows, a key against repeats.
DROP SCHEMA IF EXISTS base CASCADE;
CREATE SCHEMA base;
CREATE TABLE base.canteen (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE base.elder (
    id bigint PRIMARY KEY, name text NOT NULL, category smallint NOT NULL,
    home_canteen int NOT NULL REFERENCES base.canteen, active bool NOT NULL DEFAULT true
);
CREATE TABLE base.card (
    token text PRIMARY KEY, elder_id bigint NOT NULL REFERENCES base.elder, revoked bool NOT NULL DEFAULT false
);
CREATE TABLE base.sale (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    canteen_id int NOT NULL REFERENCES base.canteen, elder_id bigint NOT NULL REFERENCES base.elder,
    business_date date NOT NULL, meal_period smallint NOT NULL, policy_version int NOT NULL,
    list_fen bigint NOT NULL, elder_fen bigint NOT NULL, served_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sale_elder_day ON base.sale (elder_id, business_date);
CREATE TABLE base.sale_line (
    sale_id bigint NOT NULL REFERENCES base.sale, n smallint NOT NULL, item_id int NOT NULL,
    qty smallint NOT NULL, price_fen bigint NOT NULL, PRIMARY KEY (sale_id, n)
);
CREATE TABLE base.ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sale_id bigint NOT NULL REFERENCES base.sale, account_id int NOT NULL, amount_fen bigint NOT NULL
);
CREATE INDEX ledger_sale ON base.ledger (sale_id);
CREATE TABLE base.idem (
    key uuid PRIMARY KEY, sale_id bigint NOT NULL REFERENCES base.sale, at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO base.canteen SELECT g, 'canteen ' || g FROM generate_series(1, 100) g;
INSERT INTO base.elder SELECT g, 'elder ' || g, g % 4, 1 + g % 100 FROM generate_series(1, 50000) g;
INSERT INTO base.card SELECT 'C' || lpad(g::text, 8, '0'), g FROM generate_series(1, 50000) g;
ANALYZE;
