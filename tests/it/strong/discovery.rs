//! A server that is found by its issuer, and tokens for one of its APIs.

use http::StatusCode;
use serde_json::json;
use tower_oauth_refresh::{ErrorKind, TokenSet};
use tower_oauth_refresh_binding::{Metadata, MetadataError};

use super::{Program, network, provider};
use crate::harness::{EXPIRED, KEY};

#[tokio::test]
async fn what_a_server_says_of_itself_is_enough_to_refresh_and_to_log_out() {
    let server = provider(json!({})).await;
    let (ready, secret) = (&server.ready, &server.ready.clients["basic"]);
    let metadata = Metadata::discover(&ready.issuer, network()).await.unwrap();
    assert_eq!(metadata.token_endpoint(), ready.token_endpoint.as_str());
    assert_eq!(metadata.revocation_endpoint().unwrap(), ready.revocation_endpoint.as_str());
    assert_eq!(metadata.introspection_endpoint().unwrap(), ready.introspection_endpoint.as_str());
    assert!(
        metadata.takes_auth_method("client_secret_basic") && !metadata.takes_auth_method("tls_client_auth")
    );
    assert!(metadata.dpop_algorithms().contains(&"ES256".to_owned()));

    let auth = metadata.secret_auth(&*secret.client_id, secret.client_secret.as_deref().unwrap()).unwrap();
    let program = Program::new(metadata.builder(auth), network(), network(), &ready.echo);
    let login = server.mint("basic").await;
    program.install(&TokenSet::from_response(&login).unwrap(), EXPIRED).await;
    assert_eq!(program.post("refreshed").await.status, StatusCode::OK);
    program.coordinator.logout(KEY).await.unwrap();
    assert!(!server.is_active(&login.access_token).await);
}

#[tokio::test]
async fn a_server_that_is_asked_by_another_name_is_not_believed() {
    let server = provider(json!({})).await;
    let other = server.ready.issuer.replace("127.0.0.1", "localhost");
    let error = Metadata::discover(&other, network()).await.unwrap_err();
    assert!(matches!(error, MetadataError::Foreign { what: "issuer", slash: false }), "{error:?}");
    let error = Metadata::discover(&format!("{}/", server.ready.issuer), network()).await.unwrap_err();
    assert!(matches!(error, MetadataError::Foreign { what: "issuer", slash: true }), "{error:?}");
}

/// 8707-02, 8707-03
#[tokio::test]
async fn a_resource_that_nobody_has_granted_is_an_error_of_the_configuration_and_no_dead_login() {
    let server = provider(json!({})).await;
    let (ready, secret) = (&server.ready, &server.ready.clients["basic"]);
    let metadata = Metadata::discover(&ready.issuer, network()).await.unwrap();
    let program = |resource: &str| {
        let auth =
            metadata.secret_auth(&*secret.client_id, secret.client_secret.as_deref().unwrap()).unwrap();
        let builder = metadata.builder(auth).parameter("resource", resource);
        Program::new(builder, network(), network(), &ready.echo)
    };
    let log_in = async || TokenSet::from_response(&server.mint("basic").await).unwrap();
    let other = program("https://other.example/");
    other.install(&log_in().await, EXPIRED).await;
    let error = other.coordinator.token(KEY).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("invalid_target")));

    // With another login, since this server has spent the refresh token before it looked at the resource.
    let right = program(&ready.resource);
    right.install(&log_in().await, EXPIRED).await;
    assert_eq!(right.post("for the API that was granted").await.status, StatusCode::OK);
    let asked: Vec<_> = server.token_requests().await.into_iter().map(|request| request.resource).collect();
    let [_, other, _, right] = &asked[..] else { panic!("two logins, and two refreshes: {asked:?}") };
    assert_eq!(
        (&other[..], &right[..]),
        (&["https://other.example/".to_owned()][..], &[ready.resource.clone()][..])
    );
}
