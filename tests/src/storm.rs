//! Storms: random lives of pods and random faults, with waits of the real library.
//!
//! One seed is one run: a [`life::Story`] on the simulated cluster, a [`weather::Weather`] between the cluster and the
//! wait, and tokio's paused time, so that hours pass in milliseconds. The story has the truth about its step, by which
//! [`Run::verdict`] judges the answer. The same seed is the same run, to the byte.

mod bound;
pub mod crowd;
pub mod dice;
pub mod edition;
pub mod life;
pub mod shared;
pub mod table;
pub mod truth;
pub mod verdict;
pub mod way;
pub mod weather;
pub mod wire;

use dice::Dice;
use edition::Edition;
use life::{Kind, Story};
use podwait::{OnGone, Policy, Wait};
use podwait_sim::Cluster;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use truth::{Answer, STEP};
use way::Way;
use weather::Weather;
use wire::{Ledger, Wire};

/// How long after its bound a hanging run is ended.
const GIVE_UP: Duration = Duration::from_secs(3600);

/// The settings of all runs of a storm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Storm {
    /// The way of waiting. `None`: the seed decides.
    pub way: Option<Way>,
    /// The policy for a pod that is gone. The default is under test. The other one shows that the tests detect wrong
    /// answers.
    pub on_gone: OnGone,
    /// Whether the decisions are kept, for the printed story.
    pub keeps_decisions: bool,
}

/// The limits of one wait by which its answer is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `api_error_budget`
    pub api: Duration,
    /// `auth_error_budget`
    pub auth: Duration,
    /// `settle`
    pub settle: Option<Duration>,
    /// `jitter_seed`
    pub jitter: Option<u64>,
}

/// One run and its result.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The pod's name.
    pub pod: String,
    /// The way of waiting.
    pub way: Way,
    /// The life of the pod.
    pub story: Story,
    /// The weather between cluster and wait.
    pub weather: Weather,
    /// The limits of the wait.
    pub limits: Limits,
    /// How long a read may be queued behind other reads that share the budget.
    pub turn: Duration,
    /// The traffic of the run.
    pub ledger: Ledger,
    /// The answer, if there is one.
    pub answer: Option<Answer>,
    /// The exit code of a failure.
    pub code_beside: Option<i32>,
    /// The time of the answer, in the run's time.
    pub answered_at: Duration,
    /// The decisions, if they were kept.
    pub decisions: Vec<String>,
}

/// The result of one wait.
struct Outcome {
    answer: Option<Answer>,
    code_beside: Option<i32>,
    answered_at: Duration,
    /// How many objects had arrived before the answer.
    arrivals: usize,
    decisions: Vec<String>,
}

impl Limits {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            // The longer budget exceeds every outage.
            api: Duration::from_secs(dice.weighted(&[(7, 300), (3, 900)])),
            auth: Duration::from_secs(60),
            settle: dice.chance(10).then_some(Duration::from_secs(5)),
            jitter: dice.chance(50).then(|| dice.roll()),
        }
    }
}

impl Storm {
    /// Runs the run of this seed.
    ///
    /// # Panics
    /// There is no runtime, or the API server refuses a step of a life.
    #[must_use]
    pub fn run(&self, seed: u64) -> Run {
        let (mut dice, edition) = (Dice::new(seed), Edition::of(seed));
        let polls = dice.chance(40);
        let limits = Limits::draw(&mut dice);
        let story = Story::draw(&mut dice, &Kind::drawn_in(edition));
        let weather = Weather::draw(&mut dice, &story.moments(), edition);
        let way = self.way.unwrap_or_else(|| Way::of(seed, polls));
        let mut run = Run::new(seed, String::from("p"), way, story, weather, limits);
        paused(self.play(&mut run, dice));
        run
    }

    async fn play(&self, run: &mut Run, dice: Dice) {
        let (wire, cluster) = (Wire::new(), cluster(run.seed));
        cluster.faults().rule(run.weather.rule(wire.start(), dice));
        for at in run.weather.compactions() {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                tokio::time::sleep(at).await;
                cluster.compact(cluster.revision());
            });
        }
        run.story.life.clone().spawn(&cluster);
        tokio::time::sleep(run.story.wait_at).await;

        let mut wait = run.way.wait(wire.client(&cluster), "ci", &run.pod);
        if run.story.knows_uid {
            wait = wait.uid(run.story.first_uid());
        }
        let outcome = self.wait(wait, run, &wire).await;
        run.take(outcome);
        run.ledger = wire.ledger();
    }

    /// Waits with the limits of this run.
    async fn wait(&self, wait: Wait, run: &Run, wire: &Wire) -> Outcome {
        let start = wire.start();
        let mut wait = wait.container(STEP).policy(self.policy(run.limits));
        let decisions = Arc::new(Mutex::new(Vec::new()));
        if self.keeps_decisions {
            let decisions = Arc::clone(&decisions);
            wait = wait.on_turn(move |turn| {
                let at = start.elapsed().as_secs_f64();
                let line = format!("{at:>9.3} s  {} => {}", observed(turn.observed), decided(turn.decision));
                decisions.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            });
        }
        let outcome = tokio::time::timeout(run.bound() + GIVE_UP, wait.into_future()).await;
        Outcome {
            answer: outcome.as_ref().ok().map(Answer::of),
            code_beside: outcome.ok().and_then(Result::err).and_then(|failure| failure.exit_code),
            answered_at: start.elapsed(),
            arrivals: wire.arrivals(),
            decisions: std::mem::take(&mut *decisions.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn policy(&self, limits: Limits) -> Policy {
        let policy = Policy::builder().api_error_budget(limits.api).auth_error_budget(limits.auth);
        let policy = policy.settle(limits.settle).jitter_seed(limits.jitter).on_gone(self.on_gone);
        policy.build().expect("a policy")
    }
}

/// The cluster of the run with this seed. Every third cluster knows JSON only, so that storms test the readers of both
/// encodings, and every second one refuses a LIST at the beginning of a watch. This uses no random number, so that the
/// weather of a seed is unchanged.
fn cluster(seed: u64) -> Cluster {
    let cluster = Cluster::new();
    if seed.is_multiple_of(3) {
        cluster.faults().refuse_protobuf();
    }
    if seed.is_multiple_of(2) {
        cluster.faults().refuse_watch_list();
    }
    cluster
}

/// Runs the future in paused time.
fn paused(play: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(play);
}

impl Run {
    fn new(seed: u64, pod: String, way: Way, story: Story, weather: Weather, limits: Limits) -> Self {
        Self {
            seed,
            pod,
            way,
            story,
            weather,
            limits,
            turn: Duration::ZERO,
            ledger: Ledger::default(),
            answer: None,
            code_beside: None,
            answered_at: Duration::ZERO,
            decisions: Vec::new(),
        }
    }

    fn take(&mut self, outcome: Outcome) {
        let Outcome { answer, code_beside, answered_at, decisions, arrivals: _ } = outcome;
        self.answer = answer;
        self.code_beside = code_beside;
        self.answered_at = answered_at;
        self.decisions = decisions;
    }
}

fn observed(observed: &podwait::Observed) -> String {
    use podwait::Observed;
    match observed {
        Observed::Pod(via, pod) => format!("{} {}", via.as_str(), pod.pod.snapshot.resource_version),
        Observed::Deleted(pod) => format!("DELETED {}", pod.pod.snapshot.resource_version),
        Observed::NotFound(via) => format!("{} 404", via.as_str()),
        Observed::Failed(error) => format!("{} {} {}", error.via.as_str(), error.code, error.message),
        Observed::Silence => String::from("silence"),
        Observed::Cancelled => String::from("cancelled"),
    }
}

fn decided(decision: &podwait::Decision) -> String {
    match decision {
        podwait::Decision::Retry { after, why } => format!("{why} for {after:?}"),
        podwait::Decision::Done(exit) => format!("{} {}: {exit}", exit.reason, exit.code),
        podwait::Decision::Fail(failure) => format!("{}: {failure}", failure.reason),
    }
}

/// The whole story.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = self.way.name();
        writeln!(f, "seed {} {} {way}: {}, {:?}", self.seed, self.pod, self.verdict(), self.limits)?;
        let (answer, at) = (self.answer, self.answered_at.as_secs_f64());
        writeln!(f, "answer: {answer:?} at {at:.3} s; bound {:.3} s", self.bound().as_secs_f64())?;
        write!(f, "{}", self.story)?;
        for spell in &self.weather.spells {
            let (from, to) = (spell.from.as_secs_f64(), spell.to.as_secs_f64());
            writeln!(f, "weather: {from:.3} s to {to:.3} s {:?}", spell.what)?;
        }
        if !self.decisions.is_empty() {
            let arrival =
                |object: &wire::Arrival| format!("{} at {:.3} s", object.version, object.at.as_secs_f64());
            let arrivals: Vec<String> = self.ledger.objects.iter().map(arrival).collect();
            writeln!(f, "arrived: {}", arrivals.join(", "))?;
            let absences = self.ledger.absences.iter().map(|(at, _)| format!("{:.3} s", at.as_secs_f64()));
            writeln!(f, "not there: {}", absences.collect::<Vec<_>>().join(", "))?;
        }
        // A repeated decision is printed once, with its last time.
        for lines in self.decisions.chunk_by(|a, b| gist(a).is_some() && gist(a) == gist(b)) {
            match lines {
                [first, .., last] => writeln!(f, "{first}\n{last} ({} times)", lines.len())?,
                lines => lines.iter().try_for_each(|line| writeln!(f, "{line}"))?,
            }
        }
        Ok(())
    }
}

/// The reason of a `Retry`, without its times.
fn gist(decision: &str) -> Option<&str> {
    Some(decision.split_once(" s  ")?.1.rsplit_once(" for ")?.0)
}
