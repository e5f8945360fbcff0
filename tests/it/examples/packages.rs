//! The packages that would be published: they are complete, and docs.rs can build their documentation.

use super::{fresh, target};
use podwait_tests::cli::cargo;
use serde_json::Value;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Runs the command, and returns its standard output.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The metadata of the packages that are published.
fn published() -> Vec<Value> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(ROOT);
    let metadata: Value = serde_json::from_str(&output(&mut metadata)).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages.filter(|package| package["publish"].is_null()).cloned().collect()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

#[test]
fn each_has_the_metadata_for_a_registry() {
    let packages = published();
    let names: Vec<&str> = packages.iter().map(|package| text(package, "name")).collect();
    assert_eq!(
        names,
        ["podwait-core", "podwait-wire", "podwait-hub", "podwait", "podwait-sim", "podwait-cli"]
    );
    for package in &packages {
        let name = text(package, "name");
        for field in ["description", "license", "readme", "documentation", "rust_version"] {
            assert!(!text(package, field).is_empty(), "{name} has no {field}");
        }
        let keywords = package["keywords"].as_array().expect("keywords");
        assert!((1..=5).contains(&keywords.len()), "crates.io accepts at most five keywords");
        let categories = package["categories"].as_array().expect("categories");
        assert!((1..=5).contains(&categories.len()), "{name}: {categories:?}");
    }
}

/// docs.rs unpacks one package and builds its library, with the flags of its metadata and without other parts of this
/// repository.
#[test]
fn the_documentation_builds_from_each_package_alone() {
    let folder = fresh("packages");
    let packages = published();
    let mut pack = cargo();
    pack.args(["package", "--no-verify", "--allow-dirty", "--offline", "--quiet", "--target-dir"])
        .arg(&folder);
    for package in &packages {
        pack.args(["--package", text(package, "name")]);
    }
    output(pack.current_dir(ROOT));
    let place =
        |package: &Value| folder.join(format!("{}-{}", text(package, "name"), text(package, "version")));
    for package in &packages {
        let mut archive = place(package);
        let name = archive.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
        archive.set_file_name(format!("package/{name}.crate"));
        // With the current time: cargo would not rebuild an older file.
        output(Command::new("tar").arg("-xzmf").arg(&archive).arg("-C").arg(&folder));
        assert!(place(package).join("README.md").exists(), "{archive:?} has no README.md");
    }
    let libraries: Vec<&Value> =
        packages.iter().filter(|package| text(package, "name") != "podwait-cli").collect();
    for library in &libraries {
        let mut document = cargo();
        document.args(["doc", "--no-deps", "--lib", "--offline", "--quiet"]).current_dir(place(library));
        document.env("CARGO_TARGET_DIR", target()).env_remove("K8S_OPENAPI_ENABLED_VERSION");
        document.env("RUSTDOCFLAGS", "-D warnings");
        for other in libraries.iter().filter(|other| text(other, "name") != text(library, "name")) {
            // The package is not in the registry yet.
            let path = place(other).display().to_string();
            document.arg("--config").arg(format!("patch.crates-io.{}.path={path:?}", text(other, "name")));
        }
        for feature in library["metadata"]["docs"]["rs"]["features"].as_array().into_iter().flatten() {
            document.args(["--features", feature.as_str().expect("a feature")]);
        }
        output(&mut document);
    }
}
