//! README.md: its dependencies and code build in a new crate, and its commands are valid.

use super::{fresh, target};
use podwait_sim::{Cluster, Life, Terminated, pod};
use podwait_tests::cli::{Run, cargo, kubeconfig, podwait, run};
use std::fs;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../../README.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The contents of README's blocks in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    let parts = README.split(&begin).skip(1);
    parts.map(|part| part.split("\n```").next().expect("a block has an end")).collect()
}

/// The commands of its console blocks without comments, each with its output.
fn commands() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in blocks("console").into_iter().flat_map(str::lines) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => {
                let command = command.split(" # ").next().unwrap_or_default();
                commands.push((command.trim_end(), Vec::new()));
            }
            (None, Some((_, output))) => output.push(line),
            (None, None) => panic!("{line:?} is the output of no command"),
        }
    }
    commands
}

/// The words of a command as in a shell, with single quotes only.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in command.split('\'').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// A cluster with the pod of README's examples, whose step has exited 3.
async fn cluster() -> Cluster {
    let cluster = Cluster::new();
    let life = Life::of(pod("ci", "step-1", &["step"])).scheduled("node-1").running();
    life.terminated("step", Terminated::exit(3)).run(&cluster).await.expect("a life");
    cluster
}

/// Like a new user, this makes a new crate with README's lines. There Cargo finds neither this workspace nor its
/// configuration, and needs no network.
#[tokio::test]
async fn its_dependencies_and_its_code_build_in_a_new_crate() {
    let (toml, rust) = (blocks("toml"), blocks("rust"));
    let (main, others) = rust.split_first().expect("Rust");
    assert_eq!((toml.len(), others.len()), (1, 2), "the blocks of README.md have changed, adapt this test");
    let dependencies = toml[0].replacen("\"podwait/", &format!("\"{ROOT}/"), 1);
    assert_ne!(dependencies, toml[0], "README.md has the path of the repository");
    let package = "[package]\nname = \"readme\"\nedition = \"2024\"\n\n";
    let others = others.join("\n");
    let begin = "#[allow(dead_code, unused_variables)]\n\
        async fn others(client: podwait::Client) -> Result<(), Box<dyn std::error::Error>> {";

    let folder = fresh("readme");
    fs::create_dir(folder.join("src")).expect("a folder");
    fs::copy(format!("{ROOT}/Cargo.lock"), folder.join("Cargo.lock"))
        .expect("the versions that the tests have");
    fs::write(folder.join("Cargo.toml"), format!("{package}{dependencies}\n")).expect("written");
    fs::write(folder.join("src/main.rs"), format!("{main}\n\n{begin}\n{others}\nOk(())\n}}\n"))
        .expect("written");
    let built = cargo()
        .args(["build", "--quiet", "--offline"])
        .env("CARGO_TARGET_DIR", target())
        .env_remove("K8S_OPENAPI_ENABLED_VERSION")
        .current_dir(&folder)
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let cluster = cluster().await;
    let server = cluster.serve().await.expect("loopback");
    let config = kubeconfig(&server.url());
    let mut program = tokio::process::Command::new(target().join("debug/readme"));
    let program = program.env("KUBECONFIG", config.path()).stdin(Stdio::null()).output().await;
    let program: Run = program.expect("it starts").into();
    assert_eq!(program.stdout, "exited 3 (nonzero_exit)\n", "{program:?}");
}

/// Each command is valid: it fails only because there is no configuration.
#[tokio::test]
async fn its_commands_are_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut known = 0;
    for (command, _) in commands() {
        let words = words(command);
        let Some(("podwait", [subcommand, arguments @ ..])) =
            words.split_first().map(|(program, rest)| (program.as_str(), rest))
        else {
            continue;
        };
        let mut child = tokio::process::Command::new(podwait());
        let child = child.arg(subcommand).args(["--kubeconfig", "/no/such"]).args(arguments);
        let output = child.current_dir(&folder).stdin(Stdio::null()).output().await;
        let run: Run = output.expect("it starts").into();
        assert_eq!(run.status, Some(231), "{command}: {run:?}");
        known += 1;
    }
    assert!(known > 9, "README.md has {known} commands only");
}

#[tokio::test]
async fn its_first_command_shows_the_demo() {
    let first = commands()[0].0;
    let arguments = words(first);
    assert_eq!(arguments[..2], ["cargo", "run"], "{first}");
    let build = arguments.iter().skip(2).take_while(|word| *word != "--");
    let build =
        cargo().arg("build").args(build).arg("--quiet").current_dir(ROOT).output().expect("cargo runs");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let after = arguments.iter().skip_while(|word| *word != "--").skip(1);
    let run = run(&after.map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(run.status, Some(0), "{run:?}");
}

#[tokio::test]
async fn its_first_wait_prints_the_shown_output() {
    let cluster = cluster().await;
    let server = cluster.serve().await.expect("loopback");
    let config = kubeconfig(&server.url());
    let all = commands();
    let place = all.iter().position(|(command, _)| command.starts_with("podwait wait ")).expect("a wait");
    let ((command, printed), (question, status)) = (&all[place], &all[place + 1]);
    assert_eq!(*question, "echo $?");
    let words = words(command);
    let path = config.path().to_str().expect("a readable path");
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).chain(["--kubeconfig", path]).collect();
    let run = run(&arguments).await;
    // A terminal shows both streams.
    assert_eq!(format!("{}{}", run.stderr, run.stdout), format!("{}\n", printed.join("\n")), "{run:?}");
    assert_eq!(run.status.map(|status| status.to_string()).as_deref(), status.first().copied());
}

#[test]
fn words_are_read_as_in_a_shell() {
    assert_eq!(words("podwait run -- sh -c 'echo hello; exit 3'")[3..], ["sh", "-c", "echo hello; exit 3"]);
    let shell = Command::new("sh").args(["-c", "printf '%s|' run -- sh -c 'echo hello; exit 3'"]).output();
    let shell = String::from_utf8(shell.expect("a shell").stdout).expect("UTF-8");
    assert_eq!(format!("{}|", words("run -- sh -c 'echo hello; exit 3'").join("|")), shell);
}
