//! Waits on real pods of a real API server, through the library (watching, in a hub, polling) and the command at once.

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, PostParams};
use podwait::{DoneReason, FailReason, Hub, Scope, wait};
use podwait_tests::cli::run;
use podwait_tests::cluster::{Answers, Scratch, Waiters, client, own_cluster, pause, running, terminated};
use serde_json::json;
use std::future::{Future, IntoFuture};

/// Waits in every way for the container `step` of `pod`, in a new namespace, while `life` changes the pod.
async fn wait_through<L: Future<Output = ()>>(
    pod: &str,
    container: Option<&'static str>,
    life: impl FnOnce(std::rc::Rc<Scratch>) -> L,
) -> Answers {
    let scratch = std::rc::Rc::new(Scratch::new(pod).await);
    let waiters = Waiters { container, ..Waiters::default() };
    let (answers, ()) = tokio::join!(waiters.wait(&scratch, pod), life(std::rc::Rc::clone(&scratch)));
    std::rc::Rc::into_inner(scratch).expect("the life is over").remove().await;
    answers
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn completes_with_0() {
    let answers = wait_through("completes-0", None, async |cluster| {
        cluster.create("completes-0", &["step"]).await;
        cluster.write_status("completes-0", "Running", &[("step", running())]).await;
        cluster.wait_until_seen("completes-0").await;
        cluster.write_status("completes-0", "Succeeded", &[("step", terminated(0))]).await;
    });
    answers.await.all_done(DoneReason::Completed, 0);
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn completes_with_3() {
    let answers = wait_through("completes-3", None, async |cluster| {
        cluster.create("completes-3", &["step"]).await;
        cluster.write_status("completes-3", "Running", &[("step", running())]).await;
        cluster.wait_until_seen("completes-3").await;
        cluster.write_status("completes-3", "Failed", &[("step", terminated(3))]).await;
    });
    answers.await.all_done(DoneReason::NonzeroExit, 3);
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn terminal_phase_comes_700_ms_before_the_exit() {
    let answers = wait_through("race", None, async |cluster| {
        cluster.create("race", &["step"]).await;
        cluster.write_status("race", "Running", &[("step", running())]).await;
        cluster.wait_until_seen("race").await;
        cluster.write_status("race", "Failed", &[("step", running())]).await;
        pause(700).await;
        cluster.write_status("race", "Failed", &[("step", terminated(4))]).await;
    });
    answers.await.all_done(DoneReason::NonzeroExit, 4);
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn exit_0_of_a_pod_that_was_deleted_while_running_is_no_success() {
    let answers = wait_through("deleted", None, async |cluster| {
        cluster.create("deleted", &["step"]).await;
        cluster.write_status("deleted", "Running", &[("step", running())]).await;
        cluster.wait_until_seen("deleted").await;
        cluster.delete("deleted", 30).await;
        cluster.wait_until_seen("deleted").await;
        cluster.write_status("deleted", "Succeeded", &[("step", terminated(0))]).await;
        cluster.wait_until_seen("deleted").await;
        cluster.delete("deleted", 0).await;
    });
    answers.await.all_fail(&[FailReason::PodDeleted], Some(0), 220);
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn force_deleted_while_running_has_no_exit() {
    let answers = wait_through("forced", None, async |cluster| {
        cluster.create("forced", &["step"]).await;
        cluster.write_status("forced", "Running", &[("step", running())]).await;
        cluster.wait_until_seen("forced").await;
        cluster.delete("forced", 0).await;
    });
    answers.await.all_fail(&[FailReason::PodDeleted], None, 220);
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn deleted_after_completion_keeps_its_exit() {
    let answers = wait_through("collected", None, async |cluster| {
        cluster.create("collected", &["step"]).await;
        cluster.write_status("collected", "Running", &[("step", running())]).await;
        cluster.wait_until_seen("collected").await;
        cluster.write_status("collected", "Failed", &[("step", terminated(7))]).await;
        cluster.delete("collected", 0).await;
    });
    let answers = answers.await;
    // A watch shows the end, however soon the pod is deleted.
    for exit in [&answers.watched, &answers.shared] {
        assert_eq!(exit.as_ref().map(|exit| exit.code), Ok(7), "{answers:?}");
    }
    assert_eq!(answers.command.status, Some(7), "{answers:?}");
    // Between two GETs the end is lost, and must not be made up.
    match &answers.polled {
        Ok(exit) => assert_eq!(exit.code, 7, "{answers:?}"),
        Err(failure) => assert_eq!(failure.reason, FailReason::PodDeleted, "{answers:?}"),
    }
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn never_created() {
    let answers = wait_through("never", None, async |_cluster| {});
    answers.await.all_fail(&[FailReason::PodNeverSeen], None, 220);
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn name_re_created_with_a_new_uid() {
    let answers = wait_through("twice", None, async |cluster| {
        cluster.create("twice", &["step"]).await;
        cluster.write_status("twice", "Running", &[("step", running())]).await;
        cluster.wait_until_seen("twice").await;
        cluster.delete("twice", 0).await;
        cluster.create("twice", &["step"]).await;
        cluster.write_status("twice", "Succeeded", &[("step", terminated(0))]).await;
    });
    answers.await.all_fail(&[FailReason::PodDeleted, FailReason::PodReplaced], None, 220);
}

#[tokio::test]
#[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
async fn sidecar_that_sorts_first_decides_nothing() {
    let answers = wait_through("sidecar", Some("step"), async |cluster| {
        cluster.create("sidecar", &["step", "istio-proxy"]).await;
        cluster.write_status("sidecar", "Running", &[("istio-proxy", running()), ("step", running())]).await;
        cluster.wait_until_seen("sidecar").await;
        // The sidecar fails first. Then the step exits 0 in a pod that is Failed because of the sidecar.
        cluster
            .write_status("sidecar", "Running", &[("istio-proxy", terminated(9)), ("step", running())])
            .await;
        cluster.wait_until_seen("sidecar").await;
        cluster
            .write_status("sidecar", "Failed", &[("istio-proxy", terminated(9)), ("step", terminated(0))])
            .await;
    });
    answers.await.all_done(DoneReason::Completed, 0);
}

/// Only tests/cluster makes both contexts.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_server_that_is_not_trusted_or_denies_access_is_reported_at_once() {
    let kubeconfig = own_cluster().kubeconfig.to_str().expect("a readable path");
    let scratch = Scratch::new("trust").await;
    let denied = run(&["wait", "a", "--kubeconfig", kubeconfig, "--context", "nobody"]).await;
    assert_eq!(denied.status, Some(233), "{denied:?}");
    assert!(denied.stderr.contains("denies access") && denied.stderr.lines().count() == 1, "{denied:?}");
    let untrusted = run(&["wait", "a", "--kubeconfig", kubeconfig, "--context", "untrusted"]).await;
    assert_eq!(untrusted.status, Some(232), "{untrusted:?}");
    assert!(
        untrusted.stderr.contains("cannot be trusted") && untrusted.stderr.lines().count() == 1,
        "{untrusted:?}"
    );
    // The library retries for as long as its policy allows, and then reports which failure it was.
    let policy = podwait::Policy::builder().auth_error_budget(std::time::Duration::from_secs(1)).build();
    let nobody = client(Some("nobody")).await;
    let failure = wait(nobody, "default", "a").policy(policy.expect("a policy")).await.expect_err("denied");
    assert_eq!(failure.reason, FailReason::Forbidden, "{failure:?}");
    scratch.remove().await;
}

/// RBAC with the names of pods does not allow a LIST or watch of all pods: in such a hub each wait has its own watch.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn with_rights_for_named_pods_a_hub_watches_or_reads_each_pod() {
    for (word, verbs) in [("named-watch", &["get", "watch"][..]), ("named-get", &["get"])] {
        let scratch = Scratch::new(word).await;
        let names = ["step-a", "step-b"];
        let role = json!({
            "metadata": { "name": "named" },
            "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": verbs, "resourceNames": names }],
        });
        let binding = json!({
            "metadata": { "name": "named" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "named" },
            "subjects": [{ "kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io" }],
        });
        let roles: Api<Role> = Api::namespaced(scratch.kube(), scratch.namespace());
        let bindings: Api<RoleBinding> = Api::namespaced(scratch.kube(), scratch.namespace());
        let (role, binding) = (serde_json::from_value(role), serde_json::from_value(binding));
        roles.create(&PostParams::default(), &role.expect("a Role")).await.expect("it is created");
        let binding = binding.expect("a RoleBinding");
        bindings.create(&PostParams::default(), &binding).await.expect("it is created");
        let nobody = client(Some("nobody")).await;
        // The authorizer receives a role a moment later.
        while podwait::check_access(&nobody, scratch.namespace(), "step-a").await.is_err() {
            pause(100).await;
        }
        let hub = Hub::new(nobody, Scope::namespace(scratch.namespace()));
        let life = async {
            for name in names {
                scratch.create(name, &["step"]).await;
                scratch.write_status(name, "Running", &[("step", running())]).await;
            }
            pause(1000).await;
            for (name, code) in names.into_iter().zip([3, 4]) {
                scratch.write_status(name, "Failed", &[("step", terminated(code))]).await;
            }
        };
        let waits = names.map(|name| hub.wait(scratch.namespace(), name).into_future());
        let (exits, ()) = tokio::join!(futures_util::future::join_all(waits), life);
        for (exit, code) in exits.into_iter().zip([3, 4]) {
            assert_eq!(exit.map(|exit| exit.code), Ok(code), "{word}");
        }
        assert_eq!(hub.refusal().map(|failure| failure.code), Some(403), "{word}");
        scratch.remove().await;
    }
}
