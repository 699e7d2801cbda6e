//! A tools account with many pipelines, and dev accounts with a function for each object.

use std::time::Duration;

use crossinvoke_harness::{
    Context as _, Result,
    accounts::{Accounts, CHECKS_ROLE, EXECUTION_ROLE, FUNCTION, PIPELINE, PIPELINE_ROLE},
    objects,
};
use fakeaws::Seed;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// Objects of one pipeline that share a stage; CodePipeline allows fifty actions in one.
const PER_STAGE: usize = 20;

/// How many objects there are, and what they are spread over.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Objects.
    pub(crate) size: usize,
    pipelines: usize,
    dev_accounts: usize,
    /// Whether the controller may read whole accounts at once.
    pub(crate) bulk_reads: bool,
}

impl World {
    /// Twenty objects a pipeline and fifty a dev account, unless it is said otherwise.
    #[must_use]
    pub(crate) fn of(size: usize, pipelines: Option<usize>, dev_accounts: Option<usize>, bulk_reads: bool) -> Self {
        let pipelines = pipelines.unwrap_or_else(|| size.div_ceil(20)).max(1);
        let dev_accounts = dev_accounts.unwrap_or_else(|| size.div_ceil(50)).max(1);
        Self { size, pipelines, dev_accounts, bulk_reads }
    }

    /// How the lines of this world begin.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        let reads = if self.bulk_reads { ".bulk_reads" } else { "" };
        format!("objects_{}.pipelines_{}{reads}", self.size, self.pipelines)
    }

    /// The interval at which the cycles are measured: what today's controller can keep.
    #[must_use]
    pub(crate) fn cycle(&self) -> Duration {
        Duration::from_secs((self.size as u64 * 60).div_ceil(1000).max(60))
    }

    /// The names of the pipelines.
    pub(crate) fn pipelines(&self) -> impl Iterator<Item = String> {
        (0..self.pipelines).map(Self::pipeline)
    }

    /// The names of the objects.
    #[must_use]
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.size).map(|number| format!("object-{number:05}")).collect()
    }

    fn dev(base: &Accounts, account: usize) -> Accounts {
        if account == 0 {
            return base.clone();
        }
        // Ids of this digit are of no other kind.
        let dev = format!("4{account:011}");
        Accounts { external_id: format!("external-id-of-{dev}"), dev, ..base.clone() }
    }

    fn pipeline(number: usize) -> String {
        if number == 0 { PIPELINE.to_owned() } else { format!("payments-{number:04}") }
    }

    fn function(number: usize) -> String {
        format!("{FUNCTION}-{number:05}")
    }

    /// Adds the pipelines, accounts and functions to a seed of the usual three accounts.
    ///
    /// # Panics
    /// If the seed lacks what every seed of the harness has.
    pub(crate) fn extend(&self, seed: &mut Seed) {
        let mut base = base_of(seed);
        base.bulk_reads = self.bulk_reads;
        self.add_pipelines(&base, seed);
        for account in 0..self.dev_accounts {
            let dev = Self::dev(&base, account);
            let usual = dev.seed().expect("the seed of another dev account");
            let mut added = usual.accounts[&dev.dev].clone();
            let execution = added.roles[EXECUTION_ROLE].clone();
            let function = added.functions[&dev.function_region][FUNCTION].clone();
            for number in (account..self.size).step_by(self.dev_accounts) {
                let role = format!("{}-role", Self::function(number));
                let mut own = function.clone();
                own["role"] = json!(dev.iam_arn(&dev.dev, &format!("role/service-role/{role}")));
                added.functions[&dev.function_region][Self::function(number)] = own;
                added.roles.insert(role, execution.clone());
            }
            seed.accounts.insert(dev.dev.clone(), added);
            seed.managed_policies.extend(usual.managed_policies);
            let identity = &usual.accounts[&base.platform].roles["crossinvoke-controller"];
            let policy = identity.inline_policies["crossinvoke"].clone();
            let platform = seed.accounts.get_mut(&base.platform).expect("the platform account");
            let identity = platform.roles.get_mut("crossinvoke-controller").expect("the controller's identity");
            identity.inline_policies.insert(format!("crossinvoke-{account}"), policy);
        }
    }

    fn add_pipelines(&self, base: &Accounts, seed: &mut Seed) {
        let tools = seed.accounts.get_mut(&base.tools).expect("the tools account");
        let service = tools.roles[PIPELINE_ROLE].clone();
        let declaration = tools.pipelines[&base.region][PIPELINE].clone();
        let mut roles = vec![base.pipeline_role_arn()];
        for number in 1..self.pipelines {
            let role = format!("AWSCodePipelineServiceRole-{}", Self::pipeline(number));
            let arn = base.iam_arn(&base.tools, &format!("role/service-role/{role}"));
            let mut own = declaration.clone();
            own["name"] = json!(Self::pipeline(number));
            own["roleArn"] = json!(arn);
            tools.pipelines[&base.region][Self::pipeline(number)] = own;
            tools.roles.insert(role, service.clone());
            roles.push(arn);
        }
        let checks = tools.roles.get_mut(CHECKS_ROLE).expect("the role of the rule");
        checks.trust["Statement"][0]["Principal"]["AWS"] = json!(roles);
    }

    /// The `AwsAccount`s: every namespace of the scenario may use all of them.
    #[must_use]
    pub(crate) fn aws_accounts(&self, base: &Accounts, namespace: &str) -> Vec<Value> {
        let tools = objects::tools_account(base, namespace);
        let dev = (0..self.dev_accounts).map(|account| {
            let mut object = objects::dev_account(&Self::dev(base, account), namespace);
            if account > 0 {
                object["metadata"]["name"] = json!(format!("{namespace}-dev-{account}"));
            }
            object["spec"]["grants"][0]["functions"] = json!([format!("{FUNCTION}*")]);
            object
        });
        std::iter::once(tools).chain(dev).collect()
    }

    /// The objects.
    ///
    /// # Errors
    /// If one cannot be built.
    pub(crate) fn objects(&self, base: &Accounts, namespace: &str) -> Result<Vec<DynamicObject>> {
        let object = |(number, name): (usize, String)| {
            let dev = Self::dev(base, number % self.dev_accounts);
            let mut object = objects::cross_account_invoke(&dev, namespace, &name);
            let on_pipeline = number / self.pipelines;
            object["spec"]["pipeline"]["name"] = json!(Self::pipeline(number % self.pipelines));
            object["spec"]["function"]["name"] = json!(Self::function(number));
            object["spec"]["stage"]["name"] = json!(format!("Validate-{}", on_pipeline / PER_STAGE));
            object["spec"]["action"] = json!({"runOrder": on_pipeline % PER_STAGE + 1});
            object["spec"]["interval"] = json!("1h");
            serde_json::from_value(object).context("an object")
        };
        self.names().into_iter().enumerate().map(object).collect()
    }
}

/// The usual accounts, by what their ids begin with.
fn base_of(seed: &Seed) -> Accounts {
    let id = |digit: char| seed.accounts.keys().find(|id| id.starts_with(digit)).expect("the usual accounts").clone();
    Accounts::of_ids([&id('3'), &id('1'), &id('2')], "")
}
