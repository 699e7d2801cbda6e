//! What AWS was asked, from some moment on.

use fakeaws::Call;

/// A place in the call log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark(pub(crate) usize);

/// Calls by kind.
#[derive(Clone, Debug)]
pub struct Calls(pub Vec<Call>);

impl Calls {
    /// Calls that change something when they succeed.
    #[must_use]
    pub fn mutating(&self) -> usize {
        self.0.iter().filter(|call| call.mutating).count()
    }

    /// Calls that only read, and the calls for credentials.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.0.len() - self.mutating()
    }

    /// Calls of one operation, such as `UpdatePipeline`.
    #[must_use]
    pub fn of(&self, operation: &str) -> usize {
        self.0.iter().filter(|call| call.operation == operation).count()
    }
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for call in &self.0 {
            let resource = call.resource.as_deref().unwrap_or_default();
            let (account, service, operation) = (&call.account, &call.service, &call.operation);
            writeln!(f, "{} {account} {service}:{operation} {} {resource}", call.time, call.outcome)?;
        }
        Ok(())
    }
}
