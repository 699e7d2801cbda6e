//! What is looked at in the very step that makes an update.

use crate::domain::{fold::Claim, spacing::Corrections};

/// Asked right before a write.
pub trait LastLook {
    /// Whether the object is as it was when the claim was planned, and is granted the same.
    fn holds(&self, claim: &Claim) -> bool;

    /// Corrections of this pipeline that were recorded before this process began.
    fn corrections(&self) -> Option<Corrections>;

    /// Whether objects that will want something of the pipeline are still on their way.
    fn are_more_expected(&self) -> bool;
}
