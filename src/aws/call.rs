//! What a call is about, and how the SDK's failure of it becomes an [`AwsError`].
//!
//! The whole source chain is looked at: credentials that cannot be had arrive inside a dispatch failure, and must not
//! pass for a network fault.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::{
    assume_role::AssumeRoleError, assume_role_with_web_identity::AssumeRoleWithWebIdentityError,
};
use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{ConnectorError, SdkError},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::Instant;

use super::{
    AwsError, AwsErrorKind, Budgets, InFlight, Turn, codes::kind_of, https::Untrusted, raw_json::NotSent, reader::Sent,
};
use crate::domain::{ids::AccountId, request_id};

/// Who calls, and where.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The account that is entered.
    pub(super) account: AccountId,
    /// ARN of the role (or other identity) that the calls are made as, once it is known.
    pub(super) caller: Option<String>,
    /// What the calls take their turns of.
    pub(super) in_flight: InFlight,
    /// What they are paid from.
    pub(super) budgets: Budgets,
    /// Where it is said when the first of these calls leaves, if somebody wants to know.
    sent: Option<Sent>,
}

/// What a call is about; an error's first half.
#[derive(Clone, Debug)]
pub(super) struct Call {
    service: &'static str,
    operation: &'static str,
    subject: Subject,
    resource: String,
}

impl Subject {
    /// A call of this subject.
    pub(super) fn call(&self, service: &'static str, operation: &'static str, resource: impl Into<String>) -> Call {
        Call { service, operation, subject: self.clone(), resource: resource.into() }
    }

    /// Of calls in this account.
    pub(super) fn new(account: AccountId, caller: Option<String>, in_flight: InFlight, budgets: Budgets) -> Self {
        Self { account, caller, in_flight, budgets, sent: None }
    }

    /// The same, where the first call that leaves says when it does.
    pub(super) fn marking(&self, sent: Sent) -> Self {
        Self { sent: Some(sent), ..self.clone() }
    }

    /// Leave for one call of a service in this account.
    pub(super) async fn turn(&self, service: &'static str) -> Turn {
        // First: whoever waits for the budget takes no turn from those who could call.
        self.budgets.leave(&self.account, service).await;
        self.in_flight.turn(&self.account, service).await
    }
}

impl Call {
    /// Sends a call in its turn, and classifies how it fails.
    pub(super) async fn send<T, E>(
        &self,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let turn = self.turn().await;
        self.send_in(&turn, request).await
    }

    /// Sends a call in a turn that was taken before: a write takes its own before the last look at what it rests on.
    pub(super) async fn send_in<T, E>(
        &self,
        turn: &Turn,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        self.leaves(turn);
        request.await.map_err(|error| self.classify(&error))
    }

    /// It leaves now, in this turn. A turn is paid for one call; what else is sent in it is paid later.
    pub(super) fn leaves(&self, turn: &Turn) {
        if !turn.begins() {
            self.subject.budgets.charge(&self.subject.account, self.service);
        }
        if let Some(sent) = &self.subject.sent {
            sent.get_or_init(Instant::now);
        }
    }

    /// Leave for this call.
    pub(super) async fn turn(&self) -> Turn {
        self.subject.turn(self.service).await
    }

    /// An error of this call that AWS did not answer itself.
    pub(super) fn failed(&self, kind: AwsErrorKind, message: impl Into<String>) -> AwsError {
        AwsError {
            service: self.service,
            operation: self.operation,
            account: Some(self.subject.account.clone()),
            resource: self.resource.clone(),
            caller: self.subject.caller.clone(),
            code: None,
            message: message.into(),
            also_missing: None,
            request_id: None,
            kind,
            outcome_unknown: false,
        }
    }

    /// AWS answered with success, but the answer cannot be used.
    pub(super) fn unusable(&self, message: impl Into<String>) -> AwsError {
        AwsError { outcome_unknown: self.mutates(), ..self.failed(AwsErrorKind::Other, message) }
    }

    /// Classifies what the SDK returned.
    pub(super) fn classify<E>(&self, error: &SdkError<E, HttpResponse>) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let outcome_unknown = self.mutates() && may_have_been_applied(error, status);
        let answered = error.as_service_error().and_then(|answered| Some((answered.code()?, answered.message())));
        let untrusted = in_chain::<Untrusted>(error);
        let failed = match (answered, untrusted) {
            (Some((code, message)), _) => {
                let message = message.unwrap_or_default();
                let kind = kind_of(self.service, self.operation, code, message);
                let code = Some(code.to_owned());
                let message = request_id::removed(&without_values(message)).into_owned();
                AwsError { code, request_id: id_of(error), ..self.failed(by_status(kind, status), message) }
            }
            (None, Some(untrusted)) => {
                let (host, fault) = (untrusted.host.clone(), untrusted.fault());
                self.failed(AwsErrorKind::CertificateNotTrusted { host, fault }, untrusted.said())
            }
            (None, None) if in_chain::<NotSent>(error).is_some() => self.failed(AwsErrorKind::Other, chain_text(error)),
            (None, None) => self.failed(without_answer(error, status), chain_text(error)),
        };
        AwsError { outcome_unknown, ..failed }
    }

    fn mutates(&self) -> bool {
        self.service != "sts" && !self.operation.starts_with("Get") && !self.operation.starts_with("List")
    }
}

/// The id that AWS gave the call.
fn id_of<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let headers = error.raw_response()?.headers();
    let id = ["x-amzn-requestid", "x-amz-request-id"].into_iter().find_map(|name| headers.get(name))?;
    let usual = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!id.is_empty() && id.len() <= 64 && id.chars().all(usual)).then(|| id.to_owned())
}

/// A code that the table does not know still has a status that says whose fault it is.
fn by_status(kind: AwsErrorKind, status: Option<u16>) -> AwsErrorKind {
    match (kind, status) {
        (AwsErrorKind::Other, Some(429)) => AwsErrorKind::Throttled,
        (AwsErrorKind::Other, Some(500..)) => AwsErrorKind::Unavailable,
        (kind, _) => kind,
    }
}

/// No answer of AWS: a timeout, a lost connection, something else's answer, or no credentials to ask with.
fn without_answer(error: &(dyn Error + 'static), status: Option<u16>) -> AwsErrorKind {
    if status == Some(429) {
        return AwsErrorKind::Throttled;
    }
    let Some(credentials) = in_chain::<CredentialsError>(error) else { return AwsErrorKind::Unavailable };
    // IRSA and role profiles call STS themselves; what STS says decides.
    let sts = in_chain::<AssumeRoleWithWebIdentityError>(error).and_then(ProvideErrorMetadata::code);
    let sts = sts.or_else(|| in_chain::<AssumeRoleError>(error).and_then(ProvideErrorMetadata::code));
    if let Some(code) = sts {
        return match kind_of("sts", "AssumeRoleWithWebIdentity", code, "") {
            kind @ (AwsErrorKind::Throttled | AwsErrorKind::Unavailable) => kind,
            _ => AwsErrorKind::NoCredentials,
        };
    }
    match credentials {
        CredentialsError::ProviderTimedOut(_) => AwsErrorKind::Unavailable,
        _ if in_chain::<ConnectorError>(credentials).is_some() => AwsErrorKind::Unavailable,
        _ => AwsErrorKind::NoCredentials,
    }
}

/// Whether AWS may have done what was asked although the call failed. Where it cannot be told, it may have.
fn may_have_been_applied<E>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> bool
where
    E: Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::ServiceError(_) => status.is_some_and(|status| status >= 500),
        SdkError::DispatchFailure(_) => {
            let never_connected = in_chain::<hyper_util::client::legacy::Error>(error)
                .is_some_and(hyper_util::client::legacy::Error::is_connect);
            let without_credentials = in_chain::<CredentialsError>(error).is_some();
            let not_sent = in_chain::<NotSent>(error).is_some() || in_chain::<Untrusted>(error).is_some();
            !(never_connected || without_credentials || not_sent)
        }
        _ => true,
    }
}

/// AWS's validation messages quote what was sent ("Value 'secret' at 'pipeline.stages.1…' failed to satisfy
/// constraint"), which can be a token in a configuration or an external id; messages end up in status and logs.
fn without_values(message: &str) -> String {
    let mut kept = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once("Value '") {
        let Some((_, behind)) = after.split_once("' at '") else { break };
        kept.push_str(before);
        kept.push_str("Value '…' at '");
        rest = behind;
    }
    kept + rest
}

fn in_chain<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn chain_text(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in chain(error) {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_not_quoted_back() {
        for (said, kept) in [
            (
                "2 validation errors detected: Value '' at 'name' failed; Value 'it's hush' at 'externalId' failed",
                "2 validation errors detected: Value '…' at 'name' failed; Value '…' at 'externalId' failed",
            ),
            ("Pipeline has only 1 stage(s).", "Pipeline has only 1 stage(s)."),
            ("Value 'open", "Value 'open"),
        ] {
            assert_eq!(without_values(said), kept);
        }
    }
}
