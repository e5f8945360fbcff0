//! Rule 8, a part of it: the result of an attempt to pull an image, and whether the registry's refusal is permanent.
//!
//! A refusal is a known phrase or a known gRPC code. Any other error may pass, and so may a message with a refusal and
//! a passing error: a mirror that denies access while a registry limits rates, or a `NotFound` of the node's own store.

/// What a waiting reason and its message say about the last pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// An attempt has failed: the registry answered that there is no such image, or that the pod has no access to it.
    Refused,
    /// The kubelet waits for its next attempt. The registry refused the last one in this way.
    RefusedBefore,
    /// Another error, or an unknown message.
    Passing,
    /// The kubelet waits for its next attempt and does not repeat the message of the last one.
    Nothing,
}

/// Longest message that is examined, in bytes; runtimes write shorter ones.
const LONGEST: usize = 8192;

/// Phrases of a permanent refusal, in lower case. Each has a space, so that no image name and no URL in the message
/// matches.
const REFUSALS: [&str; 29] = [
    // gRPC codes of the runtime (`errgrpc.ToGRPC` in containerd).
    "code = notfound",
    "code = permissiondenied",
    "code = unauthenticated",
    // containerd: `core/remotes/docker/resolver.go`, `fetcher.go`, `authorizer.go`, `core/images/image.go` and the
    // statuses of `core/remotes/errors/errors.go`, also those of version 1.
    ": not found",
    "no match for platform",
    "pull access denied",
    ": authorization failed",
    "no basic auth credentials",
    ": 401 unauthorized",
    ": 403 forbidden",
    ": 404 not found",
    "unexpected status: 401",
    "unexpected status: 403",
    "unexpected status: 404",
    "status code 401",
    "status code 403",
    "status code 404",
    // Error codes of the distribution specification, as containerd, containers/image and Docker write them.
    "manifest unknown",
    "name unknown",
    "requested access to the resource is denied",
    "unauthorized: authentication required",
    // containers/image (CRI-O): `docker/errors.go`, `docker_client.go`, `internal/manifest/oci_index.go`,
    // `docker_schema2_list.go`.
    "invalid username/password",
    "code from registry 401",
    "code from registry 403",
    "code from registry 404",
    "no image found in manifest list for",
    "no image found in image index for",
    // Docker: `distribution/pull_v2.go`.
    "no matching manifest for",
    "repository does not exist",
];

/// Error codes of the distribution specification that are also common words: they count only at the beginning of an
/// error.
const CODES: [&str; 2] = ["denied: ", "unauthorized: "];

/// Phrases of errors that may pass, in lower case; they take precedence over refusals.
const PASSING: [&str; 37] = [
    // Rate limits.
    "too many requests",
    "toomanyrequests",
    "rate limit",
    "rate exceeded",
    "quota",
    "retry-after",
    ": 429",
    "status code 429",
    "code from registry 429",
    // Errors of the registry or of the network.
    "internal server error",
    "bad gateway",
    "service unavailable",
    "status: 5",
    "status code 5",
    "code from registry 5",
    "timeout",
    "timed out",
    "deadline exceeded",
    "context canceled",
    "connection refused",
    "connection reset",
    "no such host",
    "server misbehaving",
    "temporary failure",
    "unreachable",
    "no route to host",
    ": eof",
    "unexpected eof",
    "tls: ",
    "x509: ",
    "proxyconnect",
    // gRPC codes of such errors.
    "code = unavailable",
    "code = resourceexhausted",
    // The node's own store has lost content (containerd's content store and snapshotters).
    "content store",
    "content digest",
    " snapshot ",
    "snapshotter",
];

/// The result of the last attempt, from the waiting reason and its message.
///
/// During back-off the kubelet repeats the stored message (`prevPullErrMsg` in `pkg/kubelet/images/image_manager.go`,
/// 1.32 and later) or only says that it waits.
pub(crate) fn said(reason: &str, message: &str) -> Said {
    match reason {
        "ErrImagePull" => of_attempt(message),
        "ImagePullBackOff" => match repeated(message) {
            Some("") => Said::Nothing,
            Some(repeated) => match repeated.strip_prefix(": ErrImagePull: ").map(of_attempt) {
                Some(Said::Refused) => Said::RefusedBefore,
                Some(Said::RefusedBefore | Said::Passing | Said::Nothing) | None => Said::Passing,
            },
            None => Said::Passing,
        },
        // The kubelet's own reasons: no pull was tried (`ErrImageNeverPull`; the image may reach the node in another
        // way), or the runtime reports an error that may pass (`RegistryUnavailable`).
        _ => Said::Passing,
    }
}

/// The part after the image's name in a back-off message, if the message is one.
fn repeated(message: &str) -> Option<&str> {
    if message.is_empty() {
        return Some("");
    }
    let rest = message.strip_prefix("Back-off pulling image")?.trim_start();
    let Some(quoted) = rest.strip_prefix('"') else { return rest.is_empty().then_some("") };
    quoted.find('"').map(|end| &quoted[end + 1..])
}

fn of_attempt(message: &str) -> Said {
    if message.len() > LONGEST {
        return Said::Passing;
    }
    let message = message.to_ascii_lowercase();
    let begins = |code: &str| {
        message.match_indices(code).any(|(at, _)| {
            let before = message[..at].trim_end();
            before.is_empty() || before.ends_with(':') || message[before.len()..at].contains('\n')
        })
    };
    let has = |phrase: &&str| message.contains(*phrase);
    let is_refused = REFUSALS.iter().any(has) || CODES.into_iter().any(begins);
    if is_refused && !PASSING.iter().any(has) { Said::Refused } else { Said::Passing }
}

#[cfg(test)]
mod tests {
    use super::{CODES, LONGEST, PASSING, REFUSALS, Said, said};
    use alloc::format;

    /// Messages from bug reports of these runtimes and registries.
    const REFUSED: [&str; 24] = [
        "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/acme/app:9\": failed to resolve \
         reference \"docker.io/acme/app:9\": docker.io/acme/app:9: not found",
        "failed to pull and unpack image \"docker.io/acme/app:9\": failed to resolve reference \"docker.io/acme/app:9\": \
         docker.io/acme/app:9: not found",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"docker.io/library/controller:latest\": failed \
         to resolve reference \"docker.io/library/controller:latest\": pull access denied, repository does not exist or \
         may require authorization: server message: insufficient_scope: authorization failed",
        "failed to resolve reference \"r/a:1\": pull access denied, repository does not exist or may require \
         authorization: authorization failed: no basic auth credentials",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"r/a:1\": failed to resolve reference \
         \"r/a:1\": failed to authorize: failed to fetch oauth token: unexpected status: 403",
        "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
         https://ghcr.io/token?scope=repository%3Aa%2Fb%3Apull&service=ghcr.io: 403 Forbidden",
        "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        "unexpected status from HEAD request to https://registry.example/v2/a/manifests/1: 403 Forbidden",
        "failed to copy: httpReadSeeker: failed open: unexpected status code \
         https://ghcr.io/v2/a/blobs/sha256:ea76: 401 Unauthorized",
        "rpc error: code = NotFound desc = failed to pull and unpack image \"ghcr.io/a/b:1\": failed to copy: \
         httpReadSeeker: failed open: content at https://ghcr.io/v2/a/b/manifests/sha256:8274 not found: not found",
        "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/a/b:2\": no match for platform in \
         manifest: not found",
        "rpc error: code = Unknown desc = Error reading manifest sha256:8184 in registry.example/origin/4.3: manifest \
         unknown: manifest unknown",
        "initializing source docker://quay.io/okd/scos-content@sha256:6371: reading manifest sha256:6371 in \
         quay.io/okd/scos-content: manifest unknown",
        "rpc error: code = Unknown desc = Error reading manifest latest in docker.io/library/si-bandit: errors:\ndenied: \
         requested access to the resource is denied\nunauthorized: authentication required",
        "rpc error: code = Unknown desc = Error reading manifest sha256:ba91 in quay.io/a/b: unauthorized: access to the \
         requested resource is not authorized",
        "rpc error: code = Unknown desc = unable to retrieve auth token: invalid username/password: unauthorized: Please \
         login to the Red Hat Registry using your Customer Portal credentials.",
        "rpc error: code = Unknown desc = Requesting bearer token: invalid status code from registry 403 (Forbidden)",
        "rpc error: code = Unknown desc = Error choosing image instance: no image found in manifest list for architecture \
         arm64, variant v8, OS linux",
        "choosing an image from manifest list docker://r/a:1: no image found in image index for architecture \"amd64\"",
        "Error initializing source docker://registry.example/a:latest: Error reading manifest latest in \
         registry.example/a: name unknown",
        "rpc error: code = Unknown desc = Error response from daemon: manifest for quay.io/a/b:0.23.0 not found: manifest \
         unknown: manifest unknown",
        "rpc error: code = Unknown desc = Error response from daemon: pull access denied for user-auth, repository does \
         not exist or may require 'docker login'",
        "Error response from daemon: Head \"https://ghcr.io/v2/a/b/manifests/v2\": denied: denied",
        "rpc error: code = Unknown desc = Error response from daemon: Get https://1.dkr.ecr.example/v2/a/manifests/1: no \
         basic auth credentials",
    ];

    const MAY_PASS: [&str; 22] = [
        "",
        "rpc error: code = Unknown",
        "no such thing",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"docker.io/library/busybox:latest\": failed to \
         copy: httpReadSeeker: failed open: unexpected status code \
         https://registry-1.docker.io/v2/library/busybox/manifests/sha256:50aa: 429 Too Many Requests - Server message: \
         toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading",
        "Error response from daemon: toomanyrequests: You have reached your pull rate limit.",
        "failed to authorize: failed to fetch anonymous token: Get \"https://auth.docker.io/token\": dial tcp \
         199.59.148.222:443: i/o timeout",
        "failed to do request: Head \"https://ghcr.io/v2/a/manifests/latest\": dial tcp: lookup ghcr.io on 127.0.0.53:53: \
         server misbehaving",
        "failed to do request: Head \"https://r.example/v2/\": dial tcp: lookup r.example: no such host",
        "unexpected status from HEAD request to https://registry.example/v2/a/manifests/1: 503 Service Unavailable",
        "failed to resolve reference \"r/a:1\": failed to do request: Head \"https://r/v2/a\": context deadline exceeded",
        "error pinging docker registry registry-1.docker.io: Get \"https://registry-1.docker.io/v2/\": proxyconnect tcp: \
         Proxy Authentication Required",
        // A refusal together with an error that may pass.
        "denied: requested access to the resource is denied: 429 Too Many Requests",
        "(Mirrors also failed: [mirror/a: reading manifest 1 in mirror/a: manifest unknown]): r.example/a: pinging \
         container registry r.example: Get \"https://r.example/v2/\": dial tcp 10.0.0.1:443: connect: connection refused",
        "unexpected status from GET request to https://auth.example/token: 403 Forbidden\ndenied: quota exceeded",
        // Names that contain a refusal's words.
        "failed to resolve reference \"registry.example/denied/unauthorized:not-found\": some new trouble",
        "failed to resolve reference \"registry.example/a:denied\"",
        // Errors of the node.
        "rpc error: code = NotFound desc = failed to pull and unpack image \"r/a:1\": failed to prepare extraction snapshot \
         \"extract-1 sha256:9\": parent snapshot sha256:9 does not exist: not found",
        "rpc error: code = NotFound desc = failed to pull and unpack image \"r/a:1\": failed to extract layer sha256:1: \
         failed to get reader from content store: content digest sha256:2: not found",
        "failed to pull and unpack image \"r/a:1\": mkdir /var/lib/containerd/x: permission denied: unknown",
        "exec: \"docker-credential-ecr\": executable file not found in $PATH",
        "rpc error: code = Unavailable desc = not found",
        "failed to pull image: write /var/lib: no space left on device",
    ];

    #[test]
    fn only_what_is_known_to_be_a_refusal_is_one() {
        for message in REFUSED {
            assert_eq!(said("ErrImagePull", message), Said::Refused, "{message}");
            let repeated = format!("Back-off pulling image \"r/a:1\": ErrImagePull: {message}");
            assert_eq!(said("ImagePullBackOff", &repeated), Said::RefusedBefore, "{repeated}");
            let limited = format!("{message}: 429 Too Many Requests");
            assert_eq!(said("ErrImagePull", &limited), Said::Passing, "{limited}");
            for reason in ["ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError", "Novel"] {
                assert_eq!(said(reason, message), Said::Passing, "{reason}");
            }
            for (length, expected) in [(LONGEST, Said::Refused), (LONGEST + 1, Said::Passing)] {
                assert_eq!(said("ErrImagePull", &format!("{message:length$}")), expected, "{length}");
            }
        }
        for message in MAY_PASS {
            assert_eq!(said("ErrImagePull", message), Said::Passing, "{message}");
            let repeated = format!("Back-off pulling image \"r/a:1\": ErrImagePull: {message}");
            assert_eq!(said("ImagePullBackOff", &repeated), Said::Passing, "{repeated}");
        }
    }

    #[test]
    fn a_back_off_without_a_repeated_message_is_no_evidence() {
        for message in ["", "Back-off pulling image \"r/a:1\"", "Back-off pulling image"] {
            assert_eq!(said("ImagePullBackOff", message), Said::Nothing, "{message:?}");
        }
        for message in [
            "Back-off pulling image \"r/a:1\": RegistryUnavailable: image pull failed for r/a:1: 404 Not Found",
            "manifest unknown",
            "Back-off pulling image \"r/a:1",
            "Back-off pulling image r/a:1: ErrImagePull: manifest unknown",
        ] {
            assert_eq!(said("ImagePullBackOff", message), Said::Passing, "{message:?}");
        }
    }

    #[test]
    fn no_phrase_is_part_of_a_name() {
        assert!(REFUSALS.iter().chain(&CODES).all(|phrase| phrase.contains(' ')));
        assert!(
            REFUSALS
                .iter()
                .chain(&CODES)
                .chain(&PASSING)
                .all(|phrase| *phrase == phrase.to_ascii_lowercase())
        );
    }
}
