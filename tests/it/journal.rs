//! Waits that outlive their process, against the simulated cluster under paused time.

use podwait::{Fsync, Journal, JournalError, Policy, Wait, wait};
use podwait_sim::{Cluster, Fault, Life, Verb, pod};
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn running() -> Life {
    Life::of(pod("ci", "p", &["step"])).scheduled("node-1").after(secs(1)).running()
}

struct Scratch {
    _folder: TempDir,
    path: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        Self { path: folder.path().join("waits.journal"), _folder: folder }
    }

    fn open(&self) -> Journal {
        Journal::open(&self.path, Fsync::Never).expect("a journal")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).expect("the journal is text")
    }
}

fn the_wait(cluster: &Cluster) -> Wait {
    wait(cluster.client(), "ci", "p").container("step")
}

/// A process that waits for so long and is then killed.
async fn wait_and_die(cluster: &Cluster, path: &Path, time: Duration) -> Option<Result<i32, &'static str>> {
    let journal = Journal::open(path, Fsync::Always).expect("a journal");
    let wait = journal.keep(the_wait(cluster)).expect("it can be restored").into_future();
    let exit = timeout(time, wait).await.ok()?;
    Some(exit.map(|exit| exit.code).map_err(|failure| failure.reason.as_str()))
}

#[tokio::test(start_paused = true)]
async fn an_exit_that_was_seen_outlives_the_process_and_the_pod() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    let mut step = pod("ci", "p", &["step"]);
    step["spec"]["restartPolicy"] = "OnFailure".into();
    let life = Life::of(step)
        .scheduled("node-1")
        .running()
        .after(secs(2))
        .terminated("step", podwait_sim::Terminated::exit(3));
    life.after(secs(5)).delete(0).spawn(&cluster);
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(5)).await, None);
    // The pod goes while nobody looks.
    sleep(secs(60)).await;
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(60)).await, Some(Ok(3)));
    // Whoever asks again, after a crash before the answer was used, gets it again.
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(60)).await, Some(Ok(3)));
    let journal = scratch.open();
    journal.forget("ci", "p").expect("it is written");
    assert!(journal.entries().is_empty());
}

#[tokio::test(start_paused = true)]
async fn processes_that_are_killed_at_any_time_answer_as_one_that_is_not() {
    // Each life by itself has another answer, and what decides is seen before the end.
    let killed = || running().after(secs(3)).delete(30).after(secs(4)).finished(0).after(secs(20)).removed();
    type Make = fn() -> Life;
    let lives: [(Make, Result<i32, &str>); 4] = [
        (|| running().after(secs(8)).finished(0), Ok(0)),
        (|| running().after(secs(8)).finished(9).after(secs(20)).delete(0), Ok(9)),
        (killed, Err("pod_deleted")),
        (|| running().after(secs(3)).failed("Evicted", "").after(secs(20)).delete(0), Err("evicted")),
    ];
    for (life, expected) in lives {
        for lifetime in [150, 400, 1100, 2600] {
            let (cluster, scratch) = (Cluster::new(), Scratch::new());
            life().spawn(&cluster);
            let mut answer = None;
            for _ in 0..400 {
                answer = wait_and_die(&cluster, &scratch.path, Duration::from_millis(lifetime)).await;
                if answer.is_some() {
                    break;
                }
            }
            assert_eq!(answer, Some(expected), "killed every {lifetime} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_go_on_and_do_not_speak_before_somebody_has_looked() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    // Pending for long, and running by the time that the second process looks.
    Life::of(pod("ci", "p", &["step"]))
        .scheduled("node-1")
        .after(secs(900))
        .running()
        .after(secs(600))
        .finished(0)
        .spawn(&cluster);
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(10)).await, None);
    sleep(secs(990)).await;
    // Its start deadline of ten minutes ran out meanwhile, and the API server is not there at first.
    for _ in 0..3 {
        cluster.faults().push(Verb::Get, Fault::status(503));
    }
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(3600)).await, Some(Ok(0)));
}

#[test]
fn time_that_nobody_watched_counts_against_the_deadline() {
    // The journal has the machine's clock, so this one runs in real time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (cluster, scratch) = (Cluster::new(), Scratch::new());
        running().run(&cluster).await.expect("a life");
        let policy = Policy::builder().deadline(Duration::from_millis(1500)).build().expect("a policy");
        let journal = scratch.open();
        let wait = journal.keep(the_wait(&cluster).policy(policy)).expect("new").into_future();
        let _ = timeout(Duration::from_millis(300), wait).await;
        drop(journal);
        podwait_tests::cluster::pause(1500).await;
        // Also without the policy: it is written down.
        let begin = std::time::Instant::now();
        let answer = wait_and_die(&cluster, &scratch.path, secs(10)).await;
        assert_eq!(answer, Some(Err("deadline")));
        assert!(begin.elapsed() < secs(1), "{:?}", begin.elapsed());
    });
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_is_taken_off_and_damage_is_told() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    running().after(secs(5)).finished(4).spawn(&cluster);
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(60)).await, Some(Ok(4)));
    let whole = scratch.text();
    let records = whole.lines().count();
    assert!((3..=6).contains(&records), "{records} records");
    for length in 0..whole.len() {
        std::fs::write(&scratch.path, &whole[..length]).expect("written");
        let journal = scratch.open();
        let complete = whole[..length].matches('\n').count();
        assert_eq!(journal.entries().len(), complete.min(1), "cut at {length}");
        drop(journal);
        assert_eq!(
            scratch.text(),
            whole[..whole[..length].rfind('\n').map_or(0, |end| end + 1)],
            "cut at {length}"
        );
    }
    let damaged = |text: &str, words: &str| {
        std::fs::write(&scratch.path, text).expect("written");
        let error = Journal::open(&scratch.path, Fsync::Never).err().expect(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    damaged(&whole.replacen("\"ci\"", "\"cj\"", 1), "line 1");
    damaged(&format!("not a journal\n{whole}"), "line 1");
    let newer =
        whole.lines().next().expect("a line")[9..].replace("\"podwait_journal\":1", "\"podwait_journal\":2");
    damaged(&format!("{:08x} {newer}\n{whole}", crc32fast::hash(newer.as_bytes())), "has version 2");
    // Damage of the last record is as good as none: it is looked for again.
    let last = whole.trim_end().rfind('\n').expect("several") + 1;
    std::fs::write(&scratch.path, format!("{}{}", &whole[..last], whole[last..].replace("exit", "ixet")))
        .expect("written");
    drop(scratch.open());
    assert_eq!(scratch.text(), whole[..last]);
}

#[tokio::test(start_paused = true)]
async fn one_process_at_a_time() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    assert!(matches!(Journal::open(&scratch.path, Fsync::Never), Err(JournalError::InUse(_))));
    drop(journal);
    drop(scratch.open());
}

#[test]
fn who_has_closed_a_journal_leaves_it_whatever_children_the_process_starts() {
    // A child has all open files of its parent until its program begins, and with them their locks.
    let scratch = Scratch::new();
    std::thread::scope(|threads| {
        let children =
            || (0..400).all(|_| Command::new("true").status().is_ok_and(|status| status.success()));
        let parents = [(); 3].map(|()| threads.spawn(children));
        while parents.iter().any(|parent| !parent.is_finished()) {
            drop(scratch.open());
        }
        assert!(parents.into_iter().all(|parent| parent.join().expect("no panic")));
    });
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_many_waits_stays_small() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    let journal = scratch.open();
    let largest = std::cell::Cell::new(0);
    for n in 0..400 {
        let name = format!("p-{n}");
        Life::of(pod("ci", &name, &["step"]))
            .scheduled("node-1")
            .running()
            .after(secs(1))
            .finished(0)
            .spawn(&cluster);
        let exit = journal.keep(wait(cluster.client(), "ci", &name)).expect("new").await;
        assert_eq!(exit.map(|exit| exit.code), Ok(0));
        journal.forget("ci", &name).expect("it is written");
        largest.set(largest.get().max(std::fs::metadata(&scratch.path).expect("it is there").len()));
    }
    assert!(largest.get() < 300 << 10, "{} bytes", largest.get());
    // And what replaced the file is locked as well.
    assert!(matches!(Journal::open(&scratch.path, Fsync::Never), Err(JournalError::InUse(_))));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_fails_no_wait() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    let journal = scratch.open();
    // Nothing can take the file's place any more.
    std::fs::remove_dir_all(scratch.path.parent().expect("a folder")).expect("it is removed");
    for n in 0..400 {
        let name = format!("p-{n}");
        Life::of(pod("ci", &name, &["step"]))
            .scheduled("node-1")
            .running()
            .after(secs(1))
            .finished(6)
            .spawn(&cluster);
        let exit = journal.keep(wait(cluster.client(), "ci", &name)).expect("new").await;
        assert_eq!(exit.map(|exit| exit.code), Ok(6));
        if journal.forget("ci", &name).is_err() {
            assert!(journal.check().is_err());
            return;
        }
    }
    panic!("it was rewritten in a folder that is not there");
}
