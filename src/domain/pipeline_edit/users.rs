//! Who in a pipeline uses what is ours: its roles, and its output variables.

use std::collections::BTreeSet;

use super::{
    DesiredAction, Owned, Refusal,
    json::Json,
    order::{Place, in_a_row, number},
};

/// Namespaces that CodePipeline itself fills.
const RESERVED: [&str; 2] = ["codepipeline", "variables"];

/// Something in a stage that can name roles and variables: an action, or a rule of a condition.
struct User<'a> {
    stage: &'a str,
    /// `stage/action`, or `stage/rule (condition)`.
    label: String,
    /// The actions before this place have run when it is looked at.
    at: Place,
    action: Option<&'a Json>,
    texts: Vec<&'a str>,
}

fn users(declaration: &Json) -> Vec<User<'_>> {
    let mut users = Vec::new();
    for (index, stage) in declaration.list("stages").iter().enumerate() {
        let name = stage.text("name");
        for action in stage.list("actions") {
            let mut texts = Vec::new();
            action.each_text(&mut |text| texts.push(text));
            let (label, at) = (format!("{name}/{}", action.text("name")), (index, number(action)));
            users.push(User { stage: name, label, at, action: Some(action), texts });
        }
        for member in stage.members().iter().filter(|member| !["name", "actions"].contains(&member.name())) {
            // Entry conditions are looked at before the stage's actions, all others after them.
            let at = (index, if member.name() == "beforeEntry" { i64::MIN } else { i64::MAX });
            by_name(member.value(), None, &mut |rule, text| {
                let of = rule.map(|rule| format!("/{rule}")).unwrap_or_default();
                let label = format!("{name}{of} ({})", member.name());
                users.push(User { stage: name, label, at, action: None, texts: vec![text] });
            });
        }
    }
    users
}

/// Visits every text with the name of the nearest object around it that has one.
fn by_name<'a>(json: &'a Json, name: Option<&'a str>, visit: &mut dyn FnMut(Option<&'a str>, &'a str)) {
    match json {
        Json::Object(members) => {
            let name = json.get("name").and_then(Json::as_str).or(name);
            for member in members {
                by_name(member.value(), name, visit);
            }
        }
        Json::List(items) => {
            for item in items {
                by_name(item, name, visit);
            }
        }
        Json::Fragment(_) => json.each_text(&mut |text| visit(name, text)),
    }
}

/// Actions and rules that name one of our roles and are not ours, as `stage/action` or `stage/rule (condition)`. Their
/// role cannot go.
#[must_use]
pub fn foreign_users(declaration: &Json, owned: &Owned) -> Vec<String> {
    let mut labels = Vec::new();
    for user in users(declaration) {
        let is_ours = user.action.is_some_and(|action| owned.owns(user.stage, action));
        if !is_ours && user.texts.iter().any(|text| owned.roles.contains(*text)) && !labels.contains(&user.label) {
            labels.push(user.label);
        }
    }
    labels
}

/// The namespaces of the variables that a text refers to, as `#{namespace.name}`.
fn namespaces(text: &str) -> impl Iterator<Item = &str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "@-_".contains(c);
    text.match_indices("#{").filter_map(move |(at, opening)| {
        let rest = &text[at + opening.len()..];
        let (namespace, _) = rest[..rest.find('}')?].split_once('.')?;
        (!namespace.is_empty() && namespace.chars().all(legal)).then_some(namespace)
    })
}

/// References to a namespace that no earlier action declares, as user and namespace. CodePipeline refuses them.
fn unresolved(declaration: &Json) -> BTreeSet<(String, String)> {
    let users = users(declaration);
    let declared: Vec<(&str, Place)> =
        users.iter().filter_map(|user| Some((user.action?.get("namespace")?.as_str()?, user.at))).collect();
    let resolved = |namespace: &str, at: Place| {
        RESERVED.contains(&namespace) || declared.iter().any(|(known, by)| *known == namespace && *by < at)
    };
    let mut found = BTreeSet::new();
    for user in &users {
        let namespaces = user.texts.iter().flat_map(|text| namespaces(text));
        found.extend(
            namespaces
                .filter(|namespace| !resolved(namespace, user.at))
                .map(|namespace| (user.label.clone(), namespace.to_owned())),
        );
    }
    found
}

/// Refuses an edit after which CodePipeline would find a variable that nothing declares, or two declarations of one.
pub(super) fn check_variables(before: &Json, after: &Json, desired: Option<&DesiredAction>) -> Result<(), Refusal> {
    let own = desired.map(|desired| format!("{}/{}", desired.stage, desired.name));
    if let (Some(desired), Some(own)) = (desired, &own) {
        namespace_is_free(after, desired, own)?;
    }
    let (known, missing) = (unresolved(before), unresolved(after));
    let of_ours = missing.iter().filter(|(user, _)| Some(user) == own.as_ref()).map(|(_, namespace)| namespace.clone());
    let of_ours: Vec<String> = of_ours.collect();
    if !of_ours.is_empty() {
        return Err(Refusal::UnknownNamespace { namespaces: in_a_row(&of_ours) });
    }
    let broken: Vec<&(String, String)> =
        missing.difference(&known).filter(|(user, _)| Some(user) != own.as_ref()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let users: BTreeSet<String> = broken.iter().map(|(user, _)| user.clone()).collect();
    let namespaces: BTreeSet<String> = broken.iter().map(|(_, namespace)| namespace.clone()).collect();
    let users = in_a_row(&users.into_iter().collect::<Vec<_>>());
    let namespaces = in_a_row(&namespaces.into_iter().collect::<Vec<_>>());
    Err(match desired {
        Some(_) => Refusal::NamespaceInUse { namespaces, users },
        None => Refusal::WouldLoseVariables { namespaces, users },
    })
}

/// A namespace must be unique among the namespaces and artifacts of the pipeline.
fn namespace_is_free(declaration: &Json, desired: &DesiredAction, own: &str) -> Result<(), Refusal> {
    let Some(namespace) = desired.variables_namespace.as_deref() else { return Ok(()) };
    let taken = |by: &str, what: &'static str| {
        Err(Refusal::NamespaceTaken { namespace: namespace.to_owned(), by: by.to_owned(), what })
    };
    if RESERVED.contains(&namespace) {
        return taken("CodePipeline itself", "namespace");
    }
    for user in users(declaration).iter().filter(|user| user.label != own) {
        let Some(action) = user.action else { continue };
        let by = format!("action {}", user.label);
        if action.text("namespace") == namespace {
            return taken(&by, "namespace");
        }
        let artifacts = ["outputArtifacts", "inputArtifacts"].into_iter().flat_map(|list| action.list(list));
        if artifacts.into_iter().any(|artifact| artifact.text("name") == namespace) {
            return taken(&by, "name of an artifact");
        }
    }
    Ok(())
}
