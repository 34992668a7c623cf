//! Over real HTTP: the endpoints, then each rotation rule; faults are in `fault/tests.rs`.

use std::time::Duration;

use http::{Request, StatusCode, header};

use super::*;
use crate::test_client::{TestClient, basic, encode, form_request};
use crate::{ClientAuthentication, ManualClock, ResourceServer, TokenHash};

async fn server() -> AuthServer {
    AuthServer::start().await.unwrap()
}

fn refresh_token(tokens: &TokenSet) -> RefreshToken {
    tokens.refresh_token.clone().unwrap()
}

#[tokio::test]
async fn a_refresh_yields_a_new_generation_and_spends_the_old_token() {
    let (server, client) = (server().await, TestClient::new());
    let old = refresh_token(&server.login());
    let got = client.refresh(&server, &old).await.unwrap();
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(got.json()["token_type"], "Bearer");
    assert_eq!(got.json()["expires_in"], 3600);
    let new = got.refresh_token();
    assert!(server.accepts(&new) && !server.accepts(&old));
    let line = &server.ledger().refreshes()[0];
    assert_eq!(line.refresh_token, Some(TokenHash::from(&old)));
    assert_eq!(line.issued_refresh_token, Some(TokenHash::from(&new)));
    assert_eq!(line.issued_access_token, Some(TokenHash::from(&got.access_token())));
    assert_eq!((line.generation, line.in_flight, line.committed, line.delivered), (Some(2), 1, true, true));
    assert_eq!(line.client_authentication, Some(ClientAuthentication::Basic));
    assert_eq!(line.family, server.family_of(old.expose_secret()));
    assert_eq!(line.parameters, [("grant_type".to_owned(), "refresh_token".to_owned())]);
}
