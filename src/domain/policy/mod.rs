//! IAM policy documents: the ones we write, compared by meaning with the ones we read.

mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::document::{as_list, canonical_value};
use super::ids::{AccountId, Arn};

const VERSION: &str = "2012-10-17";

/// The meaning of a document as text: equal for documents that IAM treats alike.
#[must_use]
pub fn canonical(document: &Value) -> String {
    canonical_value(document).to_string()
}

/// Whether two documents mean the same.
#[must_use]
pub fn same_meaning(one: &Value, other: &Value) -> bool {
    canonical(one) == canonical(other)
}

/// Whether a document allows all that another says and perhaps more: every statement of `part` is in `whole`.
#[must_use]
pub fn contains(whole: &Value, part: &Value) -> bool {
    let (whole, part) = (canonical_value(whole), canonical_value(part));
    let statements = |document: &Value| document.get("Statement").map(|of| as_list(of).to_vec()).unwrap_or_default();
    let whole = statements(&whole);
    statements(&part).iter().all(|statement| whole.contains(statement))
}

/// Whether a document allows anything at all. What is no plain Deny counts as an Allow.
#[must_use]
pub fn grants(document: &Value) -> bool {
    let statements = document.get("Statement").map(as_list).unwrap_or_default();
    statements.iter().any(|statement| statement.get("Effect").and_then(Value::as_str) != Some("Deny"))
}

/// Whether a document denies anything.
#[must_use]
pub fn denies(document: &Value) -> bool {
    let statements = document.get("Statement").map(as_list).unwrap_or_default();
    statements.iter().any(|statement| statement.get("Effect").and_then(Value::as_str) == Some("Deny"))
}

/// Whether a trust policy trusts this whole account, or everybody, without a condition.
#[must_use]
pub fn trusts_whole_account(document: &Value, account: &AccountId) -> bool {
    let canonical = canonical_value(document);
    let statements = canonical.get("Statement").map(as_list).unwrap_or_default();
    statements.iter().filter(|statement| statement.get("Effect").and_then(Value::as_str) == Some("Allow")).any(|it| {
        let principals = it.pointer("/Principal/AWS").map(as_list).unwrap_or_default();
        let named = |name: &Value| name == "*" || name == account.as_str();
        it.get("Condition").is_none() && principals.iter().any(named)
    })
}

/// Whether only AWS services may assume the role, by this trust policy: an invoke role is assumed by another account.
#[must_use]
pub fn trusts_only_services(document: &Value) -> bool {
    let canonical = canonical_value(document);
    let statements = canonical.get("Statement").map(as_list).unwrap_or_default();
    let allowing = statements.iter().filter(|it| it.get("Effect").and_then(Value::as_str) == Some("Allow"));
    let mut kinds = allowing.map(|it| it.get("Principal").and_then(Value::as_object)).peekable();
    kinds.peek().is_some()
        && kinds.all(|of| of.is_some_and(|of| !of.is_empty() && of.keys().all(|kind| kind == "Service")))
}

/// The size that counts against IAM's quotas: characters without whitespace (IAM User Guide, quotas).
#[must_use]
pub fn size(document: &Value) -> usize {
    document.to_string().chars().filter(|c| !c.is_whitespace()).count()
}

/// T1 that trusts only these pipeline roles: the tools account's root, narrowed by `aws:PrincipalArn`. As a condition's
/// value the ARN stays what it is when the role is deleted and made again; as a principal it would become a dead id.
#[must_use]
pub fn trust_pipeline_roles(partition: &str, tools: &AccountId, roles: &BTreeSet<Arn>) -> Value {
    let roles: Vec<&str> = roles.iter().map(Arn::as_str).collect();
    json!({
        "Version": VERSION,
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": root(partition, tools)},
            "Action": "sts:AssumeRole",
            "Condition": {"ArnEquals": {"aws:PrincipalArn": one_or_many(&roles)}},
        }],
    })
}

/// T1 that trusts the whole tools account, as in AWS's walkthrough.
#[must_use]
pub fn trust_account_root(partition: &str, tools: &AccountId) -> Value {
    json!({
        "Version": VERSION,
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": root(partition, tools)},
            "Action": "sts:AssumeRole",
        }],
    })
}

/// P1: exactly these functions, and the list of functions where the installation grants it.
#[must_use]
pub fn invoke(functions: &BTreeSet<Arn>, list_functions: bool) -> Value {
    let functions: Vec<&str> = functions.iter().map(Arn::as_str).collect();
    let mut statements =
        vec![json!({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": one_or_many(&functions)})];
    if list_functions {
        // lambda:ListFunctions supports no resource (Service Authorization Reference).
        statements.push(json!({"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"}));
    }
    json!({"Version": VERSION, "Statement": statements})
}

/// P2. Both actions support no resource: a pipeline's ARN there would deny the callback (CodePipeline User Guide,
/// permissions reference).
#[must_use]
pub fn callback() -> Value {
    json!({
        "Version": VERSION,
        "Statement": [{
            "Effect": "Allow",
            "Action": ["codepipeline:PutJobFailureResult", "codepipeline:PutJobSuccessResult"],
            "Resource": "*",
        }],
    })
}

/// P3: exactly these invoke roles.
#[must_use]
pub fn assume(roles: &BTreeSet<Arn>) -> Value {
    let roles: Vec<&str> = roles.iter().map(Arn::as_str).collect();
    json!({
        "Version": VERSION,
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": one_or_many(&roles)}],
    })
}

/// The invoke roles that an assume policy names, as far as it is of our form.
#[must_use]
pub fn assume_entries(document: &Value) -> Option<BTreeSet<Arn>> {
    resources_of(document, "sts:assumerole")
}

/// The roles that an assume policy of any form names: what must not be lost when it is brought back into our form. Every
/// Allow counts that covers `sts:AssumeRole`, whatever else it allows and under whatever condition. A pattern names no role.
#[must_use]
pub fn assume_entries_of_any_form(document: &Value) -> BTreeSet<Arn> {
    const ACTION: &str = "sts:assumerole";
    let statements = document.get("Statement").map(as_list).unwrap_or_default();
    let covers = |statement: &Value, member: &str| {
        let actions = statement.get(member).map(as_list).unwrap_or_default();
        actions.iter().filter_map(Value::as_str).any(|action| matches(&action.to_ascii_lowercase(), ACTION))
    };
    let allows = |statement: &&Value| {
        statement.get("Effect").and_then(Value::as_str) == Some("Allow")
            && (covers(statement, "Action")
                || (statement.get("NotAction").is_some() && !covers(statement, "NotAction")))
    };
    let named = statements
        .iter()
        .filter(allows)
        .filter_map(|statement| statement.get("Resource"))
        .flat_map(as_list)
        .filter_map(Value::as_str)
        .filter(|resource| !resource.contains(['*', '?', '$']))
        .filter_map(|resource| resource.parse::<Arn>().ok())
        .filter(|resource| resource.role().is_some());
    let mut entries: BTreeSet<Arn> = named.collect();
    entries.extend(assume_entries(document).unwrap_or_default());
    entries
}

/// Whether a pattern with IAM's wildcards `*` and `?` covers a text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern_left = pattern.chars();
    let mut text_left = text.chars();
    match pattern_left.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_left.as_str().trim_start_matches('*');
            (0..=text.len()).filter_map(|from| text.get(from..)).any(|text| matches(rest, text))
        }
        Some(wanted) => {
            let found = text_left.next().is_some_and(|found| wanted == '?' || wanted == found);
            found && matches(pattern_left.as_str(), text_left.as_str())
        }
    }
}

/// The functions that an invoke policy names, as far as it is of our form.
#[must_use]
pub fn invoke_entries(document: &Value) -> Option<BTreeSet<Arn>> {
    resources_of(document, "lambda:invokefunction")
}

/// The pipeline roles that a trust policy of our form trusts.
#[must_use]
pub fn trusted_pipeline_roles(document: &Value) -> Option<BTreeSet<Arn>> {
    let canonical = canonical_value(document);
    let statements = canonical.get("Statement").map(as_list).unwrap_or_default();
    let roles: BTreeSet<Arn> = statements
        .iter()
        .filter(|statement| is_plain(statement, "sts:assumerole"))
        .filter_map(|statement| statement.pointer("/Condition/arnequals/aws:principalarn"))
        .flat_map(as_list)
        .filter_map(|role| role.as_str()?.parse().ok())
        .collect();
    (!roles.is_empty()).then_some(roles)
}

fn resources_of(document: &Value, action: &str) -> Option<BTreeSet<Arn>> {
    let canonical = canonical_value(document);
    let statements = canonical.get("Statement").map(as_list).unwrap_or_default();
    let entries: BTreeSet<Arn> = statements
        .iter()
        .filter(|statement| is_plain(statement, action) && statement.get("Condition").is_none())
        .filter_map(|statement| statement.get("Resource"))
        .flat_map(as_list)
        .filter_map(|resource| resource.as_str()?.parse().ok())
        .collect();
    (!entries.is_empty()).then_some(entries)
}

/// An Allow of this one action, in canonical spelling.
fn is_plain(statement: &Value, action: &str) -> bool {
    statement.get("Effect").and_then(Value::as_str) == Some("Allow")
        && statement
            .get("Action")
            .map(as_list)
            .is_some_and(|actions| matches!(actions, [Value::String(only)] if only == action))
}

fn root(partition: &str, account: &AccountId) -> String {
    format!("arn:{partition}:iam::{account}:root")
}

/// One value as itself, as IAM would return it; several as a list.
fn one_or_many(values: &[&str]) -> Value {
    match values {
        [one] => json!(one),
        many => json!(many),
    }
}
