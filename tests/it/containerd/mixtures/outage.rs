//! An outage of containerd, which all lives of that time share. Shims and steps go on meanwhile.

use crate::containerd::order;
use podwait_tests::cluster::{CONTAINERD_NODE, pause};
use podwait_tests::storm::dice::Dice;
use tokio::sync::Mutex;

/// There is one containerd, so outages come one after the other.
static CONTAINERD: Mutex<()> = Mutex::const_new(());

/// How containerd fails.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By SIGKILL.
    Killed,
    /// By SIGTERM.
    Stopped,
    /// It does not run, and its connections stay open.
    Paused,
}

/// An outage, with times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    way: Way,
    /// When it begins, after the pod was created.
    begin: u64,
    /// How long it takes, if no other outage is before it.
    duration: u64,
}

impl Outage {
    /// A third of all lives have one.
    pub(super) fn draw(dice: &mut Dice) -> Option<Self> {
        let way = dice.pick(&[Way::Killed, Way::Stopped, Way::Paused]);
        let (begin, duration) = (dice.below(8000), dice.pick(&[0, 500, 2000, 5000]));
        dice.chance(33).then_some(Self { way, begin, duration })
    }

    pub(super) async fn happen(self) {
        pause(self.begin).await;
        let _alone = CONTAINERD.lock().await;
        let (begin, end) = match self.way {
            Way::Killed => ("kill", "start"),
            Way::Stopped => ("stop", "start"),
            Way::Paused => ("pause", "resume"),
        };
        order(&format!("containerd {CONTAINERD_NODE} {begin}")).await;
        pause(self.duration).await;
        order(&format!("containerd {CONTAINERD_NODE} {end}")).await;
    }
}
