//! Mixtures on a real containerd, which is also away or stands still for a time. The truth is the step's own word.

mod life;
mod outage;
mod truth;

use super::NODE_IN_USE;
use crate::mixtures::{AT_ONCE, play};
use life::Life;

/// `PODWAIT_MIXTURES` is the number of mixtures, `PODWAIT_SEED` the first seed. Lives that run at once share the outages
/// of all.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn no_mixture_of_faults_changes_the_answer_about_a_real_containerd() {
    let _node = NODE_IN_USE.write().await;
    let words = tempfile::tempdir().expect("a temporary folder");
    play("mixtures-containerd", AT_ONCE, async |name, dice| Life::draw(words.path(), name, dice).await).await;
}
