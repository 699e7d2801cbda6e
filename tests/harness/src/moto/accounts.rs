//! The accounts of a scenario in moto: set up, changed and looked at with boto3, as a person would.
//!
//! The format is that of the double's configuration, so that a scenario reads both alike.

use fakeaws::{Command, Seed};
use serde_json::{Map, Value, json};

use super::{BotoCall, Moto};
use crate::{
    accounts::Accounts,
    error::{Context as _, Error, Result},
};

/// An archive with no file in it: moto runs no function here.
const EMPTY_ZIP: &str = "PK\u{5}\u{6}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A call that must succeed.
struct Deed<'a>(&'a Moto, &'a str, &'a str);

impl Deed<'_> {
    fn iam(&self, operation: &str, parameters: Value) -> Result<Value> {
        self.of("iam", operation, parameters)
    }

    fn of(&self, service: &str, operation: &str, parameters: Value) -> Result<Value> {
        let Self(moto, account, region) = *self;
        let call = BotoCall { account, region, service, operation, parameters };
        moto.call(&call)?.context(format_args!("{service} {operation} {} in {account} of moto", call.parameters))
    }
}

impl Moto {
    /// Makes what a seed describes, but for AWS's own managed policies: moto knows them only when told to load all of them
    /// (`MOTO_IAM_LOAD_MANAGED_POLICIES`), a second of work for each account.
    ///
    /// # Errors
    /// As moto answers.
    pub fn seed(&self, seed: &Seed) -> Result<()> {
        for (arn, document) in &seed.managed_policies {
            let mut parts = arn.split(':').skip(4);
            let (Some(account), Some(resource)) = (parts.next(), parts.next()) else { continue };
            if let (true, Some(name)) = (seed.accounts.contains_key(account), resource.strip_prefix("policy/")) {
                let policy = json!({"PolicyName": name, "PolicyDocument": document.to_string()});
                Deed(self, account, "us-east-1").iam("create_policy", policy)?;
            }
        }
        for (account, seeded) in &seed.accounts {
            let deed = Deed(self, account, "us-east-1");
            for (name, role) in &seeded.roles {
                let tags: Vec<_> = role.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
                let trust = role.trust.to_string();
                deed.iam(
                    "create_role",
                    json!({"RoleName": name, "Path": role.path, "AssumeRolePolicyDocument": trust, "Tags": tags}),
                )?;
                for (policy, document) in &role.inline_policies {
                    put_policy(&deed, name, policy, document)?;
                }
            }
            for (region, name, function) in by_region(&seeded.functions) {
                let parameters = json!({
                    "FunctionName": name,
                    "Role": function["role"],
                    "Runtime": function["runtime"],
                    "Handler": function["handler"],
                    "Code": {"ZipFile": EMPTY_ZIP},
                });
                Deed(self, account, region).of("lambda", "create_function", parameters)?;
            }
            for (region, _, pipeline) in by_region(&seeded.pipelines) {
                Deed(self, account, region).of("codepipeline", "create_pipeline", json!({"pipeline": pipeline}))?;
            }
        }
        Ok(())
    }

    /// Does what somebody else does to the double behind AWS's back; here it is done as anybody would.
    ///
    /// # Errors
    /// As moto answers, or if it is not one of the deeds that scenarios need here.
    pub(crate) fn change(&self, command: Command) -> Result<()> {
        let in_account = |account| Deed(self, account, "us-east-1");
        match command {
            Command::RemoveRole { account, name } => remove_role(&in_account(&account), &name),
            Command::PutTrust { account, role, document } => in_account(&account)
                .iam("update_assume_role_policy", json!({"RoleName": role, "PolicyDocument": document.to_string()}))
                .map(drop),
            Command::PutInlinePolicy { account, role, policy, document } => {
                put_policy(&in_account(&account), &role, &policy, &document)
            }
            Command::RemoveInlinePolicy { account, role, policy } => in_account(&account)
                .iam("delete_role_policy", json!({"RoleName": role, "PolicyName": policy}))
                .map(drop),
            Command::PutTag { account, role, key, value } => in_account(&account)
                .iam("tag_role", json!({"RoleName": role, "Tags": [{"Key": key, "Value": value}]}))
                .map(drop),
            Command::ReplacePipeline { account, region, declaration } => Deed(self, &account, &region)
                .of("codepipeline", "update_pipeline", json!({"pipeline": declaration}))
                .map(drop),
            other => Err(Error::new(format!("nobody has taught moto this: {other:?}"))),
        }
    }

    /// What the accounts of a scenario hold, each looked at for what can be there: a look is taken often.
    ///
    /// # Errors
    /// As moto answers.
    pub(crate) fn configuration(&self, accounts: &Accounts) -> Result<Value> {
        let Accounts { platform, tools, dev, region, function_region, .. } = accounts;
        let pipelines = pipelines(&Deed(self, tools, region))?;
        let functions = functions(&Deed(self, dev, function_region))?;
        Ok(json!({"accounts": {
            platform: {"roles": roles(&Deed(self, platform, region))?},
            tools: {"roles": roles(&Deed(self, tools, region))?, "pipelines": {region: pipelines}},
            dev: {"roles": roles(&Deed(self, dev, region))?, "functions": {function_region: functions}},
        }}))
    }
}

/// Region, name and value of each entry.
fn by_region(regions: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let regions = regions.as_object().into_iter().flatten();
    regions.flat_map(|(region, named)| {
        named.as_object().into_iter().flatten().map(move |(name, value)| (region, name, value))
    })
}

fn put_policy(deed: &Deed<'_>, role: &str, policy: &str, document: &Value) -> Result<()> {
    let document = document.to_string();
    let parameters = json!({"RoleName": role, "PolicyName": policy, "PolicyDocument": document});
    deed.iam("put_role_policy", parameters).map(drop)
}

/// As DeleteRole of the IAM API reference asks for: what hangs on the role goes first.
fn remove_role(deed: &Deed<'_>, name: &str) -> Result<()> {
    let policies = deed.iam("list_role_policies", json!({"RoleName": name}))?;
    for policy in items(&policies, "PolicyNames") {
        deed.iam("delete_role_policy", json!({"RoleName": name, "PolicyName": policy}))?;
    }
    deed.iam("delete_role", json!({"RoleName": name})).map(drop)
}

fn roles(deed: &Deed<'_>) -> Result<Map<String, Value>> {
    let answer = deed.iam("get_account_authorization_details", json!({"Filter": ["Role"], "MaxItems": 1000}))?;
    let named = |role: &Value| {
        let policies: Map<String, Value> = items(role, "RolePolicyList")
            .map(|policy| (text(policy, "PolicyName"), policy["PolicyDocument"].clone()))
            .collect();
        let attached: Vec<&Value> = items(role, "AttachedManagedPolicies").map(|policy| &policy["PolicyArn"]).collect();
        let tags: Map<String, Value> =
            items(role, "Tags").map(|tag| (text(tag, "Key"), tag["Value"].clone())).collect();
        let shown = json!({
            "path": role["Path"],
            "trust": role["AssumeRolePolicyDocument"],
            "inlinePolicies": policies,
            "attachedPolicies": attached,
            "tags": tags,
            "permissionsBoundary": role["PermissionsBoundary"]["PermissionsBoundaryArn"],
        });
        (text(role, "RoleName"), shown)
    };
    Ok(items(&answer, "RoleDetailList").map(named).collect())
}

fn functions(deed: &Deed<'_>) -> Result<Map<String, Value>> {
    let answer = deed.of("lambda", "list_functions", json!({}))?;
    let named = |function: &Value| {
        let shown = json!({
            "role": function["Role"],
            "runtime": function["Runtime"],
            "handler": function["Handler"],
        });
        (text(function, "FunctionName"), shown)
    };
    Ok(items(&answer, "Functions").map(named).collect())
}

fn pipelines(deed: &Deed<'_>) -> Result<Map<String, Value>> {
    let listed = deed.of("codepipeline", "list_pipelines", json!({}))?;
    let mut found = Map::new();
    for pipeline in items(&listed, "pipelines") {
        let mut read = deed.of("codepipeline", "get_pipeline", json!({"name": pipeline["name"]}))?;
        let mut declaration = read["pipeline"].take();
        // It goes up with every change, the way back included.
        declaration.as_object_mut().map(|members| members.remove("version"));
        found.insert(text(pipeline, "name"), declaration);
    }
    Ok(found)
}

fn items<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    value[member].as_array().into_iter().flatten()
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}
