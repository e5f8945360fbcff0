//! Certificates and credentials that change.

use super::{World, millis, on_both, policy, secs};
use podwait::FailReason;
use podwait_sim::Verb;
use podwait_tests::cli::run;
use podwait_tests::proxy::{Answer, Proxy, Request};
use serde_json::json;
use std::path::Path;
use tempfile::NamedTempFile;

on_both! {
    a_new_certificate_of_the_same_authority_is_no_error
    a_certificate_of_another_authority_is_not_trusted_and_the_right_one_is_again
    credentials_that_are_refused_for_a_while_are_retried
    credentials_of_a_plugin_are_requested_again
}

async fn a_new_certificate_of_the_same_authority_is_no_error(world: &World) {
    let waits = world.wait(
        policy(),
        |_| {},
        async |pod, proxies| {
            proxies[0].until(|traffic| traffic.requests.watch == 1).await;
            for proxy in proxies {
                proxy.renew().await;
                let connections = proxy.traffic().connections;
                proxy.until(|traffic| traffic.connections > connections && traffic.requests.get > 1).await;
            }
            pod.finish(3).await;
        },
    );
    world.exited(3, waits.await);
}

async fn a_certificate_of_another_authority_is_not_trusted_and_the_right_one_is_again(world: &World) {
    let waits = world.wait(
        policy(),
        |_| {},
        async |pod, proxies| {
            proxies[0].until(|traffic| traffic.requests.watch == 1).await;
            for proxy in proxies {
                proxy.until(|traffic| traffic.requests.get > 0).await;
                proxy.pose().await;
            }
            pod.finish(3).await;
            for proxy in proxies {
                let before = proxy.traffic();
                proxy.until(|traffic| traffic.connections >= before.connections + 3).await;
                assert_eq!(
                    proxy.traffic().requests,
                    before.requests,
                    "it sent a request to another server: {proxy:?}"
                );
                proxy.renew().await;
            }
        },
    );
    world.exited(3, waits.await);
}

async fn credentials_that_are_refused_for_a_while_are_retried(world: &World) {
    for code in [401, 403] {
        let waits = world.wait(
            policy(),
            |proxy| proxy.rule(move |request| (request.nth < 8).then(|| Answer::status(code).into())),
            async |pod, proxies| {
                for proxy in proxies {
                    proxy.until(|traffic| traffic.requests.get == 8).await;
                }
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    }
}

/// The server accepts only this token.
fn only(token: &'static str) -> impl Fn(&Proxy) {
    move |proxy| {
        proxy.rule(move |request: &Request| {
            (request.token.as_deref() != Some(token)).then(|| Answer::status(401).into())
        });
    }
}

/// A client whose configuration has this user.
fn client_of(user: serde_json::Value) -> impl Fn(&Proxy) -> podwait::Client {
    move |proxy| {
        let mut config = proxy.config();
        config.auth_info = serde_json::from_value(user.clone()).expect("a user");
        podwait::Client::from_config(config).expect("a client")
    }
}

async fn credentials_of_a_plugin_are_requested_again(world: &World) {
    let file = NamedTempFile::new().expect("a temporary file");
    let write = |token: &str| {
        let status = json!({ "token": token, "expirationTimestamp": "2020-01-01T00:00:00Z" });
        let version = "client.authentication.k8s.io/v1";
        let credential = json!({ "apiVersion": version, "kind": "ExecCredential", "status": status });
        std::fs::write(file.path(), credential.to_string()).expect("the credential is written");
    };
    write("old");
    let user = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [file.path()],
        "interactiveMode": "Never",
    }});
    let waits = world.wait_as(client_of(user), policy(), only("new"), async |pod, proxies| {
        for proxy in proxies {
            proxy.until(|traffic| traffic.faults >= 3).await;
        }
        write("new");
        pod.finish(3).await;
    });
    world.exited(3, waits.await);
}

#[tokio::test]
async fn a_token_file_is_read_again_for_each_request() {
    let world = World::simulated().await;
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "old").expect("the token is written");
    let waits = world.wait_as(
        client_of(json!({ "tokenFile": file.path() })),
        policy().finalize_max(millis(1000)),
        only("new"),
        async |pod, proxies| {
            for proxy in proxies {
                proxy.until(|traffic| traffic.faults >= 3).await;
            }
            std::fs::write(file.path(), "new").expect("the token is written");
            pod.finish(3).await;
        },
    );
    world.exited(3, waits.await);
}

/// The command reports it at once.
#[tokio::test]
async fn the_command_reports_an_untrusted_server_and_denied_access() {
    let world = World::simulated().await;
    let proxy = world.proxy().await;
    let pod = world.run().await;
    let kubeconfig = proxy.kubeconfig();
    let path = |path: &Path| path.to_str().expect("a readable path").to_owned();
    let kubeconfig_path = path(kubeconfig.path());
    let arguments = ["wait", pod.name(), "-n", "ci", "--kubeconfig", &kubeconfig_path];
    proxy.push(Verb::Get, Answer::status(401));
    let denied = run(&arguments).await;
    assert_eq!(denied.status, Some(233), "{denied:?}");
    proxy.pose().await;
    let untrusted = run(&arguments).await;
    assert_eq!(untrusted.status, Some(232), "{untrusted:?}");
    assert!(untrusted.stderr.contains("cannot be trusted"), "{untrusted:?}");
    proxy.renew().await;
    pod.finish(3).await;
    let ended = run(&arguments).await;
    assert_eq!((ended.status, &*ended.stdout), (Some(3), "nonzero_exit 3\n"), "{ended:?}");
}

/// client-go trims the content of a token file, and an editor or `echo` ends it with a newline.
#[tokio::test]
async fn a_token_file_may_end_with_a_newline() {
    let world = World::simulated().await;
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "secret\n").expect("the token is written");
    let waits = world.wait_as(
        client_of(json!({ "tokenFile": file.path() })),
        policy().api_error_budget(millis(600)),
        only("secret"),
        async |pod, _| pod.finish(3).await,
    );
    world.exited(3, waits.await);
}

/// Such a token is never read again, and the failure is reported.
#[tokio::test]
async fn a_revoked_token_of_the_configuration_is_reported() {
    let world = World::simulated().await;
    let waits = world.wait_as(
        client_of(json!({ "token": "old" })),
        policy().auth_error_budget(millis(600)),
        only("new"),
        async |_, _| {},
    );
    world.failed(FailReason::Unauthorized, millis(600)..secs(20), waits.await);
}
