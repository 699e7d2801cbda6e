//! A policy document, with values filled in as far as they were given.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    Boundary, Condition, List, Placeholder, ROLE_NAME, Resource, Statement, Subject, Values, statements::statements,
};

/// A policy, and what is still to be filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The document.
    pub document: Value,
    /// What is left in it.
    pub missing: BTreeSet<Placeholder>,
}

/// The policy of a subject.
#[must_use]
pub fn policy(subject: Subject, values: &Values) -> Rendered {
    let mut missing = BTreeSet::new();
    let statements: Vec<Value> = statements(subject, values.demands_boundary(), values.bulk_reads)
        .iter()
        .map(|statement| rendered(subject, statement, values, &mut missing))
        .collect();
    Rendered { document: json!({"Version": "2012-10-17", "Statement": statements}), missing }
}

fn rendered(subject: Subject, statement: &Statement, values: &Values, missing: &mut BTreeSet<Placeholder>) -> Value {
    let mut object = Map::new();
    object.insert("Sid".to_owned(), json!(statement.sid));
    object.insert("Effect".to_owned(), json!(statement.effect.name()));
    object.insert("Action".to_owned(), one_or_many(&statement.actions));
    let resources = match statement.resources {
        Resource::Fixed(texts) => texts.iter().map(|text| fill(subject, text, None, values, missing)).collect(),
        Resource::Each(list) => each(subject, list, values, missing),
    };
    object.insert("Resource".to_owned(), one_or_many(&resources));
    if let Some(condition) = statement.condition {
        let value = match condition {
            Condition::PassedToService(service) => service.to_owned(),
            Condition::PermissionsBoundary => match &values.boundary {
                Boundary::Named(arn) => arn.to_string(),
                Boundary::Missing | Boundary::Omitted => noted(Placeholder::BoundaryArn, missing),
            },
        };
        object.insert("Condition".to_owned(), json!({"StringEquals": {condition.key(): value}}));
    }
    Value::Object(object)
}

fn each(subject: Subject, list: List, values: &Values, missing: &mut BTreeSet<Placeholder>) -> Vec<String> {
    let given = values.of(list);
    let texts = if given.is_empty() {
        list.placeholders().iter().map(|placeholder| noted(*placeholder, missing)).collect()
    } else {
        given.to_vec()
    };
    texts.iter().map(|value| fill(subject, list.pattern(), Some(value.as_str()), values, missing)).collect()
}

/// Fills in a text of [`statements`].
fn fill(
    subject: Subject,
    text: &'static str,
    value: Option<&str>,
    values: &Values,
    missing: &mut BTreeSet<Placeholder>,
) -> String {
    let mut known = |name: &str| match name {
        "Partition" => values.partition.clone().unwrap_or_else(|| noted(Placeholder::Partition, missing)),
        "Account" => match values.of(List::Accounts) {
            [account, ..] => account.clone(),
            [] => noted(subject.account_placeholder(), missing),
        },
        "RolePath" => {
            values.role_path.as_ref().map_or_else(|| noted(Placeholder::RolePath, missing), ToString::to_string)
        }
        "RoleName" => ROLE_NAME.to_owned(),
        _ => value.unwrap_or_default().to_owned(),
    };
    let filled = pieces(text).into_iter().map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Name(name) => known(name),
    });
    filled.collect()
}

/// A part of a text of [`statements`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// Stands as it is.
    Text(&'static str),
    /// The name in `${…}`.
    Name(&'static str),
}

/// Cuts a text into its pieces.
pub(super) fn pieces(text: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once("${").and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        pieces.extend([Piece::Text(before), Piece::Name(name)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

fn noted(placeholder: Placeholder, missing: &mut BTreeSet<Placeholder>) -> String {
    missing.insert(placeholder);
    placeholder.to_string()
}

/// One value as itself, as people write policies; several as a list.
pub(super) fn one_or_many<T: serde::Serialize>(values: &[T]) -> Value {
    match values {
        [one] => json!(one),
        many => json!(many),
    }
}
