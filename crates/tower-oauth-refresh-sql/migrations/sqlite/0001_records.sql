-- Text is compared byte by byte (BINARY) unless a column says otherwise.
CREATE TABLE tower_oauth_refresh_records (
    key TEXT NOT NULL PRIMARY KEY,
    version BLOB NOT NULL,
    body BLOB NOT NULL,
    written_ms INTEGER NOT NULL, -- by the wall clock, since 1970
    boot_id TEXT,                -- the boot it was written in, where that is known
    boot_ms INTEGER              -- and since that boot
) STRICT;
