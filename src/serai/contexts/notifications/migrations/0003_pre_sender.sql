-- Since when somebody sends here without a long pause: what could not be sent while nobody was there is not
-- late yet. One row, and nothing of any tenant.
CREATE TABLE IF NOT EXISTS {notifications}.sender (
  is_here boolean PRIMARY KEY CHECK (is_here),
  here_since timestamptz NOT NULL,
  seen_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON {notifications}.sender TO serai_app;
