//! The responses of the real API server to the patch of a hold. One runtime is enough for them.

use super::super::outages::create;
use super::super::{Node, Runtime, end, step, step_with, trap};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::Api;
use podwait::{FINALIZER, Hold, HoldState};
use podwait_tests::cli::run;
use podwait_tests::cluster::{Scratch, client, own_cluster};
use serde_json::json;

/// Where the pods run.
const NODE: Node = Runtime::Processes.steady();

/// The code and the text of the response to a patch that `Hold` sends.
async fn patch(scratch: &Scratch, uid: &str, finalizers: &str) -> (u16, String) {
    let patch = json!({ "metadata": { "uid": uid, finalizers: [FINALIZER] } });
    let request = http::Request::patch(format!("/api/v1/namespaces/{}/pods/step", scratch.namespace()))
        .header("content-type", "application/strategic-merge-patch+json")
        .body(patch.to_string().into_bytes());
    match scratch.kube().request_text(request.expect("a request")).await {
        Ok(text) => (200, text),
        Err(kube::Error::Api(status)) => (status.code, status.message),
        Err(error) => panic!("{error}"),
    }
}

async fn finalizers(scratch: &Scratch) -> Vec<String> {
    let pod = scratch.pods().get("step").await.expect("the pod is there");
    pod.metadata.finalizers.unwrap_or_default()
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_pod_of_another_uid_is_not_changed() {
    let scratch = Scratch::new("hold-uid").await;
    let held = step_with("sleep 3600", |pod| {
        pod["metadata"]["finalizers"] = json!([FINALIZER, "podwait.test/other"]);
    });
    NODE.create(&scratch, held).await;
    let uid = scratch.wait_until_running("step").await;
    let another = "00000000-0000-4000-8000-000000000000";
    for change in ["finalizers", "$deleteFromPrimitiveList/finalizers"] {
        // This is not 409, as for an update: a patch has no precondition, and this one tries to change an immutable
        // field.
        let (code, message) = patch(&scratch, another, change).await;
        assert!(code == 422 && message.contains("metadata.uid: Invalid value"), "{code}: {message}");
    }
    // For the hold this means that its own pod is gone.
    let stale = Hold::of_created(scratch.client(), scratch.namespace(), "step", another);
    assert_eq!((stale.release().await, stale.state()), (Ok(()), HoldState::Released));
    let nobody_s = Hold::of_created(scratch.client(), scratch.namespace(), "no-such", another);
    assert_eq!(nobody_s.release().await, Ok(()));
    assert_eq!(finalizers(&scratch).await, [FINALIZER, "podwait.test/other"]);
    let hold = Hold::of_created(scratch.client(), scratch.namespace(), "step", &uid);
    assert_eq!((hold.release().await, hold.state()), (Ok(()), HoldState::Released));
    assert_eq!(finalizers(&scratch).await, ["podwait.test/other"], "another finalizer is kept");
    let gone = kube::api::Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    scratch.pods().patch("step", &Default::default(), &gone).await.expect("the finalizer is removed");
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_pod_that_is_being_deleted_cannot_be_held_any_more() {
    let scratch = Scratch::new("hold-late").await;
    NODE.create(&scratch, step("trap 'sleep 4; exit 3' TERM; echo begun; sleep 3600 & wait")).await;
    let uid = scratch.wait_until_running("step").await;
    scratch.delete("step", 30).await;
    let (code, message) = patch(&scratch, &uid, "finalizers").await;
    assert_eq!(code, 422, "{message}");
    let hold = Hold::new(scratch.client(), scratch.namespace(), "step");
    let answer = podwait::wait(scratch.client(), scratch.namespace(), "step").hold(&hold).await;
    assert_eq!(hold.state(), HoldState::TooLate);
    // The wait for it continues.
    assert_eq!(answer.map_err(|failure| failure.exit_code), Err(Some(3)));
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn without_the_right_to_patch_pods_there_is_no_hold() {
    let own = own_cluster();
    let scratch = Scratch::new("hold-refused").await;
    let roles: Api<Role> = Api::namespaced(scratch.kube(), scratch.namespace());
    let verbs = json!(["get", "list", "watch"]);
    let rule = json!({ "apiGroups": [""], "resources": ["pods"], "verbs": verbs });
    create(&roles, json!({ "metadata": { "name": "reader" }, "rules": [rule] })).await;
    let bindings: Api<RoleBinding> = Api::namespaced(scratch.kube(), scratch.namespace());
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": group, "kind": "Role", "name": "reader" },
        "subjects": [{ "kind": "User", "name": "nobody", "apiGroup": group }],
    });
    create(&bindings, binding).await;
    NODE.create(&scratch, step(&trap(5))).await;
    let uid = scratch.wait_until_running("step").await;
    let nobody = client(Some("nobody")).await;
    let hold = Hold::new(nobody.clone(), scratch.namespace(), "step");
    let wait = podwait::wait(nobody, scratch.namespace(), "step").hold(&hold);
    let kubeconfig = own.kubeconfig.to_str().expect("a readable path");
    let arguments = ["wait", "step", "--hold", "--context", "nobody", "--kubeconfig", kubeconfig];
    let arguments = [&arguments[..], &["-n", scratch.namespace()]].concat();
    let command = run(&arguments);
    let refused = async {
        while hold.state() == HoldState::NotYet {
            podwait_tests::cluster::pause(50).await;
        }
        podwait_tests::cluster::pause(2000).await;
        end(own, &uid).await;
    };
    let (answer, command, ()) = tokio::join!(wait, command, refused);
    assert_eq!(answer.map(|exit| exit.code).map_err(|failure| failure.reason), Ok(5));
    let HoldState::Refused(failure) = hold.state() else { panic!("{:?}", hold.state()) };
    assert_eq!(failure.code, 403, "{failure:?}");
    assert_eq!((command.status, &*command.stdout), (Some(5), "nonzero_exit 5\n"), "{command:?}");
    assert!(command.stderr.contains("was not held: "), "{command:?}");
    scratch.remove().await;
}
