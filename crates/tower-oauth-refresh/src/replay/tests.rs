mod over_hyper;
mod script;
mod splits;
mod threads;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use http_body::{Body as _, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full};

use self::script::{Script, Step, fails, next, rest, trailers};
use super::{NotReplayable, ReplayBody};

const LIMIT: usize = 64;

fn frames(texts: &[&'static str]) -> Vec<Step> {
    texts.iter().map(|text| Step::Data(Bytes::from_static(text.as_bytes()))).collect()
}

// === what is replayed ===

#[test]
fn a_fully_sent_body_is_replayed_byte_for_byte() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["ab", "c", "def"])), LIMIT);
    assert_eq!(rest(&mut first).unwrap(), (b"abcdef".to_vec(), None));
    assert_eq!(rest(&mut replay.again().unwrap().0).unwrap(), (b"abcdef".to_vec(), None));
}

#[test]
fn whether_a_body_can_be_sent_again_is_known_before() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["ab", "cd"])), 3);
    assert!(replay.check().is_ok());
    rest(&mut first).unwrap();
    assert!(replay.check().is_err(), "longer than what is kept");
    let announced = Script::new(frames(&["ab"])).claiming(SizeHint::with_exact(4));
    assert!(ReplayBody::recorded(announced, 3).1.check().is_err());
}

#[test]
fn a_body_is_replayed_whole_after_any_number_of_its_frames() {
    for sent in 0..=3 {
        let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["ab", "c", "def"])), LIMIT);
        for _ in 0..sent {
            assert!(next(&mut first).is_ready());
        }
        let mut second = replay.again().unwrap().0;
        assert_eq!(rest(&mut second).unwrap(), (b"abcdef".to_vec(), None), "after {sent} frames");
    }
}

#[test]
fn trailers_are_replayed_whether_sent_before_or_not() {
    for sent in 0..=3 {
        let steps = frames(&["ab", "c"]).into_iter().chain([Step::Trailers(trailers("t"))]);
        let (mut first, replay) = ReplayBody::recorded(Script::new(steps), LIMIT);
        for _ in 0..sent {
            assert!(next(&mut first).is_ready());
        }
        let mut second = replay.again().unwrap().0;
        assert_eq!(rest(&mut second).unwrap(), (b"abc".to_vec(), Some(trailers("t"))), "after {sent} frames");
    }
}

#[test]
fn trailers_alone_are_replayed() {
    let (mut first, replay) =
        ReplayBody::recorded(Script::<Bytes>::new([Step::Trailers(trailers("t"))]), LIMIT);
    rest(&mut first).unwrap();
    let mut second = replay.again().unwrap().0;
    assert!(!second.is_end_stream());
    assert_eq!(rest(&mut second).unwrap(), (Vec::new(), Some(trailers("t"))));
}

#[test]
fn an_upload_that_waits_goes_on_in_the_replay() {
    let steps = frames(&["ab"]).into_iter().chain([Step::Pending]).chain(frames(&["cd"]));
    let (mut first, replay) = ReplayBody::recorded(Script::new(steps), LIMIT);
    assert!(next(&mut first).is_ready());
    assert!(next(&mut first).is_pending());
    assert_eq!(rest(&mut replay.again().unwrap().0).unwrap().0, b"abcd");
}

#[test]
fn empty_frames_are_passed_on_and_not_kept() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["", "ab", "", "c"])), LIMIT);
    let mut passed = 0;
    while let Poll::Ready(Some(_)) = next(&mut first) {
        passed += 1;
    }
    assert_eq!(passed, 4);
    let mut second = replay.again().unwrap().0;
    assert_eq!(next(&mut second).map(|frame| frame.unwrap().unwrap().into_data().unwrap()), {
        Poll::Ready(Bytes::from_static(b"ab"))
    });
    assert_eq!(rest(&mut second).unwrap().0, b"c");
}

#[test]
fn buffers_other_than_bytes_are_replayed() {
    let chunks = ["ab", "cd", "ef"].map(|text| {
        let (head, tail) = text.as_bytes().split_at(1);
        let mut in_two_pieces = VecDeque::from(tail.to_vec());
        in_two_pieces.push_front(head[0]);
        Step::Data(in_two_pieces)
    });
    for sent in 0..=3 {
        let (mut first, replay) = ReplayBody::recorded(Script::new(chunks.clone()), LIMIT);
        for _ in 0..sent {
            assert!(next(&mut first).is_ready());
        }
        assert_eq!(rest(&mut replay.again().unwrap().0).unwrap().0, b"abcdef");
    }
}

#[test]
fn bytes_are_never_copied() {
    let texts = frames(&["ab", "cd", "ef"]);
    let sent: Vec<*const u8> = texts.iter().map(|step| step.data().as_ptr()).collect();
    let (mut first, replay) = ReplayBody::recorded(Script::new(texts), LIMIT);
    let pointers = |body: &mut ReplayBody<Script>, frames: usize| -> Vec<*const u8> {
        let mut frame = || match next(body) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap().as_ptr(),
            other => panic!("expected data, not {other:?}"),
        };
        (0..frames).map(|_| frame()).collect()
    };
    assert_eq!(pointers(&mut first, 2), sent[..2]);
    assert_eq!(pointers(&mut replay.again().unwrap().0, 3), sent);
}

#[test]
fn a_body_in_one_buffer_is_replayed_from_that_buffer() {
    let bytes = Bytes::from(vec![7; LIMIT]);
    let pointer = bytes.as_ptr();
    let (mut first, replay) = ReplayBody::recorded(Full::new(bytes), LIMIT);
    let mut second = replay.again().unwrap().0;
    for body in [&mut first, &mut second] {
        assert_eq!((body.is_end_stream(), body.size_hint().exact()), (false, Some(64)));
        let Poll::Ready(Some(Ok(frame))) = next(body) else { panic!("no frame") };
        let data = frame.into_data().unwrap();
        assert_eq!((data.as_ptr(), data.len()), (pointer, LIMIT));
        assert_eq!((body.is_end_stream(), body.size_hint().exact()), (true, Some(0)));
        assert!(matches!(next(body), Poll::Ready(None)));
    }
}

#[test]
fn an_empty_body_is_replayed_as_empty() {
    let (first, replay) = ReplayBody::recorded(Empty::<Bytes>::new(), 0);
    for mut body in [first, replay.again().unwrap().0] {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(matches!(next(&mut body), Poll::Ready(None)));
    }
}

#[test]
fn an_ended_body_without_a_length_is_replayed_without_one() {
    let (first, replay) = ReplayBody::recorded(Script::<Bytes>::new([]).ending_early(), LIMIT);
    for body in [first, replay.again().unwrap().0] {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), None);
    }
}

#[test]
fn a_body_is_not_polled_before_somebody_asks_for_it() {
    let script = Script::new(frames(&["ab"])).claiming(SizeHint::with_exact(2));
    let polls = script.polls();
    let (first, replay) = ReplayBody::recorded(script, LIMIT);
    assert_eq!((first.is_end_stream(), first.size_hint().exact()), (false, Some(2)));
    replay.check().unwrap();
    assert_eq!(polls.load(Ordering::Relaxed), 0);
    let second = replay.again().unwrap().0;
    assert_eq!((first.is_end_stream(), second.size_hint().exact()), (false, Some(2)));
    assert_eq!(polls.load(Ordering::Relaxed), 0);
}

// === what is not ===

#[test]
fn a_body_of_exactly_the_limit_is_replayed() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["abc", "de"])), 5);
    rest(&mut first).unwrap();
    assert_eq!(rest(&mut replay.again().unwrap().0).unwrap().0, b"abcde");
}

#[test]
fn one_byte_over_the_limit_is_sent_and_not_replayed() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["abc", "de", "f"])), 5);
    assert_eq!(rest(&mut first).unwrap().0, b"abcdef");
    assert_eq!(replay.again().unwrap_err(), NotReplayable::TooLarge);
}

#[test]
fn trailers_count_towards_the_limit() {
    let steps = || frames(&["abc"]).into_iter().chain([Step::Trailers(trailers("t"))]);
    let size = "abc".len() + "x-end".len() + "t".len();
    let (mut first, replay) = ReplayBody::recorded(Script::new(steps()), size - 1);
    assert_eq!(rest(&mut first).unwrap().1, Some(trailers("t")));
    assert_eq!(replay.again().unwrap_err(), NotReplayable::TooLarge);
    let (mut first, replay) = ReplayBody::recorded(Script::new(steps()), size);
    rest(&mut first).unwrap();
    assert!(replay.again().is_ok());
}

#[test]
fn a_body_that_announces_more_than_the_limit_is_never_recorded() {
    let (counted, live) = counted_frames(3);
    let mut hint = SizeHint::new();
    hint.set_lower(5);
    let (mut first, replay) = ReplayBody::recorded(Script::new(counted).claiming(hint), 4);
    assert!(next(&mut first).is_ready());
    assert_eq!(live.load(Ordering::Relaxed), 2, "the first frame is gone with its reader");
    assert_eq!(replay.again().unwrap_err(), NotReplayable::TooLarge);
    assert_eq!(ReplayBody::recorded(Full::new(Bytes::from("abcde")), 4).1.again().unwrap_err(), {
        NotReplayable::TooLarge
    });
}

#[test]
fn a_replay_over_the_limit_leaves_the_first_copy_alone() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["abc", "de", "f"])), 2);
    assert!(next(&mut first).is_ready());
    replay.again().unwrap_err();
    assert_eq!(rest(&mut first).unwrap().0, b"def");
}

#[test]
fn a_body_that_failed_is_not_replayed() {
    let steps = frames(&["ab"]).into_iter().chain([Step::Fail]);
    let (mut first, replay) = ReplayBody::recorded(Script::new(steps), LIMIT);
    assert_eq!(rest(&mut first).unwrap_err().to_string(), "script failed");
    assert_eq!(replay.again().unwrap_err(), NotReplayable::BodyFailed);
}

#[test]
fn a_body_that_panicked_is_not_replayed() {
    let (mut first, replay) = ReplayBody::recorded(Script::<Bytes>::new([Step::Panic]), LIMIT);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| next(&mut first).is_ready())).unwrap_err();
    assert_eq!(replay.again().unwrap_err(), NotReplayable::BodyFailed);
}

#[test]
fn a_body_that_fails_in_the_replay_fails_there() {
    let steps = frames(&["ab"]).into_iter().chain([Step::Fail]);
    let (mut first, replay) = ReplayBody::recorded(Script::new(steps), LIMIT);
    assert!(next(&mut first).is_ready());
    assert_eq!(rest(&mut replay.again().unwrap().0).unwrap_err().to_string(), "script failed");
}

#[test]
fn frames_after_the_trailers_are_sent_and_not_replayed() {
    for late in [Step::Data(Bytes::from("late")), Step::Trailers(trailers("u"))] {
        let (mut first, replay) =
            ReplayBody::recorded(Script::<Bytes>::new([Step::Trailers(trailers("t")), late]), LIMIT);
        assert!(next(&mut first).is_ready());
        assert!(matches!(next(&mut first), Poll::Ready(Some(Ok(_)))));
        assert_eq!(replay.again().unwrap_err(), NotReplayable::UnknownFrame);
    }
}

// === the first copy ===

#[test]
fn the_first_copy_fails_for_good_once_the_replay_took_over() {
    for sent in 0..=1 {
        let (mut first, replay) =
            ReplayBody::recorded(Script::new(frames(&["ab", "cd"])).claiming(SizeHint::with_exact(4)), LIMIT);
        for _ in 0..sent {
            assert!(next(&mut first).is_ready());
        }
        let mut second = replay.again().unwrap().0;
        for _ in 0..2 {
            assert!(!first.is_end_stream());
            assert_eq!(first.size_hint().exact(), None);
            assert!(fails(&mut first));
        }
        assert_eq!(rest(&mut second).unwrap().0, b"abcd");
        assert!(fails(&mut first), "also after the replay ended");
    }
}

#[test]
fn whoever_waits_for_the_first_copy_is_woken_to_see_it_fail() {
    let (mut first, replay) = ReplayBody::recorded(Script::<Bytes>::new([Step::Pending]), LIMIT);
    let mut upload = tokio_test::task::spawn(first.frame());
    tokio_test::assert_pending!(upload.poll());
    let second = replay.again().unwrap().0;
    assert!(upload.is_woken());
    assert!(tokio_test::assert_ready!(upload.poll()).unwrap().is_err());
    drop(second);
}

#[test]
fn a_first_copy_that_sent_everything_has_nothing_left() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["ab"])), LIMIT);
    rest(&mut first).unwrap();
    let second = replay.again().unwrap();
    assert!(first.is_end_stream());
    assert_eq!(first.size_hint().exact(), Some(0));
    drop(second);
}

#[test]
fn a_first_copy_that_sent_everything_does_not_fail() {
    let scripts = [Script::new(frames(&["ab"])), Script::new(frames(&["ab"])).ending_early()];
    for (script, polls) in scripts.into_iter().zip([2, 1]) {
        let (mut first, replay) = ReplayBody::recorded(script, LIMIT);
        for _ in 0..polls {
            assert!(next(&mut first).is_ready());
        }
        let mut second = replay.again().unwrap().0;
        assert!(first.is_end_stream());
        assert!(matches!(next(&mut first), Poll::Ready(None)));
        assert_eq!(rest(&mut second).unwrap().0, b"ab");
    }
}

#[test]
fn dropping_the_first_copy_early_loses_nothing() {
    for sent in 0..=2 {
        let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["ab", "cd"])), LIMIT);
        for _ in 0..sent {
            assert!(next(&mut first).is_ready());
        }
        drop(first);
        assert_eq!(rest(&mut replay.again().unwrap().0).unwrap().0, b"abcd");
    }
}

#[test]
fn without_a_replay_the_first_copy_streams_to_its_end() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["ab", "cd", "ef"])), LIMIT);
    assert!(next(&mut first).is_ready());
    drop(replay);
    assert_eq!(rest(&mut first).unwrap().0, b"cdef");
}

#[test]
fn a_plain_body_passes_everything() {
    let steps = frames(&["ab"]).into_iter().chain([Step::Pending, Step::Trailers(trailers("t"))]);
    let mut body = ReplayBody::plain(Script::new(steps).claiming(SizeHint::with_exact(2)));
    assert_eq!((body.is_end_stream(), body.size_hint().exact()), (false, Some(2)));
    assert_eq!(rest(&mut body).unwrap(), (b"ab".to_vec(), Some(trailers("t"))));
    let mut body = ReplayBody::plain(Script::<Bytes>::new([Step::Fail]));
    assert_eq!(rest(&mut body).unwrap_err().to_string(), "script failed");
}

#[tokio::test]
async fn known_bytes_are_a_body_of_any_client() {
    let body = ReplayBody::<Empty<Bytes>>::from(Bytes::from("grant_type=refresh_token"));
    assert_eq!(body.size_hint().exact(), Some(24));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "grant_type=refresh_token");
    assert!(ReplayBody::<Empty<Bytes>>::from(Bytes::new()).is_end_stream());
}

// === length and end of stream ===

#[test]
fn an_exact_length_stays_exact_frame_by_frame() {
    let exact = || Script::new(frames(&["ab", "c", "def"])).claiming(SizeHint::with_exact(6));
    let (mut first, replay) = ReplayBody::recorded(exact(), LIMIT);
    assert_eq!(first.size_hint().exact(), Some(6));
    assert!(next(&mut first).is_ready());
    assert!(next(&mut first).is_ready());
    let mut second = replay.again().unwrap().0;
    for left in [6, 4, 3] {
        assert_eq!(second.size_hint().exact(), Some(left));
        assert!(!second.is_end_stream());
        assert!(next(&mut second).is_ready());
    }
    assert_eq!(second.size_hint().exact(), Some(0));
}

#[test]
fn a_body_without_a_length_never_gains_one() {
    let mut bounded = SizeHint::new();
    bounded.set_lower(2);
    bounded.set_upper(6);
    for hint in [SizeHint::new(), bounded] {
        for sent in 0..=4 {
            let script = Script::new(frames(&["ab", "c", "def"])).claiming(hint).exact_at_its_end();
            let (mut first, replay) = ReplayBody::recorded(script, LIMIT);
            for _ in 0..sent {
                assert!(next(&mut first).is_ready());
            }
            let mut second = replay.again().unwrap().0;
            assert_eq!(second.size_hint().lower(), hint.lower());
            assert_eq!(second.size_hint().upper(), hint.upper());
            for _ in 0..3 {
                assert_eq!(second.size_hint().exact(), None);
                assert!(next(&mut second).is_ready());
            }
            assert_eq!(second.size_hint().exact(), None);
        }
    }
}

#[test]
fn the_replay_ends_where_the_first_copy_ended() {
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames(&["ab", "c"])).ending_early(), LIMIT);
    assert!(!first.is_end_stream());
    assert!(next(&mut first).is_ready());
    assert!(!first.is_end_stream());
    assert!(next(&mut first).is_ready());
    assert!(first.is_end_stream());
    let mut second = replay.again().unwrap().0;
    for _ in 0..2 {
        assert!(!second.is_end_stream());
        assert!(next(&mut second).is_ready());
    }
    assert!(second.is_end_stream());
    assert!(matches!(next(&mut second), Poll::Ready(None)));
}

#[test]
fn a_replay_of_another_length_than_announced_fails() {
    for claimed in [5, 7] {
        let steps = || frames(&["abc", "def"]).into_iter();
        let with_trailers = steps().chain([Step::Trailers(trailers("t"))]).collect();
        for steps in [steps().collect::<Vec<_>>(), with_trailers] {
            for sent in 0..=3 {
                let script =
                    Script::new(steps.clone()).claiming(SizeHint::with_exact(claimed)).ending_early();
                let (mut first, replay) = ReplayBody::recorded(script, LIMIT);
                for _ in 0..sent {
                    let _ = next(&mut first);
                }
                let mut second = replay.again().unwrap().0;
                let sent = rest(&mut second);
                assert!(sent.is_err(), "{claimed} announced, {sent:?} sent");
                assert!(!second.is_end_stream(), "asked for more, it must fail again");
                assert!(fails(&mut second));
            }
        }
    }
}

// === what is kept, and for how long ===

#[test]
fn dropping_the_handle_frees_the_frames_while_the_upload_goes_on() {
    let (frames, live) = counted_frames(4);
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames), LIMIT);
    assert!(next(&mut first).is_ready());
    assert!(next(&mut first).is_ready());
    assert_eq!(live.load(Ordering::Relaxed), 4, "two kept, two to come");
    drop(replay);
    assert_eq!(live.load(Ordering::Relaxed), 2);
    assert!(next(&mut first).is_ready());
    assert_eq!(live.load(Ordering::Relaxed), 1, "nothing is recorded any more");
    assert_eq!(format!("{first:?}"), "ReplayBody::Plain", "nor is a lock taken");
}

#[test]
fn frames_are_freed_the_moment_the_limit_is_exceeded() {
    let (frames, live) = counted_frames(4);
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames), 2);
    assert!(next(&mut first).is_ready());
    assert!(next(&mut first).is_ready());
    assert_eq!(live.load(Ordering::Relaxed), 4);
    let over = next(&mut first);
    assert_eq!(live.load(Ordering::Relaxed), 2, "one in hand, one to come");
    drop((over, replay));
}

#[test]
fn the_replay_frees_each_frame_as_it_hands_it_out() {
    let (frames, live) = counted_frames(4);
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames), LIMIT);
    rest(&mut first).unwrap();
    let mut second = replay.again().unwrap().0;
    for left in [3, 2, 1, 0] {
        assert!(next(&mut second).is_ready());
        assert_eq!(live.load(Ordering::Relaxed), left);
    }
}

#[test]
fn dropping_the_replay_frees_everything_though_the_first_copy_lives_on() {
    let (frames, live) = counted_frames(4);
    let (mut first, replay) = ReplayBody::recorded(Script::new(frames), LIMIT);
    assert!(next(&mut first).is_ready());
    drop(replay.again().unwrap().0);
    assert_eq!(live.load(Ordering::Relaxed), 0);
    assert!(fails(&mut first));
}

#[test]
fn debug_shows_no_content() {
    let (first, replay) = ReplayBody::recorded(Script::new(frames(&["canary"])), LIMIT);
    assert_eq!(format!("{first:?} {replay:?}"), "ReplayBody::First Replay::Recorded");
    assert_eq!(format!("{:?}", replay.again().unwrap().0), "ReplayBody::Second");
    let (first, replay) = ReplayBody::recorded(Full::new(Bytes::from("canary")), LIMIT);
    assert_eq!(format!("{first:?} {replay:?}"), "ReplayBody::Plain Replay::Whole");
}

#[test]
fn bodies_that_can_be_sent_to_a_thread_still_can() {
    fn is_send<T: Send + Unpin>(_: &T) {}
    fn is_sync<T: Sync>(_: &T) {}
    // `Cell` makes the buffer `Send` and not `Sync`.
    let (first, replay) = ReplayBody::recorded(Script::<std::io::Cursor<NotSync>>::new([]), LIMIT);
    is_send(&first);
    is_send(&replay);
    let (first, replay) = ReplayBody::recorded(Script::<Bytes>::new([]), LIMIT);
    is_sync(&first);
    is_sync(&replay);
}

#[derive(Debug)]
struct NotSync(std::cell::Cell<u8>);

impl AsRef<[u8]> for NotSync {
    fn as_ref(&self) -> &[u8] {
        let _ = &self.0;
        &[]
    }
}

/// One-byte frames, and how many of them are alive.
fn counted_frames(frames: usize) -> (Vec<Step>, Arc<AtomicUsize>) {
    struct Counted(Arc<AtomicUsize>);
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            b"x"
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let live = Arc::new(AtomicUsize::new(frames));
    let frame = || Step::Data(Bytes::from_owner(Counted(Arc::clone(&live))));
    ((0..frames).map(|_| frame()).collect(), Arc::clone(&live))
}
