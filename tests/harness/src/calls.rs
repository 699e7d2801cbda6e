//! What AWS was asked, from some moment on.

use fakeaws::Call;

use crate::accounts::{CONTROLLER_IDENTITY, CONTROLLER_ROLE};

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

    /// How many calls there are of each operation.
    #[must_use]
    pub fn by_operation(&self) -> std::collections::BTreeMap<&str, usize> {
        let mut counts = std::collections::BTreeMap::new();
        for call in &self.0 {
            *counts.entry(call.operation.as_str()).or_default() += 1;
        }
        counts
    }

    /// The calls of a run of the pipeline: those of roles other than the controller's.
    #[must_use]
    pub fn hops(&self) -> Vec<Hop<'_>> {
        let hops = self.0.iter().filter_map(|call| {
            let role = role_of(call)?;
            let (service, operation, outcome) = (&call.service, &call.operation, &call.outcome);
            (!is_of_controller(call)).then_some(Hop { role, service, operation, outcome })
        });
        hops.collect()
    }
}

/// A call that a run of the pipeline made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hop<'c> {
    /// The name of the role that called.
    pub role: &'c str,
    /// The service that was called, such as `sts`.
    pub service: &'c str,
    /// The operation, such as `AssumeRole`.
    pub operation: &'c str,
    /// `OK`, or the error code.
    pub outcome: &'c str,
}

/// Whether the controller made a call: by its identity in the platform account, or by the role that it assumes in tools
/// and dev. The roles that it makes are called much like that, and a run of the pipeline uses them.
#[must_use]
pub fn is_of_controller(call: &Call) -> bool {
    role_of(call).is_some_and(|role| [CONTROLLER_ROLE, CONTROLLER_IDENTITY].contains(&role))
}

/// The name of the role whose session called: `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
fn role_of(call: &Call) -> Option<&str> {
    call.caller.split_once(":assumed-role/")?.1.split('/').next()
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
