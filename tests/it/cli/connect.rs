//! The way of the command to an API server: kubeconfigs, proxies of the environment, plugins, and errors about them.

use super::{Sim, assert_one_line, running};
use podwait_sim::Terminated;
use podwait_tests::cli::{Run, start_with};
use podwait_tests::gateway::Gateway;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a kubeconfig.
struct Folder(TempDir);

impl Folder {
    fn new(cluster: &Value, user: &Value) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("config", &kubeconfig(cluster, user));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("it is written");
    }

    /// A program in the folder.
    fn program(&self, name: &str, text: &str) {
        self.write(name, text);
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).expect("it may be run");
    }

    async fn wait(&self, environment: &[(&str, &str)]) -> Run {
        wait(&["--kubeconfig", text(&self.path("config"))], environment).await
    }
}

fn kubeconfig(cluster: &Value, user: &Value) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{ "name": "x", "cluster": cluster }],
        "users": [{ "name": "x", "user": user }],
        "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x", "namespace": "ci" } }],
    });
    config.to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

async fn wait(arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    start_with(&[&["wait", "p", "-c", "step"], arguments].concat(), environment).end().await
}

/// A pod that has exited with 3.
async fn ended() -> Sim {
    super::ended(Terminated::exit(3)).await
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used_unless_no_proxy_exempts_the_server() {
    let sim = ended().await;
    let gateway = Gateway::start(sim.addr(), false).await.expect("a port");
    let proxy = format!("http://me:secret@{}", gateway.addr());
    // The address is not a loopback address, but connects to one.
    let port = sim.addr().port();
    let folder = Folder::new(&json!({ "server": format!("http://0.0.0.0:{port}") }), &json!({}));
    for name in ["HTTP_PROXY", "http_proxy"] {
        let before = gateway.seen().len();
        assert_one_line(
            &folder.wait(&[(name, &proxy), ("NO_PROXY", "0.0.0.1,0.0.0.0:1")]).await,
            3,
            "exited 3",
        );
        let seen = gateway.seen();
        assert!(
            seen.len() > before && seen[before].starts_with(&format!("GET http://0.0.0.0:{port}/")),
            "{seen:?}"
        );
    }
    let before = gateway.seen().len();
    for exempt in ["*", "0.0.0.0", "x, 0.0.0.0/8", &format!("0.0.0.0:{port}")] {
        let no_proxy = if exempt == "*" { "no_proxy" } else { "NO_PROXY" };
        let run = folder.wait(&[("HTTP_PROXY", &proxy), (no_proxy, exempt)]).await;
        assert_one_line(&run, 3, "exited 3");
    }
    assert_eq!(gateway.seen().len(), before);
    let refused = folder.wait(&[("HTTP_PROXY", "http://me:secret@127.0.0.1:1")]).await;
    assert_one_line(
        &refused,
        232,
        &format!("cannot reach http://0.0.0.0:{port}: the proxy http://127.0.0.1:1: "),
    );
    assert!(!refused.stderr.contains("secret"), "{refused:?}");
}

/// With any value of HTTPS_PROXY the servers to which it does not apply can be reached.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used_for_loopback() {
    let sim = ended().await;
    let gateway = Gateway::start(sim.addr(), false).await.expect("a port");
    let url = format!("http://{}", gateway.addr());
    for proxy in [&*url, "http://user:secret@127.0.0.1:1", "gopher://x", "not a url", "host:3128/", "%"] {
        let run = sim.wait_with(&[("HTTPS_PROXY", proxy), ("HTTP_PROXY", proxy)]).await;
        assert_one_line(&run, 3, "exited 3");
    }
    assert_eq!(gateway.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn the_proxy_of_the_kubeconfig_is_used_whatever_the_environment_has() {
    let sim = ended().await;
    for (kind, seen) in [("http", "GET http://127.0.0.1"), ("socks5", "socks5 127.0.0.1")] {
        let gateway = Gateway::start(sim.addr(), false).await.expect("a port");
        let proxy = format!("{kind}://{}", gateway.addr());
        let folder = Folder::new(&json!({ "server": sim.url(), "proxy-url": proxy }), &json!({}));
        let run = folder.wait(&[("NO_PROXY", "*"), ("HTTP_PROXY", "http://127.0.0.1:1")]).await;
        assert_one_line(&run, 3, "exited 3");
        assert!(gateway.seen()[0].starts_with(seen), "{:?}", gateway.seen());
    }
}

#[tokio::test]
async fn servers_without_a_scheme_and_with_a_password() {
    let sim = ended().await;
    for server in
        [sim.addr().to_string(), format!("{}/", sim.addr()), format!("http://u:secret@{}", sim.addr())]
    {
        let run = Folder::new(&json!({ "server": server }), &json!({})).wait(&[]).await;
        assert_one_line(&run, 3, "exited 3");
    }
    sim.cluster.faults().rule(|_| Some(podwait_sim::Fault::status(403)));
    let server = format!("http://u:secret@{}", sim.addr());
    let run = Folder::new(&json!({ "server": server }), &json!({})).wait(&[]).await;
    assert_one_line(&run, 233, &format!("http://{} denies access", sim.addr()));
    assert!(!run.stderr.contains("secret"), "{run:?}");
}

#[tokio::test]
async fn configurations_that_cannot_be_used_are_reported_without_their_secrets() {
    let good = json!({ "server": "https://127.0.0.1:1" });
    let cluster = |more: Value| {
        let mut cluster = good.clone();
        cluster.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        cluster
    };
    let authority = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
    let both = json!({ "insecure-skip-tls-verify": true, "certificate-authority-data": authority });
    for (cluster, user, words) in [
        (good.clone(), json!({ "token": "secret\nsecret" }), "token has a line break"),
        (good.clone(), json!({ "tokenFile": "/dev/null" }), "the token file /dev/null is empty"),
        (good.clone(), json!({ "exec": "secret" }), "is not a kubeconfig (line"),
        (cluster(both), json!({}), "insecure-skip-tls-verify"),
        (cluster(json!({ "certificate-authority": "/dev/zero" })), json!({}), "is not a certificate file"),
        (cluster(json!({ "certificate-authority": "/no/such" })), json!({}), "/no/such cannot be read"),
        (
            cluster(json!({ "proxy-url": "gopher://u:secret@h" })),
            json!({}),
            "proxy-url has a scheme that is not",
        ),
        (cluster(json!({ "proxy-url": "u:secret@h h" })), json!({}), "proxy-url is not a URL"),
        (cluster(json!({ "server": "https://u:secret@h h" })), json!({}), "the server's URL is not valid"),
        (cluster(json!({ "server": "ftp://u:secret@h" })), json!({}), "a scheme other than"),
        (json!({}), json!({}), "no server"),
    ] {
        let run = Folder::new(&cluster, &user).wait(&[]).await;
        assert_one_line(&run, 231, words);
        assert!(!run.stderr.contains("secret"), "{run:?}");
    }
    for (text, words) in [
        (&b"\xff\xfea"[..], "is not text"),
        (b"users: [{name: x, user: secret}]", "is not a kubeconfig (line"),
        (b"current-context: x", "there is no kubeconfig"),
        (b"", "there is no kubeconfig"),
    ] {
        let folder = Folder::new(&good, &json!({}));
        std::fs::write(folder.path("config"), text).expect("it is written");
        let run = wait(&[], &[("KUBECONFIG", text_of(&folder).as_str())]).await;
        assert_one_line(&run, 231, words);
        assert!(!run.stderr.contains("secret"), "{run:?}");
    }
    assert_one_line(&wait(&["--kubeconfig", "/dev/zero"], &[]).await, 231, "too long");
}

fn text_of(folder: &Folder) -> String {
    text(&folder.path("config")).to_owned()
}

#[tokio::test]
async fn a_list_of_kubeconfigs_may_contain_missing_files() {
    let sim = ended().await;
    let list = format!("/no/such:{}:/no/such/either", sim.kubeconfig());
    assert_one_line(&wait(&[], &[("KUBECONFIG", &list)]).await, 3, "exited 3");
}

/// A plugin for a kubeconfig. All its parts except the name are secrets.
fn plugin(command: &str, more: &Value) -> Value {
    let mut exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "IfAvailable",
        "args": ["secret-argument"], "env": [{ "name": "PLUGIN_WORD", "value": "secret-value" }],
        "installHint": "install it with \u{1b}[2Jpkg",
    });
    exec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({ "exec": exec })
}

#[tokio::test]
async fn a_plugin_is_found_beside_its_kubeconfig_and_gets_its_input() {
    let sim = ended().await;
    for version in ["v1", "v1beta1"] {
        let version = format!("client.authentication.k8s.io/{version}");
        let cluster = json!({ "server": sim.url(), "extensions": [
            { "name": "client.authentication.k8s.io/exec", "extension": { "audience": "me" } },
        ]});
        let more = json!({ "apiVersion": version, "provideClusterInfo": true });
        let folder = Folder::new(&cluster, &plugin("./plugin", &more));
        let credential =
            json!({ "apiVersion": version, "kind": "ExecCredential", "status": { "token": "t" } });
        let script = format!(
            "#!/bin/sh\nprintf '%s %s %s' \"$1\" \"$PLUGIN_WORD\" \"$KUBERNETES_EXEC_INFO\" > {}\ncat\n\
             echo secret-error >&2\nprintf '%s' '{credential}'\n",
            folder.path("received").display(),
        );
        folder.program("plugin", &script);
        let run = folder.wait(&[("HTTPS_PROXY", "http://127.0.0.1:1")]).await;
        assert_one_line(&run, 3, "exited 3");
        let received = std::fs::read_to_string(folder.path("received")).expect("it ran");
        let info = received.strip_prefix("secret-argument secret-value ").expect("its argument and variable");
        let info: Value = serde_json::from_str(info).expect("JSON");
        let cluster = json!({ "server": sim.url(), "config": { "audience": "me" } });
        let spec = json!({ "interactive": false, "cluster": cluster });
        assert_eq!(info, json!({ "apiVersion": version, "kind": "ExecCredential", "spec": spec }));
    }
}

#[tokio::test]
async fn a_plugin_without_credentials_is_reported_with_its_name_and_hint_only() {
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    let cases = [
        ("echo secret; echo secret >&2; exit 7", "failed (exit status: 7)"),
        ("echo secret", "printed no ExecCredential"),
        ("yes secret", "prints more than 1 MiB"),
        ("kill -9 $$", "failed (signal: 9"),
    ];
    for (script, words) in cases {
        let folder = Folder::new(&json!({ "server": sim.url() }), &plugin("./plugin", &json!({})));
        folder.program("plugin", &format!("#!/bin/sh\n{script}\n"));
        let run = folder.wait(&[]).await;
        assert_one_line(&run, 231, words);
        assert!(
            run.stderr.contains("plugin") && run.stderr.contains("install it with \u{fffd}[2Jpkg"),
            "{run:?}"
        );
        assert!(!run.stderr.contains("secret"), "{run:?}");
    }
    let folder = Folder::new(&json!({ "server": sim.url() }), &plugin("no-such-plugin", &json!({})));
    let run = folder.wait(&[]).await;
    assert_one_line(&run, 231, "the credential plugin no-such-plugin was not found; install it");
}
