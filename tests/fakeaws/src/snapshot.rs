//! The configuration of a world as JSON: what a seed sets and a snapshot shows, in one format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    codepipeline::Pipelines,
    iam::{documents, documents::Kind, limits},
    state::{Account, Function, Policies, Role, User, World, unique_id},
};

/// What a double starts with: the `configuration` of a snapshot, and the access keys.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// Accounts by id; see [`AccountSeed`].
    #[serde(default)]
    pub accounts: BTreeMap<String, AccountSeed>,
    /// Documents of managed policies by ARN.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub managed_policies: BTreeMap<String, Value>,
    /// Long-lived access keys: key → `arn:…:root`, or the ARN of a role or user. Any secret key goes with them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
}

/// One account of a seed or snapshot.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountSeed {
    /// `aws`, `aws-cn`, `aws-us-gov`, `aws-eusc`, `aws-iso`, `aws-iso-b` or a later one.
    #[serde(default = "commercial", skip_serializing_if = "is_commercial")]
    pub partition: String,
    /// The organization that it is in, such as `o-exampleorgid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Every service control policy that applies to the account, by ARN or name. None: nothing is taken away. If there are
    /// any, one has to allow, as `FullAWSAccess` does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_control_policies: BTreeMap<String, Value>,
    /// Every resource control policy that applies to the account, by ARN or name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_control_policies: BTreeMap<String, Value>,
    /// Roles by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, RoleSeed>,
    /// Users by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, UserSeed>,
    /// Region → function name → `{role, runtime?, handler?, description?, timeout?, environment?, behaviour?, tags?}`;
    /// see [`crate::Behaviour`].
    #[serde(default, skip_serializing_if = "is_empty_object")]
    pub functions: Value,
    /// Region → pipeline name → whole declaration without `version`.
    #[serde(default, skip_serializing_if = "is_empty_object")]
    pub pipelines: Value,
}

impl Default for AccountSeed {
    fn default() -> Self {
        Self {
            partition: commercial(),
            organization: None,
            service_control_policies: BTreeMap::new(),
            resource_control_policies: BTreeMap::new(),
            roles: BTreeMap::new(),
            users: BTreeMap::new(),
            functions: Value::Null,
            pipelines: Value::Null,
        }
    }
}

/// A role of a seed or snapshot.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleSeed {
    /// `/` unless said otherwise; begins and ends with a slash.
    #[serde(default = "slash")]
    pub path: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Seconds.
    #[serde(default = "an_hour", skip_serializing_if = "is_an_hour")]
    pub max_session_duration: u32,
    /// The trust policy. A principal `AROA…` is one that was deleted.
    pub trust: Value,
    /// Inline policies by name.
    #[serde(default)]
    pub inline_policies: BTreeMap<String, Value>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub attached_policies: Vec<String>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// ARN of the permissions boundary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    /// Only AWS may change it, as the roles under `/aws-service-role/`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_aws_modifies: bool,
}

/// A user of a seed or snapshot.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserSeed {
    /// `/` unless said otherwise.
    #[serde(default = "slash")]
    pub path: String,
    /// Inline policies by name.
    #[serde(default)]
    pub inline_policies: BTreeMap<String, Value>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub attached_policies: Vec<String>,
    /// ARN of the permissions boundary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
}

fn commercial() -> String {
    "aws".to_owned()
}

/// Partitions of today and of later: the services' models take `aws(-[\w]+)*` wherever an ARN has one.
fn is_partition(partition: &str) -> bool {
    let mut parts = partition.split('-');
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    parts.next() == Some("aws") && parts.all(is_part)
}

fn is_commercial(partition: &str) -> bool {
    partition == "aws"
}

fn slash() -> String {
    "/".to_owned()
}

fn an_hour() -> u32 {
    3600
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_an_hour(seconds: &u32) -> bool {
    *seconds == an_hour()
}

fn is_empty_object(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

impl World {
    /// The world that a seed describes.
    ///
    /// # Errors
    /// Says which part of the seed is not what AWS would hold.
    pub(crate) fn from_seed(seed: Seed) -> Result<Self, String> {
        let mut world = Self::default();
        world.managed_policies = seed.managed_policies;
        for (id, account) in &seed.accounts {
            if id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(format!("account {id}: an account id has twelve digits"));
            }
            world.seed_account(id, account).map_err(|error| format!("account {id}: {error}"))?;
        }
        world.check_boundaries()?;
        // Trust policies name roles of any account, so they come after all roles are there.
        for (id, account) in &seed.accounts {
            for (name, role) in &account.roles {
                let trust =
                    world.stored_trust(&role.trust, true).map_err(|e| format!("account {id}, role {name}: {e}"))?;
                if let Some(mut stored) = world.account_mut(id).role(name).cloned() {
                    stored.trust = trust;
                    world.seed_role(id, stored);
                }
            }
        }
        for (key, arn) in seed.keys {
            world.put_key(&key, &arn)?;
        }
        Ok(world)
    }

    /// A boundary that does not exist cannot have been set (API reference, `PutRolePermissionsBoundary`).
    fn check_boundaries(&self) -> Result<(), String> {
        for account in self.accounts.values() {
            let roles =
                account.roles.values().filter_map(|role| role.current()).map(|role| (&role.name, &role.policies));
            let users = account.users.values().map(|user| (&user.name, &user.policies));
            for (name, policies) in roles.chain(users) {
                let boundary = policies.boundary.as_ref().filter(|arn| !self.managed_policies.contains_key(*arn));
                if let Some(arn) = boundary {
                    return Err(format!("account {}, {name}: no managed policy {arn} for its boundary", account.id));
                }
            }
        }
        Ok(())
    }

    /// Makes a long-lived access key for a root, role or user that exists.
    pub(crate) fn put_key(&mut self, key: &str, arn: &str) -> Result<(), String> {
        self.keys.insert(key.to_owned(), arn.to_owned());
        let known = self.authenticate(crate::state::Service::Sts, "us-east-1", key, None).is_ok();
        if !known {
            self.keys.remove(key);
            return Err(format!("key {key}: {arn} is not the root, a role or a user of an account of the seed"));
        }
        Ok(())
    }

    fn seed_account(&mut self, id: &str, seed: &AccountSeed) -> Result<(), String> {
        if !is_partition(&seed.partition) {
            return Err(format!("{}: a partition is aws, or begins with aws-", seed.partition));
        }
        for (name, document) in &seed.service_control_policies {
            documents::check(document, Kind::Identity).map_err(|e| format!("service control policy {name}: {e}"))?;
        }
        for (name, document) in &seed.resource_control_policies {
            documents::check(document, Kind::ResourceControl)
                .map_err(|e| format!("resource control policy {name}: {e}"))?;
        }
        let account = self.account_mut(id);
        account.partition.clone_from(&seed.partition);
        account.organization.clone_from(&seed.organization);
        account.service_control_policies.clone_from(&seed.service_control_policies);
        account.resource_control_policies.clone_from(&seed.resource_control_policies);
        let null_as_empty = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
        account.functions =
            serde_json::from_value(null_as_empty(&seed.functions)).map_err(|e| format!("functions: {e}"))?;
        account.pipelines =
            Pipelines::from_configuration(&null_as_empty(&seed.pipelines)).map_err(|e| format!("pipelines: {e}"))?;
        for (name, role) in &seed.roles {
            let role = role.to_role(name, Timestamp::UNIX_EPOCH, unique_id("AROA"))?;
            self.seed_role(id, role);
        }
        for (name, user) in &seed.users {
            let policies = Policies {
                inline: user.inline_policies.clone(),
                attached: user.attached_policies.clone(),
                boundary: user.permissions_boundary.clone(),
            };
            let user = User { name: name.clone(), path: user.path.clone(), id: unique_id("AIDA"), policies };
            self.seed_user(id, user);
        }
        let mut functions = std::mem::take(&mut self.account_mut(id).functions);
        for function in functions.values_mut().flat_map(BTreeMap::values_mut) {
            function.grant(self);
        }
        self.account_mut(id).functions = functions;
        Ok(())
    }

    /// Everything as JSON: `configuration` (what the seed's format holds) and `history` (versions,
    /// executions, and what functions did).
    pub(crate) fn snapshot(&self) -> Value {
        let accounts: BTreeMap<&str, AccountSeed> =
            self.accounts.values().map(|account| (account.id.as_str(), self.shown_account(account))).collect();
        let pipelines: BTreeMap<&str, Value> = self
            .accounts
            .values()
            .map(|account| {
                let functions = self.invocations.history(&account.id);
                (account.id.as_str(), json!({"pipelines": account.pipelines.history(), "functions": functions}))
            })
            .collect();
        let mut configuration = json!({"accounts": accounts});
        if !self.managed_policies.is_empty() {
            configuration["managedPolicies"] = json!(self.managed_policies);
        }
        let mut snapshot = json!({
            "configuration": configuration,
            "history": {"accounts": pipelines},
        });
        // A diff of two snapshots as text shall show differences, not orders.
        snapshot.sort_all_objects();
        snapshot
    }

    fn shown_account(&self, account: &Account) -> AccountSeed {
        let living = account.roles.values().filter_map(|role| role.current());
        let users = account.users.values().map(|user| (user.name.clone(), UserSeed::from(user))).collect();
        let functions: BTreeMap<&String, &BTreeMap<String, Function>> =
            account.functions.iter().filter(|(_, functions)| !functions.is_empty()).collect();
        AccountSeed {
            partition: account.partition.clone(),
            organization: account.organization.clone(),
            service_control_policies: account.service_control_policies.clone(),
            resource_control_policies: account.resource_control_policies.clone(),
            roles: living.map(|role| (role.name.clone(), self.shown_role(role))).collect(),
            users,
            functions: json!(functions),
            pipelines: account.pipelines.configuration(),
        }
    }

    /// A role as a snapshot shows it.
    pub(crate) fn shown_role(&self, role: &Role) -> RoleSeed {
        RoleSeed {
            path: role.path.clone(),
            description: role.description.clone(),
            max_session_duration: role.max_session_duration,
            trust: self.shown_trust(&role.trust),
            inline_policies: role.policies.inline.clone(),
            attached_policies: role.policies.attached.clone(),
            tags: role.tags.clone(),
            permissions_boundary: role.policies.boundary.clone(),
            only_aws_modifies: role.only_aws_modifies,
        }
    }
}

impl From<&User> for UserSeed {
    fn from(user: &User) -> Self {
        Self {
            path: user.path.clone(),
            inline_policies: user.policies.inline.clone(),
            attached_policies: user.policies.attached.clone(),
            permissions_boundary: user.policies.boundary.clone(),
        }
    }
}

impl RoleSeed {
    /// A role with this trust policy and nothing else.
    #[must_use]
    pub fn trusting(trust: Value) -> Self {
        Self {
            path: slash(),
            description: None,
            max_session_duration: an_hour(),
            trust,
            inline_policies: BTreeMap::new(),
            attached_policies: Vec::new(),
            tags: BTreeMap::new(),
            permissions_boundary: None,
            only_aws_modifies: false,
        }
    }

    /// The role, its trust policy still as given.
    pub(crate) fn to_role(&self, name: &str, created: Timestamp, id: String) -> Result<Role, String> {
        let refused = |error: crate::error::ServiceError| format!("role {name}: {error}");
        limits::name("roleName", name, 64).map_err(refused)?;
        limits::path(&self.path).map_err(refused)?;
        documents::check(&self.trust, Kind::Trust).map_err(refused)?;
        for (policy, document) in &self.inline_policies {
            documents::check(document, Kind::Identity).map_err(|e| format!("role {name}, policy {policy}: {e}"))?;
        }
        let pairs: Vec<(&str, &str)> = self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        limits::tags(&pairs).map_err(refused)?;
        Ok(Role {
            name: name.to_owned(),
            path: self.path.clone(),
            id,
            created,
            description: self.description.clone(),
            max_session_duration: self.max_session_duration,
            trust: self.trust.clone(),
            keeps_trust_shape: true,
            only_aws_modifies: self.only_aws_modifies,
            policies: Policies {
                inline: self.inline_policies.clone(),
                attached: self.attached_policies.clone(),
                boundary: self.permissions_boundary.clone(),
            },
            tags: self.tags.clone(),
        })
    }
}
