//! Clients that show a certificate, and tokens that are bound to it (RFC 8705), over TLS.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, IsCa, KeyPair};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tower_oauth_refresh::{ClientAuth, ErrorKind, Logout, ReplayBody};
use tower_oauth_refresh_binding::{Metadata, Replaceable};

use super::{Program, boxed, log_in};
use crate::harness::{Certificate, Got, KEY, LONG, start, try_send, within};
use crate::oidc::{Fault, Provider};

type Https = Client<HttpsConnector<HttpConnector>, ReplayBody<Full<Bytes>>>;

/// A certificate of a client, and its key.
type Identity = CertifiedKey<KeyPair>;

/// The provider, which knows every client by two certificates.
struct World {
    server: Provider,
    its_own: Certificate,
    /// By an authority that the server believes.
    issued: [Identity; 2],
    /// By themselves; the server was told of them.
    self_signed: [Identity; 2],
}

impl World {
    async fn start() -> Self {
        let (its_own, authority) = (Certificate::new(), authority());
        let issued = [(); 2].map(|()| {
            let signing_key = KeyPair::generate().unwrap();
            CertifiedKey { cert: leaf().signed_by(&signing_key, &authority).unwrap(), signing_key }
        });
        let self_signed = [(); 2].map(|()| {
            let signing_key = KeyPair::generate().unwrap();
            CertifiedKey { cert: leaf().self_signed(&signing_key).unwrap(), signing_key }
        });
        let (certificate, key) = its_own.exported();
        let tls = json!({
            "certificate": STANDARD.encode(certificate),
            "key": STANDARD.encode(key),
            "authority": STANDARD.encode(authority.der()),
            "self_signed": self_signed.each_ref().map(|identity| STANDARD.encode(identity.cert.der())),
        });
        let options = json!({ "access_token_ttl": LONG.as_secs(), "tls": tls });
        Self { server: Provider::start_with(&options).await, its_own, issued, self_signed }
    }

    /// A client that shows this certificate.
    fn https(&self, identity: &Identity) -> Https {
        Client::builder(TokioExecutor::new()).build(self.its_own.connector_showing(identity))
    }

    async fn metadata(&self) -> Metadata {
        let metadata = Metadata::discover(&self.server.ready.issuer, super::network()).await.unwrap();
        let aliases = metadata.clone().for_mtls();
        assert!(!metadata.token_endpoint().to_string().starts_with("https:"));
        assert!(aliases.token_endpoint().to_string().starts_with("https:"));
        aliases
    }

    /// A program of this client, logged in, and the connections that it has.
    async fn program(&self, client: &str, identity: &Identity) -> (Program, Replaceable<Https>) {
        let (https, metadata) = (Replaceable::new(self.https(identity)), self.metadata().await);
        let builder = metadata.builder(ClientAuth::none(client));
        let echo = self.server.ready.tls_echo.as_deref().unwrap();
        let program = Program::new(builder, boxed(https.clone()), boxed(https.clone()), echo);
        self.log_in(client, &program, &https).await;
        (program, https)
    }

    async fn log_in(&self, client: &str, program: &Program, https: &Replaceable<Https>) {
        let endpoint = self.metadata().await.token_endpoint().to_string();
        let login = log_in(&self.server, client, &endpoint, &boxed(https.clone())).await;
        program.install(&login, LONG).await;
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf() -> CertificateParams {
    CertificateParams::new(["client.test".to_owned()]).unwrap()
}

fn thumbprint(identity: &Identity) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(identity.cert.der()))
}

/// 8705-01, 8705-02, 8705-03
#[tokio::test]
async fn a_new_certificate_takes_new_connections_and_a_new_token() {
    let world = World::start().await;
    for (client, [old, new]) in [("certificate", &world.issued), ("self_signed", &world.self_signed)] {
        let (program, https) = world.program(client, old).await;
        let refreshed = world.server.counters().await.refreshed;
        let shown = |answer: Got| {
            assert_eq!(answer.status, StatusCode::OK, "{client}: {answer:?}");
            (answer.echo()["certificate"].as_str().unwrap().to_owned(), answer.was_replayed())
        };
        assert_eq!(shown(program.post("logged in").await), (thumbprint(old), false));
        assert_eq!(shown(program.post_later().await), (thumbprint(old), false));

        // The token has to be older than what is refreshed again at once.
        program.clock.advance(LONG / 2);
        https.replace(world.https(new));
        assert_eq!(shown(program.post("refused and sent again").await), (thumbprint(new), true));
        assert_eq!(shown(program.post("and bound again").await), (thumbprint(new), false));
        let seen = world.server.counters().await;
        assert_eq!((seen.refreshed - refreshed, seen.reuses), (2, 0), "{client}");

        let token = program.access_token().await;
        assert!(world.server.is_active(&token).await);
        assert_eq!(program.coordinator.logout(KEY).await.unwrap(), Logout::Revoked);
        assert!(!world.server.is_active(&token).await);
    }
}

/// 8705-04
#[tokio::test]
async fn the_login_of_a_public_client_ends_with_its_certificate() {
    let world = World::start().await;
    let [old, new] = &world.self_signed;
    let (program, https) = world.program("public_certificate", old).await;
    assert_eq!(program.post("logged in").await.status, StatusCode::OK);
    assert_eq!(program.post_later().await.status, StatusCode::OK);

    program.clock.advance(LONG / 2);
    https.replace(world.https(new));
    let answer = program.post("refused").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.failure(), Some(ErrorKind::InvalidGrant));
    world.log_in("public_certificate", &program, &https).await;
    assert_eq!(program.post("with a new login").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_that_was_under_way_ends_on_the_old_connection_and_is_made_good_for() {
    let world = World::start().await;
    let [old, new] = &world.issued;
    let (program, https) = world.program("certificate", old).await;
    program.clock.advance(LONG);
    world.server.spoil_next_refresh(Fault::Hold).await;
    let first = start(try_send(program.client.clone(), program.request("waits for the refresh")));
    world.server.held().await;
    https.replace(world.https(new));
    world.server.release().await;
    let answer = within(first).await.unwrap().unwrap();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "its token is bound to the old certificate");
    assert!(answer.was_too_fresh(), "{answer:?}");

    program.clock.advance(Duration::from_secs(31));
    let answer = program.post("a little later").await;
    assert_eq!((answer.status, answer.was_replayed()), (StatusCode::OK, true), "{answer:?}");
    let seen = world.server.counters().await;
    assert_eq!((seen.refreshed, seen.reuses), (2, 0));
}
