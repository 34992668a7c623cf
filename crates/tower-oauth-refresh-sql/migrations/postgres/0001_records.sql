-- Free space in each page lets an update stay in the page, and leave the index alone.
CREATE TABLE tower_oauth_refresh_records (
    key TEXT COLLATE "C" PRIMARY KEY,
    version BYTEA NOT NULL,
    body BYTEA NOT NULL,
    written_at TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 80);

-- Sealed bytes do not compress.
ALTER TABLE tower_oauth_refresh_records ALTER COLUMN body SET STORAGE EXTERNAL;
