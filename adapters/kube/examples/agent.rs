//! An agent that may be killed at any time: when it is started again with the same arguments, it continues where it
//! was, and each pod's answer is in its results once.
//!
//! ```text
//! cargo run -p podwait --example agent -- JOURNAL RESULTS NAMESPACE POD...
//! ```
//!
//! It reads the kubeconfig of `$KUBECONFIG`. Three things make this possible: waits are kept in a [`Journal`]; pods are
//! held until their answer is on the disk; and the agent checks its results before it waits for a pod again.

use futures_util::future::try_join_all;
use podwait::{Client, Fsync, Hold, Hub, Journal, Scope};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

type Anything = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Anything> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("JOURNAL RESULTS NAMESPACE POD... are needed");
    let (journal, results, namespace) = (next()?, next()?, next()?);
    let pods: Vec<String> = arguments.collect();

    let client = Client::from_config(kube::Config::infer().await?)?;
    let journal = Journal::open(journal, Fsync::Always)?;
    let results = Results::open(&results)?;
    let hub = Hub::new(client.clone(), Scope::namespace(namespace.as_str()));
    let agent = Agent { client, journal, results, hub, namespace };
    try_join_all(pods.iter().map(|pod| agent.follow(pod))).await?;
    Ok(())
}

struct Agent {
    client: Client,
    journal: Journal,
    results: Results,
    hub: Hub,
    namespace: String,
}

impl Agent {
    /// Follows one pod to its answer, from the state that an earlier process left.
    async fn follow(&self, pod: &str) -> Result<(), Anything> {
        let hold = self.hold(pod);
        if !self.results.has(pod) {
            let wait = self.hub.wait(&self.namespace, pod).hold(&hold);
            let answer = match self.journal.keep(wait)?.await {
                Ok(exit) => format!("{} {}", exit.reason, exit.code),
                Err(failure) => failure.reason.to_string(),
            };
            self.results.write(pod, &answer)?;
        }
        // The answer is on the disk, so the pod may be released, and the journal's record is not needed any more.
        hold.release().await?;
        self.journal.forget(&self.namespace, pod)?;
        Ok(())
    }

    /// The hold, including one of an earlier process.
    fn hold(&self, pod: &str) -> Hold {
        let entries = self.journal.entries_of(&self.namespace, pod);
        let uid = entries.iter().find_map(|entry| entry.wait.pod_uid());
        match uid {
            Some(uid) => Hold::of_created(self.client.clone(), &self.namespace, pod, uid),
            None => Hold::new(self.client.clone(), &self.namespace, pod),
        }
    }
}

/// One line for each pod: its name, and its answer.
struct Results {
    file: Mutex<File>,
    answered: BTreeSet<String>,
}

impl Results {
    fn open(path: &str) -> Result<Self, Anything> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A process that was killed during a write may have left a partial line.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let names = text[..whole].lines().filter_map(|line| line.split(' ').next());
        Ok(Self { answered: names.map(str::to_owned).collect(), file: Mutex::new(file) })
    }

    fn has(&self, pod: &str) -> bool {
        self.answered.contains(pod)
    }

    fn write(&self, pod: &str, answer: &str) -> Result<(), Anything> {
        let mut file = self.file.lock().map_err(|_| "another pod's answer could not be written")?;
        file.write_all(format!("{pod} {answer}\n").as_bytes())?;
        Ok(file.sync_data()?)
    }
}
