//! The pod that is to be run.

use super::RunArgs;
use crate::status::{Complaint, Status};
use podwait::FINALIZER;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The label that says which run a pod belongs to.
pub(super) const RUN_LABEL: &str = "podwait.dev/run";

/// Longest prefix of a generated name: the API server adds five characters, and a name may be a label's value.
const LONGEST_PREFIX: usize = 58;

/// The pod, without its hold, with this value of [`RUN_LABEL`].
pub(super) fn pod(args: &RunArgs, run: &str) -> Result<Value, Complaint> {
    let mut pod = match (&args.file, &args.image) {
        (Some(file), _) => read(file)?,
        (None, Some(image)) => from_image(args, image),
        (None, None) => return Err(usage("--image or -f is needed")),
    };
    let metadata = pod["metadata"].as_object().cloned().unwrap_or_default();
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    // A name of its own for each run: one that was there before must not be taken for it.
    let prefix = match (&args.name, text("generateName"), text("name")) {
        (Some(name), ..) => format!("{name}-"),
        (None, Some(prefix), _) => prefix.to_owned(),
        (None, None, Some(name)) => format!("{name}-"),
        (None, None, None) => String::from("podwait-run-"),
    };
    let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
    let mut labels = metadata.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
    labels.insert("app.kubernetes.io/managed-by".into(), json!("podwait"));
    labels.insert(RUN_LABEL.into(), json!(run));
    labels.extend(args.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    let mut metadata = metadata;
    for key in ["name", "uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        metadata.remove(key);
    }
    metadata.insert("generateName".into(), json!(prefix));
    metadata.insert("labels".into(), Value::Object(labels));
    pod["metadata"] = Value::Object(metadata);
    if let Some(object) = pod.as_object_mut() {
        object.remove("status");
    }
    let policy = &mut pod["spec"]["restartPolicy"];
    match policy.as_str() {
        // What the API server would make of nothing never ends.
        None => *policy = json!("Never"),
        Some("Always") => {
            return Err(usage("a pod with restartPolicy Always never ends; make it Never or OnFailure"));
        }
        Some(_) => {}
    }
    Ok(pod)
}

/// The same with the hold.
pub(super) fn held(mut pod: Value) -> Value {
    match pod["metadata"]["finalizers"].as_array_mut() {
        Some(finalizers) => finalizers.push(json!(FINALIZER)),
        None => pod["metadata"]["finalizers"] = json!([FINALIZER]),
    }
    pod
}

fn read(file: &Path) -> Result<Value, Complaint> {
    let name = file.display();
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|error| usage(format!("cannot read {name}: {error}")))?;
    let pod: Value = serde_saphyr::from_str(&text).map_err(|error| {
        let text = error.to_string();
        usage(format!("{name} cannot be read: {}", text.lines().next().unwrap_or_default()))
    })?;
    let kind = (pod["apiVersion"].as_str(), pod["kind"].as_str());
    if kind != (Some("v1"), Some("Pod")) {
        let (version, kind) = (kind.0.unwrap_or("?"), kind.1.unwrap_or("?"));
        return Err(usage(format!("{name} is a {version} {kind}, and no v1 Pod")));
    }
    if !pod["spec"].is_object() {
        return Err(usage(format!("{name} has no spec")));
    }
    Ok(pod)
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

fn usage(sentence: impl Into<String>) -> Complaint {
    Complaint::new(Status::Usage, sentence)
}
