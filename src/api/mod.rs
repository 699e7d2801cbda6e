//! The contract with users: the two kinds, their conditions and reasons.

pub mod annotation;
mod aws_account;
pub mod condition;
mod contested;
pub mod crds;
mod cross_account_invoke;
mod drift;
mod lenient;
mod null;
mod reason;
#[cfg(test)]
mod reference;
mod rules;

pub use aws_account::{
    Allowance, AwsAccount, AwsAccountSpec, AwsAccountStatus, Grant, GrantedNamespaces, InvokeRoles, Reads,
};
pub use contested::ContestedItem;
pub use cross_account_invoke::{
    Action, CrossAccountInvoke, CrossAccountInvokeSpec, CrossAccountInvokeStatus, DevAccount, DevAccountStatus,
    FunctionReference, InventoryItem, InventoryKind, InvokeRole, PipelineReference, StagePosition, StageReference,
    ToolsAccount, ToolsAccountStatus, TrustMode, UserParameters,
};
pub use drift::{DriftHandling, DriftItem, DriftKind, DriftStatus};
pub use reason::{BulkReadsReason, ContestedReason, DriftReason, GrantsReason, Reason, ReasonClass};
