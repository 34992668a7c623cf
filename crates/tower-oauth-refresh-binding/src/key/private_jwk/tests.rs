use futures_util::FutureExt as _;
use proptest::prelude::*;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};

use super::*;

const OCT: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// RFC 7515 A.1.1.
fn oct() -> Value {
    json!({ "kty": "oct", "k": OCT })
}

/// RFC 7515 A.2.1.
fn rsa() -> Value {
    serde_json::from_str(include_str!("../../testdata/rfc7515-a2.json")).unwrap()
}

/// RFC 7515 A.3.1.
fn ec() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    })
}

/// RFC 8037 A.1.
fn okp() -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

/// The private keys of RFC 7517 A.2.
fn rfc_7517_a_2(index: usize) -> Value {
    let set: Value = serde_json::from_str(include_str!("../../testdata/rfc7517-a2.json")).unwrap();
    set["keys"][index].clone()
}

fn with(mut jwk: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

fn read(jwk: &Value) -> Result<SigningKey, InvalidKey> {
    SigningKey::from_jwk(jwk.to_string())
}

fn sign(key: &SigningKey, input: &str) -> Vec<u8> {
    key.sign(input.as_bytes()).now_or_never().unwrap().unwrap()
}

fn decode(jwk: &Value, member: &str) -> Vec<u8> {
    BASE64URL.decode(jwk[member].as_str().unwrap()).unwrap()
}

/// Signs with the private half, and verifies with the public half as the JWK has it.
#[track_caller]
fn assert_signs(jwk: &Value) {
    let signature = sign(&read(jwk).unwrap(), "input");
    let verified = match jwk["kty"].as_str().unwrap() {
        "EC" => {
            let public = [vec![4], decode(jwk, "x"), decode(jwk, "y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(b"input", &signature)
        }
        "OKP" => UnparsedPublicKey::new(&ED25519, decode(jwk, "x")).verify(b"input", &signature),
        "RSA" => RsaPublicKeyComponents { n: decode(jwk, "n"), e: decode(jwk, "e") }.verify(
            &RSA_PSS_2048_8192_SHA256,
            b"input",
            &signature,
        ),
        other => unreachable!("{other} has no public half"),
    };
    verified.expect("the signature is the key's");
}

// FAPI-06
#[test]
fn the_keys_of_rfc_7515_a_and_rfc_8037_a_1_sign() {
    for jwk in [rsa(), ec(), okp()] {
        assert_signs(&jwk);
    }
}

#[test]
fn the_keys_of_rfc_7517_a_2_sign_once_they_do_not_say_that_they_are_for_something_else() {
    let (ec, rsa) = (rfc_7517_a_2(0), rfc_7517_a_2(1));
    assert_eq!(refused(&ec), "its use or key_ops is not to sign");
    assert_eq!(refused(&rsa), "its alg is not PS256");
    let (ec, rsa) = (with(ec, &json!({ "use": "sig" })), with(rsa, &json!({ "alg": "PS256" })));
    assert_signs(&ec);
    assert_signs(&rsa);
    assert_eq!(read(&ec).unwrap().kid(), Some("1"));
    assert_eq!(read(&rsa).unwrap().kid(), Some("2011-04-29"));
}

#[test]
fn the_secret_of_rfc_7517_a_3_signs_the_example_of_rfc_7515_a_1() {
    let kid = "HMAC key used in JWS spec Appendix A.1 example";
    let key = read(&with(oct(), &json!({ "kid": kid }))).unwrap();
    assert_eq!(key.kid(), Some(kid));
    let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    assert_eq!(BASE64URL.encode(sign(&key, input)), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(
        refused(&json!({ "kty": "oct", "alg": "A128KW", "k": "GawgguFyGrWKav7AX4VKUg" })),
        "for HS256: a secret of 16 bytes, where at least 32 are required"
    );
    assert_eq!(refused(&with(oct(), &json!({ "alg": "A128KW" }))), "its alg is not HS256");
}

#[test]
fn a_key_that_is_for_this_says_so_or_nothing() {
    for (jwk, alg) in [(oct(), "HS256"), (rsa(), "PS256"), (ec(), "ES256"), (okp(), "EdDSA")] {
        let said =
            json!({ "alg": alg, "use": "sig", "key_ops": ["verify", "sign"], "kid": "k\"1", "unknown": {} });
        let key = read(&with(jwk.clone(), &said)).unwrap();
        assert_eq!((key.algorithm().name(), key.kid()), (alg, Some("k\"1")));
        assert_eq!(read(&jwk).unwrap().kid(), None);
        for other in ["none", "RS256", "ES384", "Ed25519", "HS512"] {
            assert_eq!(
                refused(&with(jwk.clone(), &json!({ "alg": other }))),
                format!("its alg is not {alg}")
            );
        }
        for other in [json!({ "use": "enc" }), json!({ "key_ops": ["verify"] }), json!({ "key_ops": [] })] {
            assert_eq!(refused(&with(jwk.clone(), &other)), "its use or key_ops is not to sign");
        }
    }
}

#[track_caller]
fn refused(jwk: &Value) -> String {
    let error = read(jwk).expect_err("no key to sign with");
    let text = error.to_string();
    text.strip_prefix("not a key ")
        .expect("the error begins so")
        .trim_start_matches("to sign with: ")
        .to_owned()
}

#[test]
fn a_key_of_another_kind_is_refused() {
    for (jwk, complaint) in [
        (json!({}), "it has no kty"),
        (json!({ "kty": "ec" }), "its kty is none of EC, RSA, OKP and oct"),
        (json!({ "kty": "AKP" }), "its kty is none of EC, RSA, OKP and oct"),
        (json!({ "keys": [ec()] }), "it is a set of keys; take one out of it"),
        (with(ec(), &json!({ "crv": "P-384" })), "its crv is not P-256"),
        (with(ec(), &json!({ "crv": null })), "its crv is not P-256"),
        (with(okp(), &json!({ "crv": "X25519" })), "its crv is not Ed25519"),
        (with(rsa(), &json!({ "oth": [] })), "it has more than two primes"),
        (with(oct(), &json!({ "k": null })), "it has no k"),
        (with(rsa(), &json!({ "qi": null })), "it has no qi"),
        (with(ec(), &json!({ "d": null })), "there is a public key, but no private one"),
        (with(okp(), &json!({ "d": null })), "there is a public key, but no private one"),
        (with(rsa(), &json!({ "d": null })), "there is a public key, but no private one"),
    ] {
        assert_eq!(refused(&jwk), complaint);
    }
}

#[test]
fn a_key_that_contradicts_itself_or_is_cut_is_refused() {
    let other = |member: &str| rfc_7517_a_2(usize::from(member == "n"))[member].clone();
    for (jwk, complaint) in [
        (with(ec(), &json!({ "x": other("x") })), "the key was rejected: "),
        (with(ec(), &json!({ "x": other("x"), "y": other("y") })), "the key was rejected: "),
        (with(okp(), &json!({ "x": other("x") })), "the key was rejected: "),
        (with(rsa(), &json!({ "n": other("n") })), "the key was rejected: "),
        (with(rsa(), &json!({ "e": "Aw" })), "the key was rejected: "),
        (with(rsa(), &json!({ "e": "AQAF" })), "the key contradicts itself"),
        (with(ec(), &json!({ "d": "AQ" })), "its d is not 32 bytes long"),
        (with(ec(), &json!({ "y": "" })), "its y is not 32 bytes long"),
        (with(okp(), &json!({ "x": "AAAA" })), "its x is not 32 bytes long"),
        (
            with(okp(), &json!({ "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=" })),
            "its d is no base64url",
        ),
        (
            with(okp(), &json!({ "d": "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" })),
            "its d is no base64url",
        ),
        (with(oct(), &json!({ "k": "\n" })), "it is no JSON object with each member once, in plain text"),
        (with(oct(), &json!({ "k": 5 })), "it is no JSON object with each member once, in plain text"),
    ] {
        let refused = refused(&jwk);
        assert!(refused.starts_with(complaint), "{refused}");
    }
}

#[test]
fn what_is_no_jwk_is_refused_without_a_word_of_it() {
    let twice = r#"{"kty": "oct", "k": "hunter2", "k": "hunter2"}"#;
    for text in
        ["", "hunter2", "[\"hunter2\"]", "{", "\"hunter2\"", twice, r#"{"kty": "oct", "k": ["hunter2"]}"#]
    {
        let error = SigningKey::from_jwk(text).expect_err(text);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("no JSON object") && !shown.contains("hunter2"), "{shown}");
    }
    let error = SigningKey::from_jwk(b"\xff\xfe").expect_err("no text");
    assert!(error.to_string().contains("no JSON object"));
}

#[test]
fn debug_shows_no_key() {
    for jwk in [oct(), rsa(), ec(), okp()] {
        let shown = format!("{:?}", read(&jwk).unwrap());
        let secret = jwk["d"].as_str().or(jwk["k"].as_str()).unwrap();
        assert!(!shown.contains(&secret[..8]), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_a_key_that_is_taken_signs(
        jwk in prop::sample::select(vec![oct(), rsa(), ec(), okp()]),
        member in prop::sample::select(vec!["kty", "crv", "k", "d", "x", "y", "n", "e", "p", "qi", "alg", "kid", "key_ops"]),
        value in prop_oneof![
            4 => "[A-Za-z0-9_-]{0,44}".prop_map(Value::from),
            1 => any::<String>().prop_map(Value::from),
            1 => prop::sample::select(vec![json!(null), json!(1), json!(["sign"]), json!("EC"), json!("oct")]),
        ],
        cut in prop::option::weighted(0.1, 0..400_usize),
    ) {
        let mut text = with(jwk, &json!({ member: value })).to_string().into_bytes();
        text.truncate(cut.unwrap_or(usize::MAX));
        if let Ok(key) = SigningKey::from_jwk(&text) {
            prop_assert!(key.sign(b"input").now_or_never().unwrap().is_ok());
        }
    }
}
