//! One SDK interceptor that sees every call, those of the credentials included.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{
                BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
                FinalizerInterceptorContextRef,
            },
        },
        orchestrator::{HttpResponse, Metadata},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use tokio::time::Instant;

use super::{
    call::Subject,
    codes,
    reader::{ScanOutcome, Source},
};

/// Is told of every AWS call that ended.
pub trait CallObserver: Send + Sync {
    /// `code` is `ok`, AWS's error code, `timeout` where no answer came in time, or `dispatch` where none came at all.
    /// It took that long, the SDK's retries included.
    fn called(&self, service: &'static str, operation: &str, code: &str, took: Duration);

    /// A call of a service waited that long for its account's budget.
    fn waited(&self, service: &'static str, wait: Duration) {
        let _ = (service, wait);
    }

    /// Something was read by this operation, or would have been: that is where the answer came from.
    /// The answer is that old.
    fn read(&self, source: Source, operation: &'static str, age: Duration) {
        let _ = (source, operation, age);
    }

    /// A scan of everything in an account has ended like this.
    fn scanned(&self, service: &'static str, outcome: ScanOutcome) {
        let _ = (service, outcome);
    }
}

/// Operations that a role may lack the right to without that being a fault: the first is for people, the others are tried.
const MAY_BE_DENIED: [&str; 3] = ["GetPipelineState", "GetAccountAuthorizationDetails", "ListFunctions"];

/// Whether a session is over, by what AWS answered to its calls. The next use then opens a new one.
#[derive(Debug, Default)]
pub(super) struct SessionEnd {
    /// AWS takes the credentials no more: the token has expired, or the role was deleted, perhaps to be made again.
    refused: AtomicBool,
    /// A call was denied. The role may have been made again under the old session, whose calls are then denied.
    denied: AtomicBool,
}

impl SessionEnd {
    /// Whether AWS no longer takes the credentials.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether a call was denied.
    pub(super) fn is_denied(&self) -> bool {
        self.denied.load(Ordering::Relaxed)
    }

    fn note(&self, service: &str, operation: &str, code: &str) {
        match code {
            code if codes::ends_session(code) => self.refused.store(true, Ordering::Relaxed),
            // What STS denies was asked with other credentials.
            code if codes::is_denial(code) && service != "sts" && !MAY_BE_DENIED.contains(&operation) => {
                self.denied.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// When a call began.
#[derive(Clone, Copy, Debug)]
struct Begun(Instant);

impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

/// How often a call was sent.
#[derive(Clone, Copy, Debug)]
struct Attempts(u32);

impl Storable for Attempts {
    type Storer = StoreReplace<Self>;
}

/// The interceptor of one service's client.
pub(super) struct ObserveCalls {
    service: &'static str,
    observer: Arc<dyn CallObserver>,
    end: Arc<SessionEnd>,
    subject: Subject,
}

impl ObserveCalls {
    pub(super) fn new(
        service: &'static str,
        observer: Arc<dyn CallObserver>,
        end: Arc<SessionEnd>,
        subject: Subject,
    ) -> Self {
        Self { service, observer, end, subject }
    }
}

impl fmt::Debug for ObserveCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveCalls").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Intercept for ObserveCalls {
    fn name(&self) -> &'static str {
        "ObserveCalls"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Begun(Instant::now()));
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let before = config.load::<Attempts>().map_or(0, |attempts| attempts.0);
        if before > 0 {
            self.subject.budgets.charge(&self.subject.account, self.service);
        }
        config.interceptor_state().store_put(Attempts(before + 1));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().and_then(error_code).is_some_and(|code| codes::is_throttling(&code)) {
            self.subject.budgets.throttled(&self.subject.account, self.service);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("unknown", |metadata| metadata.name());
        let code = match context.output_or_error() {
            Some(Ok(_)) => "ok".to_owned(),
            failed => {
                let late = failed.and_then(Result::err).is_some_and(|error| {
                    error.is_timeout_error() || error.as_connector_error().is_some_and(ConnectorError::is_timeout)
                });
                let unanswered = if late { "timeout" } else { "dispatch" };
                context.response().and_then(error_code).unwrap_or_else(|| unanswered.to_owned())
            }
        };
        self.end.note(self.service, operation, &code);
        let took = config.load::<Begun>().map(|begun| begun.0.elapsed()).unwrap_or_default();
        self.observer.called(self.service, operation, &code, took);
        Ok(())
    }
}

/// The error's code as it stands in the answer: a header (REST), `__type` (JSON) or `<Code>` (Query).
fn error_code(response: &HttpResponse) -> Option<String> {
    let plain = |code: &str| code.rsplit('#').next().unwrap_or(code).split(':').next().unwrap_or(code).to_owned();
    if let Some(code) = response.headers().get("x-amzn-errortype") {
        return Some(plain(code));
    }
    let body = std::str::from_utf8(response.body().bytes()?).ok()?;
    if let Some((_, rest)) = body.split_once("<Code>") {
        return rest.split_once("</Code>").map(|(code, _)| code.to_owned());
    }
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body.get("__type").or_else(|| body.get("code")).and_then(serde_json::Value::as_str).map(plain)
}
