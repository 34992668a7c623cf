//! The token request and the revocation request, with the client's authentication.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use form_urlencoded::Serializer;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use sha2::Sha256;

use crate::grant::Grant;
use crate::secret::{AccessToken, ClientAssertion, ClientSecret, RefreshToken};
use crate::store::BoxFuture;
use crate::store::record::ClientPrint;

/// How the client proves at the authorization server who it is (RFC 6749 §2.3). Never probed: a refresh
/// token sent in a failed trial may be a refresh token spent.
///
/// Clones share the secret, which [`replace_secret`](Self::replace_secret) replaces while the program runs.
#[derive(Clone)]
pub struct ClientAuth(Kind);

#[derive(Clone)]
enum Kind {
    Basic { id: String, secret: Secret, raw: bool },
    Post { id: String, secret: Secret },
    None { id: String },
    Assertion { id: String, make: Arc<MakeAssertion> },
}

/// Clones are the same: replaced in one, it is in all.
type Secret = Arc<ArcSwap<ClientSecret>>;

type BoxError = Box<dyn StdError + Send + Sync>;
type MakeAssertion = dyn Fn() -> BoxFuture<'static, Result<ClientAssertion, BoxError>> + Send + Sync;

/// How an assertion says that it is a JWT (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl ClientAuth {
    /// `Authorization: Basic`, id and secret form-urlencoded first as RFC 6749 §2.3.1 says.
    pub fn basic(id: impl Into<String>, secret: impl Into<ClientSecret>) -> Self {
        Self(Kind::Basic { id: id.into(), secret: shared(secret), raw: false })
    }

    /// `Authorization: Basic` without the form-urlencoding, for servers that do not undo it.
    pub fn basic_raw(id: impl Into<String>, secret: impl Into<ClientSecret>) -> Self {
        Self(Kind::Basic { id: id.into(), secret: shared(secret), raw: true })
    }

    /// `client_id` and `client_secret` in the body.
    pub fn post(id: impl Into<String>, secret: impl Into<ClientSecret>) -> Self {
        Self(Kind::Post { id: id.into(), secret: shared(secret) })
    }

    /// A public client, or one that TLS authenticates by its certificate (`tls_client_auth` and
    /// `self_signed_tls_client_auth`): `client_id` in the body (RFC 8705 §2), no secret.
    pub fn none(id: impl Into<String>) -> Self {
        Self(Kind::None { id: id.into() })
    }

    /// A JWT assertion in the body (RFC 7523 §2.2). `make` is called anew for every attempt, a retry
    /// included, so that no assertion is ever sent twice; where it fails, nothing is sent. What may be told of its
    /// error, it says in a [`NotSent`](crate::NotSent).
    pub fn assertion<F>(id: impl Into<String>, make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<ClientAssertion, BoxError>> + Send + 'static,
    {
        Self(Kind::Assertion { id: id.into(), make: Arc::new(move || Box::pin(make())) })
    }

    /// Replaces the client secret while the program runs, in this value and all its clones: keep one clone and give the
    /// other to the coordinator. The next attempt sends the new secret; a pause because the old one was refused ends
    /// within a second. Returns `false`, and changes nothing, where this kind of authentication has no secret.
    pub fn replace_secret(&self, secret: impl Into<ClientSecret>) -> bool {
        let (Kind::Basic { secret: shown, .. } | Kind::Post { secret: shown, .. }) = &self.0 else {
            return false;
        };
        shown.store(Arc::new(secret.into()));
        true
    }

    /// Tells this client authentication from another. The key of an assertion, or a certificate, is not seen from
    /// here: it is taken for one that only this `process` has.
    pub(super) fn print(&self, process: u128) -> ClientPrint {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.client_id().as_bytes()).expect("any key length");
        mac.update(self.method().as_bytes());
        match &self.0 {
            Kind::Basic { secret, .. } | Kind::Post { secret, .. } => {
                mac.update(secret.load().expose_secret().as_bytes());
            }
            Kind::None { .. } | Kind::Assertion { .. } => mac.update(&process.to_be_bytes()),
        }
        let [first, second, ..]: [u8; 32] = mac.finalize().into_bytes().into();
        ClientPrint(u16::from_be_bytes([first, second]))
    }

    fn method(&self) -> &'static str {
        match &self.0 {
            Kind::Basic { .. } => "basic",
            Kind::Post { .. } => "post",
            Kind::None { .. } => "none",
            Kind::Assertion { .. } => "assertion",
        }
    }

    /// The client's id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        match &self.0 {
            Kind::Basic { id, .. }
            | Kind::Post { id, .. }
            | Kind::None { id }
            | Kind::Assertion { id, .. } => id,
        }
    }

    fn header(&self) -> Option<HeaderValue> {
        let Kind::Basic { id, secret, raw } = &self.0 else {
            return None;
        };
        let encoded = |text| -> Cow<'_, str> {
            if *raw {
                Cow::Borrowed(text)
            } else {
                form_urlencoded::byte_serialize(str::as_bytes(text)).collect()
            }
        };
        let pair = format!("{}:{}", encoded(id), encoded(secret.load().expose_secret()));
        let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A new assertion, where this client sends one.
    async fn make_assertion(&self) -> Result<Option<ClientAssertion>, BoxError> {
        match &self.0 {
            Kind::Assertion { make, .. } => make().await.map(Some),
            Kind::Basic { .. } | Kind::Post { .. } | Kind::None { .. } => Ok(None),
        }
    }

    fn parameters(&self, form: &mut Serializer<'_, String>, assertion: Option<&ClientAssertion>) {
        match &self.0 {
            Kind::Basic { .. } => {}
            Kind::None { id } => {
                form.append_pair("client_id", id);
            }
            Kind::Post { id, secret } => {
                form.append_pair("client_id", id);
                // An empty secret may be left out (RFC 6749 §2.3.1), and some servers insist.
                let secret = secret.load();
                if !secret.is_empty() {
                    form.append_pair("client_secret", secret.expose_secret());
                }
            }
            Kind::Assertion { id, .. } => {
                form.append_pair("client_id", id);
                form.append_pair("client_assertion_type", JWT_BEARER);
                form.append_pair("client_assertion", assertion.map_or("", ClientAssertion::expose_secret));
            }
        }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth")
            .field("method", &self.method())
            .field("client_id", &self.client_id())
            .finish()
    }
}

fn shared(secret: impl Into<ClientSecret>) -> Secret {
    Arc::new(ArcSwap::from_pointee(secret.into()))
}

/// The request of one refresh (RFC 6749 §4.4.2, §6).
pub(super) async fn token_request(
    endpoint: &Uri,
    auth: &ClientAuth,
    grant: Grant,
    refresh_token: Option<&RefreshToken>,
    extra: &[(String, String)],
) -> Result<Request<Bytes>, BoxError> {
    let assertion = auth.make_assertion().await?;
    let mut form = Serializer::new(String::new());
    match grant {
        Grant::RefreshToken => form.append_pair("grant_type", "refresh_token"),
        Grant::ClientCredentials => form.append_pair("grant_type", "client_credentials"),
    };
    if let Some(token) = refresh_token {
        form.append_pair("refresh_token", token.expose_secret());
    }
    for (name, value) in extra {
        form.append_pair(name, value);
    }
    Ok(post(endpoint, auth, form, assertion.as_ref()))
}

/// What is to be revoked.
#[derive(Clone, Copy)]
pub(super) enum Revoked<'a> {
    Refresh(&'a RefreshToken),
    Access(&'a AccessToken),
}

/// The request that revokes a token (RFC 7009 §2.1). With a refresh token goes its grant.
pub(super) async fn revocation_request(
    endpoint: &Uri,
    auth: &ClientAuth,
    token: Revoked<'_>,
) -> Result<Request<Bytes>, BoxError> {
    let assertion = auth.make_assertion().await?;
    let mut form = Serializer::new(String::new());
    let (kind, token) = match token {
        Revoked::Refresh(token) => ("refresh_token", token.expose_secret()),
        Revoked::Access(token) => ("access_token", token.expose_secret()),
    };
    form.append_pair("token", token);
    form.append_pair("token_type_hint", kind);
    Ok(post(endpoint, auth, form, assertion.as_ref()))
}

fn post(
    endpoint: &Uri,
    auth: &ClientAuth,
    mut form: Serializer<'_, String>,
    assertion: Option<&ClientAssertion>,
) -> Request<Bytes> {
    auth.parameters(&mut form, assertion);
    let mut request = Request::new(Bytes::from(form.finish()));
    if let Some(assertion) = assertion {
        request.extensions_mut().extend(assertion.extensions().clone());
    }
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // Without it, any encoding may come back (RFC 9110 §12.5.3), and none can be read here.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(value) = auth.header() {
        headers.insert(AUTHORIZATION, value);
    }
    request
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn request(auth: &ClientAuth) -> Request<Bytes> {
        let endpoint = Uri::from_static("https://as.example/token?tenant=1");
        let token = RefreshToken::new("r/+=t");
        let extra = [("resource".to_owned(), "https://api.example/".to_owned())];
        let request = token_request(&endpoint, auth, Grant::RefreshToken, Some(&token), &extra);
        request.now_or_never().unwrap().unwrap()
    }

    fn basic(auth: &ClientAuth) -> String {
        let request = request(auth);
        let value = request.headers()[AUTHORIZATION].to_str().unwrap();
        String::from_utf8(BASE64.decode(value.strip_prefix("Basic ").unwrap()).unwrap()).unwrap()
    }

    // 6749-02, 8707-01
    #[test]
    fn basic_form_encodes_id_and_secret_and_keeps_them_out_of_the_body() {
        let auth = ClientAuth::basic("my app", "p%w+d:€");
        assert_eq!(basic(&auth), "my+app:p%25w%2Bd%3A%E2%82%AC");
        let request = request(&auth);
        let body = request.body();
        let expected =
            "grant_type=refresh_token&refresh_token=r%2F%2B%3Dt&resource=https%3A%2F%2Fapi.example%2F";
        assert_eq!(body, expected);
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        assert_eq!(request.uri().query(), Some("tenant=1"));
        assert_eq!(request.headers()[ACCEPT_ENCODING], "identity");
    }

    #[test]
    fn raw_basic_sends_id_and_secret_as_they_are() {
        assert_eq!(basic(&ClientAuth::basic_raw("my app", "p%w")), "my app:p%w");
    }

    #[test]
    fn post_puts_both_into_the_body_and_nothing_into_the_header() {
        let request = request(&ClientAuth::post("id", "s&"));
        assert!(request.headers().get(AUTHORIZATION).is_none());
        assert!(std::str::from_utf8(request.body()).unwrap().ends_with("&client_id=id&client_secret=s%26"));
    }

    #[test]
    fn a_public_client_sends_its_id_and_an_empty_secret_is_left_out() {
        for auth in [ClientAuth::none("id"), ClientAuth::post("id", "")] {
            let request = request(&auth);
            assert!(std::str::from_utf8(request.body()).unwrap().ends_with("&client_id=id"));
        }
    }

    // 7523-01, 7523-04
    #[test]
    fn an_assertion_is_made_anew_for_every_attempt() {
        let made = std::sync::atomic::AtomicU32::new(0);
        let auth = ClientAuth::assertion("id", move || {
            let number = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::future::ready(Ok(format!("jwt-{number}").into()))
        });
        for number in 0..2 {
            let request = request(&auth);
            let body = std::str::from_utf8(request.body()).unwrap();
            assert!(body.contains(
                "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
            ));
            assert!(body.ends_with(&format!("&client_assertion=jwt-{number}")), "{body}");
        }
    }

    #[test]
    fn what_comes_with_an_assertion_is_in_the_extensions_of_its_request() {
        let auth = ClientAuth::assertion("id", || {
            std::future::ready(Ok(ClientAssertion::new("jwt").with_extension(7_u8)))
        });
        assert_eq!(request(&auth).extensions().get(), Some(&7_u8));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?}", ClientAuth::post("id", "hunter2-hunter2"));
        assert!(shown.contains("post") && !shown.contains("hunter2"), "{shown}");
    }
}
