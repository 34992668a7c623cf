use http::HeaderValue;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// As numbers, so that nobody changes them by the way.
const LONGEST: usize = 65_536;
const A_YEAR: u64 = 31_536_000;

fn typed(content_type: &'static str, body: &[u8]) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Answer::parse(&headers, body, AnswerDialect::new())
}

fn answer(body: &str) -> Answer {
    Answer::parse(&HeaderMap::new(), body.as_bytes(), AnswerDialect::new())
}

/// A good answer with these members instead of or beside its own.
fn with(members: Value) -> Answer {
    let mut all = json!({ "access_token": "at", "refresh_token": "rt", "token_type": "Bearer" });
    let Value::Object(members) = members else { panic!("an object") };
    for (name, value) in members {
        all[name] = value;
    }
    answer(&all.to_string())
}

fn tokens(answer: Answer) -> TokenSet {
    answer.tokens.expect("a token set")
}

/// The member at fault, and the refresh token that was saved.
fn fault(answer: Answer) -> (String, Option<String>) {
    let unusable = answer.tokens.expect_err("not a token set");
    (unusable.why.to_string(), unusable.refresh_token.map(|token| token.expose_secret().to_owned()))
}

fn saved(fault: &str) -> (String, Option<String>) {
    (fault.to_owned(), Some("rt".to_owned()))
}

fn lost(fault: &str) -> (String, Option<String>) {
    (fault.to_owned(), None)
}

#[test]
fn an_answer_by_the_book_is_a_token_set() {
    let set = tokens(answer(
        r#"{"access_token":"at-1","token_type":"bearer","expires_in":3600,"refresh_token":"rt-1","refresh_in":1800,
            "scope":"a b","id_token":"x.y.z","unknown":{"deep":[1,{}]}}"#,
    ));
    assert_eq!(set.access_token.expose_secret(), "at-1");
    assert_eq!(set.refresh_token.expect("a refresh token").expose_secret(), "rt-1");
    assert_eq!(set.token_type, "Bearer");
    assert_eq!(set.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(set.refresh_in, Some(Duration::from_secs(1800)));
    assert_eq!(set.scope.as_deref(), Some("a b"));
}

#[test]
fn lifetimes_come_in_many_forms() {
    const YEAR: u64 = 31_536_000;
    for (form, seconds) in [
        ("3600", Some(3600)),
        ("\"3600\"", Some(3600)),
        ("\" 3600 \"", Some(3600)),
        ("3600.0", Some(3600)),
        ("3600.9", Some(3600)),
        ("\"3600.5\"", Some(3600)),
        ("1", Some(1)),
        ("0", None),
        ("0.9", None),
        ("-0.0", None),
        ("-1", None),
        ("\"-1\"", None),
        ("\"0\"", None),
        ("null", None),
        ("\"\"", None),
        ("true", None),
        ("\"never\"", None),
        ("\"inf\"", None),
        ("\"NaN\"", None),
        ("[3600]", None),
        ("{}", None),
        ("3600000", Some(3_600_000)),
        ("31536001", Some(YEAR)),
        ("999999999", Some(YEAR)),
        ("1e9", None),
        ("1000000000", None),
        ("1764633600", None),
        ("\"1764633600\"", None),
        ("99999999999999999999", None),
        ("\"99999999999999999999\"", None),
        ("-99999999999999999999", None),
        ("1e300", None),
    ] {
        let set =
            tokens(answer(&format!(r#"{{"access_token":"at","expires_in":{form},"refresh_in":{form}}}"#)));
        assert_eq!(set.expires_in.map(|lifetime| lifetime.as_secs()), seconds, "{form}");
        assert_eq!(set.refresh_in, set.expires_in, "{form}");
    }
    assert_eq!(tokens(answer(r#"{"access_token":"at"}"#)).expires_in, None);
    assert_eq!(
        tokens(typed("text/plain", b"access_token=at&expires_in=60")).expires_in,
        Some(Duration::from_secs(60))
    );
}

#[test]
fn scope_is_a_text_or_a_list() {
    for (given, expected) in [
        (json!("a b"), Some("a b")),
        (json!("a,b"), Some("a,b")),
        (json!(["a", "b"]), Some("a b")),
        (json!(["a", 1, null]), Some("a")),
        (json!([]), None),
        (json!(""), None),
        (json!(" "), None),
        (json!(null), None),
        (json!({}), None),
        (json!(1), None),
    ] {
        assert_eq!(tokens(with(json!({ "scope": given }))).scope.as_deref(), expected, "{given}");
    }
}

#[test]
fn an_absent_refresh_token_has_many_forms() {
    for given in [json!(null), json!(""), json!(false)] {
        assert!(tokens(with(json!({ "refresh_token": given }))).refresh_token.is_none(), "{given}");
    }
    assert!(tokens(answer(r#"{"access_token":"at"}"#)).refresh_token.is_none());
}

#[test]
fn a_refresh_token_is_any_text_of_any_length() {
    let long = "r".repeat(10 * LONGEST);
    for text in ["x y", " ", "ключ\n\u{0}", "null", &long] {
        let set = tokens(with(json!({ "refresh_token": text })));
        assert_eq!(set.refresh_token.expect("kept").expose_secret(), text);
    }
    for given in [json!(7), json!(true), json!(["rt"]), json!({ "token": "rt" })] {
        let fault = fault(with(json!({ "refresh_token": given })));
        assert_eq!(fault, lost("`refresh_token` of the token response cannot be used"));
    }
}

#[test]
fn an_access_token_that_cannot_be_sent_does_not_cost_the_refresh_token() {
    let longest = "a".repeat(LONGEST);
    assert_eq!(tokens(with(json!({ "access_token": longest }))).access_token.expose_secret(), longest);
    let too_long = "a".repeat(LONGEST + 1);
    for given in [
        json!("a b"),
        json!("a\r\nX: y"),
        json!("é"),
        json!("\u{7f}"),
        json!("\u{0}"),
        json!(7),
        json!(["at"]),
        json!(too_long),
    ] {
        assert_eq!(
            fault(with(json!({ "access_token": given }))),
            saved("`access_token` of the token response cannot be used"),
        );
    }
    for given in [json!(null), json!("")] {
        assert_eq!(
            fault(with(json!({ "access_token": given }))),
            saved("`access_token` is missing from the token response")
        );
    }
    assert_eq!(
        fault(answer(r#"{"refresh_token":"rt"}"#)),
        saved("`access_token` is missing from the token response")
    );
}

// 8693-01
#[test]
fn only_a_token_type_that_can_be_presented_is_taken() {
    for (given, expected) in [
        (json!("BEARER"), "Bearer"),
        (json!(" bearer "), "Bearer"),
        (json!("dpop"), "DPoP"),
        (json!(null), "Bearer"),
        (json!(""), "Bearer"),
    ] {
        assert_eq!(tokens(with(json!({ "token_type": given }))).token_type, expected, "{given}");
    }
    for given in [json!("mac"), json!("N_A"), json!("User Access Token"), json!(1), json!({})] {
        assert_eq!(
            fault(with(json!({ "token_type": given }))),
            saved("`token_type` of the token response cannot be used"),
        );
    }
}

#[test]
fn a_member_that_occurs_twice_and_differs_is_not_believed() {
    let twice = |name: &str| format!("`{name}` occurs twice in the token response, with different values");
    let found = fault(answer(r#"{"access_token":"a","refresh_token":"rt","access_token":"b"}"#));
    assert_eq!(found, saved(&twice("access_token")));
    let found = fault(answer(r#"{"access_token":"a","refresh_token":"r","refresh_\u0074oken":"s"}"#));
    assert_eq!(found, lost(&twice("refresh_token")));
    let both = answer(r#"{"access_token":"a","refresh_token":"rt","error":null,"error":"invalid_grant"}"#);
    assert_eq!(both.error, Some(ServerError { code: None }));
    assert_eq!(fault(both), saved(&twice("error")));
    let found = fault(typed("text/plain", b"access_token=a&refresh_token=rt&access_token=b"));
    assert_eq!(found, saved(&twice("access_token")));

    let equal = answer(
        r#"{"access_token":"a","access_token":"a","refresh_token":"r","refresh_token":"r","x":1,"x":2}"#,
    );
    assert_eq!(tokens(equal).access_token.expose_secret(), "a");
    let later = tokens(answer(r#"{"access_token":"a","expires_in":1,"expires_in":2}"#));
    assert_eq!(later.expires_in, Some(Duration::from_secs(2)));
}

#[test]
fn json_is_recognised_by_itself_and_a_form_by_its_content_type() {
    let json = br#"{"access_token":"at"}"#;
    for content_type in ["application/json", "text/html", "application/x-www-form-urlencoded", "text/plain"] {
        assert!(typed(content_type, json).tokens.is_ok(), "{content_type}");
    }
    assert!(answer("\u{feff} \n{\"access_token\":\"at\"} ").tokens.is_ok());
    let form = b"access_token=a%2Bt&token_type=bearer&scope=a+b&refresh_token=r+t\r\n";
    for content_type in ["application/x-www-form-urlencoded", "Text/Plain; charset=UTF-8"] {
        let set = tokens(typed(content_type, form));
        assert_eq!(set.access_token.expose_secret(), "a+t");
        assert_eq!(set.refresh_token.expect("kept").expose_secret(), "r t");
        assert_eq!(set.scope.as_deref(), Some("a b"));
    }
    for content_type in ["application/json", "text/html", ""] {
        assert_eq!(fault(typed(content_type, form)), lost("the token response is not an object of members"));
    }
}

#[test]
fn what_cannot_be_read_is_no_answer_and_no_panic() {
    let deep = "[".repeat(1_000_000);
    let deep_member = format!(r#"{{"access_token":"at","x":{deep}"#);
    let bodies = [
        "",
        " ",
        "null",
        "true",
        "7",
        "\"at\"",
        "[]",
        "[{\"access_token\":\"at\"}]",
        "{",
        "{\"access_token\":\"at\"",
        "{\"access_token\":\"\\ud800\"}",
        "{access_token:at}",
        "<html>",
        &deep,
        &deep_member,
    ];
    for body in bodies {
        for content_type in ["application/json", "text/plain"] {
            assert!(typed(content_type, body.as_bytes()).tokens.is_err(), "{}", &body[..body.len().min(40)]);
        }
    }
    assert!(typed("application/json", b"{\"access_token\":\"\xff\"}").tokens.is_err());
    let cut = typed("text/plain", br#"{"x":"&access_token=at&refresh_token=rt"#);
    assert_eq!(fault(cut), lost("the token response is not an object of members"));
}

#[test]
fn one_unreadable_byte_costs_no_token() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let values: [&[u8]; 7] = [
        br#""J\ud83d""#,
        b"\"M\xfcller\"",
        b"1e400",
        deep.as_bytes(),
        b"\"a\tb\"",
        br#""a\xb""#,
        b"\"a\"b\"",
    ];
    for value in values {
        let body =
            [br#"{"access_token":"at","x":"#, value, br#","refresh_token":"rt"}<!-- notice -->"#].concat();
        let set = tokens(typed("application/json", &body));
        assert_eq!(set.refresh_token.expect("kept").expose_secret(), "rt", "{value:?}");
    }
    let german = b"{\"error\":\"invalid_grant\",\"error_description\":\"ung\xfcltig\"}";
    let error = typed("application/json", german);
    assert_eq!(error.error, Some(ServerError { code: ErrorCode::parse("invalid_grant") }));
    assert_eq!(error.member("error_description").as_deref(), Some("ung\u{fffd}ltig"));
}

#[test]
fn a_token_that_is_not_exactly_what_was_sent_is_none() {
    let refresh_tokens: [&[u8]; 7] =
        [b"\"r\xfft\"", br#""r\ud83dt""#, br#""r"t""#, br#""r\xt""#, br#""r\u12t""#, b"\"rt", b"r\xfft\""];
    for token in refresh_tokens {
        let body = [br#"{"access_token":"at","refresh_token":"#, token, b"}"].concat();
        let unusable = typed("application/json", &body).tokens.expect_err("no token");
        assert!(unusable.refresh_token.is_none(), "{token:?}");
    }
    let tab = tokens(answer("{\"access_token\":\"at\",\"refresh_token\":\"r\tt\"}"));
    assert_eq!(tab.refresh_token.expect("no doubt about it").expose_secret(), "r\tt");
}

#[test]
fn escapes_are_read_also_where_another_member_is_damaged() {
    let spoilt = |token: &str| format!(r#"{{"x":a b,"access_token":"at","refresh_token":"{token}"}}"#);
    let kept =
        |token: &str| tokens(answer(&spoilt(token))).refresh_token.expect("kept").expose_secret().to_owned();
    assert_eq!(kept(r"\ud83d\ude00\ud800\udc00\udbff\udfff"), "\u{1f600}\u{10000}\u{10ffff}");
    assert_eq!(kept(r"a\u00e9\u20ac\/b"), "a\u{e9}\u{20ac}/b");
    let damaged = b"{\"error\":\"invalid_grant\",\"error_description\":\"\\b\\f\\n\\r\\t\\\"\xff\"}";
    let description =
        typed("application/json", damaged).member("error_description").map(|text| text.to_string());
    assert_eq!(description.as_deref(), Some("\u{8}\u{c}\n\r\t\"\u{fffd}"));
}

#[test]
fn a_value_ends_where_it_is_followed_by_what_may_follow() {
    use super::bounds::{Damage, value_end};
    let end = |text: &str| {
        value_end(text.as_bytes(), 0, |text, end| matches!(text.get(end), None | Some(b',' | b'}')))
    };
    for (value, rest) in [
        (r#""a""#, ","),
        (r#""a"b""#, ","),
        (r#""a\"b""#, "}"),
        ("12", ","),
        ("{}", "}"),
        ("[]", ","),
        (r#"[1,{"a":"}"},"]", [ ] ]"#, ","),
        (r#"["\"]"]"#, ","),
        (r#"{"a":"x"y"}"#, r#","b":1}"#),
        (r#"[["a" b"]]"#, ",1"),
    ] {
        assert_eq!(end(&format!("{value}{rest}")), Ok(value.len()), "{value}{rest}");
    }
    for broken in
        [r#""a" "b": 1}"#, "12;", ",", "{};", r#"{"a":"x"y"}"#, r#"{"a":"x"y"};"#, "[,]", r#"{"a" 1}"#]
    {
        assert_eq!(end(broken), Err(Damage::Broken), "{broken}");
    }
    for cut in ["", r#""a"#, "12", "[1", r#"{"a""#, r#"{"a":"b"#] {
        assert_eq!(end(cut), Err(Damage::Cut), "{cut}");
    }
}

#[test]
fn behind_sixteen_damaged_members_the_token_is_found_and_behind_more_it_is_not() {
    let behind = |damaged: usize| {
        format!(r#"{{{}"access_token":"at","refresh_token":"rt"}}"#, r#""x":a b,"#.repeat(damaged))
    };
    assert_eq!(tokens(answer(&behind(16))).refresh_token.expect("kept").expose_secret(), "rt");
    assert!(answer(&behind(17)).tokens.expect_err("not found").refresh_token.is_none());
}

#[test]
fn what_stands_before_damage_is_believed_before_what_stands_behind_it() {
    let set = tokens(answer(
        r#"{"access_token":"at","refresh_token":"rt","expires_in":60,"x":a b,"refresh_token":"other","access_token":"other","expires_in":5}"#,
    ));
    assert_eq!(set.access_token.expose_secret(), "at");
    assert_eq!(set.refresh_token.expect("kept").expose_secret(), "rt");
    assert_eq!(set.expires_in, Some(Duration::from_secs(60)));
    let refused = answer(r#"{"error":"invalid_grant","x":a b,"error":"invalid_client"}"#);
    assert_eq!(refused.error.and_then(|error| error.code), ErrorCode::parse("invalid_grant"));
}

#[test]
fn of_a_form_the_id_token_is_not_kept_and_a_page_is_no_form() {
    let form = "application/x-www-form-urlencoded";
    let kept = typed(form, b"access_token=at&id_token=secret&scope=a");
    assert!(kept.member("id_token").is_none());
    let page = typed(form, b"<a href=?x&access_token=at&refresh_token=rt&y>");
    assert_eq!(fault(page), lost("the token response is not an object of members"));
}

#[test]
fn of_an_answer_that_is_cut_off_the_tokens_that_are_whole_count() {
    let set = tokens(answer(r#"{"access_token":"at","refresh_token":"rt","scope":"a b"#));
    assert_eq!((set.refresh_token.expect("kept").expose_secret(), set.scope), ("rt", None));
    let unreadable = "the token response is not an object of members";
    assert_eq!(fault(answer(r#"{"refresh_token":"rt","access_token":"a"#)), saved(unreadable));
    for cut in [r#"{"access_token":"at""#, r#"{"access_token":"at","expires_in":36"#, r#"{"access_token":"a"#]
    {
        assert_eq!(fault(answer(cut)), lost(unreadable), "a new refresh token may have followed: {cut}");
    }
    let fault = fault(answer(r#"{"access_token":"at","refresh_token":"r"#));
    assert_eq!(fault, lost("`refresh_token` of the token response cannot be used"));
    let code = |body: &str| answer(body).error.and_then(|error| error.code);
    assert_eq!(
        code(r#"{"error":{"code":"invalid_grant","message":"Your to"#),
        ErrorCode::parse("invalid_grant")
    );
    assert_eq!(code(r#"{"error":"invalid_gra"#), None);
    let inner = answer(r#"{"access_token":"at","user":{"refresh_token":"not ours","x":1"#);
    assert!(inner.tokens.expect_err("cut off").refresh_token.is_none());
}

#[test]
fn what_belongs_to_an_inner_object_is_not_taken_for_the_answer_s_own() {
    let set = tokens(answer(
        r#"{"access_token":"at","user":{"access_token":"x","refresh_token":"y","n":"a"b"},"refresh_token":"rt"}"#,
    ));
    assert_eq!(set.access_token.expose_secret(), "at");
    assert_eq!(set.refresh_token.expect("kept").expose_secret(), "rt");
    // The inner object lacks its end, as far as the brackets tell.
    let inner = answer(
        r#"{"access_token":"at","refresh_token":"rt","user":{"n":"a"b{","x":1,"error":"invalid_grant"},"y":2}"#,
    );
    assert_eq!(inner.error, None);
    assert_eq!(tokens(inner).refresh_token.expect("kept").expose_secret(), "rt");
    let first = answer(r#"{"refresh_token":"rt","user":{"id":{"refresh_token":"y"},"access_token":"at"}"#);
    assert_eq!(fault(first), saved("the token response is not an object of members"));
}

#[test]
fn a_mebibyte_that_is_made_to_be_read_often_is_read_to_its_end() {
    for piece in [",\"a\":[", ",\"a\":\"", ",\"a\"", "\" ", "{\"error\":", "[{\"a\":", "\",\"", ", ", "\\\""]
    {
        let body = format!("{{{}", piece.repeat((1 << 20) / piece.len()));
        assert!(answer(&body).tokens.is_err(), "{piece}");
    }
}

#[test]
fn a_form_with_bytes_that_are_no_text_keeps_no_token_with_a_hole() {
    let found = fault(typed("text/plain", b"access_token=at&refresh_token=r%fft"));
    assert_eq!(found, lost("`refresh_token` of the token response cannot be used"));
}

#[test]
fn errors_are_found_where_servers_put_them() {
    let code = |error: Value| answer(&json!({ "error": error }).to_string()).error.map(|error| error.code);
    let named = |code: &str| Some(ErrorCode::parse(code));
    assert_eq!(code(json!("invalid_grant")), named("invalid_grant"));
    assert_eq!(code(json!({ "code": "a_code", "type": "a_type" })), named("a_code"));
    assert_eq!(code(json!({ "code": 401, "type": "a_type" })), named("a_type"));
    assert_eq!(code(json!({ "code": "", "type": "a_type" })), named("a_type"));
    for error in [
        json!("Bad Request"),
        json!(400),
        json!(true),
        json!({ "message": "x" }),
        json!([1]),
        json!({ "type": 1 }),
    ] {
        assert_eq!(code(error.clone()), Some(None), "{error}");
    }
    for nothing in [json!(null), json!(""), json!("  "), json!(false), json!(0), json!({}), json!([])] {
        assert_eq!(code(nothing.clone()), None, "{nothing}");
    }
}

#[test]
fn of_a_long_answer_the_members_with_a_meaning_are_kept() {
    let long = json!({
        "access_token": "at", "refresh_token": "rt", "expires_in": 60, "padding": "x".repeat(70_000), "error": "slow_down",
    });
    let answer = answer(&long.to_string());
    assert_eq!(answer.error, Some(ServerError { code: ErrorCode::parse("slow_down") }));
    assert_eq!(answer.member("expires_in").as_deref(), Some("60"));
    assert_eq!(answer.member("padding"), None);
    assert_eq!(tokens(answer).refresh_token.expect("kept").expose_secret(), "rt");
}

#[test]
fn a_login_made_elsewhere_is_read_by_the_same_rules() {
    #[derive(serde::Serialize)]
    struct Login {
        access_token: &'static str,
        expires_in: &'static str,
        scope: Vec<&'static str>,
    }
    let login = Login { access_token: "at", expires_in: "60.5", scope: vec!["a", "b"] };
    let set = TokenSet::from_response(&login).expect("a token set");
    assert_eq!(set.access_token.expose_secret(), "at");
    assert_eq!(set.expires_in, Some(Duration::from_secs(60)));
    assert_eq!(set.scope.as_deref(), Some("a b"));
    assert_eq!(set.token_type, "Bearer");
}

#[test]
fn a_login_that_cannot_be_used_names_the_member_and_not_its_value() {
    let fault = |login: Value| TokenSet::from_response(&login).expect_err("not a token set");
    let why = fault(json!({ "access_token": "s3cr3t s3cr3t" }));
    assert_eq!(why.member(), Some("access_token"));
    assert!(!format!("{why} {why:?}").contains("s3cr3t"));
    assert_eq!(fault(json!({ "access_token": "at", "error": "invalid_grant" })).member(), Some("error"));
    assert_eq!(fault(json!({ "access_token": "at", "refresh_token": 1 })).member(), Some("refresh_token"));
    assert_eq!(fault(json!("at")).member(), None);
    assert_eq!(fault(json!([])).to_string(), "the token response is not an object of members");

    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("s3cr3t"))
        }
    }
    let why = TokenSet::from_response(&Refuses).expect_err("nothing to read");
    assert!(!format!("{why} {why:?}").contains("s3cr3t"));
}

/// Names and texts of the characters that the syntax is made of.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", "[\"\\\\,:{}\\[\\] \n\t/u0-9]{0,12}", any::<String>()]
}

fn object() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..5).prop_map(|all| all.into_iter().collect()),
        ]
    });
    prop::collection::btree_map(text(), value, 0..6).prop_map(|all| all.into_iter().collect())
}

/// Bytes that the syntax is made of, and others.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let syntax = prop::sample::select(&b"{}[]\",:\\ au0"[..]);
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), prop::collection::vec(syntax, 0..300)]
}

proptest! {
    #[test]
    fn no_body_makes_the_parser_panic(mut body in bytes(), form in any::<bool>(), object in any::<bool>()) {
        if object {
            body.insert(0, b'{');
        }
        let _ = typed(if form { "text/plain" } else { "application/json" }, &body);
    }

    /// Of a valid text nothing else is read than a strict parser reads.
    #[test]
    fn a_valid_object_is_read_as_serde_reads_it(members in object(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&members) } else { serde_json::to_string(&members) };
        let text = text.unwrap();
        let mut object = scan::Object::new(text.as_bytes()).unwrap();
        let mut read = serde_json::Map::new();
        for member in object.by_ref() {
            let (name, exact) = value::string(member.name);
            prop_assert!(exact && member.certain);
            read.insert(name, value::value(member.value.unwrap()).unwrap());
        }
        prop_assert!(object.is_whole());
        prop_assert_eq!(Value::Object(read), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn a_refresh_token_comes_out_as_it_went_in(token in "\\PC{1,40}|.{1,40}") {
        // The sign of a byte that was no text, which a form cannot tell from the real one.
        let token = token.replace('\u{fffd}', "x");
        let from_json = with(json!({ "refresh_token": token }));
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("access_token", "at")
            .append_pair("refresh_token", &token)
            .finish();
        for answer in [from_json, typed("text/plain", form.as_bytes())] {
            let kept = tokens(answer).refresh_token.expect("kept");
            prop_assert_eq!(kept.expose_secret(), token.as_str());
        }
    }

    #[test]
    fn any_lifetime_is_unknown_or_between_a_second_and_a_year(
        member in prop_oneof![
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ +-]?[0-9]{0,25}(\\.[0-9]{0,9})?([eE][+-]?[0-9]{0,3})?[ s]?".prop_map(Value::from),
            prop::sample::select(&["inf", "-inf", "NaN", "nan", "infinity", "1e308", "0x10", ""][..]).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            any::<Option<bool>>().prop_map(Value::from),
        ],
    ) {
        let read = lifetime(&member, AnswerDialect::new());
        prop_assert!(read.is_none_or(|read| (1..=A_YEAR).contains(&read.as_secs())), "{member} is {read:?}");
        let in_an_answer = tokens(with(json!({ "expires_in": member, "refresh_in": member })));
        prop_assert_eq!(in_an_answer.expires_in, read);
        prop_assert_eq!(in_an_answer.refresh_in, read);
    }

    #[test]
    fn a_lifetime_is_read_alike_in_every_form(seconds in 1..ABSOLUTE, fraction in 0..1000_u32) {
        let expected = Some(Duration::from_secs(seconds.min(A_YEAR)));
        for text in [seconds.to_string(), format!("{seconds}.{fraction:03}"), format!(" {seconds}.0 ")] {
            prop_assert_eq!(lifetime(&Value::from(text.as_str()), AnswerDialect::new()), expected, "{}", text);
        }
        prop_assert_eq!(lifetime(&Value::from(seconds), AnswerDialect::new()), expected);
        prop_assert_eq!(lifetime(&Value::from(seconds as f64 + f64::from(fraction) / 1024.0), AnswerDialect::new()), expected);
    }
}

#[test]
fn a_dialect_says_what_would_be_a_guess_otherwise() {
    const THEIRS: AnswerDialect = AnswerDialect::new()
        .names(&[("accessToken", "access_token"), ("refreshToken", "refresh_token"), ("ttl", "expires_in")])
        .bearer_types(&["User Access Token"])
        .lifetimes_in_milliseconds();
    let body = r#"{"accessToken":"at","refreshToken":"rt","ttl":"3600999","token_type":"user access token"}"#;
    let set = tokens(Answer::parse(&HeaderMap::new(), body.as_bytes(), THEIRS));
    assert_eq!(set.access_token.expose_secret(), "at");
    assert_eq!(set.refresh_token.expect("a refresh token").expose_secret(), "rt");
    assert_eq!((set.token_type.as_str(), set.expires_in), ("Bearer", Some(Duration::from_secs(3600))));
    assert!(answer(body).tokens.is_err(), "only where it is spoken");

    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let set = tokens(Answer::parse(&headers, b"accessToken=at&ttl=60000", THEIRS));
    assert_eq!(set.expires_in, Some(Duration::from_secs(60)));
}

#[test]
fn a_token_under_two_names_is_one_token_or_none() {
    const THEIRS: AnswerDialect = AnswerDialect::new().names(&[("token", "access_token")]);
    let read = |body: &str| Answer::parse(&HeaderMap::new(), body.as_bytes(), THEIRS);
    assert!(read(r#"{"token":"at","access_token":"at"}"#).tokens.is_ok());
    assert!(read(r#"{"token":"at","access_token":"other"}"#).tokens.is_err());
    assert_eq!(read(r#"{"token":"at"}"#).member("token"), None, "no token by any name");
    let other = Answer::parse(&HeaderMap::new(), br#"{"access_token":"at","token_type":"mac"}"#, THEIRS);
    assert!(other.tokens.is_err(), "a type that nobody spoke of");
}
