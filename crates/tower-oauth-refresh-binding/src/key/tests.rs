use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
use futures_util::FutureExt as _;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, KeyPair as _, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
};

use super::*;

// Made for these tests by `openssl genpkey`, known to no server.
const ES256_PEM: &str = include_str!("../testdata/es256.pem");
const PS256_PEM: &str = include_str!("../testdata/ps256.pem");
const ED25519_PEM: &str = include_str!("../testdata/ed25519.pem");

/// What the examples of RFC 7515 sign, after the header.
const PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn sign(key: &SigningKey, input: &str) -> Vec<u8> {
    key.sign(input.as_bytes()).now_or_never().unwrap().unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64URL.decode(text).unwrap()
}

/// PKCS#8 in PEM, out of its parts.
fn pem(parts: &[&[u8]]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(parts.concat()))
}

#[test]
fn hs256_signs_the_example_of_rfc_7515_a_1() {
    let secret =
        bytes("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let key = SigningKey::hs256(secret).unwrap();
    let signature = sign(&key, &format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}"));
    assert_eq!(BASE64URL.encode(signature), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

#[test]
fn ed25519_signs_the_example_of_rfc_8037_a_4() {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let seed = bytes("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let key = SigningKey::ed25519_pem(pem(&[&head, &seed])).unwrap();
    let signature = sign(&key, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    let expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(BASE64URL.encode(signature), expected);
}

#[test]
fn es256_signs_with_the_key_of_rfc_7515_a_3_what_its_public_key_verifies() {
    // A version, the two identifiers of a key on P-256, and the private key inside it.
    let head = [
        0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20,
    ];
    let private = bytes("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
    let x = bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let public = [&[4], &*x, &*y].concat();
    let key = SigningKey::es256_pem(pem(&[&head, &private, &[0xa1, 0x44, 3, 0x42, 0], &public])).unwrap();
    let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
    let input = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}");

    let theirs = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    verifier.verify(input.as_bytes(), &bytes(theirs)).expect("the example's own signature");
    let ours = sign(&key, &input);
    verifier.verify(input.as_bytes(), &ours).expect("ours");
    verifier.verify(b"something else", &ours).unwrap_err();
}

#[test]
fn keys_as_openssl_writes_them_are_read_and_their_public_keys_verify() {
    let input = b"to be signed";
    let verified =
        |key: SigningKey| {
            let signature = sign(&key, "to be signed");
            match &key.signer {
                Signer::Es256(key) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key())
                    .verify(input, &signature),
                Signer::Ps256(key) => UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key.public_key())
                    .verify(input, &signature),
                Signer::EdDsa(key) => {
                    UnparsedPublicKey::new(&ED25519, key.public_key()).verify(input, &signature)
                }
                Signer::Hs256(_) | Signer::Elsewhere(..) => unreachable!(),
            }
        };
    verified(SigningKey::es256_pem(ES256_PEM).unwrap()).unwrap();
    verified(SigningKey::ps256_pem(PS256_PEM).unwrap()).unwrap();
    verified(SigningKey::ed25519_pem(ED25519_PEM).unwrap()).unwrap();
}

#[test]
fn a_bad_key_says_what_is_wrong_and_never_what_is_in_it() {
    let relabelled = |label: &str| ES256_PEM.replace("PRIVATE KEY", label);
    let cases = [
        (SigningKey::es256_pem(""), "not a key for ES256: there is no readable `BEGIN PRIVATE KEY` in it"),
        (SigningKey::es256_pem(&ES256_PEM[..90]), "there is no readable"),
        (SigningKey::es256_pem(relabelled("EC PRIVATE KEY")), "openssl pkcs8 -topk8 -nodes"),
        (SigningKey::es256_pem(relabelled("ENCRYPTED PRIVATE KEY")), "it is encrypted"),
        (SigningKey::es256_pem(relabelled("PUBLIC KEY")), "a public key, but no private one"),
        (SigningKey::es256_pem(ED25519_PEM), "not a key for ES256: the key was rejected: "),
        (SigningKey::ed25519_pem(PS256_PEM), "not a key for EdDSA: the key was rejected: "),
        (SigningKey::ps256_pem(ES256_PEM), "not a key for PS256: the key was rejected: "),
        (SigningKey::hs256("hunter2-hunter2"), "not a key for HS256: a secret of 15 bytes"),
    ];
    for (result, expected) in cases {
        let error = result.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(expected), "{said}");
        let shown = format!("{said} {error:?}");
        for secret in ES256_PEM.lines().chain(ED25519_PEM.lines()).chain(PS256_PEM.lines()) {
            assert!(secret.starts_with("--") || !shown.contains(secret), "{shown}");
        }
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_callback_gets_what_is_to_be_signed_and_an_impossible_signature_is_an_error() {
    let key = SigningKey::callback(Algorithm::EdDsa, async |input| {
        assert_eq!(input, b"to be signed");
        Ok(vec![7; 64])
    });
    assert_eq!(sign(&key, "to be signed"), [7; 64]);

    let wrong = [
        (
            Algorithm::Es256,
            71,
            "no signature of ES256 has 71 bytes; wanted are r and s, 32 bytes each, not ASN.1",
        ),
        (Algorithm::EdDsa, 63, "no signature of EdDSA has 63 bytes"),
        (Algorithm::Ps256, 128, "no signature of PS256 has 128 bytes"),
        (Algorithm::Hs256, 0, "no signature of HS256 has 0 bytes"),
    ];
    for (algorithm, length, expected) in wrong {
        let key = SigningKey::callback(algorithm, move |_| std::future::ready(Ok(vec![0; length])));
        let error = key.sign(b"to be signed").now_or_never().unwrap().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn debug_shows_the_algorithm_and_the_key_id_alone() {
    let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
    let shown = format!("{:?}", SigningKey::hs256(secret).unwrap().key_id("k1"));
    assert_eq!(shown, r#"SigningKey { algorithm: Hs256, key_id: Some("k1"), elsewhere: false, .. }"#);
}
