//! Rule 8: when a registry was seen to refuse the image for good a second time in a row, by all sights.

use super::story::{Sight, Story};
use super::target::State;
use super::timers::is_image_pull;
use podwait_core::Instant;

/// In the newest sights the same container waits for its image, and the registry refused every attempt for good. Returns the
/// first sight among them of an attempt that came after a back-off.
pub(super) fn refused_twice(story: &Story<'_>) -> Option<Instant> {
    let sights = &story.sights;
    let name = first_without_image(sights.last()?)?.0;
    let refused = |index: &usize| {
        first_without_image(&sights[*index]).is_some_and(|(other, ..)| other == name)
            && is_refused(&sights[..=*index])
    };
    let first = (0..sights.len()).rev().take_while(refused).last()?;
    let reason = |sight| first_without_image(sight).map_or("", |(_, reason, _)| reason);
    let mut after_a_back_off = sights[first..].iter().skip_while(|sight| reason(sight) != "ImagePullBackOff");
    after_a_back_off.find(|sight| reason(sight) == "ErrImagePull").map(|sight| sight.at)
}

/// Whether the last known attempt in these sights was refused.
fn is_refused(sights: &[Sight<'_>]) -> bool {
    let Some((last, before)) = sights.split_last() else { return false };
    let Some((name, reason, message)) = first_without_image(last) else { return false };
    let said_before = || {
        let same = before.last().and_then(first_without_image).is_some_and(|(other, ..)| other == name);
        same && is_refused(before)
    };
    match (reason, message.splitn(3, '"').collect::<Vec<_>>().as_slice()) {
        ("ErrImagePull", _) => is_hopeless(message),
        ("ImagePullBackOff", [""] | ["Back-off pulling image"] | ["Back-off pulling image ", _, ""]) => {
            said_before()
        }
        ("ImagePullBackOff", ["Back-off pulling image ", _, rest]) => {
            rest.starts_with(": ErrImagePull: ") && is_hopeless(rest)
        }
        _ => false,
    }
}

/// The first container, in the order of their starts, that waits for its image, with reason and message.
fn first_without_image<'a>(sight: &Sight<'a>) -> Option<(&'a str, &'a str, &'a str)> {
    let target = sight.target.as_ref().ok().filter(|_| !sight.phase.is_terminal())?;
    if matches!(target.state(), State::Running) {
        return None;
    }
    let mut in_order = target.init_before(sight.pod).chain([*target]);
    in_order.find_map(|container| match container.state() {
        State::Waiting { reason, message, .. } if is_image_pull(reason) => {
            Some((container.container.name.as_str(), reason, message))
        }
        State::Waiting { .. } | State::Unreported | State::Running | State::Ended(_) => None,
    })
}

/// The message is read as a chain of causes: a refusal must be one of its links, a temporary cause may be anywhere.
fn is_hopeless(message: &str) -> bool {
    let message = message.to_lowercase();
    let links = || message.lines().flat_map(|line| line.split(": ")).map(str::trim);
    let begins = |with: &[&str]| links().any(|link| with.iter().any(|text| link.starts_with(text)));
    let refuses = links().any(|link| link == "not found")
        || begins(&["denied", "unauthorized", "manifest unknown", "name unknown", "pull access denied"])
        || begins(&[
            "no match for platform",
            "no image found in",
            "no matching manifest",
            "authorization failed",
        ])
        || begins(&["401 ", "403 ", "404 ", "no basic auth credentials", "invalid username/password"])
        || ["notfound", "permissiondenied", "unauthenticated"]
            .iter()
            .any(|code| message.contains(&format!("rpc error: code = {code} ")));
    let passes =
        ["429", "rate limit", "timeout", "refused", "unavailable", "snapshot", "content store", " 50"];
    refuses && !passes.iter().any(|text| message.contains(text))
}
