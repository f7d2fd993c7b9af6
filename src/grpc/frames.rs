//! The heads of HTTP/2 frames as they come in, and how many of them carry nothing.
//!
//! hyper answers a PING, acknowledges SETTINGS and skips what it does not know, however often that
//! comes. What it limits is calls that are taken back before they are looked at, and so few of them
//! that a gateway whose callers hang up together would be cut; here they are limited over time. A peer that sends such frames without
//! end makes work for nothing and is cut off. What an honest client sends of them goes with its
//! calls: a window that grows, an acknowledgement, now and then a PING.

use std::time::Duration;

use tokio::time::Instant;

/// The length of the fixed text that every HTTP/2 client sends first.
const PREFACE_BYTES: usize = 24;
/// The length of a frame's head, of which the first three bytes are the length of the rest.
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// What the head of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    kind: u8,
    bytes: usize,
}

/// Follows frames through the bytes of a connection, however they are cut.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that belong to something else than a head and still have to come.
    skip: usize,
    head: [u8; HEAD_BYTES],
    have: usize,
    /// Frames that are whole.
    whole: u64,
    inside: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            have: 0,
            whole: 0,
            inside: false,
        }
    }
}

impl Frames {
    /// Takes the next bytes; what begins in them is told.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut told: impl FnMut(Head)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if self.skip == 0 && self.inside {
                self.inside = false;
                self.whole += 1;
            }
            if self.have == 0
                && let Some((head, rest)) = bytes.split_first_chunk()
            {
                // as nearly all come
                self.begin(*head, &mut told);
                bytes = rest;
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            bytes = rest;
            if self.have == HEAD_BYTES {
                self.begin(self.head, &mut told);
            }
        }
    }

    fn begin(&mut self, head: [u8; HEAD_BYTES], mut told: impl FnMut(Head)) {
        let [first, second, third, kind, ..] = head;
        let bytes = usize::from(first) << 16 | usize::from(second) << 8 | usize::from(third);
        told(Head { kind, bytes });
        self.skip = bytes;
        self.have = 0;
        self.inside = true;
    }

    /// Whether the first frame, which has to be SETTINGS, has come to its end.
    pub(super) fn first_is_whole(&self) -> bool {
        self.whole > 0
    }
}

/// How many frames that carry nothing a peer may still send.
#[derive(Debug)]
pub(super) struct Patience {
    left: u32,
    since: Instant,
}

impl Patience {
    /// What a peer may send before it has made a call, and at most save up.
    const MOST: u32 = 1000;
    /// What each call adds: windows, and an acknowledgement.
    const PER_CALL: u32 = 8;
    /// What each second adds.
    const PER_SECOND: f64 = 100.0;
    /// DATA shorter than this is worth less than its own head.
    const TINY_BYTES: usize = HEAD_BYTES;

    pub(super) fn new() -> Self {
        Self {
            left: Self::MOST,
            since: Instant::now(),
        }
    }

    /// Weighs a frame; false when the peer has sent too many.
    pub(super) fn weigh(&mut self, head: Head) -> bool {
        match head.kind {
            HEADERS => self.left = (self.left + Self::PER_CALL).min(Self::MOST),
            DATA if head.bytes >= Self::TINY_BYTES => {}
            kind => {
                // a call that is taken back adds nothing
                let cost = 1 + if kind == RST_STREAM {
                    Self::PER_CALL
                } else {
                    0
                };
                if self.left < cost {
                    self.refill();
                }
                let Some(left) = self.left.checked_sub(cost) else {
                    return false;
                };
                self.left = left;
            }
        }
        true
    }

    /// Looks at the clock only when next to nothing is left, which an honest peer does not come to.
    fn refill(&mut self) {
        let now = Instant::now();
        let seconds = now
            .duration_since(self.since)
            .min(Duration::from_secs(3600));
        let gained = seconds.as_secs_f64() * Self::PER_SECOND;
        if gained >= 1.0 {
            self.since = now;
            // at most 360,000, and so a whole number that fits
            self.left = (self.left + gained as u32).min(Self::MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![
            0,
            (payload / 256) as u8,
            (payload % 256) as u8,
            kind,
            0,
            0,
            0,
            0,
            0,
        ];
        bytes.extend(std::iter::repeat_n(7, payload));
        bytes
    }

    proptest! {
        #[test]
        fn every_frame_is_told_however_it_is_cut(
            frames in proptest::collection::vec((0_u8..12, 0_usize..600), 1..20), piece in 1_usize..64
        ) {
            let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            for (kind, payload) in &frames {
                bytes.extend(frame(*kind, *payload));
            }
            let mut follower = Frames::default();
            let mut told = Vec::new();
            for part in bytes.chunks(piece) {
                follower.take(part, |head| told.push((head.kind, head.bytes)));
            }
            prop_assert_eq!(told, frames);
        }

        #[test]
        fn the_first_is_whole_with_its_last_byte(payload in 0_usize..300, piece in 1_usize..64) {
            let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            bytes.extend(frame(4, payload));
            let (last, rest) = bytes.split_last().ok_or(TestCaseError::fail("never empty"))?;
            let mut follower = Frames::default();
            for part in rest.chunks(piece) {
                follower.take(part, |_| {});
                prop_assert!(!follower.first_is_whole());
            }
            follower.take(&[*last], |_| {});
            prop_assert!(follower.first_is_whole());
        }
    }

    const PING: Head = Head { kind: 6, bytes: 8 };

    #[rstest]
    #[case::ping(PING)]
    #[case::settings(Head { kind: 4, bytes: 0 })]
    #[case::empty_data(Head { kind: 0, bytes: 0 })]
    #[case::tiny_data(Head { kind: 0, bytes: 1 })]
    #[case::window(Head { kind: 8, bytes: 4 })]
    #[case::unknown(Head { kind: 0xfa, bytes: 6 })]
    #[tokio::test(start_paused = true)]
    async fn who_only_makes_work_is_cut_off(#[case] head: Head) {
        let mut patience = Patience::new();
        let taken = (0..5000).take_while(|_| patience.weigh(head)).count();
        assert_eq!(taken, 1000);
        tokio::time::advance(Duration::from_secs(2)).await;
        let taken = (0..5000).take_while(|_| patience.weigh(head)).count();
        assert_eq!(taken, 200);
    }

    const CALL: Head = Head { kind: 1, bytes: 90 };
    const TAKEN_BACK: Head = Head { kind: 3, bytes: 4 };

    #[tokio::test(start_paused = true)]
    async fn who_takes_every_call_back_is_cut_off() {
        let mut patience = Patience::new();
        let taken = (0..5000).take_while(|_| patience.weigh(CALL) && patience.weigh(TAKEN_BACK));
        let taken = taken.count();
        assert!((950..=1000).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_may_take_many_back_and_all_for_a_while() {
        let mut patience = Patience::new();
        for number in 0..100_000 {
            assert!(patience.weigh(CALL));
            assert!(number % 2 == 0 || patience.weigh(TAKEN_BACK));
        }
        for _ in 0..900 {
            assert!(patience.weigh(CALL) && patience.weigh(TAKEN_BACK));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_with_calls_is_never_too_much() {
        let mut patience = Patience::new();
        for _ in 0..100_000 {
            assert!(patience.weigh(Head { kind: 1, bytes: 90 }));
            assert!(patience.weigh(Head { kind: 0, bytes: 60 }));
            // two windows, an acknowledgement, a PING that measures, an empty end
            for kind in [8, 8, 4, 6, 0] {
                assert!(patience.weigh(Head { kind, bytes: 0 }));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_asks_now_and_then_whether_we_are_there_is_welcome() {
        let mut patience = Patience::new();
        for _ in 0..100_000 {
            assert!(patience.weigh(PING));
            tokio::time::advance(Duration::from_millis(20)).await;
        }
    }
}
