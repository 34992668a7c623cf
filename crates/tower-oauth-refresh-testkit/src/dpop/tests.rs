mod servers;

use std::time::Duration;

use http::Request;

use super::nonces::DPOP_NONCE;
use super::*;
use crate::answer::Answer;

/// The proof of RFC 9449 §4.1, but for its last part.
const CLAIMED: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUkl\
    DUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6\
    IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rv\
    a2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ";
/// And its last part.
const SIGNATURE: &str =
    "2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

/// A proof with these parts.
fn forged(header: &str, claims: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", BASE64URL.encode(header), BASE64URL.encode(claims))
}

fn read(method: &str, uri: &str, proofs: &[&str], token: Option<&str>, at: u64) -> Option<Proof> {
    let mut request = Request::builder().method(method).uri(uri);
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
    Proof::of(&parts, token, at, &Nonces::default())
}

#[test]
fn the_proof_of_rfc_9449_4_1_is_what_it_says_and_its_https_is_not_here() {
    let proof = format!("{CLAIMED}.{SIGNATURE}");
    let read = read("POST", "http://server.example.com/token", &[&proof], None, 1_562_262_616).unwrap();
    assert_eq!(read.key.as_deref(), Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"));
    assert_eq!(read.jti, Some(TokenHash::of("-BwC3ESc6acc2lTc")));
    assert_eq!(read.flaw, Some("htu"), "signature and method are right");
}

#[test]
fn each_flaw_is_named() {
    let good = format!("{CLAIMED}.{SIGNATURE}");
    let (header, claims) = CLAIMED.split_once('.').unwrap();
    let header = String::from_utf8(BASE64URL.decode(header).unwrap()).unwrap();
    let claims = String::from_utf8(BASE64URL.decode(claims).unwrap()).unwrap();
    let changed = |from: &str, to: &str| forged(&header.replace(from, to), &claims, SIGNATURE);
    let flaws = [
        (vec!["x".to_owned()], "no JWT"),
        (vec![good.clone(), good.clone()], "more than one header"),
        (vec![changed("dpop+jwt", "JWT")], "typ"),
        (vec![changed("ES256", "EdDSA")], "alg"),
        (vec![changed("P-256", "P-384")], "jwk"),
        (vec![changed("{\"kty\"", "{\"d\":\"AQ\",\"kty\"")], "private key in jwk"),
        (vec![forged(&header, &claims.replace("POST", "GET"), SIGNATURE)], "signature"),
    ];
    for (proofs, flaw) in flaws {
        let proofs: Vec<_> = proofs.iter().map(String::as_str).collect();
        let read = read("POST", "http://server.example.com/token", &proofs, None, 1_562_262_616).unwrap();
        assert_eq!(read.flaw, Some(flaw));
    }
    let method = read("GET", "http://server.example.com/token", &[&good], None, 1_562_262_616).unwrap();
    assert_eq!(method.flaw, Some("htm"));
    assert!(read("POST", "http://server.example.com/token", &[], None, 0).is_none());
}

#[test]
fn what_a_proof_claims_is_held_against_the_request() {
    let parts = Request::post("/x?y").header("host", "127.0.0.1:3000").body(()).unwrap().into_parts().0;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let request = Expected { parts: &parts, access_token: Some("at-1"), now };
    let ath = BASE64URL.encode(Sha256::digest("at-1"));
    let good =
        serde_json::json!({ "htm": "POST", "htu": "http://127.0.0.1:3000/x", "iat": 1060, "ath": ath });
    assert_eq!(request.holds(&good), Ok(()));
    for (name, value) in [
        ("htm", Value::from("post")),
        ("htu", "http://127.0.0.1:3000/x?y".into()),
        ("iat", 1061.into()),
        ("iat", 939.into()),
        ("iat", Value::Null),
        ("ath", "at-1".into()),
        ("ath", Value::Null),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        assert_eq!(request.holds(&bad), Err(name));
    }
}

#[test]
fn a_nonce_is_good_until_the_next_is_demanded_and_answers_carry_it() {
    let nonces = Nonces::default();
    let carried = |answer: &Answer| Some(answer.headers.get(DPOP_NONCE)?.to_str().unwrap().to_owned());
    assert!(nonces.accepts(None) && carried(&nonces.stamp(Answer::html())).is_none());
    nonces.demand();
    let first = carried(&nonces.stamp(Answer::html())).unwrap();
    assert!(nonces.accepts(Some(&first)) && !nonces.accepts(None));
    nonces.demand();
    assert!(!nonces.accepts(Some(&first)) && nonces.issued(&first), "it was its own all the same");

    let scripted = Answer::html().header(DPOP_NONCE, "scripted".parse().unwrap());
    assert_eq!(carried(&nonces.stamp(scripted)).as_deref(), Some("scripted"));
    assert!(nonces.issued("scripted") && !nonces.issued("from elsewhere"));
}
