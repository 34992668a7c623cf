use http::{Method, Version};

use super::*;
use crate::test_client::{TestClient, bearer};

async fn servers() -> (AuthServer, ResourceServer) {
    let auth = AuthServer::start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    (auth, api)
}

fn challenge(got: &crate::test_client::Got) -> &str {
    got.headers[header::WWW_AUTHENTICATE].to_str().unwrap()
}

#[tokio::test]
async fn a_good_token_gets_a_description_of_the_request() {
    let (auth, api) = servers().await;
    let token = auth.login().access_token;
    for (client, version) in [(TestClient::new(), Version::HTTP_11), (TestClient::http2(), Version::HTTP_2)] {
        let request = Request::put(api.url("/a/b?c=d"))
            .header(header::AUTHORIZATION, bearer(&token))
            .header("x-request-id", format!("{version:?}"));
        let got = client.send(request, "abc").await.unwrap();
        assert_eq!(got.status, StatusCode::OK);
        let echo = got.json();
        assert_eq!(
            (&echo["method"], &echo["path"], &echo["query"]),
            (&json!("PUT"), &json!("/a/b"), &json!("c=d"))
        );
        assert_eq!((&echo["body_length"], &echo["generation"]), (&json!(3), &json!(1)));
        assert_eq!(echo["body_sha256"], hex(&Sha256::digest("abc")));
        assert!(echo["headers"].get("authorization").is_none());
        let line = api.ledger().sends_of(&format!("{version:?}")).remove(0);
        assert_eq!((line.version, line.method, line.accepted), (version, Method::PUT, true));
        assert_eq!(line.token, Some(TokenHash::from(&token)));
        assert_eq!(line.body_len, Some(3));
    }
}
