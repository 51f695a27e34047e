//! What is planned for a turn of a connection, and what that means for each chunk of it. Every draw
//! follows from the seed.

use std::time::Duration;

use super::http::{HeadEnd, MAX_REMEMBERED_BYTES, Replay, RequestLength, request_length};
use super::{Chaos, Fault};

/// The current turn of a connection, and what is planned for it.
pub(super) struct Turn {
    connection: u64,
    number: u64,
    /// How often the chaos had been set when the turn began.
    generation: u64,
    pub(super) chaos: Chaos,
    /// Draws the plans; chunks draw from their direction's own, for the two race each other.
    pub(super) random: fastrand::Rng,
    pub(super) request: Direction,
    pub(super) reply: Direction,
    pub(super) reply_begun: bool,
    pub(super) swallow: bool,
    duplicate: bool,
    pub(super) answer: Option<Fault>,
    remembered: Vec<u8>,
}

pub(super) struct Direction {
    random: fastrand::Rng,
    /// Bytes until the connection is cut, once that is decided; outlives the turn.
    cut_in: Option<u64>,
    flip: bool,
    dribble: Dribble,
    head: HeadEnd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dribble {
    No,
    /// Not counted yet.
    Begins,
    Goes,
}

/// What to do with one chunk.
pub(super) struct Delivery {
    pub(super) bytes: usize,
    pub(super) cut: bool,
    pub(super) flipped: bool,
    pub(super) delay: Option<Duration>,
    pub(super) dribble_begins: bool,
    pub(super) dribble: Option<fastrand::Rng>,
}

impl Turn {
    pub(super) fn new(seed: u64, connection: u64) -> Self {
        let mixed = connection.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = fastrand::Rng::with_seed(seed ^ mixed);
        let mut direction = || Direction {
            random: random.fork(),
            cut_in: None,
            flip: false,
            dribble: Dribble::No,
            head: HeadEnd::default(),
        };
        let (request, reply) = (direction(), direction());
        Self {
            connection,
            number: 0,
            generation: 0,
            chaos: Chaos::NONE,
            random,
            request,
            reply,
            reply_begun: true, // so that the client's first bytes begin a turn
            swallow: false,
            duplicate: false,
            answer: None,
            remembered: Vec::new(),
        }
    }

    pub(super) fn place(&self) -> String {
        format!("connection {} turn {}", self.connection, self.number)
    }

    pub(super) fn begin(&mut self, (generation, chaos): (u64, Chaos)) {
        if generation != self.generation {
            (self.request.cut_in, self.reply.cut_in) = (None, None);
        }
        self.number += 1;
        (self.generation, self.chaos) = (generation, chaos);
        self.reply_begun = false;
        self.remembered = Vec::new();

        let random = &mut self.random;
        let mut happens = |per_mille: u16| random.u16(0..1000) < per_mille;
        let own_answers = [
            (Fault::BadGateway, happens(chaos.bad_gateway)),
            (Fault::CaptivePortal, happens(chaos.captive_portal)),
            (Fault::Busy, happens(chaos.busy)),
        ];
        self.answer = own_answers
            .into_iter()
            .find_map(|(fault, happens)| happens.then_some(fault));
        self.swallow = happens(chaos.swallow_reply);
        self.duplicate = happens(chaos.duplicate);
        let dribble = happens(chaos.dribble);
        let flip = happens(chaos.flip_byte);
        let cuts = [happens(chaos.cut_request), happens(chaos.cut_reply)];
        let flip_request = random.bool();
        for (direction, cut, flips_here) in [
            (&mut self.request, cuts[0], flip_request),
            (&mut self.reply, cuts[1], !flip_request),
        ] {
            // Small numbers are as likely as large ones, for heads are small and files are large.
            let magnitude = random.u32(0..=chaos.cut_within.max(1).ilog2());
            let cut_in = random.u64(0..=chaos.cut_within >> magnitude);
            direction.cut_in = direction.cut_in.or(cut.then_some(cut_in));
            direction.flip = flip && flips_here;
            direction.dribble = if dribble {
                Dribble::Begins
            } else {
                Dribble::No
            };
            direction.head = HeadEnd::default();
        }
    }

    /// Keeps the request if the plan needs it. True when all of it is there, or when that cannot
    /// be told.
    pub(super) fn remember(&mut self, chunk: &[u8]) -> bool {
        if !self.duplicate && self.answer.is_none() {
            return false;
        }
        if self.remembered.len() + chunk.len() > MAX_REMEMBERED_BYTES {
            self.duplicate = false;
            return true;
        }
        self.remembered.extend_from_slice(chunk);
        match request_length(&self.remembered) {
            RequestLength::HeadIncomplete => false,
            RequestLength::Known(length) => self.remembered.len() >= length,
            RequestLength::Unknown => {
                self.duplicate = false;
                true
            }
        }
    }

    pub(super) fn replay(&mut self) -> Option<Replay> {
        let RequestLength::Known(length) = request_length(&self.remembered) else {
            return None;
        };
        if !std::mem::take(&mut self.duplicate) {
            return None;
        }
        let mut request = std::mem::take(&mut self.remembered);
        request.truncate(length);
        let late = self.random.bool();
        let delay = if late {
            up_to(self.chaos.max_delay, &mut self.random)
        } else {
            Duration::ZERO
        };
        Some(Replay {
            request,
            delay,
            place: self.place(),
        })
    }

    pub(super) fn deliver(
        &mut self,
        chunk: &mut [u8],
        to: fn(&mut Self) -> &mut Direction,
    ) -> Delivery {
        let chaos = self.chaos;
        to(self).deliver(&chaos, chunk)
    }
}

impl Direction {
    fn deliver(&mut self, chaos: &Chaos, chunk: &mut [u8]) -> Delivery {
        let body = self.head.body_in(chunk);
        let flipped = self.flip && !body.is_empty();
        if flipped {
            self.flip = false;
            let at = self.random.usize(0..body.len());
            body[at] ^= 1 << self.random.u8(0..8);
        }
        let whole = chunk.len();
        let cut_at = self.cut_in.and_then(|left| usize::try_from(left).ok());
        let cut_at = cut_at.filter(|&left| left <= whole);
        self.cut_in = self.cut_in.map(|left| left.saturating_sub(whole as u64));
        let delayed = self.random.u16(0..1000) < chaos.delay;
        let dribble_begins = self.dribble == Dribble::Begins;
        if dribble_begins {
            self.dribble = Dribble::Goes;
        }
        Delivery {
            bytes: cut_at.unwrap_or(whole),
            cut: cut_at.is_some(),
            flipped,
            delay: delayed.then(|| up_to(chaos.max_delay, &mut self.random)),
            dribble_begins,
            dribble: (self.dribble == Dribble::Goes).then(|| self.random.fork()),
        }
    }
}

fn up_to(longest: Duration, random: &mut fastrand::Rng) -> Duration {
    longest.mul_f64(random.f64())
}
