//! Random faults, from a seed.

use super::fault::{Answer, Ending, Extra, Fault, Place};
use super::plan::Request;
use podwait_sim::Verb;
use std::time::Duration;

/// A rule that gives about `percent` of the requests faults of all kinds that a wait must survive within its budgets.
/// The same seed gives the same faults to the same requests.
pub fn mixture(seed: u64, percent: u64) -> impl FnMut(&Request) -> Option<Fault> + Send + 'static {
    let mut dice = Dice(seed);
    move |request| {
        let is_hit = dice.below(100) < percent;
        let fault = dice.fault(request.verb);
        is_hit.then_some(fault)
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[usize::try_from(self.below(N as u64)).unwrap_or_default()]
    }

    fn fault(&mut self, verb: Verb) -> Fault {
        match self.below(5) {
            0 | 1 => Fault::Stop(self.place(), self.ending()),
            2 => self.answer().into(),
            3 if verb == Verb::Watch => {
                let after = usize::try_from(self.below(3)).unwrap_or_default();
                Fault::Add { after, extra: self.extra() }
            }
            3 => match self.below(3) {
                0 => Fault::Old,
                1 => Fault::Close { announced: true },
                _ => Fault::Bytes("SSH-2.0-OpenSSH_9.9\r\n", self.ending()),
            },
            _ => Fault::Slow { bytes: 100, pause: Duration::from_millis(20) },
        }
    }

    fn place(&mut self) -> Place {
        let bytes = usize::try_from(self.below(2000)).unwrap_or_default();
        self.pick([
            Place::Request,
            Place::Headers,
            Place::Byte(bytes),
            Place::Line(0),
            Place::Line(1),
            Place::Middle(0),
            Place::Middle(1),
        ])
    }

    fn ending(&mut self) -> Ending {
        self.pick([
            Ending::Reset,
            Ending::Shut,
            Ending::Crash,
            Ending::Undelimited,
            Ending::Clean,
            Ending::Silence,
        ])
    }

    fn answer(&mut self) -> Answer {
        match self.below(8) {
            0 => Answer::text(404, "404 page not found"),
            1 => Answer::status(429).retry_after(self.pick(["0", "1", "-1", "soon", "3"])),
            2 => Answer::html(502),
            3 => Answer::not_found("nodes", "p"),
            4 => Answer::status(410),
            _ => Answer::status(self.pick([401, 403, 429, 500, 503, 504])),
        }
    }

    fn extra(&mut self) -> Extra {
        self.pick([
            Extra::Again,
            Extra::Stale,
            Extra::Stranger,
            Extra::StrangerDeleted,
            Extra::UnknownType,
            Extra::Bookmark,
            Extra::Error(410),
            Extra::Error(500),
            Extra::Blank,
            Extra::Garbage,
        ])
    }
}
