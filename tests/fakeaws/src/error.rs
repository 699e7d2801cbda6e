//! What a refused call answers, independent of the protocol that it is rendered in.

/// An error answer of a service: the wire code, the text and the HTTP status.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ServiceError {
    /// The code as on the wire (IAM and STS: without the `Exception` suffix).
    pub(crate) code: String,
    /// AWS's own text where it is known.
    pub(crate) message: String,
    /// The HTTP status.
    pub(crate) status: u16,
}

impl ServiceError {
    /// An error with status 400, which is what most codes have.
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: 400 }
    }

    /// The same error under another HTTP status.
    #[must_use]
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// What the double cannot judge or does not model. A 500 that names it: silently allowing or ignoring it would let
    /// a test pass that AWS would fail.
    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new("InternalFailure", format!("fakeaws cannot do this: {what}")).with_status(500)
    }
}
