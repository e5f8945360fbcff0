//! Every sequence up to a useful length over small alphabets, against the naive model.
//!
//! Each alphabet holds the inputs that a few rules are about; its length is what the rules need to interact, as far
//! as the time allows. A test prints how many sequences it walked through (`--nocapture`).

mod causes;
mod ends;
mod limits;
mod pods;
mod reading;

use podwait_tests::explore::{Alphabet, Seen};
use podwait_tests::model::{Config, Goal};
use std::time::Duration;

/// Short limits, all different and none a sum of steps, so that no two timers fire at the same time.
fn config() -> Config {
    let millis = Duration::from_millis;
    Config {
        finalize_initial: millis(200),
        finalize_max: millis(1600),
        finalize_budget: millis(4000),
        absent_grace: millis(3001),
        image_pull_grace: millis(5003),
        config_error_grace: millis(7007),
        unknown_grace: millis(6011),
        start_deadline: Some(millis(9013)),
        api_error_budget: millis(8017),
        auth_error_budget: millis(4019),
        ..Config::default()
    }
}

fn step() -> Goal {
    Goal::container("step")
}

fn error(code: u16) -> Seen {
    Seen::Error { code, retry_after: None }
}

/// Walks through the sequences of one alphabet under several configurations.
fn check<const N: usize>(
    name: &str,
    configs: impl IntoIterator<Item = Config>,
    steps_ms: &[u64],
    length: usize,
    seen: [(&'static str, Seen); N],
) {
    for config in configs {
        let count = Alphabet::new(config, step(), steps_ms, seen.clone()).check(length);
        println!("{name}: {count} sequences");
    }
}
