//! Generated pods, written in both encodings, are read back unchanged.

use crate::writer::{Message, as_json, in_envelope, protobuf};
use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated, Timestamp,
};
use podwait_wire::{Encoding, Event, EventKind, ListItems, Owner, Pod, pod};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.-]{1,20}", "\\PC{0,10}", any::<String>()]
}

fn a_time() -> impl Strategy<Value = Option<Timestamp>> {
    option::of((-62_167_219_200_i64..=253_402_300_799).prop_map(Timestamp))
}

fn a_policy() -> impl Strategy<Value = RestartPolicy> {
    prop_oneof![Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure), Just(RestartPolicy::Never)]
}

fn a_record() -> impl Strategy<Value = Terminated> {
    (any::<i32>(), text(), text(), a_time(), a_time(), text()).prop_map(
        |(exit_code, reason, message, started_at, finished_at, container_id)| Terminated {
            exit_code,
            reason,
            message,
            started_at,
            finished_at,
            container_id,
        },
    )
}

fn a_condition() -> impl Strategy<Value = Option<Condition>> {
    let made = (any::<bool>(), text(), text(), a_time());
    option::of(made.prop_map(|(is_true, reason, message, last_transition_time)| Condition {
        is_true,
        reason,
        message,
        last_transition_time,
    }))
}

fn a_container() -> impl Strategy<Value = Container> {
    let action = prop_oneof![
        Just(RestartAction::Restart),
        Just(RestartAction::RestartAllContainers),
        Just(RestartAction::Unrecognized)
    ];
    let rule = (action, any::<bool>(), vec(any::<i32>(), 0..4))
        .prop_map(|(action, negated, exit_codes)| RestartRule { action, negated, exit_codes });
    (text(), option::of(a_policy()), vec(rule, 0..3)).prop_map(
        |(name, restart_policy, restart_policy_rules)| Container {
            name,
            restart_policy,
            restart_policy_rules,
        },
    )
}

fn a_status() -> impl Strategy<Value = ContainerStatus> {
    let waiting = (text(), text()).prop_map(|(reason, message)| ContainerState::Waiting { reason, message });
    let state =
        prop_oneof![Just(ContainerState::Running), waiting, a_record().prop_map(ContainerState::Terminated)];
    (text(), any::<i32>(), text(), option::of(state), option::of(a_record())).prop_map(
        |(name, restart_count, container_id, state, last_terminated)| ContainerStatus {
            name,
            restart_count,
            container_id,
            state,
            last_terminated,
        },
    )
}

prop_compose! {
    fn a_pod()(
        (name, namespace, uid, resource_version) in ("[a-z]{1,9}", text(), "[a-z]{1,9}", text()),
        owner in option::of((text(), text(), text()).prop_map(|(kind, name, uid)| Owner { kind, name, uid })),
        (generation, observed_generation) in (any::<i64>(), any::<i64>()),
        deletion_timestamp in a_time(),
        (deletion, termination) in (option::of(any::<i64>()), option::of(any::<i64>())),
        restart_policy in a_policy(),
        is_scheduling_gated in any::<bool>(),
        (containers, init_containers, ephemeral_containers)
            in (vec(a_container(), 0..3), vec(a_container(), 0..2), vec(a_container(), 0..2)),
        phase in prop_oneof![
            Just(Phase::Pending), Just(Phase::Running), Just(Phase::Succeeded), Just(Phase::Failed), Just(Phase::Unknown),
            Just(Phase::Unrecognized)
        ],
        (reason, message) in (text(), text()),
        (disruption_target, pod_scheduled) in (a_condition(), a_condition()),
        (container_statuses, init_container_statuses, ephemeral_container_statuses)
            in (vec(a_status(), 0..3), vec(a_status(), 0..2), vec(a_status(), 0..2)),
    ) -> Pod {
        Pod { namespace, name, owner, snapshot: PodSnapshot {
            uid, resource_version, generation, deletion_timestamp, deletion_grace_period_seconds: deletion, restart_policy,
            termination_grace_period_seconds: termination, is_scheduling_gated, containers, init_containers,
            ephemeral_containers, observed_generation, phase, reason, message, disruption_target, pod_scheduled,
            container_statuses, init_container_statuses, ephemeral_container_statuses,
        } }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_pod_is_read_as_it_was_written(made in a_pod(), cut in any::<prop::sample::Index>()) {
        let raw = protobuf(&made);
        let whole = in_envelope("Pod", &raw);
        prop_assert_eq!(&pod(Encoding::Protobuf, &whole).expect("a pod"), &made);
        let text = as_json(&made).to_string();
        prop_assert_eq!(&pod(Encoding::Json, text.as_bytes()).expect("a pod"), &made);

        let frame = Message::default().text(1, "ADDED").bytes(2, &Message::default().bytes(1, &whole).0).0;
        let line = format!(r#"{{"type":"ADDED","object":{text}}}"#);
        let turned = format!(r#"{{"object":{text},"type":"ADDED"}}"#);
        for (encoding, frame) in [(Encoding::Protobuf, &*frame), (Encoding::Json, line.as_bytes()), (Encoding::Json, turned.as_bytes())] {
            let event = Event::read(encoding, frame).expect("an event");
            prop_assert_eq!(event.kind, EventKind::Added);
            prop_assert_eq!((&*event.head.namespace, &*event.head.name), (&*made.namespace, &*made.name));
            prop_assert_eq!(&*event.head.resource_version, &*made.snapshot.resource_version);
            prop_assert_eq!(&event.pod().expect("a pod"), &made);
        }

        let list = Message::default().bytes(2, &raw).strange().bytes(2, &raw).bytes(1, &Message::default().text(2, "7").0);
        let list = in_envelope("PodList", &list.0);
        let lists = format!(r#"{{"items":[{text},{text}],"metadata":{{"resourceVersion":"7"}}}}"#);
        for (encoding, answer) in [(Encoding::Protobuf, &*list), (Encoding::Json, lists.as_bytes())] {
            let mut items = ListItems::new(encoding);
            let (first, second) = answer.split_at(cut.index(answer.len()));
            for mut piece in [first, second] {
                while let Some(item) = items.next_item(&mut piece).expect("a list") {
                    prop_assert_eq!(&item.pod().expect("a pod"), &made);
                }
            }
            prop_assert_eq!(items.finish().expect("a list").resource_version, "7");
        }
    }

    #[test]
    fn any_bytes_are_read_or_not(bytes in vec(any::<u8>(), 0..200), is_whole in any::<bool>()) {
        let bytes = if is_whole { in_envelope("Pod", &bytes) } else { bytes };
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let _ = pod(encoding, &bytes);
            let _ = Event::read(encoding, &bytes).map(|event| event.pod().is_ok());
            let mut items = ListItems::new(encoding);
            let mut piece = &*bytes;
            while let Ok(Some(item)) = items.next_item(&mut piece) {
                let _ = (item.head().is_ok(), item.pod().is_ok());
            }
            let _ = items.finish();
        }
    }
}
