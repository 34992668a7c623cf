//! Keeps other sites from pressing the buttons (cross-site request forgery).
//!
//! The cookie is `SameSite=Lax`, which leaves out forms that other sites post. That rule counts neighbours
//! under one domain, and every port of one host, as the same site; the `Origin` header, which browsers send
//! with whatever changes something, does not.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{Method, header};

use crate::backend::Backend;
use crate::pages::Refusal;

pub(crate) async fn check(State(backend): State<Arc<Backend>>, request: Request, next: Next) -> Response {
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD);
    let ours = request.headers().get(header::ORIGIN).is_some_and(|origin| *origin == *backend.origin);
    if harmless || ours { next.run(request).await } else { Refusal::ForeignOrigin.into_response() }
}
