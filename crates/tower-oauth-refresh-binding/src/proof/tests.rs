use std::collections::HashSet;
use std::time::Duration;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

use super::*;
use crate::Algorithm;

const ES256_PEM: &str = include_str!("../testdata/es256.pem");
const PS256_PEM: &str = include_str!("../testdata/ps256.pem");
const ED25519_PEM: &str = include_str!("../testdata/ed25519.pem");

fn part(jwt: &str, index: usize) -> Value {
    serde_json::from_slice(&bytes(jwt.split('.').nth(index).unwrap())).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64URL.decode(text).unwrap()
}

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    bytes(jwk[name].as_str().unwrap())
}

/// Does the signature fit the public key that the proof itself carries?
fn is_proved(jwt: &str) -> bool {
    let (input, signature) = jwt.rsplit_once('.').unwrap();
    let (input, signature) = (input.as_bytes(), bytes(signature));
    let header = part(jwt, 0);
    let jwk = &header["jwk"];
    let verified = match header["alg"].as_str().unwrap() {
        "ES256" => {
            let point = [vec![4], member(jwk, "x"), member(jwk, "y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(input, &signature)
        }
        "EdDSA" => UnparsedPublicKey::new(&ED25519, member(jwk, "x")).verify(input, &signature),
        "PS256" => RsaPublicKeyComponents { n: member(jwk, "n"), e: member(jwk, "e") }.verify(
            &RSA_PSS_2048_8192_SHA256,
            input,
            &signature,
        ),
        other => panic!("{other}"),
    };
    verified.is_ok()
}

struct Request {
    method: Method,
    uri: Uri,
    at: u64,
}

fn request(method: &str, uri: &str, at: u64) -> Request {
    Request { method: method.parse().unwrap(), uri: uri.parse().unwrap(), at }
}

fn about(request: &Request) -> About<'_> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(request.at);
    About { method: &request.method, uri: &request.uri, access_token: None, nonce: None, at }
}

fn prove(key: &DpopKey, about: &About<'_>) -> String {
    key.prove(about).unwrap().to_str().unwrap().to_owned()
}

/// The same claims, but for `jti`, which both have.
#[track_caller]
fn assert_same_claims(ours: &str, theirs: &str) {
    let (mut ours, mut theirs) = (part(ours, 1), part(theirs, 1));
    for claims in [&mut ours, &mut theirs] {
        assert!(claims.as_object_mut().unwrap().remove("jti").unwrap().is_string());
    }
    assert_eq!(ours, theirs);
}

/// 9449-04: the proof of RFC 9449 §4.1.
const AT_TOKEN_ENDPOINT: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtM\
    zR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQS\
    IsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbG\
    UuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK7\
    0nfbV37xRZT3Lg";

/// 9449-04: the proof of RFC 9449 §7.1.
const AT_RESOURCE: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0Vj\
    NoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImN\
    ydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9\
    yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtz\
    bVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";

#[test]
fn a_proof_for_the_token_endpoint_claims_what_the_example_of_rfc_9449_4_1_does() {
    assert!(is_proved(AT_TOKEN_ENDPOINT), "the example itself");
    let request = request("POST", "https://server.example.com/token", 1_562_262_616);
    let ours = prove(&DpopKey::generate().unwrap(), &about(&request));
    assert!(is_proved(&ours));
    assert_same_claims(&ours, AT_TOKEN_ENDPOINT);
    let names = |jwt: &str| part(jwt, 0).as_object().unwrap().keys().cloned().collect::<HashSet<_>>();
    assert_eq!(names(&ours), names(AT_TOKEN_ENDPOINT));
    assert_eq!(part(&ours, 0)["typ"], part(AT_TOKEN_ENDPOINT, 0)["typ"]);
    assert_eq!(bytes(part(&ours, 1)["jti"].as_str().unwrap()).len(), 16);
}

#[test]
fn a_proof_for_an_api_claims_what_the_example_of_rfc_9449_7_1_does_ath_included() {
    assert!(is_proved(AT_RESOURCE), "the example itself");
    let request = request("GET", "https://resource.example.org/protectedresource", 1_562_262_618);
    let token = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let about = About { access_token: Some(token), ..about(&request) };
    let ours = prove(&DpopKey::generate().unwrap(), &about);
    assert!(is_proved(&ours));
    assert_same_claims(&ours, AT_RESOURCE);
    assert_eq!(part(&ours, 1)["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
}

#[test]
fn a_proof_carries_the_nonce_as_that_of_rfc_9449_8_does() {
    let request = request("POST", "https://server.example.com/token", 1_562_265_296);
    let about = About { nonce: Some("eyJ7S_zG.eyJH0-Z.HX4w-7v"), ..about(&request) };
    let claims = part(&prove(&DpopKey::generate().unwrap(), &about), 1);
    assert_eq!(claims["nonce"], "eyJ7S_zG.eyJH0-Z.HX4w-7v");
}

#[test]
fn every_asymmetric_key_proves_with_its_public_half_alone() {
    let keys = [
        (SigningKey::es256_pem(ES256_PEM).unwrap(), "ES256", &["crv", "kty", "x", "y"][..]),
        (SigningKey::ed25519_pem(ED25519_PEM).unwrap(), "EdDSA", &["crv", "kty", "x"]),
        (SigningKey::ps256_pem(PS256_PEM).unwrap(), "PS256", &["e", "kty", "n"]),
    ];
    let request = request("GET", "https://api.example/", 0);
    for (key, algorithm, members) in keys {
        let proof = prove(&DpopKey::new(key.key_id("k1")).unwrap(), &about(&request));
        assert!(is_proved(&proof), "{algorithm}");
        let header = part(&proof, 0);
        assert_eq!(header["alg"], algorithm);
        assert!(header.get("kid").is_none());
        let names: Vec<_> = header["jwk"].as_object().unwrap().keys().collect();
        assert_eq!(names, members);
    }
}

#[test]
fn a_key_without_a_public_half_is_refused() {
    let secret = SigningKey::hs256("hunter2-hunter2-hunter2-hunter2-hunter2").unwrap();
    let error = DpopKey::new(secret).unwrap_err().to_string();
    assert_eq!(error, "not a key for DPoP: a shared secret has no public key");
    let elsewhere = SigningKey::callback(Algorithm::Es256, async |_| Ok(vec![7; 64]));
    let error = DpopKey::new(elsewhere).unwrap_err().to_string();
    assert!(error.contains("its public key is not known"), "{error}");
}

#[test]
fn of_ten_thousand_proofs_no_two_have_the_same_jti() {
    let key = DpopKey::new(SigningKey::ed25519_pem(ED25519_PEM).unwrap()).unwrap();
    let request = request("GET", "https://api.example/", 0);
    let jti = |_| part(&prove(&key, &about(&request)), 1)["jti"].as_str().unwrap().to_owned();
    assert_eq!((0..10_000).map(jti).collect::<HashSet<_>>().len(), 10_000);
}

#[test]
fn the_target_is_normalised_as_far_as_the_wire_does_and_has_no_query() {
    let targets = [
        ("https://api.example/a/b?c=d", "https://api.example/a/b"),
        ("HTTPS://API.Example:443/A%2fb/../c", "https://api.example/A%2fb/../c"),
        ("https://api.example", "https://api.example/"),
        ("https://api.example?c=d", "https://api.example/"),
        ("https://api.example:8443/", "https://api.example:8443/"),
        ("https://user@api.example/", "https://api.example/"),
        ("http://127.0.0.1:80/x", "http://127.0.0.1/x"),
        ("http://[::1]:3000/x", "http://[::1]:3000/x"),
    ];
    for (uri, expected) in targets {
        assert_eq!(target(&uri.parse().unwrap()).as_deref(), Some(expected), "{uri}");
    }
    for uri in ["/relative", "*", "api.example:443", "ftp://api.example/"] {
        assert_eq!(target(&uri.parse().unwrap()), None, "{uri}");
    }
}

#[test]
fn a_key_that_was_kept_with_a_login_is_the_same_key() {
    let key = DpopKey::generate().unwrap();
    let again = DpopKey::try_from(key.bound_key().unwrap()).unwrap();
    assert_eq!(again.thumbprint(), key.thumbprint());
    assert!(again.bound_key().is_ok());
    let kept_elsewhere = DpopKey::new(SigningKey::es256_pem(ES256_PEM).unwrap()).unwrap();
    let error = kept_elsewhere.bound_key().unwrap_err().to_string();
    assert_eq!(error, "not a key to keep with a login: it stays where it came from");
    let error = DpopKey::try_from(BoundKey::new(*b"hunter2-hunter2")).unwrap_err();
    assert!(error.to_string().starts_with("not a key for ES256: the key was rejected"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn every_generated_key_is_another() {
    let (one, other) = (DpopKey::generate().unwrap(), DpopKey::generate().unwrap());
    assert_ne!(one.thumbprint(), other.thumbprint());
}

#[test]
fn neither_a_key_nor_a_proof_is_shown() {
    let key = DpopKey::generate().unwrap();
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("DpopKey {{ thumbprint: {:?}, .. }}", key.thumbprint()));
    let proof = key.prove(&about(&request("GET", "https://api.example/", 0))).unwrap();
    assert!(proof.is_sensitive() && !format!("{proof:?}").contains("eyJ"));
}
