//! A disk that fails and a machine that loses power, simulated through [`Disk`]; and the amount of work of a journal.

use super::disk::Disk;
use super::{Fsync, Journal, JournalError};
use crate::{Client, Wait, wait};
use podwait_core::Target;
use podwait_core::{Input, Instant, SavedWait, WaitMachine};
use podwait_sim::{Cluster, Step, pod};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("podwait-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        Self(folder.canonicalize().expect("it is there"))
    }

    fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The calls to the disk, with files by their inodes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Open(PathBuf, u64),
    Create(PathBuf, u64),
    Write(u64, Vec<u8>),
    Cut(u64, u64),
    Sync(u64),
    SyncFolder,
    Rename(PathBuf, PathBuf),
    /// Not a call: the journal reports a record of this wait at this time as safe.
    Safe(String, Instant),
}

/// The real disk with a log; some calls fail.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    asked: Vec<Asked>,
    /// Names of the calls that fail.
    failing: Vec<&'static str>,
    /// How often a call failed.
    failed: usize,
    /// All opened files, so that no inode is reused.
    files: Vec<File>,
}

impl Watched {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().expect("no panic")
    }

    fn fail(&self, calls: &[&'static str]) {
        self.log().failing = calls.to_vec();
    }

    fn may(&self, call: &'static str) -> io::Result<()> {
        let mut log = self.log();
        if log.failing.contains(&call) {
            log.failed += 1;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn ask(&self, asked: Asked) {
        self.log().asked.push(asked);
    }

    fn inode(&self, file: &File) -> u64 {
        self.log().files.push(file.try_clone().expect("a file"));
        file.metadata().expect("it is open").ino()
    }
}

/// Uses the default implementation of every call.
struct Real;

impl Disk for Real {}

impl Disk for Watched {
    fn open(&self, path: &Path) -> io::Result<File> {
        let file = Real.open(path)?;
        self.ask(Asked::Open(path.to_owned(), self.inode(&file)));
        Ok(file)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.may("create")?;
        let file = Real.create(path)?;
        self.ask(Asked::Create(path.to_owned(), self.inode(&file)));
        Ok(file)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        // A disk that becomes full writes a part.
        if let Err(error) = self.may("write") {
            Real.write(file, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.ask(Asked::Write(self.inode(file), bytes.to_vec()));
        Real.write(file, bytes)
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        self.may("cut")?;
        self.ask(Asked::Cut(self.inode(file), length));
        Real.cut(file, length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.may("sync")?;
        self.ask(Asked::Sync(self.inode(file)));
        Ok(())
    }

    fn sync_folder(&self, _: &File) -> io::Result<()> {
        self.may("sync_folder")?;
        self.ask(Asked::SyncFolder);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.may("rename")?;
        self.ask(Asked::Rename(from.to_owned(), to.to_owned()));
        Real.rename(from, to)
    }
}

/// The file after a power cut: of names and of contents only the synced part, or also the unsynced part.
fn after_a_power_cut(asked: &[Asked], path: &Path, has_names: bool, has_contents: bool) -> Option<Vec<u8>> {
    type Disk = (BTreeMap<PathBuf, u64>, BTreeMap<u64, Vec<u8>>);
    let (mut now, mut safe) = (Disk::default(), Disk::default());
    for asked in asked {
        match asked {
            Asked::Open(path, inode) | Asked::Create(path, inode) => {
                now.0.insert(path.clone(), *inode);
                now.1.entry(*inode).or_default();
            }
            Asked::Write(inode, bytes) => now.1.entry(*inode).or_default().extend(bytes),
            Asked::Cut(inode, length) => {
                let length = usize::try_from(*length).expect("a small file");
                now.1.entry(*inode).or_default().truncate(length);
            }
            Asked::Sync(inode) => drop(safe.1.insert(*inode, now.1[inode].clone())),
            Asked::SyncFolder => safe.0.clone_from(&now.0),
            Asked::Rename(from, to) => {
                let inode = now.0.remove(from).expect("it is there");
                now.0.insert(to.clone(), inode);
            }
            Asked::Safe(..) => {}
        }
    }
    let names = if has_names { now.0 } else { safe.0 };
    let contents = if has_contents { now.1 } else { safe.1 };
    let inode = names.get(path)?;
    Some(contents.get(inode).cloned().unwrap_or_default())
}

fn target(pod: &str) -> Target {
    Target { namespace: String::from("ci"), pod: pod.to_owned(), ..Target::default() }
}

/// A wait at this time.
fn saved(millis: u64) -> SavedWait {
    let mut machine = WaitMachine::new(Arc::default());
    let _ = machine.handle(Instant::from_millis(millis), Input::Tick);
    machine.save()
}

/// When each wait was noted last.
type Times = BTreeMap<String, Instant>;

fn times(journal: &Journal) -> Times {
    journal.entries().into_iter().map(|entry| (entry.target.pod, entry.wait.now())).collect()
}

/// Notes records of five waits in turn.
fn note(journal: &Journal, records: std::ops::Range<u64>) {
    for n in records {
        journal.open.note(&target(&format!("p-{}", n % 5)), saved(n));
    }
}

#[test]
fn a_power_cut_at_any_time_loses_no_record_that_was_to_be_on_the_disk() {
    let (scratch, disk) = (Scratch::new("power"), Watched::default());
    let path = scratch.journal();
    let journal = Journal::open_on(Box::new(disk.clone()), &path, Fsync::Always).expect("a journal");
    let is_rewritten =
        |disk: &Watched| disk.log().asked.iter().any(|asked| matches!(asked, Asked::Rename(..)));
    let mut n = 0;
    let mut until = None;
    while until != Some(n) {
        let pod = format!("p-{}", n % 5);
        journal.open.note(&target(&pod), saved(n));
        journal.check().expect("it is written");
        disk.ask(Asked::Safe(pod, Instant::from_millis(n)));
        n += 1;
        if until.is_none() && is_rewritten(&disk) {
            until = Some(n + 5);
        }
    }
    let asked = disk.log().asked.clone();
    let begin = asked.iter().position(|asked| matches!(asked, Asked::Create(..))).expect("it was rewritten");
    // Many cuts leave the same file.
    let mut known: Vec<(Option<Vec<u8>>, Times)> = Vec::new();
    for cut in (0..20).chain(begin - 10..asked.len() + 1) {
        let asked = &asked[..cut];
        for (has_names, has_contents) in [(false, false), (false, true), (true, false), (true, true)] {
            let bytes = after_a_power_cut(asked, &path, has_names, has_contents);
            let times = match known.iter().find(|(known, _)| *known == bytes) {
                Some((_, times)) => times.clone(),
                None => {
                    let found = scratch.0.join("found");
                    let _ = fs::remove_file(&found);
                    if let Some(bytes) = &bytes {
                        fs::write(&found, bytes).expect("written");
                    }
                    let journal = Journal::open(&found, Fsync::Never);
                    times(&journal.unwrap_or_else(|error| panic!("cut at {cut}: {error}")))
                }
            };
            for asked in asked {
                if let Asked::Safe(pod, time) = asked {
                    let found = times.get(pod).is_some_and(|found| found >= time);
                    assert!(found, "cut at {cut}: {pod} at {time:?}");
                }
            }
            known.push((bytes, times));
        }
    }
}

#[test]
fn a_folder_that_cannot_be_synced_makes_no_record_safe() {
    let (scratch, disk) = (Scratch::new("folder"), Watched::default());
    let path = scratch.journal();
    let open = |fsync| Journal::open_on(Box::new(disk.clone()), &path, fsync);
    disk.fail(&["sync_folder"]);
    assert!(matches!(open(Fsync::Always), Err(JournalError::Io(..))));
    // Syncing was not requested here.
    drop(open(Fsync::Never).expect("a journal"));
    disk.fail(&[]);
    let journal = open(Fsync::Always).expect("a journal");
    // From the rewrite on.
    disk.fail(&["sync_folder"]);
    let last = (0..2000).find(|n| {
        note(&journal, *n..n + 1);
        journal.check().is_err()
    });
    let last = last.expect("it is rewritten in the end");
    disk.fail(&[]);
    journal.check().expect("it is synced now");
    drop(journal);
    assert_eq!(
        times(&open(Fsync::Always).expect("a journal"))[&format!("p-{}", last % 5)],
        Instant::from_millis(last)
    );
}

#[test]
fn a_journal_that_cannot_be_rewritten_grows_until_it_can() {
    for call in ["create", "sync", "rename"] {
        let (scratch, disk) = (Scratch::new("grows"), Watched::default());
        let path = scratch.journal();
        let open = || Journal::open_on(Box::new(disk.clone()), &path, Fsync::Never).expect("a journal");
        let length = || fs::metadata(&path).expect("it is there").len();
        let journal = open();
        disk.fail(&[call]);
        note(&journal, 0..1000);
        journal.check().expect("every record is written");
        assert!(length() > 512 << 10, "{call}: {} bytes", length());
        // The rewrite is tried now and then, not with every record.
        let failed = disk.log().failed;
        assert!((1..=8).contains(&failed), "{call}: {failed} times");
        drop(journal);
        let journal = open();
        assert_eq!(times(&journal)["p-4"], Instant::from_millis(999), "{call}");
        note(&journal, 1000..1001);
        journal.check().expect("it is written");
        disk.fail(&[]);
        note(&journal, 1001..3000);
        assert!(length() < 300 << 10, "{call}: {} bytes", length());
        drop(journal);
        assert_eq!(
            times(&open()).into_values().map(Instant::as_millis).collect::<Vec<_>>(),
            [2995, 2996, 2997, 2998, 2999]
        );
        // No other file is left behind.
        assert_eq!(fs::read_dir(&scratch.0).expect("a folder").count(), 1, "{call}");
    }
}

#[test]
fn what_a_full_disk_did_not_take_is_written_when_there_is_room() {
    for calls in [&["write"][..], &["sync"], &["write", "cut"]] {
        let (scratch, disk) = (Scratch::new("full"), Watched::default());
        let path = scratch.journal();
        let open = || Journal::open_on(Box::new(disk.clone()), &path, Fsync::Always).expect("a journal");
        let journal = open();
        note(&journal, 0..5);
        disk.fail(calls);
        note(&journal, 5..8);
        assert!(journal.check().is_err(), "{calls:?}");
        assert!(journal.forget("ci", "p-3").is_err(), "{calls:?}");
        // If the process is killed now, the waits have their earlier states.
        let copy = scratch.0.join("copy");
        fs::copy(&path, &copy).expect("copied");
        assert_eq!(times(&Journal::open(&copy, Fsync::Never).expect("a journal")).len(), 5, "{calls:?}");
        disk.fail(&[]);
        journal.check().expect("there is room");
        drop(journal);
        let millis: Vec<u64> = times(&open()).into_values().map(Instant::as_millis).collect();
        assert_eq!(millis, [5, 6, 7, 4], "{calls:?}");
    }
}

#[test]
fn a_journal_that_cannot_be_begun_leaves_an_empty_file() {
    let (scratch, disk) = (Scratch::new("begin"), Watched::default());
    disk.fail(&["write"]);
    let error = Journal::open_on(Box::new(disk), &scratch.journal(), Fsync::Never).err().expect("no room");
    assert!(matches!(error, JournalError::Io(..)));
    assert_eq!(fs::read(scratch.journal()).expect("it is there"), b"");
    drop(Journal::open(scratch.journal(), Fsync::Never).expect("an empty file becomes a journal"));
}

#[test]
fn rewriting_a_journal_touches_nothing_but_what_an_earlier_one_left() {
    let scratch = Scratch::new("stale");
    let (path, victim) = (scratch.journal(), scratch.0.join("victim"));
    let new = scratch.0.join("journal.compacting");
    fs::write(&victim, "precious").expect("written");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o666)).expect("its owner may");
    let stale = [super::record::first_line(), b"half a rec".to_vec()].concat();
    type Put<'a> = &'a dyn Fn();
    let cases: [(&str, Put<'_>, bool); 6] = [
        ("a link", &|| symlink(&victim, &new).expect("a link"), false),
        ("a dangling link", &|| symlink(scratch.0.join("nothing"), &new).expect("a link"), false),
        ("a folder", &|| fs::create_dir(&new).expect("a folder"), false),
        ("a file", &|| fs::write(&new, "precious").expect("a file"), false),
        ("what a crash left", &|| fs::write(&new, &stale).expect("a file"), true),
        ("what a crash left at once", &|| fs::write(&new, "").expect("a file"), true),
    ];
    for (what, put, is_rewritten) in cases {
        let _ = fs::remove_file(&path);
        let journal = Journal::open(&path, Fsync::Never).expect("a journal");
        put();
        note(&journal, 0..1000);
        journal.check().unwrap_or_else(|error| panic!("{what}: {error}"));
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        assert!(metadata.is_file(), "{what}");
        assert_eq!(metadata.mode() & 0o777, 0o600, "{what}");
        assert_eq!(metadata.len() < 300 << 10, is_rewritten, "{what}: {} bytes", metadata.len());
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), "precious", "{what}");
        assert!(!scratch.0.join("nothing").exists(), "{what}");
        // The file that blocked the rewrite is still there.
        assert_eq!(fs::symlink_metadata(&new).is_ok(), !is_rewritten, "{what}");
        let _ = fs::remove_file(&new).or_else(|_| fs::remove_dir(&new));
    }
}

#[test]
fn a_journal_that_another_has_replaced_replaces_nothing() {
    let scratch = Scratch::new("replaced");
    let path = scratch.journal();
    let journal = Journal::open(&path, Fsync::Never).expect("a journal");
    note(&journal, 0..5);
    fs::remove_file(&path).expect("removed");
    assert_eq!(journal.check().expect_err("it is gone").kind(), io::ErrorKind::NotFound);
    let other = Journal::open(&path, Fsync::Never).expect("a new one");
    note(&other, 100..101);
    note(&journal, 5..1000);
    assert_eq!(journal.check().expect_err("it is gone").kind(), io::ErrorKind::NotFound);
    drop((journal, other));
    let left = Journal::open(&path, Fsync::Never).expect("a journal");
    assert_eq!(times(&left).into_values().collect::<Vec<_>>(), [Instant::from_millis(100)]);
}

/// The real disk, but writes wait while it is stuck.
#[derive(Clone, Default)]
struct Stuck(Arc<(Mutex<bool>, Condvar)>);

impl Stuck {
    fn set(&self, is_stuck: bool) {
        *self.0.0.lock().expect("no panic") = is_stuck;
        self.0.1.notify_all();
    }
}

impl Disk for Stuck {
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let is_stuck = self.0.0.lock().expect("no panic");
        drop(self.0.1.wait_while(is_stuck, |is_stuck| *is_stuck).expect("no panic"));
        io::Write::write_all(&mut file, bytes)
    }
}

#[tokio::test]
async fn a_blocked_disk_delays_only_the_waits_in_the_journal() {
    let (scratch, disk) = (Scratch::new("stuck"), Stuck::default());
    let journal =
        Journal::open_on(Box::new(disk.clone()), &scratch.journal(), Fsync::Always).expect("a journal");
    let cluster = Cluster::new();
    for name in ["kept", "other"] {
        cluster.create(pod("ci", name, &["step"])).expect("the simulated cluster takes it");
        Step::Finished { exit_code: 3 }.apply(&cluster, "ci", name).expect("the simulated cluster takes it");
    }
    let the_wait = |name: &str| wait(Client::from_service(cluster.clone(), "default"), "ci", name);
    disk.set(true);
    let kept = tokio::spawn(journal.keep(the_wait("kept")).expect("new").into_future());
    assert_eq!(the_wait("other").await.map(|exit| exit.code), Ok(3), "on the one thread that there is");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!kept.is_finished(), "its answer is not on the disk");
    disk.set(false);
    assert_eq!(kept.await.expect("no panic").map(|exit| exit.code), Ok(3));
    let written = fs::read_to_string(scratch.journal()).expect("text");
    assert_eq!(written.lines().count(), 3, "the file's first line, the beginning and the answer: {written}");
}

#[tokio::test]
async fn a_journal_is_closed_with_its_last_clone_whatever_was_noted_last() {
    let scratch = Scratch::new("closed");
    for n in 0..100 {
        let journal = Journal::open(scratch.journal(), Fsync::Never).expect("nothing has it open");
        assert_eq!(times(&journal).len(), usize::from(n > 0));
        journal.open.note(&target("p"), saved(n));
    }
    let journal = Journal::open(scratch.journal(), Fsync::Never).expect("nothing has it open");
    assert_eq!(times(&journal).into_values().collect::<Vec<_>>(), [Instant::from_millis(99)]);
}

#[tokio::test(start_paused = true)]
async fn four_times_as_many_waits_are_about_four_times_the_work() {
    let client = Client::from_service(Cluster::new(), "default");
    let name = |n: u64| format!("p-{n}");
    let the_wait = |n: u64| -> Wait { wait(client.clone(), "ci", name(n)) };
    // Allocations of this thread: code that copies all waits for each wait would have sixteen times as many.
    let work = |what: &mut dyn FnMut()| allocation_counter::measure(what).count_total;
    let works = [100, 400].map(|count| {
        let scratch = Scratch::new("work");
        let open = || Journal::open(scratch.journal(), Fsync::Never).expect("a journal");
        let journal = open();
        let begun = work(&mut || {
            for n in 0..count {
                drop(journal.keep(the_wait(n)).expect("new"));
            }
        });
        drop(journal);
        let opened = work(&mut || drop(open()));
        let journal = open();
        let taken_up = work(&mut || {
            for n in 0..count {
                drop(journal.keep(the_wait(n)).expect("known"));
            }
        });
        let forgotten = work(&mut || {
            for n in 0..count {
                journal.forget("ci", &name(n)).expect("it is written");
            }
        });
        assert!(journal.entries().is_empty());
        [begun, opened, taken_up, forgotten]
    });
    for (what, (once, four_times)) in
        ["begun", "opened", "taken up", "forgotten"].iter().zip(works[0].iter().zip(works[1]))
    {
        assert!(four_times < 6 * once, "{what}: {once} and {four_times} allocations");
    }
}

#[test]
fn a_write_to_a_large_journal_does_not_visit_its_other_waits() {
    let scratch = Scratch::new("large");
    let journal = Journal::open(scratch.journal(), Fsync::Never).expect("a journal");
    let work = |n: u64| {
        let saved = saved(n);
        let target = target(&format!("p-{n}"));
        allocation_counter::measure(|| journal.open.note(&target, saved)).count_total
    };
    let first = work(0);
    // Well beyond the size from which on a rewrite is considered.
    for n in 1..1000 {
        work(n);
    }
    let last = work(1000);
    assert!(last < 3 * first, "{first} and {last} allocations");
}
