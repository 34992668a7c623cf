//! One server after another, over real HTTP.

use http::StatusCode;
use tower_oauth_refresh::{RefreshToken, TokenSet};

use crate::test_client::TestClient;
use crate::{AuthServer, ResourceServer};

fn refresh_token(tokens: &TokenSet) -> RefreshToken {
    tokens.refresh_token.clone().unwrap()
}

#[tokio::test]
async fn a_server_that_restarts_knows_its_logins_and_no_access_token() {
    let (first, client) = (AuthServer::start().await.unwrap(), TestClient::new());
    let (one, two, ended) = (first.login(), first.login(), first.login());
    first.revoke_family(first.family_of(ended.access_token.expose_secret()).unwrap());
    let newest = client.refresh(&first, &refresh_token(&one)).await.unwrap();
    let saved = first.logins();
    drop(first);

    let second = AuthServer::builder().logins(saved).start().await.unwrap();
    assert!(second.accepts(&newest.refresh_token()) && second.accepts(&refresh_token(&two)));
    assert!(!second.accepts(&refresh_token(&one)), "spent before");
    assert!(!second.accepts(&refresh_token(&ended)), "revoked before");
    let api = ResourceServer::start(&second).await.unwrap();
    assert_eq!(client.get(&api, &newest.access_token()).await.status, StatusCode::UNAUTHORIZED);
    let again = client.refresh(&second, &newest.refresh_token()).await.unwrap();
    assert_eq!(client.get(&api, &again.access_token()).await.json()["generation"], 3);
    let lost = client.refresh(&second, &newest.refresh_token()).await.unwrap();
    assert_eq!(lost.error(), "invalid_grant");
    assert!(!second.accepts(&again.refresh_token()), "reuse is detected as ever");
    assert!(second.accepts(&refresh_token(&two)), "in its own family only");
    let third = second.login();
    assert_ne!(
        second.family_of(third.access_token.expose_secret()),
        second.family_of(refresh_token(&two).expose_secret())
    );
}

#[tokio::test]
async fn saved_logins_that_are_damaged_are_refused() {
    let server = AuthServer::start().await.unwrap();
    let _ = server.login();
    let text = server.logins();
    for damaged in
        [text.replace(' ', ""), text.replacen(' ', " x", 1), text.trim_end()[..text.len() - 2].into()]
    {
        assert!(AuthServer::builder().logins(&damaged).start().await.is_err(), "{damaged:?}");
    }
}
