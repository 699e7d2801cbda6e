//! `CodePipeline`: the declaration as raw JSON, and whether a pipeline is idle.

use aws_sdk_codepipeline::types::{PipelineDeclaration, PipelineExecutionStatus};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use serde_json::{Value, json};

use super::{
    AwsError, AwsErrorKind,
    call::{Call, Subject},
    raw_json::{CaptureBody, ReplaceBody},
    session::Clients,
};
use crate::domain::ids::{Arn, PipelineName, Region};

/// A pipeline as CodePipeline sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineRead {
    /// The raw `pipeline` member.
    pub declaration: Value,
    /// Its version.
    pub version: i64,
    /// Its service role.
    pub role: Arn,
    /// Its ARN, from `metadata`.
    pub arn: Option<Arn>,
}

/// An execution that is not over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// `InProgress` or `Stopping`.
    pub status: String,
}

/// `CodePipeline` in one account and region.
#[derive(Clone, Debug)]
pub struct CodePipeline {
    reading: aws_sdk_codepipeline::Client,
    writing: aws_sdk_codepipeline::Client,
    subject: Subject,
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
            reading: client(&clients.reading(region)),
            writing: client(&clients.writing(region)),
            subject: clients.subject().clone(),
        }
    }

    fn call(&self, operation: &'static str, name: &str) -> Call {
        self.subject.call("codepipeline", operation, format!("pipeline {name}"))
    }

    /// The pipeline; `None` when it does not exist.
    ///
    /// # Errors
    /// As AWS answers, or an answer that is not JSON 1.1.
    pub async fn get_pipeline(&self, name: &PipelineName) -> Result<Option<PipelineRead>, AwsError> {
        let call = self.call("GetPipeline", name.as_str());
        let captured = CaptureBody::default();
        let request = self.reading.get_pipeline().name(name.as_str()).customize().interceptor(captured.clone());
        match answered(request.send().await, |error| call.classify(error)) {
            Ok(()) => read(&call, captured.take()).map(Some),
            Err(error) if error.kind == AwsErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the pipeline's structure, with one attempt: a second one would be a second version.
    ///
    /// # Errors
    /// As AWS answers, without the settings of the pipeline that it may quote.
    pub async fn update_pipeline(&self, declaration: &Value) -> Result<PipelineRead, AwsError> {
        let text = |member: &str| declaration.get(member).and_then(Value::as_str).unwrap_or_default();
        let call = self.call("UpdatePipeline", text("name"));
        // Only what the builder demands: the body that is sent is the raw declaration.
        let typed = PipelineDeclaration::builder()
            .name(text("name"))
            .role_arn(text("roleArn"))
            .set_stages(Some(Vec::new()))
            .build()
            .map_err(|error| call.failed(AwsErrorKind::Other, error.to_string()))?;
        let captured = CaptureBody::default();
        let sent = self
            .writing
            .update_pipeline()
            .pipeline(typed)
            .customize()
            .interceptor(ReplaceBody::new(&json!({"pipeline": declaration})))
            .interceptor(captured.clone())
            .send()
            .await;
        answered(sent, |error| without_settings(call.classify(error), declaration))?;
        read(&call, captured.take())
    }

    /// An execution that an update would cancel, if there is one. Every page is looked at, since a run can be held at an
    /// approval for days; after several pages the first one is read again, since a run may have started meanwhile.
    ///
    /// # Errors
    /// As AWS answers.
    pub async fn unfinished_execution(&self, name: &PipelineName) -> Result<Option<Execution>, AwsError> {
        let mut token = None;
        let mut pages = 0;
        loop {
            let (found, next) = self.executions(name, token).await?;
            pages += 1;
            if found.is_some() {
                return Ok(found);
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        if pages == 1 { Ok(None) } else { Ok(self.executions(name, None).await?.0) }
    }

    async fn executions(
        &self,
        name: &PipelineName,
        token: Option<String>,
    ) -> Result<(Option<Execution>, Option<String>), AwsError> {
        let call = self.call("ListPipelineExecutions", name.as_str());
        let request = self.reading.list_pipeline_executions().pipeline_name(name.as_str()).max_results(100);
        let page = request.set_next_token(token).send().await.map_err(|error| call.classify(&error))?;
        let unfinished = page.pipeline_execution_summaries().iter().find_map(|execution| {
            let status = execution.status()?;
            let running = matches!(status, PipelineExecutionStatus::InProgress | PipelineExecutionStatus::Stopping);
            running.then(|| Execution {
                id: execution.pipeline_execution_id().unwrap_or_default().to_owned(),
                status: status.as_str().to_owned(),
            })
        });
        Ok((unfinished, page.next_token().map(str::to_owned)))
    }
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

fn read(call: &Call, body: Result<Value, String>) -> Result<PipelineRead, AwsError> {
    let unusable = |what: String| call.unusable(what);
    let mut body = body.map_err(unusable)?;
    let missing = |what: &str| unusable(format!("the answer has no usable {what}"));
    let arn = body.pointer("/metadata/pipelineArn").and_then(Value::as_str).and_then(|arn| arn.parse().ok());
    let declaration = body.get_mut("pipeline").map(Value::take).ok_or_else(|| missing("pipeline"))?;
    let version = declaration.get("version").and_then(Value::as_i64).ok_or_else(|| missing("version"))?;
    let role = declaration.get("roleArn").and_then(Value::as_str).and_then(|role| role.parse().ok());
    Ok(PipelineRead { version, role: role.ok_or_else(|| missing("roleArn"))?, arn, declaration })
}

/// The settings of a pipeline can hold tokens, of other teams too, and an error's text reaches status and logs: what AWS
/// quotes of them is struck out. Short ones stay, as they are no secrets and may be part of any word.
fn without_settings(error: AwsError, declaration: &Value) -> AwsError {
    let mut settings = Vec::new();
    collect_settings(declaration, &mut settings);
    // The longest first, as one may be part of another.
    settings.sort_by_key(|setting| std::cmp::Reverse(setting.len()));
    let message = settings.iter().fold(error.message, |message, setting| struck_out(&message, setting));
    AwsError { message, ..error }
}

fn collect_settings<'a>(value: &'a Value, settings: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_settings(item, settings)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("configuration", Value::Object(pairs)) => {
                        settings.extend(pairs.values().filter_map(Value::as_str).filter(|text| text.len() >= 6));
                    }
                    ("value" | "defaultValue", Value::String(text)) if text.len() >= 6 => settings.push(text),
                    _ => collect_settings(member, settings),
                }
            }
        }
        _ => {}
    }
}

/// Strikes out a text where it stands as a word of its own.
fn struck_out(message: &str, setting: &str) -> String {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/');
    let mut kept = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(setting) {
        let part_of_a_word = before.chars().next_back().is_some_and(in_word) || after.starts_with(in_word);
        kept.push_str(before);
        kept.push_str(if part_of_a_word { setting } else { "…" });
        rest = after;
    }
    kept + rest
}
