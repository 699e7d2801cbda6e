//! A pipeline with a function of another account in its middle, and everything that the run needs in both.

use std::collections::BTreeMap;

use aws_sdk_codepipeline::{
    Client,
    types::{ActionExecution, ActionExecutionDetail, PipelineExecutionStatus, StageExecutionStatus},
};
use fakeaws::{ActionOutcome, Behaviour, Call, FakeAws, RoleSeed};
use serde_json::{Value, json};

use crate::support::{DEV, REGION, TOOLS, TOOLS_ROOT, allow, config, key, start, trust};

pub(super) const PIPELINE: &str = "release";
pub(super) const AT: (&str, &str, &str) = (TOOLS, REGION, PIPELINE);
pub(super) const FUNCTION: (&str, &str, &str) = (DEV, REGION, "MyFunction");
pub(super) const PIPELINE_ROLE: &str = "arn:aws:iam::111111111111:role/service-role/pipeline";
pub(super) const INVOKE_ROLE: &str = "arn:aws:iam::222222222222:role/invoke";
pub(super) const EXECUTION_ROLE: &str = "arn:aws:iam::222222222222:role/execution";
pub(super) const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:222222222222:function:MyFunction";
/// An access key of the execution role.
pub(super) const EXECUTION: &str = "AKIAEXECUTION";

pub(super) fn action(name: &str, kind: [&str; 3], members: Value) -> Value {
    let [category, owner, provider] = kind;
    let mut action = json!({"name": name, "actionTypeId":
        {"category": category, "owner": owner, "provider": provider, "version": "1"}});
    for (member, value) in members.as_object().unwrap() {
        action[member] = value.clone();
    }
    action
}

pub(super) fn stage(name: &str, actions: Vec<Value>) -> Value {
    json!({"name": name, "actions": actions})
}

pub(super) fn source() -> Value {
    let members = json!({"namespace": "SourceVariables", "outputArtifacts": [{"name": "source"}]});
    stage("Source", vec![action("Fetch", ["Source", "AWS", "S3"], members)])
}

pub(super) fn invoke() -> Value {
    let members = json!({
        "roleArn": INVOKE_ROLE,
        "namespace": "Checks",
        "configuration": {"FunctionName": "MyFunction", "UserParameters": "#{codepipeline.PipelineExecutionId}"},
    });
    action("Invoke", ["Invoke", "AWS", "Lambda"], members)
}

pub(super) fn deploy() -> Value {
    let members = json!({"inputArtifacts": [{"name": "source"}], "configuration": {"BucketName": "b"}});
    stage("Deploy", vec![action("Deploy", ["Deploy", "AWS", "S3"], members)])
}

pub(super) fn approve() -> Value {
    action("Approve", ["Approval", "AWS", "Manual"], json!({}))
}

/// A build that does nothing by itself: it is held, or fails, or succeeds, as the test says.
pub(super) fn build(name: &str, run_order: i64) -> Value {
    action(name, ["Build", "AWS", "CodeBuild"], json!({"runOrder": run_order, "configuration": {"ProjectName": "p"}}))
}

/// A pipeline of these stages.
pub(super) fn declaration(stages: Vec<Value>) -> Value {
    json!({
        "name": PIPELINE,
        "roleArn": PIPELINE_ROLE,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": stages,
    })
}

/// Source, Validate (which invokes the function of the other account), Deploy.
pub(super) fn release() -> Value {
    declaration(vec![source(), stage("Validate", vec![invoke()]), deploy()])
}

pub(super) fn callback_policy() -> Value {
    let actions = ["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"];
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]})
}

/// Who may assume the invoke role: the tools account, and in it only the pipeline's role.
pub(super) fn invoke_trust() -> Value {
    let mut document = trust(json!({"AWS": "arn:aws:iam::111111111111:root"}));
    document["Statement"][0]["Condition"] = json!({"ArnEquals": {"aws:PrincipalArn": PIPELINE_ROLE}});
    document
}

/// A double, and a client of the tools account.
pub(super) struct Runs {
    pub(super) aws: FakeAws,
    pub(super) client: Client,
}

impl Runs {
    /// With the pipeline, and all that a run of it needs.
    pub(super) async fn of(pipeline: Value) -> Self {
        let aws = start().await;
        let admin = aws.admin();
        let mut role = RoleSeed::trusting(invoke_trust());
        role.inline_policies.insert("invoke".to_owned(), allow("lambda:InvokeFunction", FUNCTION_ARN));
        role.inline_policies.insert("list".to_owned(), allow("lambda:ListFunctions", "*"));
        admin.put_role(DEV, "invoke", role).unwrap();
        admin.put_inline_policy(DEV, "execution", "callback", callback_policy()).unwrap();
        admin.run(fakeaws::Command::PutKey { key: EXECUTION.to_owned(), arn: EXECUTION_ROLE.to_owned() }).unwrap();
        admin.replace_pipeline(TOOLS, REGION, pipeline).unwrap();
        let client = Client::new(&config(&aws, key(TOOLS_ROOT)));
        Self { aws, client }
    }

    pub(super) async fn release() -> Self {
        Self::of(release()).await
    }

    /// A client of CodePipeline with another key.
    pub(super) fn client_of(&self, access_key: &str) -> Client {
        Client::new(&config(&self.aws, key(access_key)))
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        self.aws.admin().set_behaviour(FUNCTION, behaviour).unwrap();
    }

    pub(super) fn set(&self, stage: &str, action: &str, outcome: ActionOutcome) {
        self.aws.admin().set_action(AT, (stage, action), outcome).unwrap();
    }

    pub(super) async fn advance(&self, seconds: u64) {
        self.aws.admin().advance_clock(seconds).unwrap();
        self.aws.settled().await;
    }

    pub(super) async fn start(&self) -> String {
        let answer = self.client.start_pipeline_execution().name(PIPELINE).send().await.unwrap();
        answer.pipeline_execution_id().unwrap().to_owned()
    }

    /// Starts an execution, and waits until it can go no further by itself.
    pub(super) async fn run(&self) -> String {
        let id = self.start().await;
        self.aws.settled().await;
        id
    }

    pub(super) async fn status(&self, id: &str) -> PipelineExecutionStatus {
        let answer = self.client.get_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(id).send();
        answer.await.unwrap().pipeline_execution().unwrap().status().unwrap().clone()
    }

    /// Stages that were entered, with the status of the latest execution there.
    pub(super) async fn stages(&self) -> Vec<(String, StageExecutionStatus)> {
        let state = self.client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
        let entered = state
            .stage_states()
            .iter()
            .filter_map(|stage| Some((stage.stage_name()?.to_owned(), stage.latest_execution()?.status().clone())));
        entered.collect()
    }

    /// The latest run of an action, as GetPipelineState shows it.
    pub(super) async fn latest(&self, action: &str) -> Option<ActionExecution> {
        let state = self.client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
        let mut actions = state.stage_states().iter().flat_map(aws_sdk_codepipeline::types::StageState::action_states);
        actions.find(|state| state.action_name() == Some(action)).unwrap().latest_execution().cloned()
    }

    /// The status of an action and why it failed: `Failed`, `JobFailed: no`.
    pub(super) async fn outcome(&self, action: &str) -> (String, String) {
        let Some(latest) = self.latest(action).await else { return (String::new(), String::new()) };
        let error = latest.error_details();
        let text = error.map(|error| format!("{}: {}", error.code().unwrap(), error.message().unwrap()));
        (latest.status().unwrap().to_string(), text.unwrap_or_default())
    }

    /// The runs of actions of an execution, oldest first.
    pub(super) async fn details(&self, id: &str) -> Vec<ActionExecutionDetail> {
        let filter = aws_sdk_codepipeline::types::ActionExecutionFilter::builder().pipeline_execution_id(id).build();
        let answer = self.client.list_action_executions().pipeline_name(PIPELINE).filter(filter).send().await.unwrap();
        let mut details = answer.action_execution_details().to_vec();
        details.reverse();
        details
    }

    /// What the functions of the dev account did: events, oldest first, with their deliveries.
    pub(super) fn invocations(&self) -> Vec<Value> {
        let history = self.aws.admin().snapshot().unwrap();
        let of = &history["history"]["accounts"][DEV]["functions"][REGION]["MyFunction"];
        of.as_array().cloned().unwrap_or_default()
    }

    /// The id of the latest job of the function.
    pub(super) fn job(&self) -> String {
        self.invocations().last().unwrap()["jobId"].as_str().unwrap().to_owned()
    }

    /// How the deliveries of the function's latest event ended.
    pub(super) fn deliveries(&self) -> Vec<String> {
        let last = self.invocations().last().unwrap().clone();
        let deliveries = last["deliveries"].as_array().unwrap().iter();
        deliveries.map(|delivery| delivery["outcome"].as_str().unwrap().to_owned()).collect()
    }

    /// The calls of an operation so far.
    pub(super) fn calls(&self, operation: &str) -> Vec<Call> {
        let calls = self.aws.admin().calls().unwrap();
        calls.into_iter().filter(|call| call.operation == operation).collect()
    }
}

pub(super) fn variables<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(super) fn succeed<const N: usize>(pairs: [(&str, &str); N]) -> Behaviour {
    Behaviour::Succeed { output_variables: variables(pairs) }
}

pub(super) fn fail(message: &str) -> Behaviour {
    Behaviour::Fail { message: message.to_owned(), failure_type: "JobFailed".to_owned() }
}

pub(super) const NO_RESULT: &str = "JobFailed: The AWS Lambda function MyFunction failed to return a result. Check the \
                                    function to verify that it has permission to call the PutJobSuccessResult action and \
                                    that it made a call to PutJobSuccessResult.";
