//! The SDK's client, twice: what reads cannot write, and what writes takes a permit.

use aws_sdk_codepipeline::{
    Client,
    operation::{
        get_pipeline::builders::GetPipelineFluentBuilder, get_pipeline_state::builders::GetPipelineStateFluentBuilder,
        list_pipeline_executions::builders::ListPipelineExecutionsFluentBuilder,
    },
    types::PipelineDeclaration,
};

use super::answered;
use crate::{
    aws::{
        AwsError, AwsErrorKind, Turn,
        call::Call,
        permitted::Spent,
        raw_json::{CaptureBody, ReplaceBody, Unusable},
        settings::without_settings,
    },
    domain::pipeline_edit::Json,
    engine::pipeline::Update,
};

/// The calls that only read.
#[derive(Clone, Debug)]
pub(super) struct Reads(Client);

/// The one that changes something: with one attempt.
#[derive(Clone, Debug)]
pub(super) struct Writes(Client);

impl Reads {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }

    pub(super) fn get_pipeline(&self) -> GetPipelineFluentBuilder {
        self.0.get_pipeline()
    }

    pub(super) fn get_pipeline_state(&self) -> GetPipelineStateFluentBuilder {
        self.0.get_pipeline_state()
    }

    pub(super) fn list_pipeline_executions(&self) -> ListPipelineExecutionsFluentBuilder {
        self.0.list_pipeline_executions()
    }
}

impl Writes {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Sends what was permitted, and returns the body of the answer.
    pub(super) async fn update_pipeline(
        &self,
        call: &Call,
        turn: Turn,
        update: Spent<Update>,
    ) -> Result<Result<Json, Unusable>, AwsError> {
        let declaration = update.into_inner().declaration;
        // Only what the builder demands: the body that is sent is the raw declaration.
        let typed = PipelineDeclaration::builder()
            .name(declaration.text("name"))
            .role_arn(declaration.text("roleArn"))
            .set_stages(Some(Vec::new()))
            .build()
            .map_err(|error| call.failed(AwsErrorKind::Other, error.to_string()))?;
        let captured = CaptureBody::default();
        call.leaves(&turn);
        let sent = self
            .0
            .update_pipeline()
            .pipeline(typed)
            .customize()
            .interceptor(ReplaceBody::new(format!("{{\"pipeline\":{declaration}}}")))
            .interceptor(captured.clone())
            .send()
            .await;
        drop(turn);
        answered(sent, |error| without_settings(call.classify(error), &declaration))?;
        Ok(captured.take())
    }
}
