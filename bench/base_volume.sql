-- So many sales of the month before, as base.pgb would have left them; %(meals)s is their number.
SET session_replication_role = replica;
INSERT INTO base.sale (canteen_id, elder_id, business_date, meal_period, policy_version, list_fen, elder_fen)
    SELECT 1 + g %% 100, 1 + g %% 50000, current_date - 31 - (g / 50000)::int %% 30, 2, 1, 1200, 600
    FROM generate_series(1, %(meals)s) g;
INSERT INTO base.sale_line SELECT id, 1, 7, 1, 1200 FROM base.sale;
INSERT INTO base.ledger (sale_id, account_id, amount_fen)
    SELECT id, n, CASE n WHEN 1 THEN 1200 WHEN 2 THEN -600 ELSE -300 END FROM base.sale, generate_series(1, 4) n;
INSERT INTO base.idem SELECT gen_random_uuid(), id FROM base.sale;
RESET session_replication_role;
