//! The pod that `podwait run` creates.

use super::{RunArgs, file};
use crate::status::{Complaint, Status};
use podwait::FINALIZER;
use podwait_hub::is_dns_subdomain;
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The label that identifies the attempt of a pod. Its value is random and is not in the name, so a pod of the same name from
/// elsewhere does not match.
pub(super) const RUN_LABEL: &str = "podwait.dev/run";

/// Longest name of a pod, since it is also the pod's hostname (a label of RFC 1123).
const LONGEST_NAME: usize = 63;

/// The random part of a name: 64 bits as hexadecimal digits.
const RANDOM: usize = 16;

/// The name, and the metadata that the API server sets. A manifest that was read from a cluster contains them.
const NOT_OURS: [&str; 10] = [
    "name",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The common part of all attempts of a run.
#[derive(Debug)]
pub(super) struct Template {
    /// The pod, without a name and without a hold.
    pod: Value,
    /// The beginning of the name.
    prefix: String,
}

/// The pod of one attempt, before it is created.
#[derive(Debug)]
pub(super) struct NewPod {
    pub(super) name: String,
    /// The value of [`RUN_LABEL`].
    pub(super) run: String,
    pub(super) body: Vec<u8>,
    pub(super) is_held: bool,
}

impl Template {
    /// Makes the template from the arguments, and from the manifest if they name one.
    pub(super) async fn read(args: &RunArgs) -> Result<Self, Complaint> {
        let pod = match (&args.file, &args.image) {
            (Some(path), _) => file::read(path.clone()).await?,
            (None, Some(image)) => from_image(args, image),
            (None, None) => return Err(usage("--image or -f is needed")),
        };
        Self::new(args, pod)
    }

    fn new(args: &RunArgs, mut pod: Value) -> Result<Self, Complaint> {
        let mut metadata = pod["metadata"].as_object().cloned().unwrap_or_default();
        let prefix = prefix(args.name.as_deref(), &metadata)?;
        if let Some(namespace) = metadata.get("namespace").filter(|namespace| !namespace.is_null()) {
            let name = namespace.as_str().filter(|name| is_dns_subdomain(name));
            let name = name.ok_or_else(|| usage("metadata.namespace of the pod is not a valid name"))?;
            if args.connect.namespace.as_deref().is_some_and(|asked| asked != name) {
                return Err(usage(format!("the manifest has namespace {name}, and -n has a different one")));
            }
        }
        metadata.retain(|key, _| !NOT_OURS.contains(&key.as_str()));
        if metadata.get("labels").is_none_or(Value::is_null) {
            metadata.insert("labels".into(), json!({}));
        }
        let labels = metadata.get_mut("labels").and_then(Value::as_object_mut);
        let labels = labels.ok_or_else(|| usage("metadata.labels of the pod is not a mapping"))?;
        labels.insert("app.kubernetes.io/managed-by".into(), json!("podwait"));
        labels.extend(args.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
        if args.labels.iter().any(|(key, _)| key == RUN_LABEL) {
            return Err(usage(format!("the label {RUN_LABEL} is reserved for podwait; choose another key")));
        }
        // Only a hold that an attempt adds is removed again.
        if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        pod["metadata"] = Value::Object(metadata);
        if let Some(object) = pod.as_object_mut() {
            object.remove("status");
        }
        let policy = &mut pod["spec"]["restartPolicy"];
        if policy.is_null() {
            // The API server's default is Always, and such a pod never ends.
            *policy = json!("Never");
        } else if policy == "Always" {
            return Err(usage("a pod with restartPolicy Always never ends; make it Never or OnFailure"));
        }
        Ok(Self { pod, prefix })
    }

    /// The namespace that the manifest names.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.pod["metadata"]["namespace"].as_str()
    }

    /// How long the pod may take to stop (`terminationGracePeriodSeconds`).
    pub(super) fn grace_period(&self) -> Duration {
        let seconds = self.pod["spec"]["terminationGracePeriodSeconds"].as_u64();
        Duration::from_secs(seconds.unwrap_or(30))
    }

    /// A new random name.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.prefix, random())
    }

    /// The pod of one attempt, with a new name.
    ///
    /// The client chooses the whole name, so that the API server refuses to create the pod a second time.
    pub(super) fn attempt(&self, namespace: &str, is_held: bool) -> Result<NewPod, Complaint> {
        let (name, run) = (self.name(), random());
        let mut pod = self.pod.clone();
        let metadata = &mut pod["metadata"];
        metadata["name"] = json!(name);
        metadata["namespace"] = json!(namespace);
        metadata["labels"][RUN_LABEL] = json!(run);
        if is_held {
            match metadata["finalizers"].as_array_mut() {
                Some(finalizers) => finalizers.push(json!(FINALIZER)),
                None => metadata["finalizers"] = json!([FINALIZER]),
            }
        }
        let body = pod.to_string().into_bytes();
        if body.len() > file::LONGEST {
            let most = file::LONGEST >> 20;
            return Err(usage(format!("the pod is longer than {most} MiB, the limit of an API server")));
        }
        Ok(NewPod { name, run, body, is_held })
    }
}

/// The beginning of the pod's name: it leaves room for the random part, and makes a valid name with it.
fn prefix(asked: Option<&str>, metadata: &Map<String, Value>) -> Result<String, Complaint> {
    let text = |key: &str| match metadata.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        // A prefix may end with a character that a name must not end with.
        Some(Value::String(text)) if is_dns_subdomain(&format!("{text}0")) => Ok(Some(text.as_str())),
        Some(_) => Err(usage(format!("metadata.{key} of the pod is not a valid name"))),
    };
    let longest = LONGEST_NAME - RANDOM;
    let cut = |text: &str, longest: usize| text.get(..longest).unwrap_or(text).to_owned();
    let with_dash = |name: &str| format!("{}-", cut(name, longest - 1).trim_end_matches(['-', '.']));
    Ok(match (asked, text("generateName")?, text("name")?) {
        (Some(name), ..) => with_dash(name),
        (None, Some(prefix), _) => cut(prefix, longest),
        (None, None, Some(name)) => with_dash(name),
        (None, None, None) => String::from("podwait-run-"),
    })
}

/// 64 random bits: the standard library seeds its hashers with them.
fn random() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn from_image(args: &RunArgs, image: &str) -> Value {
    let mut container = Map::new();
    container.insert("name".into(), json!("step"));
    container.insert("image".into(), json!(image));
    if !args.command.is_empty() {
        container.insert("command".into(), json!(args.command));
    }
    if !args.env.is_empty() {
        let env: Vec<Value> =
            args.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        container.insert("env".into(), json!(env));
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "spec": { "restartPolicy": "Never", "automountServiceAccountToken": false, "containers": [container] },
    })
}

pub(super) fn usage(sentence: impl Into<String>) -> Complaint {
    Complaint::new(Status::Usage, sentence)
}
