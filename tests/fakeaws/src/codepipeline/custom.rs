//! Custom action types: the type, and the jobs of its actions as workers poll for them. Their results are not taken.

use serde_json::{Value, json};

use super::{
    constraints::{self, Violations},
    declaration::{self, list, stages, text},
    run::WaitsFor,
};
use crate::{
    error::ServiceError,
    state::{Caller, World},
};

/// A custom action type of a region: category, provider and version.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct CustomType {
    category: String,
    provider: String,
    version: String,
}

impl CustomType {
    pub(super) fn of(holder: &Value) -> Self {
        let own = |member| text(holder, member).to_owned();
        Self { category: own("category"), provider: own("provider"), version: own("version") }
    }

    fn arn(&self, caller: &Caller) -> String {
        let Self { category, provider, version } = self;
        let (partition, region, account) = (&caller.partition, &caller.region, &caller.account);
        format!("arn:{partition}:codepipeline:{region}:{account}:actiontype:Custom/{category}/{provider}/{version}")
    }
}

fn checked(body: &Value, path: &str) -> Result<CustomType, ServiceError> {
    let mut violations = Violations::default();
    violations.text(body, path, "category", &constraints::length(1, 20).required());
    violations.text(body, path, "provider", &constraints::length(1, 35).required());
    violations.text(body, path, "version", &constraints::length(1, 9).required());
    violations.into_result()?;
    Ok(CustomType::of(body))
}

/// Every custom type of the double has the one secret property `ApiToken`; others are refused here.
pub(super) fn create(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let kind = checked(body, "")?;
    let mut violations = Violations::default();
    violations.present(body, "", "inputArtifactDetails");
    violations.present(body, "", "outputArtifactDetails");
    violations.into_result()?;
    world.authorize(caller, "codepipeline:CreateCustomActionType", &kind.arn(caller), &[])?;
    let properties = list(body, "configurationProperties");
    let is_secret = |property: &Value| property["secret"] == true;
    if let Some(other) = properties.iter().find(|it| is_secret(it) != (text(it, "name") == declaration::CUSTOM_SECRET))
    {
        let text = format!("a custom action type whose secrets are not {} alone: {other}", declaration::CUSTOM_SECRET);
        return Err(ServiceError::unsupported(text));
    }
    let types = world.account_mut(&caller.account).pipelines.custom_types(&caller.region);
    // A type that was deleted is not made again under its version (API reference, `DeleteCustomActionType`).
    if types.insert(kind.clone(), true).is_some() {
        let text = format!("The action type {}/{}/{} exists already", kind.category, kind.provider, kind.version);
        return Err(ServiceError::new("ValidationException", text));
    }
    let mut id = id(&kind);
    id["owner"] = json!("Custom");
    Ok(json!({"actionType": {
        "id": id,
        "actionConfigurationProperties": properties,
        "inputArtifactDetails": body["inputArtifactDetails"],
        "outputArtifactDetails": body["outputArtifactDetails"],
    }}))
}

fn id(kind: &CustomType) -> Value {
    json!({"category": kind.category, "provider": kind.provider, "version": kind.version})
}

pub(super) fn delete(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let kind = checked(body, "")?;
    world.authorize(caller, "codepipeline:DeleteCustomActionType", &kind.arn(caller), &[])?;
    let types = world.account_mut(&caller.account).pipelines.custom_types(&caller.region);
    if let Some(exists) = types.get_mut(&kind) {
        *exists = false;
    }
    Ok(Value::Null)
}

/// The jobs of actions in progress, with their secrets (API reference, `PollForJobs`), which no other call here shows.
pub(super) fn poll(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let asked = body.get("actionTypeId").unwrap_or(&Value::Null);
    let kind = checked(asked, "actionTypeId")?;
    world.authorize(caller, "codepipeline:PollForJobs", &kind.arn(caller), &[])?;
    let pipelines = &mut world.account_mut(&caller.account).pipelines;
    if text(asked, "owner") != "Custom" || pipelines.custom_types(&caller.region).get(&kind) != Some(&true) {
        let text = "The specified action type could not be found";
        return Err(ServiceError::new("ActionTypeNotFoundException", text));
    }
    let most = body.get("maxBatchSize").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let mut jobs = Vec::new();
    for (region, pipeline, executions) in pipelines.all_executions().filter(|(region, ..)| *region == caller.region) {
        let Some(current) = pipelines.current(region, pipeline) else { continue };
        let runs =
            executions.iter().flat_map(|execution| execution.runs().map(move |(stage, run)| (execution, stage, run)));
        for (execution, stage, run) in runs.filter(|(.., run)| run.waits_for == WaitsFor::Release) {
            let declared = current.declaration(execution.version).and_then(|declaration| {
                let stage = stages(declaration).iter().find(|it| text(it, "name") == stage.name)?;
                declaration::actions(stage).iter().find(|it| text(it, "name") == run.name)
            });
            let of_kind = |action: &&Value| {
                text(&action["actionTypeId"], "owner") == "Custom" && CustomType::of(&action["actionTypeId"]) == kind
            };
            jobs.extend(declared.filter(of_kind).map(|action| {
                let data = json!({
                    "actionTypeId": action["actionTypeId"],
                    "actionConfiguration": {"configuration": action["configuration"]},
                    "inputArtifacts": [],
                    "outputArtifacts": [],
                });
                json!({"id": run.id, "nonce": "1", "accountId": caller.account, "data": data})
            }));
        }
    }
    jobs.truncate(most.unwrap_or(1));
    Ok(json!({"jobs": jobs}))
}
