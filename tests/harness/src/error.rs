//! What went wrong, in words for the person who runs the tests.

/// A failure of the harness. The text says what was tried, what was seen and, where it is known, what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// A result of the harness.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A failure of `what`, caused by `source`.
    pub fn of(what: impl std::fmt::Display, source: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {source}"))
    }
}

/// Says what was being done when something failed.
pub trait Context<T> {
    /// Puts `what` before the cause.
    ///
    /// # Errors
    /// The failure, with `what` in front.
    fn context(self, what: impl std::fmt::Display) -> Result<T>;
}

impl<T, E: std::fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl std::fmt::Display) -> Result<T> {
        self.map_err(|source| Error::of(what, source))
    }
}
