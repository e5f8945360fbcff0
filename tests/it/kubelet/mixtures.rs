//! Mixtures on a real kubelet over our own runtime. The truth is the runtime's journal.

mod life;

use crate::mixtures::{AT_ONCE, play};
use life::Life;

/// `PODWAIT_MIXTURES` is the number of mixtures, `PODWAIT_SEED` the first seed.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn no_mixture_of_faults_changes_the_answer_about_a_real_kubelet() {
    play("mixtures", 2 * AT_ONCE, async |name, dice| Life::draw(name, dice)).await;
}
