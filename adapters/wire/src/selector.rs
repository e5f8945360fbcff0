//! A label selector as text, as the API takes it in a query.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// `metav1.LabelSelector`. Its requirements are all to be met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector(Vec<String>);

impl Selector {
    /// An entry of `matchLabels`.
    pub(crate) fn label(&mut self, key: &str, value: &str) {
        self.0.push(format!("{key}={value}"));
    }

    /// An entry of `matchExpressions`. One with an operator that this version does not know is left out: the selector then matches
    /// more.
    pub(crate) fn expression(&mut self, key: &str, operator: &str, values: &[&str]) {
        let values = values.join(",");
        self.0.push(match operator {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.into(),
            "DoesNotExist" => format!("!{key}"),
            _ => return,
        });
    }

    /// In a fixed order, because the entries of `matchLabels` have none.
    pub(crate) fn into_text(mut self) -> String {
        self.0.sort_unstable();
        self.0.join(",")
    }
}
