//! Every reason that a condition can have, in one table: its name, what it means (the comment) and what to do (the
//! message). docs/conditions.md is generated from it.

use strum::{Display, EnumIter, EnumMessage, EnumString, IntoStaticStr};

/// What kind of state a reason describes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReasonClass {
    /// AWS has what is declared.
    Ready,
    /// Not yet; the controller is at work.
    Reconciling,
    /// Somebody has to act.
    Stalled,
}

/// Why an object is in its state. The name is the wire form.
#[derive(
    Clone, Copy, Debug, Display, EnumIter, EnumMessage, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd,
)]
pub enum Reason {
    /// AWS has what is declared.
    #[strum(message = "Nothing.")]
    Converged,
    /// Something is being written, or about to be.
    #[strum(message = "Wait: the controller continues on its own. The message says what is being written.")]
    Progressing,
    /// An IAM change of ours has not propagated yet.
    #[strum(
        message = "Wait: IAM usually needs less than a minute. If it takes longer, the reason changes and the message says what is left."
    )]
    IamPropagating,
    /// The pipeline has a running execution, which an update would cancel.
    #[strum(
        message = "Let the execution that the message names end, or stop it. The message also says what it waits for, such as an approval, if AWS shows that."
    )]
    WaitingForIdlePipeline,
    /// The newest execution failed or was stopped lately, and after an update nobody could retry it.
    #[strum(message = "Retry the execution that the message names, or wait until the time that it names.")]
    WaitingForRetryWindow,
    /// Somebody undid what the controller put back, so that the next correction has a time to wait for.
    #[strum(
        message = "Find out who changes the action and stop that. Or wait: the message names the time of the next correction."
    )]
    WaitingForCorrectionWindow,
    /// AWS refuses calls because there are too many.
    #[strum(
        message = "Wait: the controller slows down on its own. If it stays, look for other clients that call AWS in this account."
    )]
    Throttled,
    /// AWS did not answer, or not as it should.
    #[strum(
        message = "Wait: the controller tries again on its own. If it stays, look up the AWS error in the message."
    )]
    AwsUnavailable,
    /// No look at AWS was complete for three intervals.
    #[strum(
        message = "Correct what the message names; what AWS has may differ from what is declared until a look succeeds."
    )]
    NotChecked,
    /// What exists in AWS is being removed.
    #[strum(message = "Wait: the object goes when nothing of it is left in AWS.")]
    Deleting,
    /// The spec cannot be used.
    #[strum(message = "Correct the field that the message names.")]
    InvalidSpec,
    /// A grant of one of the accounts does not cover the object.
    #[strum(message = "Ask the platform team to add what the message names to a grant of the AwsAccount.")]
    NotGranted,
    /// Two `AwsAccount`s have the same account id.
    #[strum(message = "Delete all but one of the AwsAccounts that the message names.")]
    DuplicateAccount,
    /// The credentials, or a role, belong to another account than the declared one.
    #[strum(message = "Correct accountID or roleARN of the AwsAccount.")]
    AccountMismatch,
    /// The controller cannot assume its role in an account.
    #[strum(
        message = "Correct roleARN or externalID of the AwsAccount, the role's trust policy, or the controller's own identity."
    )]
    AssumeRoleDenied,
    /// The certificate of an AWS endpoint is not trusted.
    #[strum(
        message = "Do what the message says: mount the authority's certificates and name the file in SSL_CERT_FILE (the chart's extraVolumes, extraVolumeMounts and extraEnv), renew the certificate, or correct the endpoint."
    )]
    CertificateNotTrusted,
    /// The controller's role lacks a permission.
    #[strum(
        message = "Allow the action that the message names (deploy/iam has the policies that the controller needs) or, if a boundary or a policy of the organization denies it, have that changed: the message says which. Where it names spec.invokeRoles.permissionsBoundaryARN of the AwsAccount, name the boundary there."
    )]
    AccessDenied,
    /// The permissions boundary that an `AwsAccount` imposes does not exist or cannot be attached.
    #[strum(message = "Correct spec.invokeRoles.permissionsBoundaryARN of the AwsAccount, or create the policy.")]
    InvalidBoundary,
    /// The function does not exist.
    #[strum(message = "Correct spec.function.name or the function's region, or create the function.")]
    FunctionNotFound,
    /// The function runs as another role than the spec says.
    #[strum(message = "Correct spec.function.executionRole, or give the function that role.")]
    ExecutionRoleMismatch,
    /// The pipeline does not exist.
    #[strum(message = "Correct spec.pipeline.name or the tools account's region, or create the pipeline.")]
    PipelineNotFound,
    /// The stage, or the stage that its position names, does not exist.
    #[strum(message = "Correct spec.stage.name, or set spec.stage.position to a stage that exists.")]
    StageNotFound,
    /// The stage, or the action in it, cannot go where the spec says.
    #[strum(
        message = "Choose another place or, among other people's actions, set spec.action.runOrder: the message lists what is there."
    )]
    InvalidPosition,
    /// A cross-region action needs an artifact store in its region.
    #[strum(message = "Add an artifact store in the function's region to the pipeline.")]
    ArtifactStoreMissing,
    /// A role of that name exists and belongs to something else.
    #[strum(
        message = "If it is this object's role, put back the tags that the message names. Otherwise choose another spec.invokeRole.name, or remove that role."
    )]
    RoleConflict,
    /// An action of that name exists and belongs to something else.
    #[strum(message = "Choose another spec.action.name, or remove the action that the message names.")]
    ActionConflict,
    /// The pipeline's role cannot assume the invoke role although both policies are in place.
    #[strum(
        message = "Look for what the message lists: an explicit deny, a permissions boundary, or a policy of the organization."
    )]
    PipelineRoleCannotAssume,
    /// CodePipeline refuses the pipeline as a whole.
    #[strum(message = "Correct in the pipeline what the message names; it is usually not part of this object.")]
    PipelineRefused,
    /// Somebody else updates the pipeline whenever this controller does.
    #[strum(
        message = "See that the present version holds everything of the version that the message names, and find out what else writes the pipeline."
    )]
    ForeignWriter,
    /// A role may be changed by AWS only; the pipeline or function needs another one.
    #[strum(message = "Give the pipeline or function that runs as this role another one, of your own.")]
    RoleUnmodifiable,
    /// A policy would be larger than IAM allows.
    #[strum(message = "Remove other inline policies of the role that the message names.")]
    PolicySizeExceeded,
    /// The status has no room for what would be made.
    #[strum(
        message = "Set the spec back to an earlier state and let it become Ready before the next edit, or delete the object."
    )]
    InventoryFull,
    /// A quota of the account is used up.
    #[strum(message = "Request an increase of the quota that AWS names, or remove what is not needed.")]
    QuotaExceeded,
    /// Something prevents the removal of what exists in AWS.
    #[strum(message = "Do what the message says; deletion then continues on its own.")]
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
            | Self::WaitingForRetryWindow
            | Self::WaitingForCorrectionWindow
            | Self::Throttled
            | Self::AwsUnavailable
            | Self::NotChecked
            | Self::Deleting => ReasonClass::Reconciling,
            _ => ReasonClass::Stalled,
        }
    }

    /// Whether it says that a look failed, and so nothing about what is in AWS.
    #[must_use]
    pub fn is_failed_look(self) -> bool {
        matches!(self, Self::Throttled | Self::AwsUnavailable)
    }
}

/// What the condition `Drifted` says. The name is the wire form.
#[derive(
    Clone, Copy, Debug, Display, EnumIter, EnumMessage, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd,
)]
pub enum DriftReason {
    /// AWS holds what was last seen in place.
    #[strum(message = "Nothing.")]
    InSync,
    /// Something differs and is being corrected.
    #[strum(
        message = "Nothing: it is corrected on its own, or as soon as the pipeline is idle. If it stays, Ready says why."
    )]
    Correcting,
    /// Something differed lately and was corrected.
    #[strum(message = "Find out who made the change: status.drift.items says what and when.")]
    Corrected,
    /// Something was added that stays: it only takes rights away, or it came back after each removal.
    #[strum(message = "Remove the addition yourself if it is not meant to be there.")]
    Reported,
    /// Something prevents the comparison, so nothing is known.
    #[strum(message = "See Ready: it says what prevents the comparison.")]
    NotCompared,
}

/// What the condition `Contested` says. The name is the wire form.
#[derive(
    Clone, Copy, Debug, Display, EnumIter, EnumMessage, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd,
)]
pub enum ContestedReason {
    /// A policy came back to the invoke role after each of three removals within 24 hours.
    #[strum(message = "Stop what adds the policy, or list it in spec.invokeRoles.toleratedPolicies of the AwsAccount.")]
    PolicyReturns,
    /// Somebody changed or took out the action after each of three corrections within 24 hours.
    #[strum(message = "Find out who or what writes the pipeline, and stop that, or delete the object.")]
    ActionUndone,
}

/// What the condition `GrantsMatched` of an `AwsAccount` says. The name is the wire form.
#[derive(
    Clone, Copy, Debug, Display, EnumIter, EnumMessage, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd,
)]
pub enum GrantsReason {
    /// Every namespace that is named exists, and some namespace is covered.
    #[strum(message = "Nothing.")]
    Matched,
    /// No namespace is covered.
    #[strum(
        message = "Correct the names or the selector of the grants, or create the namespace; until then the account opens nothing."
    )]
    GrantsNothing,
    /// A namespace that is named does not exist.
    #[strum(message = "Correct the name in the grant, or create the namespace.")]
    NamespaceNotFound,
}

/// What the condition `BulkReads` of an `AwsAccount` says. The name is the wire form.
#[derive(
    Clone, Copy, Debug, Display, EnumIter, EnumMessage, EnumString, Eq, Hash, IntoStaticStr, Ord, PartialEq, PartialOrd,
)]
pub enum BulkReadsReason {
    /// Roles, or functions, of the account are read all at once, and what differs singly as well.
    #[strum(message = "Nothing.")]
    Active,
    /// To read all of them would cost more than half of what single reads cost.
    #[strum(message = "Nothing: it changes when more objects use the account.")]
    NotCheaper,
    /// The controller's role has not the right to read all of them.
    #[strum(
        message = "Give the role the rights that crossinvoke iam --bulk-reads adds, or set spec.reads to Single. It is tried again at each look at the account."
    )]
    Denied,
    /// The account asks for single reads.
    #[strum(message = "Nothing: spec.reads says so.")]
    SingleRequested,
}

impl DriftReason {
    /// The status that the condition has with it.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::NotCompared => "Unknown",
            Self::Correcting | Self::Reported => "True",
            Self::InSync | Self::Corrected => "False",
        }
    }
}
