//! Who may send requests: programs of this machine, and no page in a browser.
//!
//! Every page that somebody opens can make the browser send requests to loopback, and a page whose name was
//! made to point there (DNS rebinding) may even read the answers. Such requests name a foreign `Host`, or say
//! that they come from a page. A GET request of an older browser says neither, but names the browser, and mostly the
//! page (`Referer`): a page can change neither name without asking first (CORS).

use http::request::Parts;
use http::{HeaderName, header};

use crate::refusal::Refusal;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(crate) fn check(request: &Parts, port: u16) -> Result<(), Refusal> {
    // `GET http://elsewhere/`, as to a general proxy; `CONNECT` has no path either.
    if request.uri.authority().is_some() {
        return Err(Refusal::NotAddressedHere);
    }
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let ours = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
    if !ours.iter().any(|ours| host.eq_ignore_ascii_case(ours)) {
        return Err(Refusal::NotAddressedHere);
    }
    let from_page = [header::ORIGIN, FETCH_SITE, header::REFERER];
    let agent = request.headers.get(header::USER_AGENT).map(|agent| agent.as_bytes()).unwrap_or_default();
    // What every browser's name begins with.
    let browser = agent.starts_with(b"Mozilla/") || agent.starts_with(b"Opera/");
    if browser || from_page.iter().any(|name| request.headers.contains_key(name)) {
        Err(Refusal::NotForBrowsers)
    } else {
        Ok(())
    }
}
