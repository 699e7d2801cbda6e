//! What moto answers otherwise than the double, with which of them AWS agrees, and where that is written: the table of
//! docs/second-opinion.md. Every row is asked of both.

use crossinvoke_harness::{
    Accounts, BotoAnswer, BotoCall, Context as _, Error, Moto, Result, Scenario,
    accounts::{EXECUTION_ROLE, PIPELINE},
    pipeline::TICKET,
    repository,
};
use serde_json::{Value, json};

/// One thing that is asked of both, and what they answer.
struct Difference {
    what: &'static str,
    ask: fn(&Side<'_>) -> Result<String>,
    moto: &'static str,
    double: &'static str,
    aws: &'static str,
    source: &'static str,
}

/// The accounts of a scenario in moto, or in the double.
struct Side<'a> {
    moto: &'a Moto,
    double: Option<String>,
    accounts: &'a Accounts,
}

impl Side<'_> {
    fn with_key(&self, key: &str, account: &str, asked: (&str, &str, Value)) -> Result<BotoAnswer> {
        let (service, operation, parameters) = asked;
        let call = BotoCall { account, region: &self.accounts.region, service, operation, parameters };
        match &self.double {
            Some(endpoint) => self.moto.call_elsewhere(&call, endpoint, key),
            None => self.moto.call(&call),
        }
    }

    fn ask(&self, account: &str, service: &str, operation: &str, parameters: Value) -> Result<BotoAnswer> {
        self.with_key(&self.accounts.root_key(account), account, (service, operation, parameters))
    }

    fn tools(&self, operation: &str, parameters: Value) -> Result<BotoAnswer> {
        self.ask(&self.accounts.tools, "codepipeline", operation, parameters)
    }

    fn dev(&self, operation: &str, parameters: Value) -> Result<BotoAnswer> {
        self.ask(&self.accounts.dev, "iam", operation, parameters)
    }

    /// Makes a role in the dev account that trusts this principal.
    fn create(&self, name: &str, principal: &str) -> Result<BotoAnswer> {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}]});
        self.dev("create_role", json!({"RoleName": name, "AssumeRolePolicyDocument": trust.to_string()}))
    }

    /// Asks for a session of this role, as the controller.
    fn assume(&self, role: &str) -> Result<BotoAnswer> {
        let asked = ("sts", "assume_role", json!({"RoleArn": role, "RoleSessionName": "somebody"}));
        self.with_key(&self.accounts.controller_key(), &self.accounts.dev, asked)
    }

    fn dev_arn(&self, what: &str) -> String {
        self.accounts.iam_arn(&self.accounts.dev, what)
    }

    /// The pipeline, changed and sent back.
    fn update(&self, change: impl FnOnce(&mut Value)) -> Result<BotoAnswer> {
        let mut declaration = self.accounts.pipeline();
        change(&mut declaration);
        self.tools("update_pipeline", json!({"pipeline": declaration}))
    }
}

/// `accepted`, or the code of the error.
fn outcome(answer: BotoAnswer) -> String {
    answer.map_or_else(|error| format!("`{}`", error.code), |_| "accepted".to_owned())
}

/// A member of an answer that must be there.
fn member(answer: BotoAnswer, pointer: &str) -> Result<String> {
    let answer = answer.context("an answer")?;
    let found = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Error::new(format!("no {pointer} in {answer}")))
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "AssumeRole of a role that trusts somebody else",
        ask: |side| Ok(outcome(side.assume(&side.accounts.execution_role_arn())?)),
        moto: "accepted",
        double: "`AccessDenied`",
        aws: "as the double",
        source: "IAM User Guide, *Cross-account policy evaluation logic*",
    },
    Difference {
        what: "AssumeRole of a role that does not exist",
        ask: |side| Ok(outcome(side.assume(&side.dev_arn("role/Missing"))?)),
        moto: "accepted",
        double: "`AccessDenied`",
        aws: "as the double",
        source: "IAM User Guide, *Cross-account policy evaluation logic*",
    },
    Difference {
        what: "CreateRole that trusts a role that does not exist",
        ask: |side| Ok(outcome(side.create("Trusting", &side.dev_arn("role/Missing"))?)),
        moto: "accepted",
        double: "`MalformedPolicyDocument`",
        aws: "as the double",
        source: "IAM User Guide, *AWS JSON policy elements: Principal*; hashicorp/terraform-provider-aws#8905",
    },
    Difference {
        what: "GetRole whose trusted role was deleted",
        ask: |side| {
            side.create("Trusted", &side.dev_arn("root"))?.context("a role")?;
            side.create("Orphan", &side.dev_arn("role/Trusted"))?.context("a role")?;
            side.dev("delete_role", json!({"RoleName": "Trusted"}))?.context("deleting")?;
            let answer = side.dev("get_role", json!({"RoleName": "Orphan"}))?;
            let shown = member(answer, "/Role/AssumeRolePolicyDocument/Statement/0/Principal/AWS")?;
            Ok(if shown.starts_with("AROA") { "`AROA…`".to_owned() } else { "its ARN".to_owned() })
        },
        moto: "its ARN",
        double: "`AROA…`",
        aws: "as the double",
        source: "IAM User Guide, *AWS JSON policy elements: Principal*",
    },
    Difference {
        what: "CreateRole of a name that exists in other case",
        ask: |side| Ok(outcome(side.create(&EXECUTION_ROLE.to_uppercase(), &side.dev_arn("root"))?)),
        moto: "accepted",
        double: "`EntityAlreadyExists`",
        aws: "as the double",
        source: "IAM API Reference, CreateRole",
    },
    Difference {
        what: "PutRolePolicy beyond 10,240 characters",
        ask: |side| {
            let resources: Vec<String> = (0..600).map(|n| format!("arn:aws:s3:::bucket-{n:05}")).collect();
            let document = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources}]});
            let parameters =
                json!({"RoleName": EXECUTION_ROLE, "PolicyName": "large", "PolicyDocument": document.to_string()});
            Ok(outcome(side.dev("put_role_policy", parameters)?))
        },
        moto: "accepted",
        double: "`LimitExceeded`",
        aws: "as the double",
        source: "IAM User Guide, *IAM and AWS STS quotas*",
    },
    Difference {
        what: "AttachRolePolicy of an AWS managed policy",
        ask: |side| {
            let arn = side.accounts.iam_arn("aws", "policy/service-role/AWSLambdaBasicExecutionRole");
            Ok(outcome(side.dev("attach_role_policy", json!({"RoleName": EXECUTION_ROLE, "PolicyArn": arn}))?))
        },
        moto: "`NoSuchEntity`",
        double: "accepted",
        aws: "as the double",
        source: "AWS Managed Policy Reference Guide",
    },
    Difference {
        what: "UpdatePipeline with an action role that the pipeline role cannot assume",
        ask: |side| {
            let role = side.dev_arn("role/crossinvoke");
            Ok(outcome(side.update(|pipeline| pipeline["stages"][1]["actions"][0]["roleArn"] = json!(role))?))
        },
        moto: "accepted",
        double: "`InvalidStructureException`",
        aws: "as the double",
        source: "hashicorp/terraform#14263; aws/aws-cdk#22489",
    },
    Difference {
        what: "UpdatePipeline with one stage",
        ask: |side| {
            let single = |pipeline: &mut Value| pipeline["stages"].as_array_mut().unwrap().truncate(1);
            Ok(outcome(side.update(single)?))
        },
        moto: "accepted",
        double: "`InvalidStructureException`",
        aws: "as the double",
        source: "CodePipeline User Guide, *CodePipeline pipeline structure reference*",
    },
    Difference {
        what: "UpdatePipeline of a pipeline that does not exist",
        ask: |side| Ok(outcome(side.update(|pipeline| pipeline["name"] = json!("missing"))?)),
        moto: "`ResourceNotFoundException`",
        double: "`PipelineNotFoundException`",
        aws: "not documented; both mean absence to the controller",
        source: "CodePipeline API Reference, UpdatePipeline, which declares neither",
    },
    Difference {
        what: "GetPipeline of an earlier version",
        ask: |side| {
            side.update(|pipeline| pipeline["stages"][1]["name"] = json!("Compile"))?.context("an update")?;
            let answer = side.tools("get_pipeline", json!({"name": PIPELINE, "version": 1}))?;
            Ok(if member(answer, "/pipeline/stages/1/name")? == "Build" { "that one" } else { "the newest" }.to_owned())
        },
        moto: "the newest",
        double: "that one",
        aws: "as the double",
        source: "CodePipeline API Reference, GetPipeline",
    },
    Difference {
        what: "GetPipeline with an OAuth token in a source",
        ask: |side| {
            let source =
                json!({"Owner": "example", "Repo": "payments", "Branch": "main", "OAuthToken": "a-secret-token"});
            side.update(|pipeline| {
                let action = &mut pipeline["stages"][0]["actions"][0];
                action["actionTypeId"] =
                    json!({"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"});
                action["configuration"] = source;
                pipeline.as_object_mut().unwrap().remove("triggers");
            })?
            .context("an update")?;
            let answer = side.tools("get_pipeline", json!({"name": PIPELINE}))?;
            let shown = member(answer, "/pipeline/stages/0/actions/0/configuration/OAuthToken")?;
            Ok(if shown == "****" { "`****`" } else { "the token" }.to_owned())
        },
        moto: "the token",
        double: "`****`",
        aws: "as the double",
        source: "CodePipeline User Guide, *Appendix A: GitHub version 1 source actions*",
    },
    Difference {
        what: "ListPipelineExecutions after a start that waits for an approval",
        ask: |side| {
            side.update(|pipeline| {
                let approval = json!({"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"});
                let action = json!({"name": "Look", "runOrder": 1, "actionTypeId": approval});
                pipeline["stages"][1]["actions"].as_array_mut().unwrap().push(action);
            })?
            .context("an update")?;
            let ticket = json!([{"name": TICKET.0, "value": TICKET.1}]);
            side.tools("start_pipeline_execution", json!({"name": PIPELINE, "variables": ticket}))?
                .context("a start")?;
            let answer = side.tools("list_pipeline_executions", json!({"pipelineName": PIPELINE}))?;
            Ok(format!("`{}`", member(answer, "/pipelineExecutionSummaries/0/status")?))
        },
        moto: "`Succeeded`",
        double: "`InProgress`",
        aws: "as the double",
        source: "CodePipeline User Guide, *Manage approval actions in CodePipeline*",
    },
    Difference {
        what: "GetPipelineState",
        ask: |side| Ok(outcome(side.tools("get_pipeline_state", json!({"name": PIPELINE}))?)),
        moto: "`500`",
        double: "accepted",
        aws: "as the double",
        source: "CodePipeline API Reference, GetPipelineState",
    },
    Difference {
        what: "ListActionExecutions",
        ask: |side| Ok(outcome(side.tools("list_action_executions", json!({"pipelineName": PIPELINE}))?)),
        moto: "`500`",
        double: "accepted",
        aws: "as the double",
        source: "CodePipeline API Reference, ListActionExecutions",
    },
    Difference {
        what: "PutJobSuccessResult of a job that does not exist",
        ask: |side| {
            let parameters = json!({"jobId": "00000000-0000-0000-0000-000000000000"});
            Ok(outcome(side.tools("put_job_success_result", parameters)?))
        },
        moto: "`500`",
        double: "`JobNotFoundException`",
        aws: "as the double",
        source: "CodePipeline API Reference, PutJobSuccessResult",
    },
];

pub(super) async fn differences(scenario: &mut Scenario<'_>) -> Result<()> {
    let moto = scenario.moto()?;
    moto.seed(&scenario.accounts.seed()?)?;
    let side = |double| Side { moto, double, accounts: &scenario.accounts };
    let (in_moto, in_double) = (side(None), side(Some(scenario.aws_endpoint())));
    let path = repository().join("docs/second-opinion.md");
    let documented = std::fs::read_to_string(&path).context(path.display())?;
    let mut wrong = Vec::new();
    for Difference { what, ask, moto, double, aws, source } in DIFFERENCES {
        for (name, side, expected) in [("moto", &in_moto, moto), ("the double", &in_double, double)] {
            let found = ask(side).context(format_args!("{what}, {name}"))?;
            if found != *expected {
                wrong.push(format!("{what}: {name} answers {found}, not {expected}"));
            }
        }
        let row = format!("| {what} | {moto} | {double} | {aws} | {source} |");
        if !documented.lines().any(|line| line == row) {
            wrong.push(format!("{} has no line\n{row}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
