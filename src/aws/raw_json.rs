//! Raw bodies: the declaration as `CodePipeline` sent it, and a request body as it is meant to be sent.
//!
//! A typed round trip drops every member that this SDK does not know yet, and `UpdatePipeline` then deletes it from the
//! pipeline. Both interceptors refuse any other protocol than JSON 1.1: an SDK upgrade that switched to CBOR would
//! otherwise feed them something they cannot read.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut},
        },
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};

use crate::domain::pipeline_edit::Json;

/// The request was not sent.
#[derive(Debug, thiserror::Error)]
#[error("the request would be sent as {0:?}, not {JSON_1_1}; nothing is sent")]
pub(super) struct NotSent(String);

/// Why a body could not be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Unusable {
    /// It is not an answer of CodePipeline's.
    Foreign(String),
    /// It is, and it cannot be read.
    Unreadable(String),
}

const JSON_1_1: &str = "application/x-amz-json-1.1";

/// Keeps the body of a successful answer.
#[derive(Clone, Debug, Default)]
pub(super) struct CaptureBody {
    body: Arc<Mutex<Option<Result<Json, Unusable>>>>,
}

impl CaptureBody {
    /// What was captured.
    pub(super) fn take(&self) -> Result<Json, Unusable> {
        let taken = self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| Err(Unusable::Foreign("the answer's body was not seen".to_owned())))
    }
}

impl Intercept for CaptureBody {
    fn name(&self) -> &'static str {
        "CaptureBody"
    }

    // Not earlier: before deserialization a streaming body has no bytes to look at.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let kind = response.headers().get("content-type").unwrap_or_default();
        let read = if kind.starts_with(JSON_1_1) {
            let bytes = response.body().bytes();
            bytes.ok_or_else(|| Unusable::Foreign("the answer's body is a stream".to_owned())).and_then(parse)
        } else {
            Err(Unusable::Foreign(format!("the answer's content type is {kind:?}, not {JSON_1_1}")))
        };
        *self.body.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Result<Json, Unusable> {
    let unreadable = |what: String| Unusable::Unreadable(format!("the answer is not JSON: {what}"));
    let text = std::str::from_utf8(bytes)
        .map_err(|error| unreadable(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
    Json::parse(text).map_err(|error| unreadable(error.to_string()))
}

/// Sends this body instead of the typed one.
#[derive(Clone, Debug)]
pub(super) struct ReplaceBody {
    body: Arc<String>,
}

impl ReplaceBody {
    pub(super) fn new(body: String) -> Self {
        Self { body: Arc::new(body) }
    }
}

impl Intercept for ReplaceBody {
    fn name(&self) -> &'static str {
        "ReplaceBody"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let kind = request.headers().get("content-type").unwrap_or_default();
        if kind != JSON_1_1 {
            return Err(NotSent(kind.to_owned()).into());
        }
        request.headers_mut().insert("content-length", self.body.len().to_string());
        *request.body_mut() = SdkBody::from(self.body.as_str());
        Ok(())
    }
}
