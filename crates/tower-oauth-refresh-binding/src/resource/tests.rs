use futures_util::FutureExt as _;
use http_body_util::Full;
use serde_json::json;
use tower::service_fn;

use super::*;

const RESOURCE: &str = "https://resource.example.com";
const URL: &str = "https://resource.example.com/.well-known/oauth-protected-resource";

fn fetch(url: &str, status: u16, document: &str) -> Result<ResourceMetadata, MetadataError> {
    fetch_about(RESOURCE, url, status, document)
}

fn fetch_about(
    resource: &str,
    url: &str,
    status: u16,
    document: &str,
) -> Result<ResourceMetadata, MetadataError> {
    let transport = service_fn(|request: Request<Bytes>| {
        assert_eq!(request.uri(), url);
        let answer = Response::builder().status(status).header("location", "https://evil.example/");
        async { answer.body(Full::<Bytes>::from(document.to_owned())) }
    });
    ResourceMetadata::fetch(&url.parse().unwrap(), resource, transport).now_or_never().unwrap()
}

fn refused(document: &Value) -> String {
    fetch(URL, 200, &document.to_string()).expect_err("no metadata to be used").to_string()
}

// 9728-01
#[test]
fn the_example_of_rfc_9728_3_2_is_read() {
    let document = r#"{
        "resource": "https://resource.example.com",
        "authorization_servers": ["https://as1.example.com", "https://as2.example.net"],
        "bearer_methods_supported": ["header", "body"],
        "scopes_supported": ["profile", "email", "phone"],
        "resource_documentation": "https://resource.example.com/resource_documentation.html"
    }"#;
    let metadata = fetch(URL, 200, document).unwrap();
    assert_eq!(metadata.resource(), RESOURCE);
    assert_eq!(metadata.authorization_servers(), ["https://as1.example.com", "https://as2.example.net"]);
}

// 9728-01
#[test]
fn another_resource_by_as_little_as_a_slash_is_refused() {
    for (other, text) in [
        (
            "https://resource.example.com/",
            "the metadata is about another resource, by its slash at the end alone",
        ),
        ("https://resource.example.com/mcp", "the metadata is about another resource"),
        ("https://RESOURCE.example.com", "the metadata is about another resource"),
    ] {
        assert_eq!(refused(&json!({ "resource": other })), text);
    }
    assert_eq!(refused(&json!({})), "the metadata's resource is missing");
    assert_eq!(refused(&json!({ "resource": 1 })), "the metadata's resource is no text");
}

#[test]
fn authorization_servers_are_issuers_or_there_are_none() {
    let with = |servers: Value| json!({ "resource": RESOURCE, "authorization_servers": servers });
    assert!(fetch(URL, 200, &with(Value::Null).to_string()).unwrap().authorization_servers().is_empty());
    let long = format!("https://as.example/{}", "a".repeat(65_536));
    for (servers, complaint) in [
        (json!("https://as.example"), "is no list"),
        (json!([1]), "has an entry that is no short text"),
        (json!([long]), "has an entry that is no short text"),
        (json!(["https://as.example", "http://as.example"]), "has an entry that is no https URL"),
        (json!(["http://localhost:9000"]), "has an entry that is no https URL"),
        (json!(["https://as.example/?a"]), "has an entry that is no https URL"),
    ] {
        assert_eq!(refused(&with(servers)), format!("the metadata's authorization_servers {complaint}"));
    }
}

#[test]
fn only_a_200_from_an_https_url_is_read_and_no_redirect_followed() {
    let right = json!({ "resource": RESOURCE }).to_string();
    for status in [302, 404, 500] {
        let found = fetch(URL, status, &right);
        assert!(matches!(found, Err(MetadataError::Status(said)) if said == status), "{found:?}");
    }
    let found = fetch("http://resource.example.com/metadata", 200, &right);
    assert!(matches!(found, Err(MetadataError::InvalidUrl)), "{found:?}");
    let found = fetch("http://localhost:9000/metadata", 200, &right);
    assert!(matches!(found, Err(MetadataError::InvalidUrl)), "a remote API names this machine: {found:?}");
}

#[test]
fn an_api_on_this_machine_may_name_plain_http_on_it() {
    let (api, server) = ("http://127.0.0.1:8080", "http://localhost:9000");
    let document = json!({ "resource": api, "authorization_servers": [server] }).to_string();
    let metadata = fetch_about(api, "http://127.0.0.1:8080/metadata", 200, &document).unwrap();
    assert_eq!(metadata.authorization_servers(), [server]);
}
