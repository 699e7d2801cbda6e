//! What a reconcile came to, and the one place where AWS errors become reasons.

use std::time::Duration;

use crate::{
    api::{Reason, ReasonClass},
    aws::{AwsError, AwsErrorKind},
    domain::plan::Blocker,
};

/// When to look again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// At once: something was done, and more follows.
    Now,
    /// After this long.
    After(Duration),
    /// With the object's own growing delay.
    Backoff,
}

/// What a reconcile came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// AWS has what is declared.
    Converged,
    /// Not yet, and the controller is at it.
    Reconciling {
        /// Why not yet.
        reason: Reason,
        /// In words.
        message: String,
        /// When it goes on.
        retry: Retry,
    },
    /// Somebody has to act.
    Stalled {
        /// What stands in the way.
        reason: Reason,
        /// Which account and resource, what is missing, what to do.
        message: String,
    },
    /// Nothing is left in AWS: the object may go.
    Released,
}

impl Verdict {
    /// A verdict of this reason, by the reason's class.
    #[must_use]
    pub fn of(reason: Reason, message: String, retry: Retry) -> Self {
        match reason.class() {
            ReasonClass::Reconciling => Self::Reconciling { reason, message, retry },
            ReasonClass::Ready | ReasonClass::Stalled => Self::Stalled { reason, message },
        }
    }

    /// Its reason. What is released was in place, and then gone, as declared.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Converged | Self::Released => Reason::Converged,
            Self::Reconciling { reason, .. } | Self::Stalled { reason, .. } => *reason,
        }
    }

    /// Whether the object is still on its way to what it wants: nothing is known to stand in the way of it.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        matches!(self, Self::Reconciling { reason: Reason::Progressing, .. })
    }

    /// Work goes on at once.
    #[must_use]
    pub fn progressing(message: impl Into<String>, retry: Retry) -> Self {
        Self::Reconciling { reason: Reason::Progressing, message: message.into(), retry }
    }
}

impl From<Blocker> for Verdict {
    fn from(blocker: Blocker) -> Self {
        Self::of(blocker.reason, blocker.message, Retry::Backoff)
    }
}

impl From<AwsError> for Verdict {
    fn from(error: AwsError) -> Self {
        let (reason, retry) = classify(&error.kind);
        Self::of(reason, error.to_string(), retry)
    }
}

/// Reason and retry of an AWS error. A role that the pipeline cannot assume is judged where our last change is known.
fn classify(kind: &AwsErrorKind) -> (Reason, Retry) {
    match kind {
        AwsErrorKind::Throttled => (Reason::Throttled, Retry::Backoff),
        AwsErrorKind::CertificateNotTrusted { .. } => (Reason::CertificateNotTrusted, Retry::Backoff),
        AwsErrorKind::AssumeRoleDenied | AwsErrorKind::NoCredentials => (Reason::AssumeRoleDenied, Retry::Backoff),
        AwsErrorKind::AccessDenied { .. } => (Reason::AccessDenied, Retry::Backoff),
        AwsErrorKind::AccountMismatch { .. } => (Reason::AccountMismatch, Retry::Backoff),
        AwsErrorKind::PolicySizeExceeded => (Reason::PolicySizeExceeded, Retry::Backoff),
        AwsErrorKind::PipelineCannotAssume { .. } => (Reason::PipelineRoleCannotAssume, Retry::Backoff),
        AwsErrorKind::PipelineRefused | AwsErrorKind::PipelineUnreadable => (Reason::PipelineRefused, Retry::Backoff),
        AwsErrorKind::Unmodifiable => (Reason::RoleUnmodifiable, Retry::Backoff),
        AwsErrorKind::MalformedPolicy | AwsErrorKind::InvalidInput => (Reason::InvalidSpec, Retry::Backoff),
        AwsErrorKind::InvalidBoundary => (Reason::InvalidBoundary, Retry::Backoff),
        AwsErrorKind::LimitExceeded => (Reason::QuotaExceeded, Retry::Backoff),
        // Something was read as absent that exists, or as present that is gone: IAM has not caught up with itself, or a
        // role was deleted by hand under its function or pipeline, which may take long to be mended.
        AwsErrorKind::AlreadyExists
        | AwsErrorKind::NotFound
        | AwsErrorKind::DeleteConflict
        | AwsErrorKind::ConcurrentModification
        | AwsErrorKind::PermitExpired => (Reason::Progressing, Retry::Backoff),
        AwsErrorKind::InvalidPrincipal => (Reason::IamPropagating, Retry::Backoff),
        // After an expired token the next look opens a new session; with backoff, in case AWS ends that as soon.
        AwsErrorKind::ExpiredToken | AwsErrorKind::Unavailable | AwsErrorKind::NotPermitted | AwsErrorKind::Other => {
            (Reason::AwsUnavailable, Retry::Backoff)
        }
    }
}
