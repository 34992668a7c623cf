//! In a browser anywhere: a code to type there (RFC 8628).

use oauth2::StandardDeviceAuthorizationResponse;
use oauth2::basic::BasicTokenResponse;
use tower::BoxError;

use super::{oauth_client, scopes};
use crate::account::Account;
use crate::outbound::exchange;

/// # Cancel safety
///
/// The code stays good at the server until it expires, and is worth nothing without this process.
pub(crate) async fn with_device_code(account: &Account) -> Result<BasicTokenResponse, BoxError> {
    let client = oauth_client(&account.provider)?;
    let http = |request| exchange(account.http.clone(), request);
    let request = client.exchange_device_code().add_scopes(scopes(&account.provider));
    let begun: StandardDeviceAuthorizationResponse = request.request_async(&http).await?;
    println!("Open {}", begun.verification_uri().as_str());
    println!("and type the code {}", begun.user_code().secret());
    // Asks at the pace that the server wishes, for as long as the code is good.
    Ok(client.exchange_device_access_token(&begun).request_async(&http, tokio::time::sleep, None).await?)
}
