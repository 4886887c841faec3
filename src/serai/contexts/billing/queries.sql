-- A tenant's account is locked before anything else of it but its allowance, which is locked alone.

-- name: list_terms
-- Reads the plans that tenants have now, and their zones.
SELECT s.tenant_id, s.plan, a.zone FROM {billing}.segments s
JOIN {billing}.accounts a ON a.tenant_id = s.tenant_id
WHERE s.tenant_id = ANY ($1::uuid[]) AND s.until IS NULL;

-- name: take_allowances
-- Takes of each tenant's quota of a month what is wanted, or what is left; the rows come back locked.
INSERT INTO {billing}.allowances AS a (tenant_id, meter, period, most, granted, taken)
SELECT w.tenant_id, $2, w.period, w.most, LEAST(w.wanted, w.most), LEAST(w.wanted, w.most)
FROM unnest($1::uuid[], $3::date[], $4::bigint[], $5::bigint[]) AS w(tenant_id, period, most, wanted)
ORDER BY w.tenant_id
ON CONFLICT (tenant_id, meter, period) DO UPDATE SET
  most = EXCLUDED.most,
  granted = LEAST(EXCLUDED.granted, GREATEST(EXCLUDED.most - a.taken, 0)),
  taken = a.taken + LEAST(EXCLUDED.granted, GREATEST(EXCLUDED.most - a.taken, 0))
RETURNING tenant_id, granted;

-- name: seed_allowance
-- Makes what was placed this month before there was a quota count against it.
INSERT INTO {billing}.allowances AS a (tenant_id, meter, period, most, granted, taken)
VALUES ($1, $2, $3, 0, 0, $4)
ON CONFLICT (tenant_id, meter, period) DO UPDATE SET taken = GREATEST(a.taken, EXCLUDED.taken);

-- name: find_taken
-- Reads what was taken of a month's quota.
SELECT taken FROM {billing}.allowances WHERE tenant_id = $1 AND meter = $2 AND period = $3;

-- name: count_usage
-- Adds to what tenants used in quarters of an hour.
INSERT INTO {billing}.usage AS u (tenant_id, meter, slot, counted)
SELECT w.tenant_id, $2, w.slot, w.counted
FROM unnest($1::uuid[], $3::timestamptz[], $4::bigint[]) AS w(tenant_id, slot, counted)
ORDER BY w.tenant_id, w.slot
ON CONFLICT (tenant_id, meter, slot) DO UPDATE SET counted = u.counted + EXCLUDED.counted;

-- name: sum_usage
-- Sums what a tenant used from one moment up to another.
SELECT COALESCE(sum(counted), 0)::bigint AS counted FROM {billing}.usage
WHERE tenant_id = $1 AND meter = $2 AND slot >= $3 AND slot < $4;

-- name: open_account
-- Makes a tenant's account where there is none.
INSERT INTO {billing}.accounts (tenant_id, zone) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: lock_account
-- Locks and reads a tenant's account.
SELECT tenant_id, zone, card, period, close_at FROM {billing}.accounts
WHERE tenant_id = $1 FOR UPDATE;

-- name: find_account
-- Reads a tenant's account.
SELECT tenant_id, zone, card, period, close_at FROM {billing}.accounts WHERE tenant_id = $1;

-- name: update_account
-- Writes a locked account down.
UPDATE {billing}.accounts SET zone = $2, card = $3, period = $4, close_at = $5 WHERE tenant_id = $1;

-- name: list_segments
-- Lists the plans of a tenant that were in force on a day or after it, in their order.
SELECT number, plan, since, until FROM {billing}.segments
WHERE tenant_id = $1 AND (until IS NULL OR until > $2) ORDER BY number;

-- name: save_segment
-- Adds days on a plan, or writes over those of that number.
INSERT INTO {billing}.segments (tenant_id, number, plan, since, until)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, number) DO UPDATE SET plan = EXCLUDED.plan, until = EXCLUDED.until;

-- name: delete_segment
-- Removes days on a plan that ended on the day on which they began.
DELETE FROM {billing}.segments WHERE tenant_id = $1 AND number = $2;

-- name: last_segment
-- Reads the number of a tenant's latest days on a plan.
SELECT COALESCE(max(number), 0)::int AS number FROM {billing}.segments WHERE tenant_id = $1;

-- name: list_due_accounts
-- Lists the tenants whose month is over and not closed, the longest over first.
SELECT tenant_id FROM {billing}.accounts WHERE close_at <= $1 ORDER BY close_at LIMIT $2;

-- name: insert_invoice
-- Adds a month's invoice unless there is one.
INSERT INTO {billing}.invoices
  (tenant_id, id, period, currency, total_minor, lines, status, attempt, try_at, closed_at, paid_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: list_due_invoices
-- Lists the invoices whose money is to be asked for, the longest due first.
SELECT tenant_id, id FROM {billing}.invoices WHERE try_at <= $1 ORDER BY try_at LIMIT $2;

-- name: lock_invoice
-- Locks and reads an invoice.
SELECT tenant_id, id, period, currency, total_minor, lines, status, attempt, try_at, reason,
       closed_at, paid_at
FROM {billing}.invoices WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: update_invoice
-- Writes down how far the money of a locked invoice has come.
UPDATE {billing}.invoices SET status = $3, attempt = $4, try_at = $5, reason = $6, paid_at = $7
WHERE tenant_id = $1 AND id = $2;

-- name: revive_invoices
-- Has the money of invoices asked for at once; of an attempt that is under way, by its own key.
UPDATE {billing}.invoices
SET status = 'open', try_at = $2, attempt = attempt + CASE WHEN status = 'unpaid' THEN 1 ELSE 0 END
WHERE tenant_id = $1 AND status <> 'paid';

-- name: find_invoice
-- Reads an invoice.
SELECT tenant_id, id, period, currency, total_minor, lines, status, attempt, try_at, reason,
       closed_at, paid_at
FROM {billing}.invoices WHERE tenant_id = $1 AND id = $2;

-- name: list_invoices
-- Lists a tenant's invoices, newest first, a page at a time.
SELECT tenant_id, id, period, currency, total_minor, lines, status, attempt, try_at, reason,
       closed_at, paid_at
FROM {billing}.invoices WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: check_invoices
-- Reads invoices whose lines do not add up to their total.
SELECT i.id, i.total_minor FROM {billing}.invoices i
WHERE i.tenant_id = $1 AND i.total_minor <> (
  SELECT COALESCE(sum((line ->> 'amount_minor')::bigint), 0) FROM json_array_elements(i.lines) AS line
) ORDER BY i.id LIMIT $2;
