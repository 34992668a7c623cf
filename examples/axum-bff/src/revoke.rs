//! What a person does at the provider's own page of connected applications: ends the login there.
//!
//! An application that wants to end a login itself calls `logout`. This one acts behind the coordinator's
//! back, so that the page can show how it finds out. It has no refresh token to revoke, for the coordinator
//! gives none away; it sends the access token, which at many servers takes its login along (RFC 7009 §2.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use http::{Request, header};
use tower::BoxError;

use crate::backend::Backend;
use crate::outbound::exchange;
use crate::session::Session;

pub(crate) async fn behind_our_back(backend: &Backend, session: &Session) -> Result<(), BoxError> {
    let token = backend.coordinator.token(session.key.clone()).await?;
    let form = Serializer::new(String::new()).append_pair("token", token.expose_secret()).finish();
    let [id, secret] = [&backend.provider.client_id, &backend.provider.client_secret]
        .map(|text| byte_serialize(text.as_bytes()).collect::<String>());
    let request = Request::post(&backend.provider.revocation_endpoint)
        .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into_bytes())?;
    let status = exchange(backend.http.clone(), request).await?.status();
    if status.is_success() { Ok(()) } else { Err(format!("the provider answers {status}").into()) }
}
