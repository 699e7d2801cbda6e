//! What is looked at in the very step that makes a write.

use std::collections::BTreeSet;

use crate::domain::role_claims::{Claim, Facet, Users};

/// Asked right before a write.
pub trait LastLook {
    /// Whether the object is as it was when the claim was planned, and is granted the same.
    fn holds(&self, claim: &Claim) -> bool;

    /// What the objects need that claim nothing of a policy at the moment; `claiming` are the UIDs of those that do, each with
    /// the policy.
    fn users(&self, claiming: &BTreeSet<(String, Facet)>) -> Users;
}
