//! The pods and jobs of a wait.

use super::WaitArgs;
use crate::args::name;
use crate::connect::Connection;
use crate::status::{Complaint, Status};
use podwait::Journal;
use std::str::FromStr;

/// A pod or a job on the command line.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Pod(String),
    Job(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None => name(text).map(Self::Pod),
            Some(("pod" | "pods" | "po", pod)) => name(pod).map(Self::Pod),
            Some(("job" | "jobs" | "job.batch" | "jobs.batch", job)) => name(job).map(Self::Job),
            Some((kind, _)) => Err(format!("{kind:?} is neither a pod nor a job")),
        }
    }
}

/// The pod or job of one wait.
pub(super) enum Awaited {
    Pod(Pod),
    Job { namespace: String, name: String },
}

/// The pod of a wait.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) container: Option<String>,
    /// The uid that the pod must have.
    pub(super) uid: Option<String>,
    /// The uid of a pod that an earlier process may have held.
    pub(super) held_uid: Option<String>,
}

impl Awaited {
    /// The namespace, and the name in results.
    pub(super) fn names(&self) -> (String, String) {
        match self {
            Self::Pod(pod) => (pod.namespace.clone(), pod.name.clone()),
            Self::Job { namespace, name } => (namespace.clone(), format!("job/{name}")),
        }
    }
}

/// Refuses what a wait for a Job would ignore.
pub(super) fn check(args: &WaitArgs) -> Result<(), Complaint> {
    let job = args.targets.iter().find_map(|target| match target {
        Target::Job(name) => Some(name),
        Target::Pod(_) => None,
    });
    let for_pods = [
        ("--container", args.container.is_some()),
        ("--hold", args.hold),
        ("--logs", args.logs),
        ("--resume", args.resume.is_some()),
    ];
    let given = for_pods.into_iter().find(|(_, is_given)| *is_given);
    match (job, given) {
        (Some(name), Some((flag, _))) => {
            let message = format!("{flag} is for pods, and job/{name} is a Job; wait for the Job without it");
            Err(Complaint::new(Status::Usage, message))
        }
        (None, _) | (_, None) => Ok(()),
    }
}

/// All pods and jobs that the command waits for.
pub(super) async fn all(
    args: &WaitArgs,
    connection: &Connection,
    journal: Option<&Journal>,
) -> Result<Vec<Awaited>, Complaint> {
    let namespace = &connection.namespace;
    let pod = |name: &str, uid: Option<String>| Pod {
        namespace: namespace.clone(),
        name: name.to_owned(),
        container: args.container.clone(),
        uid,
        held_uid: None,
    };
    let mut all: Vec<Awaited> = Vec::new();
    for target in &args.targets {
        all.push(match target {
            Target::Pod(name) => Awaited::Pod(pod(name, None)),
            Target::Job(name) => Awaited::Job { namespace: namespace.clone(), name: name.clone() },
        });
    }
    let entries = journal.map(Journal::entries).unwrap_or_default();
    if args.targets.is_empty() {
        // The selector may match other pods by now, or none. The waits of the journal are continued.
        all.extend(entries.iter().map(|entry| {
            let target = entry.target.clone();
            let (container, uid) = (target.container, target.uid);
            Awaited::Pod(Pod { container, uid, namespace: target.namespace, ..pod(&target.pod, None) })
        }));
    }
    if let Some(selector) = args.selector.as_deref().filter(|_| entries.is_empty()) {
        let found = super::selected::matching(connection, selector).await?;
        all.extend(found.into_iter().map(|(name, uid)| Awaited::Pod(pod(&name, Some(uid)))));
    }
    if all.is_empty() {
        return Err(Complaint::new(Status::Usage, "the journal has no waits; name a pod or a job"));
    }
    let only = all.len() == 1;
    if args.record.is_some() && !(only && matches!(all[..], [Awaited::Pod(_)])) {
        return Err(Complaint::new(Status::Usage, "--record records the wait for one pod"));
    }
    for awaited in &mut all {
        if let Awaited::Pod(pod) = awaited {
            let same = journal.map(|journal| journal.entries_of(&pod.namespace, &pod.name));
            pod.held_uid =
                same.unwrap_or_default().iter().find_map(|entry| entry.wait.pod_uid().map(str::to_owned));
        }
    }
    match all.first() {
        Some(Awaited::Pod(pod)) => connection.check(&pod.namespace, &pod.name).await?,
        Some(Awaited::Job { namespace, name }) => connection.check_job(namespace, name).await?,
        None => {}
    }
    Ok(all)
}
