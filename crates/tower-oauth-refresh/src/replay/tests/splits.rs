//! Any body, cut into frames anywhere, taken over at any moment, under any limit.

use std::task::Poll;

use bytes::Bytes;
use http_body::{Body as _, SizeHint};
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::script::{Script, Step, fails, next, rest, trailers};
use crate::replay::{NotReplayable, ReplayBody};

proptest! {
    #[test]
    fn a_replay_is_the_very_body_or_refused_with_the_first_copy_unharmed(
        frames in vec((vec(any::<u8>(), 0..12), any::<bool>()), 0..8),
        ends_in_trailers in any::<bool>(),
        announced in any::<bool>(),
        ending_early in any::<bool>(),
        polls in 0..20_usize,
        limit in 0..80_usize,
    ) {
        let data: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame.clone()).collect();
        let end = ends_in_trailers.then(|| trailers("t"));
        let trailer_size = if ends_in_trailers { "x-endt".len() } else { 0 };
        let steps = frames.iter().flat_map(|(frame, waits)| {
            let frame = Step::Data(Bytes::copy_from_slice(frame));
            waits.then_some(Step::Pending).into_iter().chain([frame])
        });
        let mut script = Script::new(steps.chain(end.clone().map(Step::Trailers)));
        if announced {
            script = script.claiming(SizeHint::with_exact(data.len() as u64));
        }
        if ending_early {
            script = script.ending_early();
        }

        let (mut first, replay) = ReplayBody::recorded(script, limit);
        let (mut sent, mut recorded, mut ended) = (Vec::new(), 0, false);
        for _ in 0..polls {
            match next(&mut first) {
                Poll::Pending => {}
                Poll::Ready(None) => { ended = true; break }
                Poll::Ready(Some(frame)) => match frame.unwrap().into_data() {
                    Ok(bytes) => { recorded += bytes.len(); sent.extend_from_slice(&bytes) }
                    Err(_) => recorded += trailer_size,
                },
            }
        }
        let too_large = recorded > limit || (announced && data.len() > limit);

        match replay.again() {
            Ok((mut second, _)) => {
                prop_assert!(!too_large);
                prop_assert_eq!(second.size_hint().exact(), announced.then_some(data.len() as u64));
                prop_assert!(!second.is_end_stream() || (data.is_empty() && end.is_none()));
                if !ended {
                    prop_assert_eq!(fails(&mut first), !first.is_end_stream());
                }
                prop_assert_eq!(rest(&mut second).unwrap(), (data, end));
            }
            Err(reason) => {
                prop_assert!(too_large);
                prop_assert_eq!(reason, NotReplayable::TooLarge);
                if !ended {
                    sent.extend(rest(&mut first).unwrap().0);
                }
                prop_assert_eq!(sent, data);
            }
        }
    }
}
