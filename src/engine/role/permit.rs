//! The right to make one write: what a last look found, in the very step that makes the write.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::{
    ids::{ObjectKey, RoleId},
    role_claims::{Claim, Facet, Users},
};

/// Asked right before a write.
pub trait LastLook {
    /// Whether the object is as it was when the claim was planned, and is granted the same.
    fn holds(&self, claim: &Claim) -> bool;

    /// What the objects need that claim nothing of a policy at the moment; `claiming` are the UIDs of those that do, each with
    /// the policy.
    fn users(&self, claiming: &BTreeSet<(String, Facet)>) -> Users;
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The role.
    pub role: RoleId,
    /// The inline policy's name.
    pub policy: String,
    /// What it becomes; with none it is deleted.
    pub document: Option<Value>,
}

/// The right to make one write. Only the machine makes one, and whoever sends the write takes it by value.
#[derive(Debug)]
pub struct Permit {
    write: Write,
    objects: Vec<ObjectKey>,
}

impl Permit {
    /// Made when every claim that is in the write holds now.
    pub(super) fn new(write: Write, objects: Vec<ObjectKey>) -> Self {
        Self { write, objects }
    }

    /// What may be sent, once.
    #[must_use]
    pub fn into_write(self) -> Write {
        self.write
    }

    /// What would be sent.
    #[must_use]
    pub fn write(&self) -> &Write {
        &self.write
    }

    /// The objects whose claims are in the write.
    #[must_use]
    pub fn objects(&self) -> &[ObjectKey] {
        &self.objects
    }
}
