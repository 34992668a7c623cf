//! From the database's errors to the store's.

use tower_oauth_refresh::StoreError;

/// What the database said, without the details, in which PostgreSQL may show a whole row.
#[derive(Debug, thiserror::Error)]
#[error("{message} (code {code})")]
struct Refused {
    message: String,
    code: String,
}

/// The database's own words for damage: SQLite's CORRUPT in its kinds and NOTADB, PostgreSQL's
/// `data_corrupted` and `index_corrupted`.
const DAMAGED: &[&str] = &["11", "267", "523", "779", "26", "XX001", "XX002"];

pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let is_damage = DAMAGED.contains(&code.as_str());
            let refused = Refused { message: error.message().to_owned(), code };
            if is_damage { StoreError::unreadable(refused) } else { StoreError::unavailable(refused) }
        }
        // These speak of types and columns, never of values.
        error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => StoreError::unreadable(error),
        error => StoreError::unavailable(error),
    }
}

/// The driver panics where there is no runtime.
pub(crate) fn in_runtime() -> Result<(), StoreError> {
    tokio::runtime::Handle::try_current().map(drop).map_err(StoreError::unavailable)
}
