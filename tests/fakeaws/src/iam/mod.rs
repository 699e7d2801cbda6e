//! IAM: roles and their policies.

use crate::{
    error::ServiceError,
    state::{Caller, World},
    wire::query::{Form, Xml},
};

/// Answers one call.
pub(crate) fn handle(_world: &mut World, _caller: &Caller, operation: &str, _form: &Form) -> Result<Xml, ServiceError> {
    Err(ServiceError::unsupported(operation))
}
