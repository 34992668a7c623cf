use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use super::*;

/// A client that tells its name, once it is open.
#[derive(Clone)]
struct Named(&'static str, Arc<AtomicBool>);

impl Named {
    fn open(name: &'static str) -> Self {
        Self(name, Arc::new(AtomicBool::new(true)))
    }
}

impl Service<()> for Named {
    type Response = &'static str;
    type Error = Infallible;
    type Future = Ready<Result<&'static str, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.1.load(Ordering::SeqCst) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0))
    }
}

fn is_ready(service: &mut Replaceable<Named>) -> bool {
    service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn ask(service: &mut Replaceable<Named>) -> &'static str {
    service.call(()).into_inner().unwrap()
}

#[test]
fn requests_go_to_the_newest_whichever_clone_they_are_sent_by() {
    let mut first = Replaceable::new(Named::open("old"));
    let mut second = first.clone();
    assert!(is_ready(&mut first) && is_ready(&mut second));
    assert_eq!(ask(&mut first), "old");
    second.replace(Named::open("new"));
    for service in [&mut first, &mut second] {
        assert!(is_ready(service));
        assert_eq!(ask(service), "new");
    }
}

#[test]
fn a_request_that_had_its_turn_goes_where_that_was() {
    let mut service = Replaceable::new(Named::open("old"));
    assert!(is_ready(&mut service));
    service.replace(Named("new", Arc::default()));
    assert_eq!(ask(&mut service), "old");
    assert!(!is_ready(&mut service), "the new one's turn is another");
}

#[test]
fn whoever_waits_for_the_old_one_goes_to_the_new_one_when_asked_again() {
    let mut service = Replaceable::new(Named("old", Arc::default()));
    assert!(!is_ready(&mut service));
    service.replace(Named::open("new"));
    assert!(is_ready(&mut service));
    assert_eq!(ask(&mut service), "new");
}

#[test]
fn what_was_replaced_is_gone_with_its_last_request() {
    let old = Named::open("old");
    let held = Arc::clone(&old.1);
    let mut service = Replaceable::new(old);
    let mut idle = service.clone();
    assert!(is_ready(&mut idle));
    assert_eq!(ask(&mut idle), "old");
    assert!(is_ready(&mut service));
    service.replace(Named::open("new"));
    assert_eq!(Arc::strong_count(&held), 3, "the test's, and a request's whose turn it is");
    assert_eq!(ask(&mut service), "old");
    assert_eq!(Arc::strong_count(&held), 1, "no clone keeps it that was used once");
}
