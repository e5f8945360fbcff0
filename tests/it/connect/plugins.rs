//! Credential plugins during a wait.

use podwait_sim::{Cluster, Life, pod};
use podwait_tests::proxy::{Answer, Proxy, Request};
use serde_json::json;
use tempfile::TempDir;

/// A plugin that is a shell script, and a file with a line for each of its runs.
pub(super) struct Script {
    folder: TempDir,
}

impl Script {
    /// `printed` is the status of the credential that it prints; in it `$n` is the number of the run.
    pub(super) fn new(printed: &str) -> Self {
        let script = Self { folder: tempfile::tempdir().expect("a folder") };
        script.becomes(printed);
        script
    }

    pub(super) fn becomes(&self, printed: &str) {
        let runs = self.folder.path().join("runs");
        let version = "client.authentication.k8s.io/v1";
        let text = format!(
            "echo run >> {runs}; n=$(($(wc -l < {runs})))\n\
             cat <<EOF\n{{\"apiVersion\":\"{version}\",\"kind\":\"ExecCredential\",\"status\":{printed}}}\nEOF\n",
            runs = runs.display(),
        );
        std::fs::write(self.folder.path().join("new"), text).expect("the script is written");
        std::fs::rename(self.folder.path().join("new"), self.folder.path().join("script"))
            .expect("it is there");
    }

    pub(super) fn runs(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("runs")).map_or(0, |runs| runs.lines().count())
    }

    fn client(&self, proxy: &Proxy) -> podwait::Client {
        self.client_of(proxy.config())
    }

    pub(super) fn client_of(&self, mut config: kube::Config) -> podwait::Client {
        let user = json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
            "args": [self.folder.path().join("script")], "interactiveMode": "IfAvailable",
        }});
        config.auth_info = serde_json::from_value(user).expect("a user");
        podwait::Client::from_config(config).expect("a client")
    }
}

async fn running() -> (Cluster, Proxy) {
    let cluster = Cluster::new();
    let life = Life::of(pod("ci", "p", &["step"])).scheduled("node-1").running();
    life.run(&cluster).await.expect("the pod runs");
    let proxy = Proxy::start(cluster.client()).await.expect("a port");
    (cluster, proxy)
}

/// The server accepts only this token.
fn only(proxy: &Proxy, token: &'static str) {
    proxy.rule(move |request: &Request| {
        (request.token.as_deref() != Some(token)).then(|| Answer::status(401).into())
    });
}

/// Like client-go: a plugin is run again after a 401, even if its credential has no expiry.
#[tokio::test]
async fn a_token_that_is_revoked_is_replaced_at_once() {
    let (cluster, proxy) = running().await;
    let script = Script::new(r#"{"token":"token-$n"}"#);
    let client = script.client(&proxy);
    assert_eq!(script.runs(), 0, "a client without requests does not run the plugin");
    only(&proxy, "token-1");
    podwait::check_access(&client, "ci", "p").await.expect("the first token");
    podwait::check_access(&client, "ci", "p").await.expect("the same token");
    assert_eq!(script.runs(), 1);
    only(&proxy, "token-2");
    podwait::check_access(&client, "ci", "p").await.expect("the second token, within the same request");
    assert_eq!(script.runs(), 2);
    Life::existing("ci", "p").finished(3).run(&cluster).await.expect("the pod ends");
    let exit = podwait::wait(client, "ci", "p").container("step").await.expect("an exit");
    assert_eq!((exit.code, script.runs()), (3, 2));
}

/// A server that refuses everything does not cause many runs, and requests share each run.
#[tokio::test]
async fn requests_share_a_run_and_refusals_are_bounded() {
    let (_cluster, proxy) = running().await;
    let script = Script::new(r#"{"token":"token-$n"}"#);
    let client = script.client(&proxy);
    only(&proxy, "none");
    let start = std::time::Instant::now();
    for _ in 0..3 {
        let all = (0..20).map(|_| podwait::check_access(&client, "ci", "p"));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.expect_err("a 401").code, 401);
        }
    }
    // One run at first, one for the first refusals, and on a slow machine more, after a pause of 250 ms that doubles.
    let bound = 2 + (start.elapsed().as_millis() / 250 + 1).ilog2() as usize;
    assert!((2..=bound).contains(&script.runs()), "{} runs, not {bound}", script.runs());
}

#[tokio::test]
async fn a_request_that_is_dropped_does_not_end_the_run_of_others() {
    let (_cluster, proxy) = running().await;
    let script = Script::new(r#"{"token":"token-$n"}"#);
    let client = script.client(&proxy);
    {
        let request = podwait::check_access(&client, "ci", "p");
        let mut request = std::pin::pin!(request);
        while script.runs() == 0 {
            assert!(futures_util::poll!(request.as_mut()).is_pending(), "the plugin has not begun");
            tokio::task::yield_now().await;
        }
    }
    only(&proxy, "token-1");
    podwait::check_access(&client, "ci", "p").await.expect("the token of that run");
    assert_eq!(script.runs(), 1);
}

/// A failure during a wait is a temporary error of the API.
#[tokio::test]
async fn a_plugin_that_fails_for_a_while_is_run_again() {
    let (_cluster, proxy) = running().await;
    let script = Script::new(r#"{"token":"secret\nsecret"}"#);
    let client = script.client(&proxy);
    let failure = podwait::check_access(&client, "ci", "p").await.expect_err("no token");
    assert_eq!((failure.code, script.runs()), (0, 1));
    assert!(
        failure.message.starts_with("the credential plugin sh printed a token that has a line break"),
        "{failure:?}"
    );
    script.becomes(r#"{"token":"token-$n"}"#);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    tokio::time::resume();
    podwait::check_access(&client, "ci", "p").await.expect("it works again");
    assert_eq!(script.runs(), 2);
}

#[tokio::test]
async fn a_token_that_expires_is_replaced_before_it_is_refused() {
    let (_cluster, proxy) = running().await;
    let script = Script::new(r#"{"token":"token-$n","expirationTimestamp":"2020-01-01T00:00:00Z"}"#);
    let client = script.client(&proxy);
    for _ in 0..3 {
        podwait::check_access(&client, "ci", "p").await.expect("a token");
        let before = script.runs();
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        tokio::time::resume();
        podwait::check_access(&client, "ci", "p").await.expect("the next token");
        assert_eq!(script.runs(), before + 1);
    }
}
