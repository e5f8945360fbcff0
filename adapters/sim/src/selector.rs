//! The pods of a LIST or WATCH: namespace, field selector, label selector.

use serde_json::Value;

use crate::event::{Event, EventType};
use crate::refusal::Refusal;
use crate::store::text;

#[derive(Debug, Default)]
pub(crate) struct Selector {
    namespace: Option<String>,
    requirements: Vec<Requirement>,
}

#[derive(Debug)]
struct Requirement {
    key: Key,
    test: Test,
}

#[derive(Debug)]
enum Key {
    /// A field, by its JSON pointer.
    Field(&'static str),
    Label(String),
}

#[derive(Debug)]
enum Test {
    Equals(String),
    NotEquals(String),
    Exists,
    DoesNotExist,
}

impl Selector {
    pub(crate) fn parse(namespace: Option<&str>, fields: &str, labels: &str) -> Result<Self, Refusal> {
        let mut requirements = Vec::new();
        for term in terms(fields) {
            requirements.push(field_requirement(term)?);
        }
        for term in terms(labels) {
            requirements.push(label_requirement(term)?);
        }
        Ok(Self { namespace: namespace.map(str::to_owned), requirements })
    }

    /// The one pod that can match, if the selector names it.
    pub(crate) fn name(&self) -> Option<&str> {
        self.requirements.iter().find_map(|requirement| match (&requirement.key, &requirement.test) {
            (Key::Field("/metadata/name"), Test::Equals(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    pub(crate) fn matches(&self, pod: &Value) -> bool {
        let here = self.namespace.as_deref().is_none_or(|ns| ns == text(pod, "/metadata/namespace"));
        here && self.requirements.iter().all(|requirement| requirement.holds(pod))
    }

    /// The event that a watch with this selector sends for a change. A pod that begins to match is ADDED. A pod that no
    /// longer matches is DELETED, even if it still exists.
    pub(crate) fn view(&self, event: &Event) -> Option<(EventType, Value)> {
        let before = event.previous.as_ref().filter(|pod| self.matches(pod));
        let after = match event.kind {
            EventType::Added | EventType::Modified => self.matches(&event.object),
            EventType::Deleted => false,
        };
        match (before, after) {
            (None, false) => None,
            (None, true) => Some((EventType::Added, Value::clone(&event.object))),
            (Some(_), true) => Some((EventType::Modified, Value::clone(&event.object))),
            (Some(pod), false) => {
                let mut last = Value::clone(pod);
                last["metadata"]["resourceVersion"] = event.object["metadata"]["resourceVersion"].clone();
                Some((EventType::Deleted, last))
            }
        }
    }
}

impl Requirement {
    fn holds(&self, pod: &Value) -> bool {
        // A field that is not set counts as "". A label that is not set equals nothing.
        let value = match &self.key {
            Key::Field(pointer) => Some(text(pod, pointer)),
            Key::Label(label) => pod["metadata"]["labels"][label].as_str(),
        };
        match &self.test {
            Test::Equals(wanted) => value == Some(wanted),
            Test::NotEquals(unwanted) => value != Some(unwanted),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

fn terms(selector: &str) -> impl Iterator<Item = &str> {
    selector.split(',').map(str::trim).filter(|term| !term.is_empty())
}

fn field_requirement(term: &str) -> Result<Requirement, Refusal> {
    let Some((field, test)) = comparison(term) else {
        return Err(bad_request(format!("invalid selector: {term:?}; can't understand it")));
    };
    let pointer = match field {
        "metadata.name" => "/metadata/name",
        "metadata.namespace" => "/metadata/namespace",
        "spec.nodeName" => "/spec/nodeName",
        "spec.restartPolicy" => "/spec/restartPolicy",
        "status.phase" => "/status/phase",
        other => return Err(bad_request(format!("field label not supported: {other}"))),
    };
    Ok(Requirement { key: Key::Field(pointer), test })
}

fn label_requirement(term: &str) -> Result<Requirement, Refusal> {
    if term.contains(['(', ')', ' ']) {
        return Err(bad_request(format!("set-based label selectors are not simulated: {term:?}")));
    }
    let (label, test) = match (comparison(term), term.strip_prefix('!')) {
        (Some((label, test)), _) => (label, test),
        (None, Some(label)) => (label, Test::DoesNotExist),
        (None, None) => (term, Test::Exists),
    };
    Ok(Requirement { key: Key::Label(label.to_owned()), test })
}

fn comparison(term: &str) -> Option<(&str, Test)> {
    if let Some((key, value)) = term.split_once("!=") {
        return Some((key, Test::NotEquals(value.to_owned())));
    }
    let (key, value) = term.split_once("==").or_else(|| term.split_once('='))?;
    Some((key, Test::Equals(value.to_owned())))
}

fn bad_request(message: String) -> Refusal {
    Refusal::BadRequest { message }
}
