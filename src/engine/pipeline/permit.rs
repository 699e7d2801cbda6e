//! The right to make one update: what a last look found, in the very step that makes the update.

use super::Update;
use crate::domain::{fold::Claim, ids::ObjectKey, spacing::Corrections};

/// Asked right before a write.
pub trait LastLook {
    /// Whether the object is as it was when the claim was planned, and is granted the same.
    fn holds(&self, claim: &Claim) -> bool;

    /// Corrections of this pipeline that were recorded before this process began.
    fn corrections(&self) -> Option<Corrections>;

    /// Whether objects that will want something of the pipeline are still on their way.
    fn are_more_expected(&self) -> bool;
}

/// The right to make one update. Only the machine makes one, and whoever sends the update takes it by value.
#[derive(Debug)]
pub struct Permit {
    update: Update,
    objects: Vec<ObjectKey>,
}

impl Permit {
    /// Made when every claim that is in the update holds now.
    pub(super) fn new(update: Update, objects: Vec<ObjectKey>) -> Self {
        Self { update, objects }
    }

    /// A permit without a last look, to test what sends updates.
    #[cfg(test)]
    pub(crate) fn for_tests(declaration: &crate::domain::pipeline_edit::Json) -> Self {
        Self::new(Update { base: 1, declaration: declaration.clone() }, Vec::new())
    }

    /// What may be sent, once.
    #[must_use]
    pub fn into_update(self) -> Update {
        self.update
    }

    /// The objects whose claims are in the update.
    #[must_use]
    pub fn objects(&self) -> &[ObjectKey] {
        &self.objects
    }

    /// The version that the update was planned on.
    #[must_use]
    pub fn base(&self) -> i64 {
        self.update.base
    }
}
