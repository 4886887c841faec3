-- Rows that are written twice are written in place the second time, where their page has room.

-- An answer is some six times as long as the claim that it is written beside.
ALTER TABLE {kernel}.idempotency_keys SET (fillfactor = 15);
-- Only within one transaction, and so within one session, do sequence numbers say what came first.
ALTER TABLE {kernel}.outbox ALTER COLUMN seq SET CACHE 64;
