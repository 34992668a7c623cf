//! From the database's errors to the store's.

use tower_oauth_refresh::StoreError;

/// What the database said, without the details, in which PostgreSQL may show a whole row.
#[derive(Debug, thiserror::Error)]
#[error("{message} (code {code})")]
struct Refused {
    message: String,
    code: String,
}

/// Statements are prepared by name, and the server that is asked does not know this one, or knows another of that name:
/// PostgreSQL's `invalid_sql_statement_name` and `duplicate_prepared_statement`.
const POOLED: &[&str] = &["26000", "42P05"];
const PROTOCOL: &str = "08P01";

/// What is put after the words of the server where they come from a pooler that hands out another server connection
/// for each transaction.
const POOLER: &str = "this connection seems to lead through a pooler in transaction mode, such as PgBouncer, that does \
    not support prepared statements: see `PostgresStore::new`";

fn is_pooler(code: &str, message: &str) -> bool {
    POOLED.contains(&code)
        // Of parameters for another statement of this name.
        || code == PROTOCOL && message.contains("prepared statement")
}

/// The database's own words for damage: SQLite's CORRUPT in its kinds and NOTADB, PostgreSQL's
/// `data_corrupted` and `index_corrupted`.
const DAMAGED: &[&str] = &["11", "267", "523", "779", "26", "XX001", "XX002"];

pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let is_damage = DAMAGED.contains(&code.as_str());
            let mut message = error.message().to_owned();
            if is_pooler(&code, &message) {
                message = format!("{message}; {POOLER}");
            }
            let refused = Refused { message, code };
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

#[cfg(test)]
pub(crate) mod tests {
    use std::error::Error as StdError;
    use std::fmt;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// An error of the database, with this code.
    #[derive(Debug)]
    pub(crate) struct Said(pub(crate) &'static str);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn what_a_pooler_in_transaction_mode_causes_is_known() {
        assert!(is_pooler("26000", "") && is_pooler("42P05", ""));
        assert!(is_pooler(
            PROTOCOL,
            "bind message supplies 1 parameters, but prepared statement \"s\" requires 2"
        ));
        assert!(!is_pooler(PROTOCOL, "invalid message format"));
        assert!(!is_pooler("XX001", "prepared statement"));
    }
}
