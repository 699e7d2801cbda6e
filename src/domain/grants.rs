//! Whether an account's grants reach anybody: a mistyped namespace opens nothing, and nobody would notice.

use std::collections::{BTreeMap, BTreeSet};

use super::gate;
use crate::api::{AwsAccountSpec, GrantsReason};

/// Names in a message; there may be ten thousand.
const NAMES_MAX: usize = 10;

/// Names and labels of the namespaces that exist.
pub type Namespaces = [(String, BTreeMap<String, String>)];

/// What the grants come to, with a message for whoever wrote them.
#[must_use]
pub fn matched(spec: &AwsAccountSpec, namespaces: &Namespaces) -> (GrantsReason, String) {
    let reaches_somebody = namespaces.iter().any(|(name, labels)| gate::grants_anything(spec, name, Some(labels)));
    let named = spec.grants.iter().flat_map(|grant| &grant.namespaces.names);
    let unknown: BTreeSet<&str> =
        named.map(String::as_str).filter(|name| namespaces.iter().all(|(known, _)| known != name)).collect();
    if !reaches_somebody {
        let message = if spec.grants.is_empty() {
            "spec.grants is empty, so nobody can use this account".to_owned()
        } else if unknown.is_empty() {
            "no namespace has the labels that spec.grants selects, so nobody can use this account".to_owned()
        } else {
            format!("{} of spec.grants do not exist, so nobody can use this account; {REMEDY}", listed(&unknown))
        };
        return (GrantsReason::GrantsNothing, message);
    }
    if !unknown.is_empty() {
        return (
            GrantsReason::NamespaceNotFound,
            format!("{} of spec.grants do not exist; {REMEDY}", listed(&unknown)),
        );
    }
    // Without the names: every new namespace would be a write.
    (GrantsReason::Matched, "every namespace that spec.grants names exists, and at least one is covered".to_owned())
}

const REMEDY: &str = "create them, or correct the names";

fn listed(names: &BTreeSet<&str>) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).copied().collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {}{more}", if names.len() == 1 { "namespace" } else { "namespaces" }, shown.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_grant_that_reaches_nobody_or_names_what_does_not_exist_is_told() {
        use GrantsReason::{GrantsNothing, Matched, NamespaceNotFound};
        let grant = |namespaces: Value| json!([{"name": "g", "namespaces": namespaces, "pipelines": ["p"]}]);
        let many: Vec<String> = (0..12).map(|number| format!("n{number:02}")).collect();
        for (grants, reason, part) in [
            (json!([]), GrantsNothing, "spec.grants is empty"),
            (grant(json!({"names": ["paymnets"]})), GrantsNothing, "namespace paymnets of spec.grants"),
            (grant(json!({"selector": {"matchLabels": {"team": "x"}}})), GrantsNothing, "no namespace has the labels"),
            (grant(json!({"names": many})), GrantsNothing, "n09 and 2 more"),
            (grant(json!({"names": ["payments", "bills"]})), NamespaceNotFound, "namespace bills of spec.grants"),
            (
                grant(json!({"names": ["bills"], "selector": {"matchLabels": {"team": "a"}}})),
                NamespaceNotFound,
                "namespace bills",
            ),
            (grant(json!({"names": ["payments"]})), Matched, "at least one is covered"),
            (grant(json!({"selector": {"matchLabels": {"team": "a"}}})), Matched, "at least one is covered"),
        ] {
            let spec = serde_json::from_value(json!({"accountID": "222222222222", "grants": grants})).unwrap();
            let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
            let namespaces = [("orders".to_owned(), labels.clone()), ("payments".to_owned(), labels)];
            let (found, message) = matched(&spec, &namespaces);
            assert_eq!(found, reason, "{message}");
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }
}
