-- The card by which the attempt under way is asked for. While its answer is out it is asked again by the same
-- card under the same key, whatever card the tenant has put meanwhile: else it could be paid by both.

ALTER TABLE {billing}.invoices ADD COLUMN IF NOT EXISTS card text;
