//! Three AWS accounts as a user would set them up: the controller's identity, a pipeline, a function.
//!
//! ```text
//! platform                     tools                                   dev
//! controller's role  ──────>   role crossinvoke                        role crossinvoke (ExternalId)
//!   (has the access key)       pipeline payments-release               function MyFunction
//!                              its role /service-role/…                its role /service-role/…
//! ```
//!
//! The controller's roles and rights are those of the CloudFormation templates in deploy/iam: what these do not allow
//! fails in the tests.

use std::collections::BTreeMap;

use fakeaws::{AccountSeed, RoleSeed, Seed};
use serde_json::{Value, json};

use crate::error::Result;

/// The pipeline of the tools account.
pub const PIPELINE: &str = "payments-release";
/// Its service role, under `/service-role/`.
pub const PIPELINE_ROLE: &str = "AWSCodePipelineServiceRole-payments-release";
/// The role of the tools account that a rule of the pipeline runs with.
pub const CHECKS_ROLE: &str = "payments-release-checks";
/// The function of the dev account.
pub const FUNCTION: &str = "MyFunction";
/// Its execution role, under `/service-role/`.
pub const EXECUTION_ROLE: &str = "MyFunction-role-4k2x9q";
/// The role that the controller assumes in tools and dev.
pub const CONTROLLER_ROLE: &str = "crossinvoke";
/// The controller's own role in the platform account.
pub const CONTROLLER_IDENTITY: &str = "crossinvoke-controller";

/// Where things are: ids of the three accounts, partition, regions and keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accounts {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// Id of the account of the controller's identity.
    pub platform: String,
    /// Id of the account of the pipeline.
    pub tools: String,
    /// Id of the account of the function.
    pub dev: String,
    /// The pipeline's region.
    pub region: String,
    /// The function's region.
    pub function_region: String,
    /// What the dev account's role asks for.
    pub external_id: String,
    /// The installation id of the controller that works in them.
    pub installation_id: String,
    /// Whether the dev account demands a permissions boundary of the roles made there, as `dev.json` does; else it has
    /// the rights of `dev-without-boundary.json`.
    pub bounded: bool,
    /// Whether the controller may read all roles and functions of both accounts at once: `tools-bulk-reads.json` and
    /// `dev-bulk-reads.json`.
    pub bulk_reads: bool,
}

impl Accounts {
    /// Accounts of their own for a scenario of this name, in the commercial partition. The same name gets the same ids,
    /// so that golden files can hold them.
    #[must_use]
    pub fn of_scenario(name: &str, installation_id: &str) -> Self {
        // FNV-1a, which is the same everywhere and always; eleven digits are left for it.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
            % 100_000_000_000;
        let id = |kind: u8| format!("{kind}{hash:011}");
        Self::of_ids([&id(3), &id(1), &id(2)], installation_id)
    }

    /// Platform, tools and dev account of these ids, in `us-east-1`.
    #[must_use]
    pub fn of_ids([platform, tools, dev]: [&str; 3], installation_id: &str) -> Self {
        Self {
            partition: "aws".to_owned(),
            platform: platform.to_owned(),
            tools: tools.to_owned(),
            dev: dev.to_owned(),
            region: "us-east-1".to_owned(),
            function_region: "us-east-1".to_owned(),
            external_id: format!("external-id-of-{dev}"),
            installation_id: installation_id.to_owned(),
            bounded: true,
            bulk_reads: false,
        }
    }

    /// The accounts of the demo, whose ids a reader knows from the documentation.
    #[must_use]
    pub fn of_demo() -> Self {
        Self::of_ids(["333333333333", "111111111111", "222222222222"], "demo")
    }

    /// The same accounts in another partition.
    #[must_use]
    pub fn in_partition(mut self, partition: &str, region: &str) -> Self {
        partition.clone_into(&mut self.partition);
        region.clone_into(&mut self.region);
        region.clone_into(&mut self.function_region);
        self
    }

    /// The access key of the controller's identity.
    #[must_use]
    pub fn controller_key(&self) -> String {
        format!("AKIACONTROLLER{}", &self.platform[..6])
    }

    /// The access key of an account's root, for a person who looks around.
    #[must_use]
    pub fn root_key(&self, account: &str) -> String {
        format!("AKIAROOT{account}")
    }

    /// An ARN of IAM in an account: `what` is `role/…` or `root`.
    #[must_use]
    pub fn iam_arn(&self, account: &str, what: &str) -> String {
        format!("arn:{}:iam::{account}:{what}", self.partition)
    }

    /// The ARN of the role that the controller assumes in an account.
    #[must_use]
    pub fn controller_role_arn(&self, account: &str) -> String {
        self.iam_arn(account, &format!("role/{CONTROLLER_ROLE}"))
    }

    /// The ARN of the pipeline's service role.
    #[must_use]
    pub fn pipeline_role_arn(&self) -> String {
        self.iam_arn(&self.tools, &format!("role/service-role/{PIPELINE_ROLE}"))
    }

    /// The ARN of the function's execution role.
    #[must_use]
    pub fn execution_role_arn(&self) -> String {
        self.iam_arn(&self.dev, &format!("role/service-role/{EXECUTION_ROLE}"))
    }

    /// The three accounts as a seed of the AWS double.
    ///
    /// # Errors
    /// If a template of deploy/iam cannot be read, or asks for something that is not known here.
    pub fn seed(&self) -> Result<Seed> {
        let accounts = BTreeMap::from([
            (self.platform.clone(), self.platform_account()?),
            (self.tools.clone(), self.tools_account()?),
            (self.dev.clone(), self.dev_account()?),
        ]);
        let mut keys = BTreeMap::from([(
            self.controller_key(),
            self.iam_arn(&self.platform, &format!("role/{CONTROLLER_IDENTITY}")),
        )]);
        for account in [&self.platform, &self.tools, &self.dev] {
            keys.insert(self.root_key(account), self.iam_arn(account, "root"));
        }
        let mut managed_policies = BTreeMap::from([(
            self.iam_arn("aws", "policy/service-role/AWSLambdaBasicExecutionRole"),
            allow(&json!(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]), &json!("*")),
        )]);
        if let Some(boundary) = self.stack(self.dev_rights())?.boundary() {
            managed_policies.insert(self.boundary_arn(), boundary);
        }
        Ok(Seed { accounts, managed_policies, keys })
    }

    fn platform_account(&self) -> Result<AccountSeed> {
        let mut identity = RoleSeed::trusting(trust_of(&json!({"Service": "pods.eks.amazonaws.com"})));
        identity.inline_policies.insert("crossinvoke".to_owned(), self.stack("controller")?.policy()?);
        Ok(self.account([(CONTROLLER_IDENTITY, identity)]))
    }

    fn tools_account(&self) -> Result<AccountSeed> {
        let entrance = self.entrance(self.tools_rights())?;
        let mut service = RoleSeed::trusting(trust_of(&json!({"Service": "codepipeline.amazonaws.com"})));
        "/service-role/".clone_into(&mut service.path);
        let own = allow(
            &json!(["s3:GetObject", "s3:PutObject", "codebuild:StartBuild", "codebuild:BatchGetBuilds"]),
            &json!("*"),
        );
        service.inline_policies.insert("pipeline".to_owned(), own);
        let mut checks = RoleSeed::trusting(trust_of(&json!({"AWS": self.pipeline_role_arn()})));
        checks.inline_policies.insert("checks".to_owned(), allow(&json!("lambda:InvokeFunction"), &json!("*")));
        let roles = [(CONTROLLER_ROLE, entrance), (PIPELINE_ROLE, service), (CHECKS_ROLE, checks)];
        let mut account = self.account(roles);
        account.pipelines = json!({&self.region: {PIPELINE: self.pipeline()}});
        Ok(account)
    }

    fn dev_account(&self) -> Result<AccountSeed> {
        let entrance = self.entrance(self.dev_rights())?;
        let mut execution = RoleSeed::trusting(trust_of(&json!({"Service": "lambda.amazonaws.com"})));
        "/service-role/".clone_into(&mut execution.path);
        execution.attached_policies.push(self.iam_arn("aws", "policy/service-role/AWSLambdaBasicExecutionRole"));
        let mut account = self.account([(CONTROLLER_ROLE, entrance), (EXECUTION_ROLE, execution)]);
        account.functions = json!({&self.function_region: {FUNCTION: {
            "role": self.execution_role_arn(), "runtime": "python3.13", "handler": "index.handler", "timeout": 30,
        }}});
        Ok(account)
    }

    fn account<const N: usize>(&self, roles: [(&str, RoleSeed); N]) -> AccountSeed {
        let roles = roles.into_iter().map(|(name, role)| (name.to_owned(), role)).collect();
        AccountSeed { partition: self.partition.clone(), roles, ..AccountSeed::default() }
    }
}

fn allow(actions: &Value, resource: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]})
}

fn trust_of(principal: &Value) -> Value {
    let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_accounts_of_their_own() {
        let (one, two) = (Accounts::of_scenario("one", "id"), Accounts::of_scenario("two", "id"));
        assert_eq!(one, Accounts::of_scenario("one", "id"));
        let ids = [&one.platform, &one.tools, &one.dev, &two.platform, &two.tools, &two.dev];
        for (index, id) in ids.iter().enumerate() {
            assert!(id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
            assert!(!ids[..index].contains(id), "{id} twice");
        }
    }
}
