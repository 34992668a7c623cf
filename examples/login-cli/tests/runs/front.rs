//! What stands in front of the test kit's authorization server, which knows refresh and revocation only: the two
//! ways to log in, both of a person who always says yes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tower_oauth_refresh_testkit::AuthServer;

type Parameters = HashMap<String, String>;

pub(crate) struct Front {
    auth: Arc<AuthServer>,
    /// By code.
    challenges: Mutex<Parameters>,
    /// Seconds that the access token of a login lives.
    lifetime: u64,
}

impl Front {
    /// The rest is the real one's to answer.
    async fn pass_on(&self, form: &Parameters) -> Response {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(self.auth.token_endpoint())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        client.request(request).await.unwrap().map(Body::new)
    }
}

/// Where it listens.
pub(crate) async fn start(auth: Arc<AuthServer>, lifetime: u64) -> String {
    let front = Arc::new(Front { auth, challenges: Mutex::default(), lifetime });
    let routes = Router::new()
        .route("/authorize", get(authorize))
        .route("/device", post(device))
        .route("/token", post(token))
        .with_state(front);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let serving = async move { axum::serve(listener, routes).await.unwrap() };
    tokio::runtime::Handle::current().spawn(serving);
    origin
}

/// RFC 6749 §4.1.1, with RFC 7636 §4.3.
async fn authorize(State(front): State<Arc<Front>>, Query(asked): Query<Parameters>) -> Redirect {
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    let code = format!("code-{}", asked["state"]);
    front.challenges.lock().unwrap().insert(code.clone(), asked["code_challenge"].clone());
    Redirect::to(&format!("{}?code={code}&state={}", asked["redirect_uri"], asked["state"]))
}

/// RFC 8628 §3.2. The person has said yes before anybody asks.
async fn device() -> Json<Value> {
    Json(json!({
        "device_code": "device-1", "user_code": "WDJB-MJHT", "verification_uri": "https://auth.example/device",
        "expires_in": 600,
    }))
}

async fn token(State(front): State<Arc<Front>>, Form(asked): Form<Parameters>) -> Response {
    let granted = match asked["grant_type"].as_str() {
        "urn:ietf:params:oauth:grant-type:device_code" => asked["device_code"] == "device-1",
        "authorization_code" => {
            let challenge = front.challenges.lock().unwrap().remove(&asked["code"]);
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&asked["code_verifier"]));
            challenge.as_deref() == Some(hash.as_str())
        }
        _ => return front.pass_on(&asked).await,
    };
    if !granted {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    }
    let login = front.auth.login();
    Json(json!({
        "access_token": login.access_token.expose_secret(),
        "refresh_token": login.refresh_token.unwrap().expose_secret(),
        "token_type": "Bearer",
        "expires_in": front.lifetime,
    }))
    .into_response()
}
