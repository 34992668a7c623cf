//! Brings the tables up to date.

use sqlx::sqlite::SqlitePool;

/// Number 1 is the first. What was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_records.sql")];

const PREPARE: &str = "CREATE TABLE IF NOT EXISTS tower_oauth_refresh_migrations \
    (number INTEGER NOT NULL PRIMARY KEY) STRICT";
const APPLIED: &str = "SELECT COUNT(*) FROM tower_oauth_refresh_migrations WHERE number = ?1";
const APPLY: &str = "INSERT INTO tower_oauth_refresh_migrations (number) VALUES (?1)";

pub(super) async fn run(pool: &SqlitePool) -> sqlx::Result<()> {
    // Takes the write lock at once: whoever comes second waits, and then finds it done.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(PREPARE).execute(&mut *transaction).await?;
    for (number, sql) in (1_i64..).zip(MIGRATIONS) {
        let applied: i64 = sqlx::query_scalar(APPLIED).bind(number).fetch_one(&mut *transaction).await?;
        if applied == 0 {
            sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
            sqlx::query(APPLY).bind(number).execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await
}
