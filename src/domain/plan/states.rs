//! The state of each resource as text, by meaning: what own writes are remembered by, and stale reads told from drift.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Situation;
use crate::domain::{
    ids::{Arn, RoleId, RoleName},
    names,
    observed::{InvokeRole, Observed, Pipeline, Resource},
    own_writes::State,
    policy,
    spec::Declared,
};

/// A pipeline's state: its version.
#[must_use]
pub fn pipeline_state(pipeline: &Pipeline) -> State {
    Some(pipeline.version.to_string())
}

/// A policy's state: its canonical text.
#[must_use]
pub fn policy_state(document: Option<&Value>) -> State {
    document.map(policy::canonical)
}

/// A role's state: trust by meaning, tags and boundary.
#[must_use]
pub fn role_state(role: Option<&InvokeRole>) -> State {
    role.map(|role| describe_role(&role.trust, &role.tags, role.boundary.as_ref()))
}

pub(super) fn describe_role(trust: &Value, tags: &BTreeMap<String, String>, boundary: Option<&Arn>) -> String {
    json!({"trust": policy::canonical(trust), "tags": tags, "boundary": boundary.map(Arn::as_str)}).to_string()
}

/// The state of every resource that was looked at, so that own writes can be told as read back.
#[must_use]
pub fn observed_states(situation: &Situation<'_>, observed: &Observed) -> Vec<(Resource, State)> {
    let declared = situation.declared;
    let (tools, dev) = (&declared.tools, &declared.dev);
    let policy_of = |holder: &RoleId, policy: String, document: Option<&Value>| {
        let resource = Resource::RolePolicy { account: holder.account.clone(), role: holder.name.clone(), policy };
        (resource, policy_state(document))
    };
    let mut states = Vec::new();
    for (name, pipeline) in &observed.pipelines {
        // The answer to our own update is no read: another one may still show what was there before.
        if pipeline.as_ref().is_some_and(|pipeline| pipeline.unread) {
            continue;
        }
        let resource =
            Resource::Pipeline { account: tools.account.clone(), region: tools.region.clone(), name: name.clone() };
        states.push((resource, pipeline.as_ref().and_then(pipeline_state)));
    }
    for (name, role) in &observed.roles {
        states.push((role_resource(declared, name), role_state(role.as_ref())));
        let policy = names::invoke_policy(situation.installation);
        let document = role.as_ref().and_then(|role| role.invoke_policy.as_ref());
        let resource = Resource::RolePolicy { account: dev.account.clone(), role: name.clone(), policy };
        states.push((resource, policy_state(document)));
    }
    for (role, document) in &observed.callback {
        states.push(policy_of(role, names::callback_policy(situation.installation), document.as_ref()));
    }
    for (role, document) in &observed.assume {
        states.push(policy_of(role, names::assume_policy(situation.installation), document.as_ref()));
    }
    states
}

/// The resource that an invoke role is.
pub(super) fn role_resource(declared: &Declared, role: &RoleName) -> Resource {
    Resource::InvokeRole { account: declared.dev.account.clone(), role: role.clone() }
}
