//! The types of conditions, as kstatus, Argo CD and Flux read them.

/// Summary: True when AWS has what is declared.
pub const READY: &str = "Ready";
/// True while the controller is at work (kstatus: `InProgress`); absent otherwise.
pub const RECONCILING: &str = "Reconciling";
/// True when somebody has to act (kstatus: Failed); absent otherwise.
pub const STALLED: &str = "Stalled";

/// True when AWS differs from what was last seen in place.
pub const DRIFTED: &str = "Drifted";
/// True while something comes back after each correction; absent otherwise.
pub const CONTESTED: &str = "Contested";
/// Whether the grants of an `AwsAccount` reach anybody; beside Ready, which they do not change.
pub const GRANTS_MATCHED: &str = "GrantsMatched";
/// Whether everything in an account is read at once; beside Ready, which it does not change.
pub const BULK_READS: &str = "BulkReads";
