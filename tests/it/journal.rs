//! Waits that outlive their process, on the simulated cluster in paused time.

use podwait::{FailReason, Fsync, Journal, JournalError, Policy, SavedWait, Wait, wait};
use podwait_sim::{Cluster, Fault, Life, Verb, pod};
use podwait_tests::cli::{kubeconfig, podwait, run};
use podwait_tests::client_of;
use serde_json::json;
use std::error::Error;
use std::fs;
use std::future::IntoFuture;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
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
    wait(client_of(cluster), "ci", "p").container("step")
}

/// A process that waits for this time and is then killed.
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
    // The pod is deleted while no process waits.
    sleep(secs(60)).await;
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(60)).await, Some(Ok(3)));
    // After a crash before the answer was used, the next process gets the same answer.
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(60)).await, Some(Ok(3)));
    let journal = scratch.open();
    journal.forget("ci", "p").expect("it is written");
    assert!(journal.entries().is_empty());
}

#[tokio::test(start_paused = true)]
async fn processes_that_are_killed_at_any_time_answer_like_one_that_is_not() {
    // Each life alone has a different answer, and the deciding state is seen before the end.
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
async fn limits_continue_and_do_not_decide_before_a_read() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    // The pod is Pending for long, and runs when the second process reads it.
    Life::of(pod("ci", "p", &["step"]))
        .scheduled("node-1")
        .after(secs(900))
        .running()
        .after(secs(600))
        .finished(0)
        .spawn(&cluster);
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(10)).await, None);
    sleep(secs(990)).await;
    // The start deadline of ten minutes ran out meanwhile, and at first the API server cannot be reached.
    for _ in 0..3 {
        cluster.faults().push(Verb::Get, Fault::status(503));
    }
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(3600)).await, Some(Ok(0)));
}

#[test]
fn time_without_a_process_counts_against_the_deadline() {
    // The journal uses the system clock, so this test runs in real time.
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
        // Also without the policy, which is in the journal.
        let begin = std::time::Instant::now();
        let answer = wait_and_die(&cluster, &scratch.path, secs(10)).await;
        assert_eq!(answer, Some(Err("deadline")));
        assert!(begin.elapsed() < secs(1), "{:?}", begin.elapsed());
    });
}

/// A journal of one wait that is over. Its first line identifies the file.
async fn written(scratch: &Scratch) -> String {
    let cluster = Cluster::new();
    running().after(secs(5)).finished(4).spawn(&cluster);
    assert_eq!(wait_and_die(&cluster, &scratch.path, secs(60)).await, Some(Ok(4)));
    scratch.text()
}

/// Writes a file, opens it as a journal, and returns the error.
fn refused(scratch: &Scratch, content: &[u8]) -> JournalError {
    fs::write(&scratch.path, content).expect("written");
    let opened = Journal::open(&scratch.path, Fsync::Never);
    let error = opened.err().unwrap_or_else(|| panic!("opened: {}", String::from_utf8_lossy(content)));
    assert_eq!(fs::read(&scratch.path).expect("it is there"), content, "it was changed");
    error
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_last_record_is_removed_and_damage_is_reported() {
    let scratch = Scratch::new();
    let whole = written(&scratch).await;
    let first = whole.find('\n').expect("lines") + 1;
    let records = whole[first..].lines().count();
    assert!((3..=6).contains(&records), "{records} records");
    for length in first..whole.len() {
        fs::write(&scratch.path, &whole[..length]).expect("written");
        let journal = scratch.open();
        let complete = whole[first..length].matches('\n').count();
        assert_eq!(journal.entries().len(), complete.min(1), "cut at {length}");
        drop(journal);
        let end = whole[..length].rfind('\n').expect("the first line") + 1;
        assert_eq!(scratch.text(), whole[..end], "cut at {length}");
    }
    let damaged = |text: &str, words: &str| {
        let error = refused(&scratch, text.as_bytes()).to_string();
        assert!(error.contains(words), "{error}");
    };
    damaged(&whole.replacen("\"ci\"", "\"cj\"", 1), "line 2 of the journal");
    damaged(&format!("not a journal\n{whole}"), "is not a journal of podwait, and was not changed");
    damaged(&whole.replacen("podwait-journal 1", "podwait-journal 2", 1), "line 1 of the journal");
    let record = whole.lines().nth(1).expect("a record");
    let newer = record[9..].replace("\"podwait_journal\":1", "\"podwait_journal\":2");
    let newer = format!("{:08x} {newer}\n", crc32fast::hash(newer.as_bytes()));
    damaged(&format!("{}{newer}{}", &whole[..first], &whole[first..]), "line 2");
    damaged(&format!("{}{newer}", &whole[..first]), "has version 2");
    damaged(&format!("{newer}{}", &whole[first..]), "has version 2");
    let strange = record[9..].replace("\"target\":{", "\"target\":[\"\u{1b}[2J\"],\"t\":{");
    let strange = format!("{:08x} {strange}\n", crc32fast::hash(strange.as_bytes()));
    damaged(&format!("{}{strange}", &whole[..first]), "cannot be read");
    damaged(&format!("{}{}\n", &whole[..first], "x".repeat(9 << 20)), "it is too long");
    // With a damaged last record the wait is resumed without it.
    let last = whole.trim_end().rfind('\n').expect("several") + 1;
    fs::write(&scratch.path, format!("{}{}", &whole[..last], whole[last..].replace("exit", "ixet")))
        .expect("written");
    drop(scratch.open());
    assert_eq!(scratch.text(), whole[..last]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_journal_is_not_changed() {
    let scratch = Scratch::new();
    let whole = written(&scratch).await;
    let first = whole.find('\n').expect("lines") + 1;
    let record = whole[first..].lines().next().expect("a record");
    let other = record.replace("podwait_journal", "poodle_journal");
    let kubeconfig = r#"{"apiVersion":"v1","kind":"Config","users":[{"name":"a","user":{"token":"t"}}]}"#;
    let mut contents: Vec<Vec<u8>> = [
        "a line of text\n",
        "a-token-without-a-newline",
        "x",
        "\n",
        "\r\n",
        " ",
        "0",
        "[]\n",
        kubeconfig,
        "one line\nand another\n",
        "d6a8b0d7 no JSON\n",
        "00000000 \n",
        "\u{feff}podwait-journal 1\n",
        "podwait-journal 1\r\n",
        "podwait-journal 1",
        "podwait-journal \n",
        "podwait-journal one\n",
        "podwait",
        "p",
        &record[..40],
        record,
        &format!("{}\n", record.replacen("\"ci\"", "\"cj\"", 1)),
        &other,
        &format!("{other}\n"),
        &other[..40],
        // Half of its first line, which no write leaves, and other contents.
        &whole[1..],
    ]
    .map(|text: &str| text.as_bytes().to_vec())
    .into();
    contents.push(vec![0]);
    contents.push(vec![0; 4096]);
    contents.push(vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0xff, 0xfe, b'\n']);
    contents.push(vec![b'x'; 7 << 20]);
    contents.push(vec![0; 9 << 20]);
    contents.push([&vec![0; 4096], whole.as_bytes()].concat());
    for content in &contents {
        let error = refused(&scratch, content);
        assert!(matches!(error, JournalError::NoJournal(_)), "{error}");
        let path = scratch.path.display().to_string();
        assert!(
            error.to_string().starts_with(&path) && error.to_string().ends_with("or remove it"),
            "{error}"
        );
    }
    // The same through a link, and with an unchanged mode.
    let link = scratch.path.with_file_name("link");
    fs::write(&scratch.path, kubeconfig).expect("written");
    fs::set_permissions(&scratch.path, fs::Permissions::from_mode(0o644)).expect("its owner may");
    symlink(&scratch.path, &link).expect("a link");
    assert!(matches!(Journal::open(&link, Fsync::Always), Err(JournalError::NoJournal(_))));
    assert_eq!(scratch.text(), kubeconfig);
    assert_eq!(mode(&scratch.path), 0o644);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test(start_paused = true)]
async fn a_journal_from_before_it_had_a_first_line_is_read() {
    let scratch = Scratch::new();
    let whole = written(&scratch).await;
    let older = &whole[whole.find('\n').expect("lines") + 1..];
    fs::write(&scratch.path, older).expect("written");
    let journal = scratch.open();
    assert_eq!(journal.entries().len(), 1);
    journal.forget("ci", "p").expect("it is written");
    drop(journal);
    assert!(scratch.text().starts_with(older));
    assert!(scratch.open().entries().is_empty());
    // Cut off after its first record.
    let first = older.find('\n').expect("lines") + 1;
    fs::write(&scratch.path, &older[..first + 20]).expect("written");
    assert_eq!(scratch.open().entries().len(), 1);
    assert_eq!(scratch.text(), older[..first]);
}

#[tokio::test(start_paused = true)]
async fn only_its_owner_reads_a_journal_and_a_link_to_it_stays_one() {
    let scratch = Scratch::new();
    fs::write(&scratch.path, "").expect("written");
    fs::set_permissions(&scratch.path, fs::Permissions::from_mode(0o666)).expect("its owner may");
    let link = scratch.path.with_file_name("link");
    symlink("waits.journal", &link).expect("a link");
    let cluster = Cluster::new();
    let journal = Journal::open(&link, Fsync::Never).expect("a journal");
    assert_eq!(mode(&scratch.path), 0o600);
    // Until it is rewritten.
    let mut length = 0;
    for n in 0.. {
        let name = format!("p-{n}");
        drop(journal.keep(wait(client_of(&cluster), "ci", &name)).expect("new"));
        journal.forget("ci", &name).expect("it is written");
        let now = fs::metadata(&scratch.path).expect("it is there").len();
        if now < length {
            break;
        }
        length = now;
    }
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert_eq!(mode(&scratch.path), 0o600);
    drop(journal);
    drop(scratch.open());
}

#[test]
fn other_file_types_are_refused_without_a_delay() {
    let folder = TempDir::new().expect("a folder");
    let (fifo, socket) = (folder.path().join("fifo"), folder.path().join("socket"));
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let _socket = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let cases = [
        (fifo.as_path(), "a FIFO"),
        (&socket, "a socket"),
        (folder.path(), "a folder"),
        (Path::new("/dev/zero"), "a device"),
        (Path::new("/dev/null"), "a device"),
        (Path::new("/dev/full"), "a device"),
    ];
    for (path, words) in cases {
        let error = Journal::open(path, Fsync::Always).err().expect(words);
        assert!(matches!(error, JournalError::NotAFile(..)), "{error}");
        let expected =
            format!("{} is {words} and cannot hold a journal: name a regular file", path.display());
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn the_command_refuses_what_cannot_be_its_journal() {
    let cluster = Cluster::new();
    let server = cluster.serve().await.expect("loopback");
    running().run(&cluster).await.expect("a life");
    let config = kubeconfig(&server.url());
    let folder = TempDir::new().expect("a folder");
    let (fifo, token) = (folder.path().join("fifo"), folder.path().join("token"));
    // The command is built before the measured time.
    podwait();
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    fs::write(&token, "secret").expect("written");
    for (path, words) in [(&fifo, "is a FIFO"), (&token, "is not a journal")] {
        let (config, path) = (config.path().to_str().expect("readable"), path.to_str().expect("readable"));
        let arguments = ["wait", "p", "-c", "step", "--kubeconfig", config, "--resume", path];
        let run = timeout(secs(60), run(&arguments)).await.expect("it ends by itself");
        assert_eq!(run.status, Some(231), "{run:?}");
        assert!(run.stderr.contains(words) && run.stderr.lines().count() == 1, "{run:?}");
    }
    assert_eq!(fs::read_to_string(&token).expect("it is there"), "secret");
}

#[tokio::test(start_paused = true)]
async fn errors_have_sources() {
    fn std_error<E: Error + Send + Sync + 'static>(error: E) -> Box<dyn Error + Send + Sync> {
        Box::new(error)
    }
    let scratch = Scratch::new();
    let whole = written(&scratch).await;
    let first = whole.find('\n').expect("lines") + 1;
    let json = "{\"podwait_journal\":1,\"target\":\"\\u001b[2J\\u202e\"}";
    let line = format!("{}{:08x} {json}\n", &whole[..first], crc32fast::hash(json.as_bytes()));
    let error = std_error(refused(&scratch, line.as_bytes()));
    let behind = error.source().expect("what serde says").to_string();
    for text in [error.to_string(), behind] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
    let error = std_error(Journal::open("/no/such/folder/journal", Fsync::Never).err().expect("no folder"));
    assert!(error.source().expect("what the system says").is::<std::io::Error>());
    let error = std_error(podwait::trace::TraceReader::new(&b"[]"[..]).err().expect("no header"));
    let behind = error.source().expect("what is wrong with the line");
    assert!(behind.is::<podwait::trace::TraceProblem>());
    assert!(behind.source().expect("what serde says").is::<serde_json::Error>());
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
fn a_closed_journal_is_unlocked_whatever_children_the_process_starts() {
    // Until its program begins, a child has all open files of its parent, and their locks.
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
        let exit = journal.keep(wait(client_of(&cluster), "ci", &name)).expect("new").await;
        assert_eq!(exit.map(|exit| exit.code), Ok(0));
        journal.forget("ci", &name).expect("it is written");
        largest.set(largest.get().max(std::fs::metadata(&scratch.path).expect("it is there").len()));
    }
    assert!(largest.get() < 300 << 10, "{} bytes", largest.get());
    // And the file that replaced it is locked as well.
    assert!(matches!(Journal::open(&scratch.path, Fsync::Never), Err(JournalError::InUse(_))));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_was_removed_fails_no_wait_and_is_reported() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    let journal = scratch.open();
    fs::remove_dir_all(scratch.path.parent().expect("a folder")).expect("it is removed");
    running().after(secs(1)).finished(6).spawn(&cluster);
    let exit = journal.keep(the_wait(&cluster)).expect("new").await;
    assert_eq!(exit.map(|exit| exit.code), Ok(6));
    let error = journal.check().expect_err("no other process will find it");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(journal.forget("ci", "p").is_err());
}

#[tokio::test(start_paused = true)]
async fn the_waits_for_a_pod_are_found_by_its_name() {
    let (cluster, scratch) = (Cluster::new(), Scratch::new());
    let journal = scratch.open();
    let keep = |namespace: &str, pod: &str, container: &str| {
        let wait = wait(client_of(&cluster), namespace, pod).container(container);
        drop(journal.keep(wait).expect("new"));
    };
    keep("ci", "p", "step");
    keep("ci", "a", "step");
    keep("ci", "p", "aux");
    keep("ci", "p-1", "step");
    keep("c", "ip", "step");
    let found = |journal: &Journal, pod| {
        let entries = journal.entries_of("ci", pod).into_iter();
        entries.map(|entry| entry.target.container.expect("one was named")).collect::<Vec<_>>()
    };
    assert_eq!(found(&journal, "p"), ["aux", "step"]);
    assert!(found(&journal, "").is_empty());
    let order: Vec<String> = journal.entries().into_iter().map(|entry| entry.target.pod).collect();
    assert_eq!(order, ["p", "a", "p", "p-1", "ip"]);
    journal.forget("ci", "p").expect("it is written");
    drop(journal);
    let journal = scratch.open();
    assert!(found(&journal, "p").is_empty());
    let order: Vec<String> = journal.entries().into_iter().map(|entry| entry.target.pod).collect();
    assert_eq!(order, ["a", "p-1", "ip"]);
}

/// Version 1 had no record of a registry's messages, nor of the pod's.
#[tokio::test(start_paused = true)]
async fn a_wait_that_an_earlier_version_saved_continues() {
    let cluster = Cluster::new();
    let refused = json!({ "waiting": { "reason": "ErrImagePull", "message": "denied: no access" } });
    let life = Life::of(pod("ci", "p", &["step"])).scheduled("node-1");
    life.merge(json!({ "status": { "containerStatuses": [{ "name": "step", "restartCount": 0, "state": refused }] } }))
        .run(&cluster)
        .await
        .expect("it waits for its image");
    let last: Arc<Mutex<Option<SavedWait>>> = Arc::default();
    let note = Arc::clone(&last);
    let look = move |turn: podwait::Turn<'_>| *note.lock().expect("no panic") = Some(turn.machine.save());
    let _ = timeout(secs(5), wait(client_of(&cluster), "ci", "p").on_turn(look).into_future()).await;
    let saved = last.lock().expect("no panic").take().expect("it was seen");

    let mut old = serde_json::to_value(&saved).expect("JSON");
    assert_eq!(old["version"], 3);
    assert_eq!(old["state"]["waiting"]["since"]["image_pull"]["refusals"], "once");
    let mut second = old.clone();
    second["version"] = json!(2);
    let pull = second["state"]["waiting"]["since"]["image_pull"].as_object_mut().expect("a pull");
    pull.remove("refusals");
    pull.insert("refused".to_owned(), pull["since"].clone());
    assert_eq!(serde_json::from_value::<SavedWait>(second).expect("version 2"), saved);

    old["version"] = json!(1);
    let waiting = &mut old["state"]["waiting"];
    let said = waiting["pod"].as_object_mut().expect("a pod").remove("said");
    assert!(said.is_some());
    let pull = waiting["since"]["image_pull"].take();
    waiting["since"]["image_pull"] = json!([pull["since"], pull["failure"]]);
    let restored: SavedWait = serde_json::from_value(old.clone()).expect("version 1");
    let wait = wait(client_of(&cluster), "ci", "p").restore(restored, secs(200)).expect("a machine");
    let failure = wait.await.expect_err("no image");
    assert_eq!(failure.reason, FailReason::ImagePull, "{failure}");

    for unknown in [0, 4] {
        old["version"] = json!(unknown);
        let error = serde_json::from_value::<SavedWait>(old.clone()).expect_err("no such version");
        assert!(error.to_string().contains(&format!("has version {unknown}")), "{error}");
    }
}
