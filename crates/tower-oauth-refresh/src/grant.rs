//! How the token endpoint is asked.

/// The grant a coordinator refreshes with.
///
/// It is part of the name in the store: two coordinators of different grants never share a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grant {
    /// Spend the refresh token (RFC 6749 §6). A credential starts with an install.
    #[default]
    RefreshToken,
    /// Ask in the client's own name (RFC 6749 §4.4). Nothing needs to be installed, and what is lost can
    /// be asked for again.
    ClientCredentials,
}
