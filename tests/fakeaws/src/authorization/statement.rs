//! The parts of a policy document.

use serde_json::{Map, Value};

use super::Unjudged;

/// Where a document is used; it decides which parts its statements have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// An identity policy, a permissions boundary, a session policy or a service control policy.
    Identity,
    /// The trust policy of a role: principals, and no resource.
    Trust,
    /// A resource control policy: everybody as the principal, and resources (Organizations User Guide, "RCP syntax").
    ResourceControl,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// A list of patterns, or of patterns that must not fit.
#[derive(Debug)]
pub(super) struct Patterns<'a> {
    negated: bool,
    values: Vec<&'a str>,
}

impl Patterns<'_> {
    /// Whether this part of the statement fits, given how one pattern is matched.
    pub(super) fn fits(&self, one: impl FnMut(&&str) -> bool) -> bool {
        self.values.iter().any(one) != self.negated
    }
}

/// One statement, its constructs known, its condition not yet judged.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) effect: Effect,
    pub(super) action: Patterns<'a>,
    /// Absent in a trust policy.
    pub(super) resource: Option<Patterns<'a>>,
    /// Absent in an identity policy; everybody in a resource control policy.
    pub(super) principal: Option<&'a Value>,
    pub(super) condition: Option<&'a Value>,
}

/// The statements of a document.
///
/// # Errors
/// For every part that is not of the policy language as it is modelled here.
pub(super) fn read(document: &Value, kind: Kind) -> Result<Vec<Statement<'_>>, Unjudged> {
    let members = document.as_object().ok_or_else(|| Unjudged::new("a policy document that is no object"))?;
    known(members, &["Version", "Id", "Statement"], "the policy element")?;
    if !matches!(members.get("Version").map(Value::as_str), None | Some(Some("2012-10-17" | "2008-10-17"))) {
        return Err(Unjudged::new(format!("the policy version {}", members["Version"])));
    }
    let statements = match members.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => return Err(Unjudged::new("a policy document without Statement")),
    };
    statements.iter().map(|statement| read_one(statement, kind)).collect()
}

fn read_one(statement: &Value, kind: Kind) -> Result<Statement<'_>, Unjudged> {
    let members = statement.as_object().ok_or_else(|| Unjudged::new("a statement that is no object"))?;
    known(
        members,
        match kind {
            Kind::Identity => &["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"],
            Kind::Trust => &["Sid", "Effect", "Action", "NotAction", "Principal", "Condition"],
            Kind::ResourceControl => &["Sid", "Effect", "Action", "Resource", "NotResource", "Principal", "Condition"],
        },
        match kind {
            Kind::Identity => "in an identity policy the statement element",
            Kind::Trust => "in a trust policy the statement element",
            Kind::ResourceControl => "in a resource control policy the statement element",
        },
    )?;
    let effect = match members.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        other => return Err(Unjudged::new(format!("the effect {}", other.unwrap_or("(none)")))),
    };
    let resource = match kind {
        Kind::Identity | Kind::ResourceControl => Some(patterns(members, "Resource", "NotResource")?),
        Kind::Trust => None,
    };
    let principal = members.get("Principal");
    if kind == Kind::Trust && principal.is_none() {
        return Err(Unjudged::new("a trust statement without Principal"));
    }
    if kind == Kind::ResourceControl && principal != Some(&Value::from("*")) {
        return Err(Unjudged::new("a resource control policy whose principal is not *"));
    }
    let action = patterns(members, "Action", "NotAction")?;
    Ok(Statement { effect, action, resource, principal, condition: members.get("Condition") })
}

fn known(members: &Map<String, Value>, names: &[&str], what: &str) -> Result<(), Unjudged> {
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Unjudged::new(format!("{what} {name}"))),
    }
}

fn patterns<'a>(members: &'a Map<String, Value>, name: &str, negated: &str) -> Result<Patterns<'a>, Unjudged> {
    let (value, name, negated) = match (members.get(name), members.get(negated)) {
        (Some(value), None) => (value, name, false),
        (None, Some(value)) => (value, negated, true),
        _ => return Err(Unjudged::new(format!("a statement that has not exactly one of {name} and {negated}"))),
    };
    Ok(Patterns { negated, values: texts(value, name)? })
}

/// One text, or a list of at least one.
pub(super) fn texts<'a>(value: &'a Value, what: &str) -> Result<Vec<&'a str>, Unjudged> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    let texts = texts.filter(|texts| !texts.is_empty());
    let texts = texts.ok_or_else(|| Unjudged::new(format!("{what} {value}, neither text nor a list of texts")))?;
    match texts.iter().find(|text| text.contains("${")) {
        None => Ok(texts),
        Some(text) => Err(Unjudged::new(format!("the policy variable in {text}"))),
    }
}
