//! One write of a role, or of something on it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::{
        ids::{AccountId, Arn, RoleId},
        observed::Resource,
        plan::{self, NewRole, Step},
    },
    engine::permit::{self, Addressed},
};

/// The right to make one write of a role. Shared policies and what is one object's own take the same.
pub type Permit = permit::Permit<Write>;

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The role.
    pub role: RoleId,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of a role.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is made.
    Create(NewRole),
    /// Its trust policy is replaced.
    SetTrust(Value),
    /// It gets these tags; others stay.
    SetTags(BTreeMap<String, String>),
    /// It loses the tags with these keys.
    RemoveTags(Vec<String>),
    /// It gets this permissions boundary.
    SetBoundary(Arn),
    /// It gets an inline policy of this name, whether or not it has one.
    PutPolicy(String, Value),
    /// It loses the inline policy of this name.
    DeletePolicy(String),
    /// It loses this managed policy.
    Detach(Arn),
    /// It is deleted.
    Delete,
}

impl Addressed for Write {
    type Place = AccountId;

    fn place(&self) -> AccountId {
        self.role.account.clone()
    }

    fn account(&self) -> &AccountId {
        &self.role.account
    }
}

impl Write {
    /// What a step of a plan sends; `None` for one that is about no role.
    #[must_use]
    pub fn of(step: &Step) -> Option<Self> {
        let change = match (&step.resource, &step.change) {
            (Resource::InvokeRole { .. }, plan::Change::CreateRole(new)) => Change::Create(new.clone()),
            (Resource::InvokeRole { .. }, plan::Change::SetTrust(trust)) => Change::SetTrust(trust.clone()),
            (Resource::InvokeRole { .. }, plan::Change::SetTags(tags)) => Change::SetTags(tags.clone()),
            (Resource::InvokeRole { .. }, plan::Change::RemoveTags(keys)) => Change::RemoveTags(keys.clone()),
            (Resource::InvokeRole { .. }, plan::Change::SetBoundary(arn)) => Change::SetBoundary(arn.clone()),
            (Resource::InvokeRole { .. }, plan::Change::DeleteRole) => Change::Delete,
            (Resource::RolePolicy { policy, .. }, plan::Change::PutPolicy(document)) => {
                Change::PutPolicy(policy.clone(), document.clone())
            }
            (Resource::RolePolicy { policy, .. }, plan::Change::DeletePolicy) => Change::DeletePolicy(policy.clone()),
            (Resource::AttachedPolicy { policy, .. }, plan::Change::DetachPolicy) => Change::Detach(policy.clone()),
            _ => return None,
        };
        let (account, name) = (step.resource.account().clone(), step.resource.role()?.clone());
        Some(Self { role: RoleId { account, name }, change })
    }

    /// An inline policy that gets this document, or with none is deleted.
    #[must_use]
    pub fn policy(role: RoleId, name: String, document: Option<Value>) -> Self {
        let change = match document {
            Some(document) => Change::PutPolicy(name, document),
            None => Change::DeletePolicy(name),
        };
        Self { role, change }
    }

    /// The inline policy that it is about, and the document that this gets.
    #[must_use]
    pub fn as_policy(&self) -> Option<(&str, Option<&Value>)> {
        match &self.change {
            Change::PutPolicy(name, document) => Some((name, Some(document))),
            Change::DeletePolicy(name) => Some((name, None)),
            _ => None,
        }
    }

    /// What it does, in a word or two.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        match self.change {
            Change::Create(_) => "create role",
            Change::SetTrust(_) => "set trust policy",
            Change::SetTags(_) => "set tags",
            Change::RemoveTags(_) => "remove tags",
            Change::SetBoundary(_) => "set permissions boundary",
            Change::PutPolicy(..) => "put policy",
            Change::DeletePolicy(_) => "delete policy",
            Change::Detach(_) => "detach policy",
            Change::Delete => "delete role",
        }
    }
}
