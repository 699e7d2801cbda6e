//! IAM: roles and their inline policies.

pub(super) mod account;
mod sdk;

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    AwsError, AwsErrorKind, Turn,
    call::{Call, Subject},
    permitted::Spent,
    reader::{Readers, Sent, Thing, Writing},
    session::Clients,
};
use crate::{
    domain::ids::{Arn, Region, RoleName, RolePath},
    engine::role::{Change, Permit, Write},
};

/// A role as IAM describes it.
#[derive(Clone, Debug, Hash, PartialEq)]
pub struct RoleRead {
    /// Its ARN, path included.
    pub arn: Arn,
    /// Its path.
    pub path: RolePath,
    /// Its trust policy.
    pub trust: Value,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its permissions boundary.
    pub boundary: Option<Arn>,
}

/// A role as a list of roles describes it.
#[derive(Clone, Debug, Hash, PartialEq)]
pub struct RoleListed {
    /// Its ARN, path included.
    pub arn: Arn,
    /// Its trust policy; null where it cannot be read.
    pub trust: Value,
}

/// The most that IAM returns of a list at a time (IAM API reference, `ListRoles`).
const ROLES_A_PAGE: i32 = 1_000;

/// IAM in one account. Outside of this room it only writes; what is read goes through a [`Reader`](super::Reader).
#[derive(Clone, Debug)]
pub struct Iam {
    reading: sdk::Reads,
    writing: sdk::Writes,
    subject: Subject,
    readers: Readers,
}

/// Sends a request in a turn of its own; a failure is classified with what the call was about.
macro_rules! send {
    ($call:expr, $request:expr) => {
        $call.send($request.send()).await
    };
}

impl Iam {
    pub(super) fn new(clients: &Clients, region: &Region) -> Self {
        let client = |config: &aws_config::SdkConfig| {
            let config = aws_sdk_iam::config::Builder::from(config).interceptor(clients.observe("iam"));
            aws_sdk_iam::Client::from_conf(config.build())
        };
        Self {
            reading: sdk::Reads::new(client(&clients.reading(region))),
            writing: sdk::Writes::new(client(&clients.writing(region))),
            subject: clients.subject().clone(),
            readers: clients.readers().clone(),
        }
    }

    /// The same client, which says when its first call leaves.
    pub(super) fn marking(&self, sent: Sent) -> Self {
        Self { subject: self.subject.marking(sent), ..self.clone() }
    }

    /// What is read of a role is of no use from now on, until what is returned is dropped.
    fn changes(&self, role: &RoleName) -> Writing {
        self.readers.writing(Thing::Role(self.subject.account.clone(), role.clone()))
    }

    /// Leave for one call. A write is given one that was taken before the last look at what it rests on.
    pub async fn turn(&self) -> Turn {
        self.subject.turn("iam").await
    }

    fn on_role(&self, operation: &'static str, role: &RoleName) -> Call {
        self.subject.call("iam", operation, format!("role {role}"))
    }

    fn on_policy(&self, operation: &'static str, role: &RoleName, policy: &str) -> Call {
        self.subject.call("iam", operation, format!("inline policy {policy} of role {role}"))
    }

    /// The role; `None` when it does not exist.
    ///
    /// # Errors
    /// As AWS answers, or a trust policy that is no JSON.
    pub(super) async fn get_role(&self, name: &RoleName) -> Result<Option<RoleRead>, AwsError> {
        let call = self.on_role("GetRole", name);
        let answer = absent(send!(call, self.reading.get_role().role_name(name.as_str())))?;
        let Some(role) = answer.and_then(|answer| answer.role) else { return Ok(None) };
        let unusable = |what: &str| call.unusable(format!("the answer has no usable {what}"));
        let boundary = role.permissions_boundary().and_then(|boundary| boundary.permissions_boundary_arn());
        Ok(Some(RoleRead {
            arn: role.arn().parse().map_err(|_| unusable("Arn"))?,
            path: role.path().parse().map_err(|_| unusable("Path"))?,
            trust: document(&call, "trust policy", role.assume_role_policy_document().unwrap_or_default())?,
            tags: role.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect(),
            boundary: boundary.map(|arn| arn.parse().map_err(|_| unusable("PermissionsBoundary"))).transpose()?,
        }))
    }

    /// All roles at a path, as far as a list tells of them: without tags.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn list_roles(&self, path: &RolePath) -> Result<Vec<RoleListed>, AwsError> {
        let call = self.subject.call("iam", "ListRoles", format!("roles at path {path}"));
        let mut roles = Vec::new();
        let mut marker = None;
        loop {
            let request = self.reading.list_roles().path_prefix(path.as_str()).max_items(ROLES_A_PAGE);
            let page = send!(call, request.set_marker(marker))?;
            for role in page.roles() {
                let arn = role.arn().parse().map_err(|_| call.unusable("a role has no usable Arn"))?;
                // Somebody else's role may stand at the path; what cannot be read of it stops nobody.
                let trust = role.assume_role_policy_document().and_then(|text| document(&call, "trust", text).ok());
                let trust = trust.unwrap_or(Value::Null);
                roles.push(RoleListed { arn, trust });
            }
            marker = page.marker().map(str::to_owned);
            if marker.is_none() {
                return Ok(roles);
            }
        }
    }

    /// An inline policy's document; `None` when the policy or the role does not exist.
    ///
    /// # Errors
    /// As AWS answers, or a document that is no JSON.
    pub(super) async fn get_role_policy(&self, role: &RoleName, policy: &str) -> Result<Option<Value>, AwsError> {
        let call = self.on_policy("GetRolePolicy", role, policy);
        let request = self.reading.get_role_policy().role_name(role.as_str()).policy_name(policy);
        let answer = absent(send!(call, request))?;
        answer.map(|answer| document(&call, "document", answer.policy_document())).transpose()
    }

    /// Names of all inline policies of a role; empty when it does not exist.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn list_role_policies(&self, role: &RoleName) -> Result<Vec<String>, AwsError> {
        let call = self.on_role("ListRolePolicies", role);
        let mut names = Vec::new();
        let mut marker = None;
        loop {
            let request = self.reading.list_role_policies().role_name(role.as_str()).set_marker(marker);
            let Some(page) = absent(send!(call, request))? else { return Ok(Vec::new()) };
            names.extend(page.policy_names().iter().cloned());
            marker = page.marker().map(str::to_owned);
            if marker.is_none() {
                return Ok(names);
            }
        }
    }

    /// All managed policies attached to a role; empty when it does not exist.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn list_attached_role_policies(&self, role: &RoleName) -> Result<Vec<Arn>, AwsError> {
        let call = self.on_role("ListAttachedRolePolicies", role);
        let mut arns = Vec::new();
        let mut marker = None;
        loop {
            let request = self.reading.list_attached_role_policies().role_name(role.as_str()).set_marker(marker);
            let Some(page) = absent(send!(call, request))? else { return Ok(Vec::new()) };
            for policy in page.attached_policies() {
                // One that is left out here would stay attached, and the role could never be deleted.
                let arn = policy.policy_arn().and_then(|arn| arn.parse().ok());
                arns.push(arn.ok_or_else(|| call.unusable("an attached policy has no usable ARN"))?);
            }
            marker = page.marker().map(str::to_owned);
            if marker.is_none() {
                return Ok(arns);
            }
        }
    }

    /// Whether a managed policy exists.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn policy_exists(&self, policy: &Arn) -> Result<bool, AwsError> {
        let call = self.subject.call("iam", "GetPolicy", format!("managed policy {policy}"));
        Ok(absent(send!(call, self.reading.get_policy().policy_arn(policy.as_str())))?.is_some())
    }

    /// The document of a managed policy in its default version; `None` when the policy does not exist.
    ///
    /// # Errors
    /// As AWS answers, or a document that is no JSON.
    pub(super) async fn managed_policy(&self, policy: &Arn) -> Result<Option<Value>, AwsError> {
        let subject = || format!("managed policy {policy}");
        let call = self.subject.call("iam", "GetPolicy", subject());
        let answer = absent(send!(call, self.reading.get_policy().policy_arn(policy.as_str())))?;
        let Some(found) = answer.and_then(|answer| answer.policy) else { return Ok(None) };
        let version = found.default_version_id().ok_or_else(|| call.unusable("the answer has no DefaultVersionId"))?;
        let call = self.subject.call("iam", "GetPolicyVersion", subject());
        let request = self.reading.get_policy_version().policy_arn(policy.as_str()).version_id(version);
        let answer = absent(send!(call, request))?.and_then(|answer| answer.policy_version);
        let text = answer.as_ref().and_then(|version| version.document());
        text.map(|text| document(&call, "document", text)).transpose()
    }

    /// Makes the write that this permits, with one attempt. What is gone already is deleted.
    ///
    /// # Errors
    /// As AWS answers. Nothing was sent where the permit is for a role of another account, or too old.
    pub async fn write(&self, turn: Turn, permit: Permit) -> Result<(), AwsError> {
        let Write { role, change } = permit.write();
        let (role, operation) = (role.name.clone(), sdk::operation(change));
        let call = match change {
            Change::PutPolicy(policy, _) | Change::DeletePolicy(policy) => self.on_policy(operation, &role, policy),
            _ => self.on_role(operation, &role),
        };
        let permitted = Spent::on(&call, &self.subject.account, permit)?;
        let _writing = self.changes(&role);
        self.writing.send(&call, &turn, permitted).await
    }
}

/// An answer that says "no such entity" is no failure but an absence.
fn absent<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == AwsErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// IAM returns documents URL-encoded (RFC 3986, so a plus is a plus), and the SDK hands them over as they come.
fn document(call: &Call, what: &str, encoded: &str) -> Result<Value, AwsError> {
    let text = percent_decode_str(encoded).decode_utf8();
    let text = text.map_err(|error| call.unusable(format!("its {what} is no text: {error}")))?;
    serde_json::from_str(&text).map_err(|error| call.unusable(format!("its {what} is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_decoded_and_a_plus_stays_a_plus() {
        let subject = Subject::new(
            "222222222222".parse().unwrap(),
            None,
            crate::aws::InFlight::default(),
            crate::aws::Budgets::for_tests(),
        );
        let call = subject.call("iam", "GetRolePolicy", "inline policy p of role r");
        let encoded = "%7B%22a%22%3A%22x+y%20%C3%BC%22%7D";
        assert_eq!(document(&call, "document", encoded).unwrap(), serde_json::json!({"a": "x+y ü"}));
        for unreadable in ["%7B", "%7B%22a%22%3A%22%FF%22%7D", ""] {
            let error = document(&call, "document", unreadable).unwrap_err().to_string();
            assert!(error.contains("inline policy p of role r") && error.contains("its document is no"), "{error}");
        }
    }
}
