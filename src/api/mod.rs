//! The contract with users: the two kinds, their conditions and reasons.

mod aws_account;
pub mod condition;
pub mod crds;
mod cross_account_invoke;
mod drift;
mod reason;
mod rules;

pub use aws_account::{Allowance, AwsAccount, AwsAccountSpec, AwsAccountStatus, Grant, GrantedNamespaces, InvokeRoles};
pub use cross_account_invoke::{
    Action, CrossAccountInvoke, CrossAccountInvokeSpec, CrossAccountInvokeStatus, DevAccount, DevAccountStatus,
    FunctionReference, InventoryItem, InventoryKind, InvokeRole, PipelineReference, StagePosition, StageReference,
    ToolsAccount, ToolsAccountStatus, TrustMode,
};
pub use drift::{DriftHandling, DriftItem, DriftKind, DriftStatus};
pub use reason::{DriftReason, Reason, ReasonClass};
