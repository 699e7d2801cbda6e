//! Where permits are spent: what the SDK is given to change something with was taken out of one.

use jiff::Timestamp;

use super::{AwsError, AwsErrorKind, call::Call};
use crate::engine::permit::{Addressed, Permit, Void};

/// What was permitted, and may be sent now.
#[derive(Debug)]
pub(super) struct Spent<W>(W);

impl<W: Addressed> Spent<W> {
    /// Takes a permit for a call that a client in this place is about to send.
    ///
    /// # Errors
    /// It is for another place, or too old; then nothing is sent.
    #[allow(clippy::disallowed_methods, reason = "how old a permit is counts when it is spent")]
    pub(super) fn on(call: &Call, place: &W::Place, permit: Permit<W>) -> Result<Self, AwsError> {
        permit.spend(place, Timestamp::now()).map(Self).map_err(|void| {
            let kind = match void {
                Void::Late(_) => AwsErrorKind::PermitExpired,
                Void::Elsewhere { .. } | Void::NotGranted { .. } => AwsErrorKind::NotPermitted,
            };
            call.failed(kind, void.to_string())
        })
    }

    /// What is sent.
    pub(super) fn into_inner(self) -> W {
        self.0
    }
}
