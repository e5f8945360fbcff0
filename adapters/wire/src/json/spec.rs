//! `spec` of a pod.

use super::values::{Object, Text};
use crate::protobuf::spec::action;
use alloc::vec::Vec;
use podwait_core::{Container, RestartPolicy, RestartRule};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec<'a> {
    #[serde(borrow)]
    pub(super) restart_policy: Text<'a>,
    pub(super) termination_grace_period_seconds: Option<i64>,
    pub(super) scheduling_gates: Option<Vec<IgnoredAny>>,
    pub(super) containers: Containers<'a>,
    pub(super) init_containers: Containers<'a>,
    pub(super) ephemeral_containers: Containers<'a>,
}

type Containers<'a> = Option<Vec<Object<ContainerView<'a>>>>;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    restart_policy: Text<'a>,
    restart_policy_rules: Option<Vec<Object<RestartRuleView<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RestartRuleView<'a> {
    #[serde(borrow)]
    action: Text<'a>,
    exit_codes: Option<Object<ExitCodes<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExitCodes<'a> {
    #[serde(borrow)]
    operator: Text<'a>,
    values: Option<Vec<i32>>,
}

pub(super) fn containers(views: Containers<'_>) -> Vec<Container> {
    let container = |Object(view): Object<ContainerView<'_>>| Container {
        name: view.name.into_owned(),
        restart_policy: RestartPolicy::parse(&view.restart_policy.0),
        restart_policy_rules: view.restart_policy_rules.into_iter().flatten().map(restart_rule).collect(),
    };
    views.into_iter().flatten().map(container).collect()
}

fn restart_rule(Object(view): Object<RestartRuleView<'_>>) -> RestartRule {
    let codes = view.exit_codes.unwrap_or_default().0;
    RestartRule {
        action: action(&view.action.0),
        negated: codes.operator.0 == "NotIn",
        exit_codes: codes.values.unwrap_or_default(),
    }
}
