//! A person with a browser, at the example of a web back end: a real Chromium, npm's `oidc-provider`, and the
//! application of `examples/axum-bff` in between.

mod chromium;
mod site;

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::{Value, json};

use self::chromium::Browser;
use self::site::Site;

/// Whoever has this much of a token in hand has seen the token.
const TELLING: usize = 8;

async fn log_in(browser: &Browser, site: &Site) {
    browser.click("#login").await;
    browser.click("#allow").await;
    browser.until("return document.querySelector('#condition')?.textContent === 'valid'").await;
    assert!(browser.script("return location.href").await.as_str().unwrap().starts_with(&site.origin));
}

/// Presses the button, waits for its answer, and returns the lines that were added meanwhile.
async fn press(browser: &Browser, button: &str) -> String {
    let newest = "Number(document.querySelector('#log li span')?.textContent ?? 0)";
    let before = browser.script(&format!("return {newest}")).await;
    browser.click(button).await;
    browser
        .until(&format!("return {newest} > {before} && !document.querySelector({button:?}).disabled"))
        .await;
    let lines = "[...document.querySelectorAll('#log li')].map((line) => [...line.children])";
    let added = format!(
        "return {lines}.filter(([number]) => number.textContent > {before})\
         .map(([, text]) => text.textContent).join('\\n')"
    );
    browser.script(&added).await.as_str().unwrap().to_owned()
}

async fn generation(browser: &Browser) -> String {
    browser.text("#generation").await
}

async fn session_cookie(browser: &Browser) -> Value {
    let cookies = browser.cookies().await;
    cookies.into_iter().find(|cookie| cookie["name"] == "__Host-session").expect("there is a session")
}

async fn refreshes(site: &Site) -> u64 {
    site.provider.counters().await.token_requests.get("refresh_token").copied().unwrap_or(0)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Is a telling piece of any token in there?
fn leaks<'a>(text: &[u8], tokens: &'a [String]) -> Option<&'a str> {
    let seen: std::collections::HashSet<&[u8]> = text.windows(TELLING).collect();
    let leaked = |token: &&String| token.as_bytes().windows(TELLING).any(|piece| seen.contains(piece));
    tokens.iter().find(leaked).map(String::as_str)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_calls_is_revoked_logs_in_again_and_out_and_the_browser_never_has_a_token() {
    let (site, browser) = tokio::join!(Site::start(), Browser::start());
    browser.open(&site.origin).await;
    browser.screenshot("1-sign-in").await;
    log_in(&browser, &site).await;
    assert_eq!(
        (generation(&browser).await.as_str(), browser.text("#subject").await.as_str()),
        ("1", "alice")
    );
    browser.screenshot("2-logged-in").await;
    let mut stored = vec![browser.storage().await];

    ten_calls_across_two_expiries(&browser).await;
    assert_eq!(refreshes(&site).await, 2, "one for each expiry");
    stored.push(browser.storage().await);

    revocation_at_the_provider(&browser, &site).await;
    assert_eq!(refreshes(&site).await, 3, "asked once, and never again");
    stored.push(browser.storage().await);

    // The provider still knows the person.
    browser.click("#ended #login").await;
    browser.until("return document.querySelector('#condition')?.textContent === 'valid'").await;
    assert!(press(&browser, "#call").await.contains("The API answered 200"));
    press(&browser, "#expire").await;
    assert!(press(&browser, "#call").await.contains("The API answered 200"));

    logout(&browser, &site).await;
    stored.push(browser.storage().await);
    nothing_of_a_token_is_in(browser, &site, &stored).await;
}

async fn ten_calls_across_two_expiries(browser: &Browser) {
    for _ in 0..3 {
        assert!(press(browser, "#call").await.contains("The API answered 200"));
    }
    press(browser, "#expire").await;
    browser.until("return document.querySelector('#condition').textContent === 'expired'").await;
    browser.screenshot("3-expired").await;
    let at_once = "return Promise.all([1, 2, 3, 4].map(() => fetch('/call', { method: 'POST' })\
                   .then((answer) => answer.ok))).then((all) => all.every(Boolean))";
    assert_eq!(browser.script(at_once).await, true);
    browser.until("return document.querySelector('#generation').textContent === '2'").await;
    press(browser, "#expire").await;
    for _ in 0..3 {
        assert!(press(browser, "#call").await.contains("The API answered 200"));
    }
    assert_eq!(generation(browser).await, "3");
    browser.screenshot("4-after-ten-calls").await;
}

async fn revocation_at_the_provider(browser: &Browser, site: &Site) {
    assert!(press(browser, "#revoke").await.contains("ended this login"));
    // Tokens that were refreshed a moment ago are not refreshed for a refusal.
    site.clock.advance(Duration::from_secs(10));
    browser.click("#call").await;
    browser.until("return !document.querySelector('#ended').hidden").await;
    browser.until("return document.querySelector('#call').disabled").await;
    assert!(browser.text("#ended").await.contains("A new login is needed"));
    assert!(browser.text("#outcome").await.contains("log in again"));
    browser.screenshot("5-revoked").await;
}

async fn logout(browser: &Browser, site: &Site) {
    let tokens = site.provider.issued().await;
    let refresh_token = tokens.iter().rev().find(|token| !token.contains('.')).unwrap();
    browser.click("#logout").await;
    browser.until("return document.body.innerText.includes('Logged out')").await;
    assert!(browser.text("#note").await.contains("confirmed that it has revoked"));
    browser.screenshot("6-logged-out").await;
    assert!(browser.cookies().await.iter().all(|cookie| cookie["name"] != "__Host-session"));
    let refused = site.provider.refresh("basic", refresh_token).await.unwrap();
    assert_eq!((refused.0, refused.1["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(site.provider.counters().await.reuses, 0, "gone, not used twice");
}

async fn nothing_of_a_token_is_in(browser: Browser, site: &Site, stored: &[String]) {
    let tokens = site.provider.issued().await;
    assert_eq!(tokens.len(), 5 * 3, "of two logins and three refreshes");
    let answers = site.recording();
    assert!(contains(&answers, b"expires_in_ms"), "the answers were recorded");
    assert_eq!(leaks(&answers, &tokens), None);
    for kept in stored {
        assert!(kept.contains("Access token") || kept.contains("Goodbye"), "the page was read");
        assert_eq!(leaks(kept.as_bytes(), &tokens), None, "{kept}");
    }
    let profile = browser.end();
    assert!(contains(&profile, b"127.0.0.1"), "the browser's files were read");
    for token in &tokens {
        assert!(!contains(&profile, token.as_bytes()), "in the browser's files");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_is_this_browsers_alone() {
    let (site, browser) = tokio::join!(Site::start(), Browser::start());
    browser.open(&site.origin).await;
    let planted = json!({ "name": "__Host-session", "value": "planted", "secure": true, "path": "/" });
    browser.plant(planted).await;
    log_in(&browser, &site).await;
    let cookie = session_cookie(&browser).await;
    let session = cookie["value"].as_str().unwrap();
    assert_ne!(session, "planted", "a name that was there before the login becomes nothing");
    assert_eq!(site.press("/call", "planted", Some(&site.origin)).await, StatusCode::UNAUTHORIZED);
    assert_eq!((&cookie["httpOnly"], &cookie["secure"]), (&json!(true), &json!(true)));
    assert_eq!((&cookie["sameSite"], &cookie["path"]), (&json!("Lax"), &json!("/")));
    assert_eq!(browser.script("return document.cookie").await, "", "scripts see no cookie");

    // The same site to the cookie, but another origin: the provider's pages are on another port.
    let before = site.provider.counters().await.api_requests;
    assert_eq!(site.press("/call", session, Some(&site.origin)).await, StatusCode::OK);
    for origin in
        [None, Some("null"), Some("https://evil.example"), Some(site.provider.ready.issuer.as_str())]
    {
        for button in ["/call", "/expire", "/revoke", "/logout"] {
            assert_eq!(
                site.press(button, session, origin).await,
                StatusCode::FORBIDDEN,
                "{origin:?} {button}"
            );
        }
    }
    browser.open(&format!("{}/nothing", site.provider.ready.issuer)).await;
    let url = site.url("/call");
    let forged = format!(
        "return fetch({url:?}, {{ method: 'POST', mode: 'no-cors', credentials: 'include' }})\
         .then((answer) => answer.type)"
    );
    assert_eq!(browser.script(&forged).await, "opaque", "it was sent, and not refused by the browser");
    assert_eq!(site.provider.counters().await.api_requests, before + 1, "only our own origin's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_somebody_elses_login_logs_nobody_in() {
    let (site, browser) = tokio::join!(Site::start(), Browser::start());
    for cookie in ["", "__Host-login=unknown"] {
        let (_, page) = site.send("GET", "/callback?code=c&state=s", &[(header::COOKIE, cookie)]).await;
        assert!(page.contains("not begun in this browser"), "{page}");
    }
    // Begun, and then the answer of another one comes.
    browser.open(&site.url("/login")).await;
    assert!(
        browser.script("return location.href").await.as_str().unwrap().contains("/login/"),
        "still there"
    );
    browser.open(&site.url("/callback?code=c&state=another")).await;
    assert!(browser.text("#note").await.contains("belongs to another login"));
    assert!(browser.cookies().await.iter().all(|cookie| cookie["name"] != "__Host-session"));
    assert_eq!(site.provider.counters().await.token_requests.len(), 0, "the code was not even tried");
}
