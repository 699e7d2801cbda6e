//! `CodePipeline`: the declaration as raw JSON, and whether a pipeline is idle.

mod sdk;

use std::sync::Arc;

use super::{
    AwsError, AwsErrorKind, Turn,
    call::{Call, Subject},
    permitted::Spent,
    raw_json::{CaptureBody, Unusable},
    reader::{Readers, Sent, Thing},
    session::Clients,
    settings::struck_from,
};
use crate::domain::{
    history::{History, Page, Walk},
    ids::{Arn, InvalidId, PipelineKey, PipelineName, Region},
    occupancy::{Execution, Occupancy, Standing},
    pipeline_edit::Json,
    stage_states::{ActionInProgress, Disabled, StageState},
};
use aws_sdk_codepipeline::types::{
    ActionExecutionStatus, ActionState, PipelineExecutionStatus, PipelineExecutionSummary, StageExecution,
    StageExecutionStatus, StageState as Shown,
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use crate::engine::pipeline::Permit;

/// A pipeline as CodePipeline sent it.
#[derive(Clone, Debug, Hash, PartialEq)]
pub struct PipelineRead {
    /// The raw `pipeline` member. Whoever reads the same shares it: it is the largest thing that a look holds.
    pub declaration: Arc<Json>,
    /// Its version.
    pub version: i64,
    /// Its service role.
    pub role: Arn,
    /// Its ARN, from `metadata`.
    pub arn: Option<Arn>,
    /// When it was made, as `metadata` has it: one that was deleted and made again begins with version 1.
    pub created: Option<Json>,
}

/// Whether the second reading was made of an earlier version of the same pipeline.
#[allow(clippy::ref_option, reason = "readings of every kind are compared alike")]
pub(super) fn is_earlier(known: &Option<PipelineRead>, read: &Option<PipelineRead>) -> bool {
    let (Some(known), Some(read)) = (known, read) else { return false };
    known.created.is_some() && known.created == read.created && read.version < known.version
}

/// What is known of a pipeline whose occupancy is asked for.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// As it was last read.
    pub declaration: &'a Json,
    /// How far its older executions were looked through.
    pub history: History,
    /// No execution that began before this time can still be running.
    pub oldest: Timestamp,
}

/// `CodePipeline` in one account and region. Outside of this room it only writes; what is read goes through a
/// [`Reader`](super::Reader).
#[derive(Clone, Debug)]
pub struct CodePipeline {
    reading: sdk::Reads,
    writing: sdk::Writes,
    subject: Subject,
    region: Region,
    readers: Readers,
}

impl CodePipeline {
    pub(super) fn new(clients: &Clients, region: &Region) -> Self {
        let client = |config: &aws_config::SdkConfig| {
            let config = aws_sdk_codepipeline::config::Builder::from(config)
                .protocol(aws_smithy_json::protocol::aws_json_rpc::AwsJsonRpcProtocol::aws_json_1_1())
                .interceptor(clients.observe("codepipeline"));
            aws_sdk_codepipeline::Client::from_conf(config.build())
        };
        Self {
            reading: sdk::Reads::new(client(&clients.reading(region))),
            writing: sdk::Writes::new(client(&clients.writing(region))),
            subject: clients.subject().clone(),
            region: region.clone(),
            readers: clients.readers().clone(),
        }
    }

    /// The same client, which says when its first call leaves.
    pub(super) fn marking(&self, sent: Sent) -> Self {
        Self { subject: self.subject.marking(sent), ..self.clone() }
    }

    /// A pipeline of this name, where this client reads and writes.
    pub(super) fn pipeline(&self, name: PipelineName) -> PipelineKey {
        PipelineKey { account: self.subject.account.clone(), region: self.region.clone(), name }
    }

    fn call(&self, operation: &'static str, name: &str) -> Call {
        self.subject.call("codepipeline", operation, format!("pipeline {name}"))
    }

    /// Leave for the calls of one check, and for the update that follows it.
    pub async fn turn(&self) -> Turn {
        self.subject.turn("codepipeline").await
    }

    /// The pipeline; `None` when it does not exist.
    ///
    /// # Errors
    /// As AWS answers, or an answer that is not JSON 1.1.
    pub(super) async fn get_pipeline(&self, name: &PipelineName) -> Result<Option<PipelineRead>, AwsError> {
        self.get(name, None).await
    }

    /// An earlier version of the pipeline; `None` when it is not kept any more.
    ///
    /// # Errors
    /// As [`Self::get_pipeline`].
    pub(super) async fn get_version(
        &self,
        name: &PipelineName,
        version: i32,
    ) -> Result<Option<PipelineRead>, AwsError> {
        self.get(name, Some(version)).await
    }

    async fn get(&self, name: &PipelineName, version: Option<i32>) -> Result<Option<PipelineRead>, AwsError> {
        let call = self.call("GetPipeline", name.as_str());
        let captured = CaptureBody::default();
        let request = self.reading.get_pipeline().name(name.as_str()).set_version(version);
        let turn = call.turn().await;
        call.leaves(&turn);
        let sent = request.customize().interceptor(captured.clone()).send().await;
        drop(turn);
        match answered(sent, |error| call.classify(error)) {
            Ok(()) => read(&call, captured.take()).map(Some),
            Err(error) if error.kind == AwsErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the pipeline's structure, with one attempt: a second one would be a second version.
    ///
    /// # Errors
    /// As AWS answers, without the settings of the pipeline that it may quote. Nothing was sent where the permit is for another
    /// pipeline, or too old.
    pub async fn update_pipeline(&self, turn: Turn, permit: Permit) -> Result<PipelineRead, AwsError> {
        let name = permit.write().declaration.text("name");
        let call = self.call("UpdatePipeline", name);
        // The declaration has a name of its own, which CodePipeline goes by.
        let name = name.parse().map_err(|error: InvalidId| call.failed(AwsErrorKind::Other, error.to_string()))?;
        let pipeline = self.pipeline(name);
        let permitted = Spent::on(&call, &pipeline, permit)?;
        let _writing = self.readers.writing(Thing::Pipeline(pipeline));
        let body = self.writing.update_pipeline(&call, turn, permitted).await?;
        read(&call, body)
    }

    /// What may keep a pipeline from being updated: its state by stages and, as the last call, one page of its newest
    /// executions. A run that waits for long is beyond that page, and the state shows it. Of a pipeline in PARALLEL mode, or
    /// where the state cannot be read, older executions are looked through instead, a part of them at each check.
    /// Returns also what is known of them from then on.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn occupancy(
        &self,
        turn: &Turn,
        name: &PipelineName,
        known: Known<'_>,
    ) -> Result<(Occupancy, History), AwsError> {
        let (stages, is_shown) = match self.state(turn, name, known.declaration).await {
            Ok(stages) => (stages, known.declaration.text("executionMode") != "PARALLEL"),
            Err(error) if is_for_later(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "the pipeline's state cannot be read; its executions are looked through");
                (Vec::new(), false)
            }
        };
        let (executions, next) = self.executions(turn, name, None).await?;
        if is_shown {
            return Ok((Occupancy { stages, executions, not_looked_through: false }, known.history));
        }
        let (mut executions, history, is_known) = self.look_through(turn, name, known, (executions, next)).await;
        if is_known.is_some_and(|pages| pages > 0) {
            // One may have started meanwhile.
            executions = self.executions(turn, name, None).await?.0;
        }
        Ok((Occupancy { stages, executions, not_looked_through: is_known.is_none() }, history))
    }

    /// Looks through the executions beyond the first page, as far as one check does. Returns those of the page on which one
    /// runs, or else the first, what is known now, and how many pages it took if all are known to be over.
    async fn look_through(
        &self,
        turn: &Turn,
        name: &PipelineName,
        known: Known<'_>,
        (first, next): (Vec<Execution>, Option<String>),
    ) -> (Vec<Execution>, History, Option<usize>) {
        let mut walk = Walk::begin(known.history, known.oldest, Page { executions: &first, next: next.as_deref() });
        while let Some(token) = walk.next().map(str::to_owned) {
            match self.executions(turn, name, Some(token)).await {
                Ok((older, next)) => {
                    if walk.saw(Page { executions: &older, next: next.as_deref() }) {
                        return (older, walk.end().0, None);
                    }
                }
                // The next check goes on there.
                Err(error) if is_for_later(&error) || error.kind == AwsErrorKind::Unavailable => break,
                Err(error) => {
                    tracing::debug!(%error, "older executions are looked through from the start again");
                    walk.lost();
                }
            }
        }
        let pages = walk.pages();
        let (history, is_known) = walk.end();
        (first, history, is_known.then_some(pages))
    }

    async fn executions(
        &self,
        turn: &Turn,
        name: &PipelineName,
        token: Option<String>,
    ) -> Result<(Vec<Execution>, Option<String>), AwsError> {
        let call = self.call("ListPipelineExecutions", name.as_str());
        let request = self.reading.list_pipeline_executions().pipeline_name(name.as_str()).max_results(100);
        let page = call.send_in(turn, request.set_next_token(token).send()).await?;
        Ok((page.pipeline_execution_summaries().iter().map(listed).collect(), page.next_token().map(str::to_owned)))
    }

    /// The pipeline's state by stages, without the settings of the pipeline that a text in it may quote.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn state(
        &self,
        turn: &Turn,
        name: &PipelineName,
        declaration: &Json,
    ) -> Result<Vec<StageState>, AwsError> {
        let call = self.call("GetPipelineState", name.as_str());
        let state = call.send_in(turn, self.reading.get_pipeline_state().name(name.as_str()).send()).await?;
        Ok(state.stage_states().iter().map(|stage| shown(stage, declaration)).collect())
    }
}

/// Whether a call failed for reasons that say nothing about what it asks for.
fn is_for_later(error: &AwsError) -> bool {
    matches!(error.kind, AwsErrorKind::Throttled | AwsErrorKind::ExpiredToken)
}

fn shown(stage: &Shown, declaration: &Json) -> StageState {
    let id = |execution: &StageExecution| execution.pipeline_execution_id().to_owned();
    let transition = stage.inbound_transition_state().filter(|transition| !transition.enabled());
    let text = |text: Option<&str>| struck_from(text.unwrap_or_default().to_owned(), declaration);
    StageState {
        name: stage.stage_name().unwrap_or_default().to_owned(),
        inside: stage.latest_execution().filter(|execution| !is_past(execution.status())).map(id),
        // The latest alone is in the older member; a pipeline that queues has them all in the newer one.
        inbound: stage.inbound_execution().into_iter().chain(stage.inbound_executions()).map(id).collect(),
        disabled: transition.map(|transition| Disabled {
            by: transition.last_changed_by().unwrap_or_default().to_owned(),
            reason: text(transition.disabled_reason()),
        }),
        in_progress: stage.action_states().iter().filter_map(in_progress).collect(),
        retryable: stage.latest_execution().filter(|execution| is_retryable(execution.status())).map(id),
        failed: stage.action_states().iter().filter(|action| has_failed(action)).map(name_of).collect(),
    }
}

fn name_of(action: &ActionState) -> String {
    action.action_name().unwrap_or_default().to_owned()
}

fn has_failed(action: &ActionState) -> bool {
    action.latest_execution().is_some_and(|latest| latest.status() == Some(&ActionExecutionStatus::Failed))
}

/// Whether a stage can be retried: what somebody stopped as well as what failed.
fn is_retryable(status: &StageExecutionStatus) -> bool {
    matches!(status, StageExecutionStatus::Failed | StageExecutionStatus::Stopped)
}

/// Only an approval that waits has a token, with which it could be given: of that, nothing but that it is there is kept.
fn in_progress(action: &ActionState) -> Option<ActionInProgress> {
    let latest = action.latest_execution()?;
    (latest.status() == Some(&ActionExecutionStatus::InProgress))
        .then(|| ActionInProgress { name: name_of(action), is_approval: latest.token().is_some() })
}

/// Whether an execution has left a stage. With a status that nobody knows yet it may be in it.
fn is_past(status: &StageExecutionStatus) -> bool {
    use StageExecutionStatus as S;
    matches!(status, S::Succeeded | S::Failed | S::Stopped | S::Cancelled | S::Skipped)
}

/// Whether CodePipeline answered with success. That the SDK cannot fit the answer into its types, which are older than
/// the service's, is no failure: the raw body is what counts, and after an update the pipeline *is* updated.
fn answered<T, E>(
    sent: Result<T, SdkError<E, HttpResponse>>,
    classify: impl FnOnce(&SdkError<E, HttpResponse>) -> AwsError,
) -> Result<(), AwsError> {
    match sent {
        Ok(_) => Ok(()),
        Err(SdkError::ResponseError(error)) if error.raw().status().is_success() => Ok(()),
        Err(error) => Err(classify(&error)),
    }
}

fn listed(execution: &PipelineExecutionSummary) -> Execution {
    let time = |time: Option<&DateTime>| Timestamp::from_millisecond(time?.to_millis().ok()?).ok();
    let status = execution.status();
    Execution {
        id: execution.pipeline_execution_id().unwrap_or_default().to_owned(),
        status: status.map_or("without a status", PipelineExecutionStatus::as_str).to_owned(),
        standing: status.map_or(Standing::Unfinished, standing),
        started: time(execution.start_time()),
        updated: time(execution.last_update_time()),
    }
}

/// A status that nobody knows yet may be that of a run.
fn standing(status: &PipelineExecutionStatus) -> Standing {
    use PipelineExecutionStatus as S;
    match status {
        S::Failed | S::Stopped => Standing::Retryable,
        S::Succeeded | S::Cancelled | S::Superseded => Standing::Over,
        _ => Standing::Unfinished,
    }
}

fn read(call: &Call, body: Result<Json, Unusable>) -> Result<PipelineRead, AwsError> {
    let unreadable = |what: String| AwsError { kind: AwsErrorKind::PipelineUnreadable, ..call.unusable(what) };
    let body = body.map_err(|error| match error {
        Unusable::Foreign(what) => call.unusable(what),
        Unusable::Unreadable(what) => unreadable(what),
    })?;
    let missing = |place: &str| unreadable(format!("the answer has no usable {place}"));
    let metadata = body.get("metadata");
    let arn = metadata.and_then(|metadata| metadata.text("pipelineArn").parse().ok());
    let created = metadata.and_then(|metadata| metadata.get("created")).cloned();
    let declaration = body.get("pipeline").ok_or_else(|| missing("pipeline"))?;
    let version = declaration.get("version").and_then(Json::as_i64).ok_or_else(|| missing("pipeline.version"))?;
    let role = declaration.text("roleArn").parse().map_err(|_| missing("pipeline.roleArn"))?;
    Ok(PipelineRead { version, role, arn, created, declaration: Arc::new(declaration.clone()) })
}
