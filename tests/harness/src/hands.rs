//! Other people's hands: changes behind the controller's back that the AWS double and moto both know.

use fakeaws::Command;
use serde_json::Value;

use crate::{error::Result, scenario::Scenario};

/// Somebody who changes things in AWS. Every method fails if what it names is not there.
#[derive(Clone, Copy)]
pub struct Hands<'a>(pub(crate) &'a Scenario<'a>);

#[allow(clippy::missing_errors_doc, reason = "said once for all, above")]
impl Hands<'_> {
    /// Removes a role with all that hangs on it.
    pub fn remove_role(&self, account: &str, name: &str) -> Result<()> {
        self.0.change(Command::RemoveRole { account: account.to_owned(), name: name.to_owned() })
    }

    /// Replaces a trust policy.
    pub fn put_trust(&self, account: &str, role: &str, document: Value) -> Result<()> {
        self.0.change(Command::PutTrust { account: account.to_owned(), role: role.to_owned(), document })
    }

    /// Makes or replaces an inline policy.
    pub fn put_inline_policy(&self, account: &str, role: &str, policy: &str, document: Value) -> Result<()> {
        let (account, role, policy) = (account.to_owned(), role.to_owned(), policy.to_owned());
        self.0.change(Command::PutInlinePolicy { account, role, policy, document })
    }

    /// Removes an inline policy.
    pub fn remove_inline_policy(&self, account: &str, role: &str, policy: &str) -> Result<()> {
        let (account, role, policy) = (account.to_owned(), role.to_owned(), policy.to_owned());
        self.0.change(Command::RemoveInlinePolicy { account, role, policy })
    }

    /// Sets a tag of a role.
    pub fn put_tag(&self, account: &str, role: &str, key: &str, value: &str) -> Result<()> {
        let (account, role) = (account.to_owned(), role.to_owned());
        self.0.change(Command::PutTag { account, role, key: key.to_owned(), value: value.to_owned() })
    }

    /// Replaces a pipeline's declaration.
    pub fn replace_pipeline(&self, account: &str, region: &str, declaration: Value) -> Result<()> {
        let (account, region) = (account.to_owned(), region.to_owned());
        self.0.change(Command::ReplacePipeline { account, region, declaration })
    }
}
