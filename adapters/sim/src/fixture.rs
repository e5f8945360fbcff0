//! A pod for tests.

use serde_json::{Value, json};

/// A pod as a CI agent would create it: one container per name, `restartPolicy: Never`, with the labels, annotations
/// and environment of a real pod. Any field of the value can be changed.
pub fn pod(namespace: &str, name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|container| self::container(container)).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": { "app.kubernetes.io/managed-by": "ci-agent", "ci.example.com/step": name },
            "annotations": { "ci.example.com/commit": "9f1c2ab7d0e84c55a1b3f6d27c90e1458ab3d6f2" },
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "default",
            "containers": containers,
        },
    })
}

/// A container for [`pod`], or for its `initContainers`.
pub fn container(name: &str) -> Value {
    json!({
        "name": name,
        "image": "docker.io/library/busybox:1.37",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c"],
        "args": ["make test"],
        "env": [{ "name": "CI", "value": "true" }],
    })
}
