//! A proof of possession for each request (RFC 9449), beside the signature in it, which nobody can do without.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use http::{Request, Response, header};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use tower::Service;
use tower_oauth_refresh::BoundKey;
use tower_oauth_refresh_binding::{Dpop, DpopKey};

use crate::Failure;
use crate::timing::{cpu, interleaved, ratio};

/// What each comes to, in bare signatures.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Seconds of the signature itself.
    pub signature: f64,
    /// A request with a proof of the client's one key.
    pub one_key: f64,
    /// A request with a proof of the key that is kept with its login.
    pub per_login: f64,
}

/// Answers at once.
#[derive(Clone, Copy, Debug)]
struct Api;

impl Service<Request<()>> for Api {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

type Way = Box<dyn FnMut() -> Result<(), Failure>>;

/// # Errors
///
/// Where a key cannot be made or does not sign.
pub fn cost() -> Result<Cost, Failure> {
    let key = DpopKey::generate()?;
    let mut ways =
        [bare()?, with(&Dpop::new(key.clone()), None)?, with(&Dpop::per_login(), Some(key.bound_key()?))?];
    let mut failed = None;
    let taken = interleaved(&mut ways, 31, |way| {
        let began = cpu();
        for _ in 0..TURN {
            failed = way().err().or(failed.take());
        }
        (cpu() - began).as_secs_f64() / f64::from(TURN)
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let [signature, one_key, per_login] = taken.as_slice() else { return Err("a way is missing".into()) };
    Ok(Cost {
        signature: crate::timing::median(signature.clone()),
        one_key: ratio(one_key, signature),
        per_login: ratio(per_login, signature),
    })
}

fn bare() -> Result<Way, Failure> {
    let random = SystemRandom::new();
    let failed = |_| "ring does not sign";
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random);
    let key = key.map_err(|_| "ring does not read its own key")?;
    // As long as header and claims of a proof are.
    let input = [b'x'; 550];
    Ok(Box::new(move || Ok(key.sign(&random, &input).map(drop).map_err(failed)?)))
}

fn with(dpop: &Dpop, key: Option<BoundKey>) -> Result<Way, Failure> {
    let mut service = dpop.client(Api);
    let mut request = Request::get("https://api.example/v1/orders/42?expand=items");
    request = request.header(header::AUTHORIZATION, format!("DPoP {}", "t".repeat(900)));
    let mut request = request.body(())?;
    key.and_then(|key| request.extensions_mut().insert(key));
    Ok(Box::new(move || {
        let answer = service.call(request.clone()).now_or_never();
        answer.ok_or("the API keeps it waiting")??;
        Ok(())
    }))
}

const TURN: u32 = 200;
