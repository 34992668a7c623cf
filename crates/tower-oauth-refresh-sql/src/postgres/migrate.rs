//! Brings the tables up to date.

use sqlx::postgres::{PgConnection, PgPool};

/// Number 1 is the first. What was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/postgres/0001_records.sql")];

/// Any number that no application is likely to take.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7297104529362110977)";
const IS_PREPARED: &str = "SELECT to_regclass('tower_oauth_refresh_migrations') IS NOT NULL";
const PREPARE: &str = "CREATE TABLE tower_oauth_refresh_migrations (number BIGINT PRIMARY KEY)";
const APPLIED: &str = "SELECT EXISTS (SELECT 1 FROM tower_oauth_refresh_migrations WHERE number = $1)";
const APPLY: &str = "INSERT INTO tower_oauth_refresh_migrations (number) VALUES ($1)";

pub(super) async fn run(pool: &PgPool) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    // Whoever comes second waits, and then finds it done. The lock goes with the transaction.
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    if !asks(&mut transaction, IS_PREPARED, None).await? {
        sqlx::query(PREPARE).execute(&mut *transaction).await?;
    }
    for (number, sql) in (1..).zip(MIGRATIONS) {
        if !asks(&mut transaction, APPLIED, Some(number)).await? {
            sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
            sqlx::query(APPLY).bind(number).execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await
}

async fn asks(
    connection: &mut PgConnection,
    question: &'static str,
    number: Option<i64>,
) -> sqlx::Result<bool> {
    let question = sqlx::query_scalar(question);
    let question = if let Some(number) = number { question.bind(number) } else { question };
    question.fetch_one(connection).await
}
