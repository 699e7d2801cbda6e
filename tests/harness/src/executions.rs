//! Runs of the pipeline, as somebody in the tools account starts and sees them.

use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_codepipeline::{
    Client,
    error::DisplayErrorContext,
    types::{
        ActionExecutionDetail, ActionExecutionFilter, ApprovalResult, ApprovalStatus, PipelineVariable,
        StageTransitionType,
    },
};
use aws_smithy_types::retry::RetryConfig;

use crate::{
    accounts::PIPELINE,
    error::{Context as _, Error, Result},
    pipeline::TICKET,
    scenario::{Aws, Scenario},
};

/// One execution of the pipeline.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// `InProgress`, `Succeeded`, `Failed`, `Cancelled`, …
    pub status: String,
    /// What its actions did, oldest first.
    pub actions: Vec<ActionExecution>,
}

/// One action of an execution.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActionExecution {
    /// The stage that it is in.
    pub stage: String,
    /// Its name.
    pub action: String,
    /// `InProgress`, `Succeeded`, `Failed` or `Abandoned`.
    pub status: String,
    /// Why it failed (`code: message`), or the summary that it reported.
    pub message: String,
}

impl Execution {
    /// The message of an action; empty if it has not run or says nothing.
    #[must_use]
    pub fn message_of(&self, action: &str) -> &str {
        self.actions.iter().find(|run| run.action == action).map_or("", |run| &run.message)
    }

    /// Whether an action of this stage was started.
    #[must_use]
    pub fn has_entered(&self, stage: &str) -> bool {
        self.actions.iter().any(|run| run.stage == stage)
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "execution {}: {}", self.id, self.status)?;
        let width = |of: fn(&ActionExecution) -> &str| self.actions.iter().map(|run| of(run).len()).max().unwrap_or(0);
        let (stage, action) = (width(|run| &run.stage), width(|run| &run.action));
        for run in &self.actions {
            let line = format!("{:stage$}  {:action$}  {:9}  {}", run.stage, run.action, run.status, run.message);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Runs.
impl Scenario<'_> {
    /// Starts an execution, approves what asks for it, waits until it can go no further by itself, and returns it.
    ///
    /// # Errors
    /// If AWS refuses a call.
    pub async fn run_pipeline(&self) -> Result<Execution> {
        let id = self.start_execution().await?;
        self.approve().await?;
        self.execution(&id).await
    }

    /// Starts an execution and returns its id.
    ///
    /// # Errors
    /// If AWS refuses.
    pub async fn start_execution(&self) -> Result<String> {
        let ticket = PipelineVariable::builder().name(TICKET.0).value(TICKET.1).build().context("a variable")?;
        let start = self.codepipeline().start_pipeline_execution().name(PIPELINE).variables(ticket);
        let started = start.send().await;
        let started = started.map_err(|error| refused("StartPipelineExecution", &error))?;
        started.pipeline_execution_id().map(str::to_owned).ok_or_else(|| Error::new("an execution without an id"))
    }

    /// Approves whatever waits for an approval, as somebody in the tools account, until nothing does.
    ///
    /// # Errors
    /// If AWS refuses.
    pub async fn approve(&self) -> Result<()> {
        loop {
            self.settled().await;
            let client = self.codepipeline();
            let shown = client.get_pipeline_state().name(PIPELINE).send().await;
            let shown = shown.map_err(|error| refused("GetPipelineState", &error))?;
            let waiting = shown.stage_states().iter().find_map(|stage| {
                let mut actions = stage.action_states().iter();
                let token = |action: &aws_sdk_codepipeline::types::ActionState| {
                    Some((action.action_name()?.to_owned(), action.latest_execution()?.token()?.to_owned()))
                };
                actions.find_map(token).map(|waiting| (stage.stage_name().unwrap_or_default().to_owned(), waiting))
            });
            let Some((stage, (action, token))) = waiting else { return Ok(()) };
            let result = ApprovalResult::builder().status(ApprovalStatus::Approved).summary("go").build();
            let put = client.put_approval_result().pipeline_name(PIPELINE).stage_name(stage).action_name(action);
            let put = put.token(token).result(result.context("a result")?).send().await;
            put.map_err(|error| refused("PutApprovalResult", &error))?;
        }
    }

    /// Lets no execution into a stage, as somebody in the tools account.
    ///
    /// # Errors
    /// If AWS refuses.
    pub async fn disable_transition(&self, stage: &str, reason: &str) -> Result<()> {
        let disable = self.codepipeline().disable_stage_transition().pipeline_name(PIPELINE).stage_name(stage);
        let disable = disable.transition_type(StageTransitionType::Inbound).reason(reason).send().await;
        disable.map(drop).map_err(|error| refused("DisableStageTransition", &error))
    }

    /// Lets executions into a stage again.
    ///
    /// # Errors
    /// If AWS refuses.
    pub async fn enable_transition(&self, stage: &str) -> Result<()> {
        let enable = self.codepipeline().enable_stage_transition().pipeline_name(PIPELINE).stage_name(stage);
        let enable = enable.transition_type(StageTransitionType::Inbound).send().await;
        enable.map(drop).map_err(|error| refused("EnableStageTransition", &error))
    }

    /// Waits until functions have ended and pipelines have come as far as they can by themselves.
    pub async fn settled(&self) {
        // moto runs nothing.
        if let Aws::Double(double) = &self.aws {
            double.settled().await;
        }
    }

    /// An execution as AWS shows it now.
    ///
    /// # Errors
    /// If there is none of this id.
    pub async fn execution(&self, id: &str) -> Result<Execution> {
        self.execution_of(PIPELINE, id).await
    }

    /// An execution of a pipeline as AWS shows it now.
    ///
    /// # Errors
    /// If there is none of this id.
    pub async fn execution_of(&self, pipeline: &str, id: &str) -> Result<Execution> {
        let client = self.codepipeline();
        let shown = client.get_pipeline_execution().pipeline_name(pipeline).pipeline_execution_id(id).send().await;
        let shown = shown.map_err(|error| refused("GetPipelineExecution", &error))?;
        let status = shown.pipeline_execution().and_then(|execution| execution.status());
        let status = status.ok_or_else(|| Error::new(format!("execution {id} has no status")))?;
        let filter = ActionExecutionFilter::builder().pipeline_execution_id(id).build();
        let listed = client.list_action_executions().pipeline_name(pipeline).filter(filter).send().await;
        let listed = listed.map_err(|error| refused("ListActionExecutions", &error))?;
        // The latest comes first.
        let actions = listed.action_execution_details().iter().rev().map(action).collect();
        Ok(Execution { id: id.to_owned(), status: status.to_string(), actions })
    }

    /// A client of CodePipeline with the root key of the tools account.
    fn codepipeline(&self) -> Client {
        let credentials = Credentials::new(self.accounts.root_key(&self.accounts.tools), "any", None, None, "scenario");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.accounts.region.clone()))
            .endpoint_url(self.aws_endpoint())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .build();
        Client::new(&config)
    }
}

fn refused<E>(operation: &str, error: &E) -> Error
where
    E: std::error::Error,
{
    Error::new(format!("{operation}: {}", DisplayErrorContext(error)))
}

fn action(detail: &ActionExecutionDetail) -> ActionExecution {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let result = detail.output().and_then(|output| output.execution_result());
    let error = result.and_then(|result| result.error_details());
    let error = error.map(|error| format!("{}: {}", text(error.code()), text(error.message())));
    let summary = || text(result.and_then(|result| result.external_execution_summary()));
    ActionExecution {
        stage: text(detail.stage_name()),
        action: text(detail.action_name()),
        status: detail.status().map(ToString::to_string).unwrap_or_default(),
        message: error.unwrap_or_else(summary),
    }
}
