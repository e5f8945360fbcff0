//! The typed pod of k8s-openapi gives the same pod.

use crate::data::{data, pods};
use podwait_wire::{Encoding, Pod, pod};

#[test]
fn a_typed_pod_is_the_pod_of_its_bytes() {
    let full = String::from_utf8(data("full.json")).expect("UTF-8");
    for json in pods().iter().chain([&full]) {
        let typed: k8s_openapi::api::core::v1::Pod = serde_json::from_str(json).expect(json);
        assert_eq!(Pod::from(&typed), pod(Encoding::Json, json.as_bytes()).expect(json), "{json}");
    }
}
