//! Finds the configuration: one kubeconfig, several, or that of a pod.

use crate::connect::unusable;
use crate::status::{Complaint, Status};
use kube::Config;
use kube::config::{Cluster, Kubeconfig, KubeconfigError};
use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Longest file that is read, in bytes.
const LONGEST: u64 = 8 << 20;

/// Stands for "no `proxy-url`" while kube reads a kubeconfig, so that kube ignores proxies in the environment. kube cannot read
/// every form that Go reads; `podwait::Client` can, and reads them.
const NO_PROXY_URL: &str = "http://none.invalid";

/// Reads the file of the arguments, else `$KUBECONFIG`, `~/.kube/config`, or the in-cluster configuration. It may block.
pub(super) fn config(path: Option<&Path>, context: Option<String>) -> Result<Config, Complaint> {
    let kubeconfig = match path {
        Some(path) => Some(read(path)?.ok_or_else(|| {
            Complaint::new(
                Status::Config,
                format!("cannot read the kubeconfig {}: the file does not exist", path.display()),
            )
        })?),
        None => usual()?,
    };
    // As in kubectl: without arguments and without a kubeconfig the command may run in a pod.
    let kubeconfig = match (kubeconfig, &context) {
        (Some(kubeconfig), _) => kubeconfig,
        (None, Some(_)) => {
            return Err(Complaint::new(
                Status::Config,
                "there is no kubeconfig (set --kubeconfig or KUBECONFIG)",
            ));
        }
        (None, None) => {
            return Config::incluster().map_err(|_| {
                let sentence =
                    "there is no kubeconfig (set --kubeconfig or KUBECONFIG), and this is not a pod of a cluster";
                Complaint::new(Status::Config, sentence)
            });
        }
    };
    of(kubeconfig, context)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the errors are kube's")]
fn of(mut kubeconfig: Kubeconfig, context: Option<String>) -> Result<Config, Complaint> {
    kubeconfig.current_context = context.or(kubeconfig.current_context);
    if kubeconfig.current_context.as_deref().is_none_or(str::is_empty) {
        return Err(unusable("the kubeconfig has no current-context (set --context)"));
    }
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        prepare(cluster);
    }
    if let Some(file) = authority_of_current(&kubeconfig) {
        check_file(file)?;
    }
    let mut config = Config::try_from(kubeconfig).map_err(|error| match error {
        KubeconfigError::LoadContext(name) => {
            Complaint::new(Status::Config, format!("the kubeconfig has no context named {name}"))
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            unusable(&format!("the kubeconfig has no cluster named {name}"))
        }
        KubeconfigError::MissingClusterUrl => unusable("the cluster has no server"),
        KubeconfigError::ParseClusterUrl(error) => {
            unusable(&format!("the server's URL is not valid ({error}); example: https://host:6443"))
        }
        KubeconfigError::ParseProxyUrl(error) => {
            unusable(&format!("proxy-url is not a URL ({error}); example: http://host:3128"))
        }
        error => unusable(&root_cause(&error)),
    })?;
    config.proxy_url.take_if(|url| url.host() == Some("none.invalid"));
    if let Some(cluster) = config.auth_info.exec.as_mut().and_then(|exec| exec.cluster.as_mut()) {
        cluster.proxy_url.take_if(|url| url == NO_PROXY_URL);
    }
    Ok(config)
}

/// Empty values count as absent, as in client-go.
fn prepare(cluster: &mut Cluster) {
    cluster.certificate_authority.take_if(|text| text.is_empty());
    cluster.certificate_authority_data.take_if(|text| text.is_empty());
    cluster.proxy_url.take_if(|text| text.is_empty());
    cluster.proxy_url.get_or_insert_with(|| String::from(NO_PROXY_URL));
    if let Some(server) = cluster.server.as_mut().filter(|server| !server.contains("://")) {
        server.truncate(server.trim_end_matches('/').len());
    }
}

/// The certificate file that kube will read.
fn authority_of_current(kubeconfig: &Kubeconfig) -> Option<&str> {
    let name = kubeconfig.current_context.as_ref()?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == *name)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster)?.cluster.as_ref()?;
    cluster.certificate_authority.as_deref().filter(|_| cluster.certificate_authority_data.is_none())
}

fn check_file(path: &str) -> Result<(), Complaint> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= LONGEST => Ok(()),
        Ok(_) => Err(unusable(&format!("the certificate-authority {path} is not a certificate file"))),
        Err(error) => Err(unusable(&format!("the certificate-authority {path} cannot be read: {error}"))),
    }
}

/// `$KUBECONFIG` or `~/.kube/config`, if it is not empty. Missing files of a list count as empty, as for kubectl.
fn usual() -> Result<Option<Kubeconfig>, Complaint> {
    let list = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let paths: Vec<PathBuf> = match list {
        Some(list) => std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    let mut merged = Kubeconfig::default();
    for path in paths {
        if let Some(kubeconfig) = read(&path)? {
            merged = merged.merge(kubeconfig).map_err(|error| unusable(&root_cause(&error)))?;
        }
    }
    let is_empty = merged.clusters.is_empty() && merged.contexts.is_empty() && merged.auth_infos.is_empty();
    Ok((!is_empty).then_some(merged))
}

/// `None` if there is no such file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the errors are kube's")]
fn read(path: &Path) -> Result<Option<Kubeconfig>, Complaint> {
    let cannot = |what: &dyn std::fmt::Display| {
        Complaint::new(Status::Config, format!("cannot read the kubeconfig {}: {what}", path.display()))
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(&error)),
    };
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(cannot(&"it is too long for a kubeconfig"));
    }
    // kube reads UTF-16 by pairs of bytes, and panics at half a pair.
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if is_utf16 && bytes.len() % 2 == 1 {
        return Err(cannot(&"it is not text"));
    }
    // A pipe cannot be read twice, and relative paths in it have no base.
    let read = if is_file {
        Kubeconfig::read_from(path)
    } else {
        Kubeconfig::from_yaml(&String::from_utf8(bytes).map_err(|_| cannot(&"it is not text"))?)
    };
    read.map(Some).map_err(|error| match error {
        // The parser's message may quote a token or a password.
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
            unusable(&format!("{} is not a kubeconfig{}", path.display(), place.unwrap_or_default()))
        }
        KubeconfigError::ReadConfig(error, _) => cannot(&error),
        error => unusable(&root_cause(&error)),
    })
}

/// The message of the last error in the chain, which is the cause.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
