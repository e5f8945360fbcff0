//! Every sequence up to a useful length over small alphabets, against the naive model.
//!
//! Each alphabet has the inputs that matter to a few rules. The length is large enough for the rules to interact, if
//! the time allows it. The number of sequences is part of a test: otherwise a missing letter, or a machine that decides
//! sooner, would reduce the coverage unnoticed.

mod causes;
mod ends;
mod limits;
mod pods;
mod reading;

use podwait_tests::explore::{Alphabet, Seen};
use podwait_tests::model::{Config, Goal};
use std::time::Duration;

/// Short limits, all different and none a sum of time steps, so that no two timers fire at the same time.
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
    Seen::Error { code, is_status: true, retry_after: None }
}

/// The same error as a page of a proxy, or as a `Status` about another request.
fn page(code: u16) -> Seen {
    Seen::Error { code, is_status: false, retry_after: None }
}

/// Plays all sequences of one alphabet under several configurations, and returns their number.
fn check<const N: usize>(
    configs: impl IntoIterator<Item = Config>,
    steps_ms: &[u64],
    length: usize,
    seen: [(&'static str, Seen); N],
) -> usize {
    let walk = |config| Alphabet::new(config, step(), steps_ms, seen.clone()).check(length);
    configs.into_iter().map(walk).sum()
}

/// Makes a test of each function, which plays exactly this number of sequences.
macro_rules! walks {
    ($($module:ident::$name:ident = $count:literal)+) => {
        $(#[test]
        fn $name() {
            assert_eq!($module::$name(), $count);
        })+

        /// The total number.
        const SEQUENCES: usize = 0 $(+ $count)+;
    };
}

walks! {
    causes::deletion_by_timestamps = 4_692
    causes::deletion_by_our_own_eyes = 29_210
    causes::deletion_by_generations = 1_604
    causes::disruption = 7_260
    causes::disruption_of_what_may_restart = 14_322
    causes::reasons_of_the_pod = 3_045
    causes::terminal_before_the_cause = 4_702
    ends::restart_policies_of_pods = 12_684
    ends::restart_policies_of_containers = 12_684
    ends::restart_rules = 7_392
    ends::all_containers_restart = 37_366
    ends::made_up_codes = 30_044
    ends::a_record_that_is_lost = 544_440
    ends::kinds_of_records = 10_224
    ends::exit_0_of_a_failed_pod = 2_346
    ends::settling = 44_968
    limits::reasons_to_wait = 16_040
    limits::every_reason_of_a_group = 27_360
    limits::what_the_registry_said = 35_120
    limits::init_containers_wait_too = 7_238
    limits::what_puts_the_start_off = 131_744
    limits::init_failures_and_causes = 900
    limits::unknown_lost_and_stuck = 49_598
    limits::the_caller_s_limits = 16_038
    limits::nothing_but_time = 12_340
    reading::identity_and_order = 45_254
    reading::a_store_that_goes_back = 46_782
    reading::nothing_but_old_objects = 24_090
    reading::another_pod_of_the_name = 92_960
    reading::the_target_in_the_spec = 75
    reading::the_race_for_the_record = 14_212
    reading::the_race_by_the_clock = 26_010
    reading::other_lists_than_containers = 6_930
    reading::errors_of_the_api = 27_504
    reading::budgets_of_the_api = 21_020
    reading::versions_of_any_length = 1_694
    reading::refusals_and_odd_codes = 4_820
    reading::confirming_a_deletion = 532_100
    reading::gone = 24_510
}

const _: () = assert!(SEQUENCES >= 1_900_000);
