//! The short way of a request: a valid token, and a glance at the time.

use super::*;

/// Has a glance to offer, and counts the close looks.
#[derive(Debug)]
struct Glancing {
    clock: StepClock,
    looks: AtomicUsize,
}

impl Clock for Glancing {
    fn now(&self) -> Now {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.clock.now()
    }

    fn glance(&self) -> Option<u64> {
        let wall = self.clock.now().wall.duration_since(UNIX_EPOCH).unwrap();
        Some(u64::try_from(wall.as_millis()).unwrap())
    }
}

struct Short {
    world: World,
    clock: Arc<Glancing>,
    slot: Arc<Slot>,
}

impl Short {
    async fn with(lifetime: Duration, adjust: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = StepClock::new();
        let clock = Arc::new(Glancing { clock, looks: AtomicUsize::new(0) });
        let world = World::with(|builder| adjust(builder.clock(clock.clone())));
        world.install(lifetime).await;
        let slot = world.coordinator.slot(&"k".into());
        Self { world, clock, slot }
    }

    /// The header that a request gets, and how often it has looked closely.
    async fn after(&self, pause: u64) -> (Option<String>, usize) {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let before = self.clock.looks.load(Ordering::SeqCst);
        let ready = self.world.coordinator.ready(&self.slot, false);
        let looks = self.clock.looks.load(Ordering::SeqCst) - before;
        (ready.map(|(token, _)| token.header.to_str().unwrap().to_owned()), looks)
    }
}

fn ready(looks: usize) -> (Option<String>, usize) {
    (Some("Bearer access-1".to_owned()), looks)
}

#[tokio::test(start_paused = true)]
async fn the_time_is_looked_at_closely_every_fifty_milliseconds_and_when_the_wall_clock_was_set() {
    let short = Short::with(HOUR, |builder| builder).await;
    assert_eq!(short.after(0).await, ready(1), "nobody has looked before");
    assert_eq!(short.after(0).await, ready(0));
    assert_eq!(short.after(49).await, ready(0));
    assert_eq!(short.after(1).await, ready(1));
    short.clock.clock.wall_ahead.store(-7200, Ordering::SeqCst);
    assert_eq!(short.after(1).await, ready(1));
    assert_eq!(short.after(1).await, ready(0));
    short.clock.clock.wall_ahead.store(7200, Ordering::SeqCst);
    assert_eq!(short.after(1).await, (None, 1), "it has expired");
}

#[tokio::test(start_paused = true)]
async fn near_its_end_every_request_looks_closely_and_none_gets_an_expired_token() {
    // Its last half second is the margin.
    let short = Short::with(SECOND * 10, |builder| builder.refresh_ahead(false)).await;
    assert_eq!(short.after(9500 - 101).await, ready(1));
    assert_eq!(short.after(0).await, ready(0), "a glance that is late will do for a while");
    assert_eq!(short.after(50).await, ready(1));
    assert_eq!(short.after(0).await, ready(1));
    assert_eq!(short.after(50).await, ready(1));
    assert_eq!(short.after(1).await, (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_look_a_tenth_of_a_second_before_the_end_is_not_good_for_another_glance() {
    let short = Short::with(SECOND * 10, |builder| builder.refresh_ahead(false)).await;
    assert_eq!(short.after(9500 - 100).await, ready(1));
    assert_eq!(short.after(0).await, ready(1));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_to_be_refreshed_goes_the_long_way_though_it_can_still_be_used() {
    let short = Short::with(HOUR, |builder| builder).await;
    assert_eq!(short.after(3_540_000).await, (None, 1));
    assert_eq!(short.world.token().await.unwrap(), "access-1");
}

#[tokio::test(start_paused = true)]
async fn requests_take_the_short_way_while_it_is_being_refreshed_and_while_that_rests() {
    let short = Short::with(HOUR, |builder| builder).await;
    let later = Reply::Status(503, "", Some("20"));
    short.world.server.script([Reply::Held(Box::new(later))]);
    assert_eq!(short.after(3_500_000).await, (None, 1));
    assert_eq!(short.world.token().await.unwrap(), "access-1");
    assert_eq!(short.after(1).await, ready(1), "somebody sees to it");
    short.world.server.released.0.add_permits(1);
    assert_eq!(short.after(1000).await, ready(1), "and was told to come back later");
    assert_eq!(short.after(20_000).await, (None, 1));
}

#[tokio::test(start_paused = true)]
async fn the_header_of_one_thread_says_the_same_as_that_of_all() {
    let world = World::new();
    world.install(HOUR).await;
    let slot = world.coordinator.slot(&"k".into());
    let (one, id) = world.coordinator.ready(&slot, false).unwrap();
    let (own, same) = world.coordinator.ready(&slot, true).unwrap();
    let (one, own) = (one.header, own.header);
    assert_eq!((&one, id), (&own, same));
    assert_eq!(one, "Bearer access-1");
    assert!(one.is_sensitive() && own.is_sensitive());
}
