use http::HeaderValue;

use super::*;

fn read(content_type: &'static str, authorization: Option<&str>, body: &str) -> Form {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(value) = authorization {
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    Form::read(&headers, body.as_bytes())
}

const FORM: &str = "application/x-www-form-urlencoded";

fn client(required: Option<ClientAuthentication>) -> Client {
    Client { id: "my app".to_owned(), secret: "p%w+d:€&=".to_owned(), required }
}

fn basic(user_and_password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(user_and_password))
}

#[test]
fn basic_credentials_are_form_decoded() {
    let good = read(FORM, Some(&basic("my+app:p%25w%2Bd%3A%E2%82%AC%26%3D")), "");
    assert_eq!(good.check(&client(None)), Ok(()));
    let raw = read(FORM, Some(&basic("my app:p%w+d:€&=")), "");
    assert_eq!(raw.check(&client(None)).unwrap_err().code, "invalid_client");
}

#[test]
fn a_secret_with_separators_decodes_whole() {
    assert_eq!(form_decode("a%20b+c&d=e"), "a b c&d=e");
    assert_eq!(form_decode(""), "");
}

#[test]
fn a_header_that_is_no_basic_is_a_failed_attempt() {
    for value in ["Bearer abc", "Basic ???", "Basic", &basic("no colon")] {
        let refusal = read(FORM, Some(value), "").check(&client(None)).unwrap_err();
        assert_eq!((refusal.code, refusal.basic), ("invalid_client", true), "{value}");
    }
}

#[test]
fn a_charset_is_no_other_content_type() {
    let body = "client_id=my+app";
    let public = client(Some(ClientAuthentication::None));
    let with_charset = "application/x-www-form-urlencoded; charset=UTF-8";
    assert_eq!(read(with_charset, None, body).check(&public), Ok(()));
    assert_eq!(read("text/plain", None, body).check(&public).unwrap_err().code, "invalid_request");
}

#[test]
fn only_resource_may_be_repeated() {
    let public = client(Some(ClientAuthentication::None));
    assert_eq!(read(FORM, None, "client_id=my+app&resource=a&resource=b").check(&public), Ok(()));
    let twice = read(FORM, None, "client_id=my+app&client_id=my+app");
    assert_eq!(twice.check(&public).unwrap_err().code, "invalid_request");
}
