//! Every reason that a condition can have, in one table.

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// What kind of state a reason describes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReasonClass {
    /// AWS has what is declared.
    Ready,
    /// Not yet; the controller is at it.
    Reconciling,
    /// Somebody has to act.
    Stalled,
}

/// Why an object is in its state. The name is the wire form.
#[derive(Clone, Copy, Debug, Display, EnumIter, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// AWS has what is declared.
    Converged,
    /// Something is being written, or about to be.
    Progressing,
    /// An IAM change of ours has not spread yet.
    IamPropagating,
    /// The pipeline has a running execution, which an update would cancel.
    WaitingForIdlePipeline,
    /// AWS asks for fewer calls.
    Throttled,
    /// AWS did not answer, or not as it should.
    AwsUnavailable,
    /// What exists in AWS is being removed.
    Deleting,
    /// The spec cannot be used.
    InvalidSpec,
    /// A grant of one of the accounts does not cover the object.
    NotGranted,
    /// Two `AwsAccount`s have the same account id.
    DuplicateAccount,
    /// The credentials, or a role, belong to another account than the declared one.
    AccountMismatch,
    /// The controller cannot assume its role in an account.
    AssumeRoleDenied,
    /// The controller's role lacks a permission.
    AccessDenied,
    /// The permissions boundary that an `AwsAccount` imposes does not exist or cannot be attached.
    InvalidBoundary,
    /// The function does not exist.
    FunctionNotFound,
    /// The function runs as another role than the spec says.
    ExecutionRoleMismatch,
    /// The pipeline does not exist.
    PipelineNotFound,
    /// The stage, or the stage that its position names, does not exist.
    StageNotFound,
    /// The stage cannot go where its position says.
    InvalidPosition,
    /// A cross-region action needs an artifact store in its region.
    ArtifactStoreMissing,
    /// A role of that name is somebody else's.
    RoleConflict,
    /// An action of that name is somebody else's.
    ActionConflict,
    /// The pipeline role may not assume the invoke role although both policies are in place.
    PipelineRoleCannotAssume,
    /// `CodePipeline` refuses the pipeline for something that is not this object's.
    PipelineRefused,
    /// A policy would be larger than IAM allows.
    PolicySizeExceeded,
    /// A quota of the account is used up.
    QuotaExceeded,
    /// Something that is not this object's stands in the way of its removal.
    DeletionBlocked,
}

impl Reason {
    /// What kind of state it describes.
    #[must_use]
    pub fn class(self) -> ReasonClass {
        match self {
            Self::Converged => ReasonClass::Ready,
            Self::Progressing
            | Self::IamPropagating
            | Self::WaitingForIdlePipeline
            | Self::Throttled
            | Self::AwsUnavailable
            | Self::Deleting => ReasonClass::Reconciling,
            _ => ReasonClass::Stalled,
        }
    }
}

/// What the condition `Drifted` says. The name is the wire form.
#[derive(Clone, Copy, Debug, Display, EnumIter, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd)]
pub enum DriftReason {
    /// AWS holds what was last seen in place.
    InSync,
    /// Something differs and is being put right.
    Correcting,
    /// Something differed lately and was put right.
    Corrected,
    /// Something was added that stays: it only takes away, or it came back after each removal.
    Reported,
    /// Something stands in the way of a look, so that nothing is known.
    NotCompared,
}

/// What the condition `Contested` says. The name is the wire form.
#[derive(Clone, Copy, Debug, Display, EnumIter, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd)]
pub enum ContestedReason {
    /// A policy came back to the invoke role after each of three removals within 24 hours.
    PolicyReturns,
}

impl DriftReason {
    /// Whether something differs now.
    #[must_use]
    pub fn is_drifted(self) -> bool {
        matches!(self, Self::Correcting | Self::Reported)
    }
}
