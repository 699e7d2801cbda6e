//! The handle on a double: in this process, or in another one over HTTP, with the same methods.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Command, ControlPolicy, run};
use crate::{
    call_log::{Call, Counters},
    codepipeline::ActionOutcome,
    knobs::{BulkAnswers, Effect, Fault, Propagation, RateLimit},
    lambda::Behaviour,
    server::{Shared, lock},
    snapshot::RoleSeed,
};

/// A deed that could not be done; the text says why.
#[derive(Debug, thiserror::Error)]
#[error("fakeaws admin: {0}")]
pub struct AdminError(String);

/// A handle on a double. Its methods block for the moment that a loopback request takes.
#[derive(Clone, Debug)]
pub struct Admin(Transport);

#[derive(Clone, Debug)]
enum Transport {
    InProcess(Shared),
    Http { authority: String },
}

type Done = Result<(), AdminError>;

impl Admin {
    pub(crate) fn in_process(world: Shared) -> Self {
        Self(Transport::InProcess(world))
    }

    /// A double that another process serves at `http://host:port`.
    ///
    /// # Errors
    /// If the endpoint has another form.
    pub fn connect(endpoint: &str) -> Result<Self, AdminError> {
        let authority = endpoint.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|authority| authority.contains(':') && !authority.contains('/'));
        let authority = authority.ok_or_else(|| AdminError(format!("{endpoint} is not http://host:port")))?;
        Ok(Self(Transport::Http { authority: authority.to_owned() }))
    }

    /// Does any deed; the other methods are shorthands for it.
    ///
    /// # Errors
    /// If the double refuses it, or cannot be reached.
    pub fn run(&self, command: Command) -> Result<Value, AdminError> {
        match &self.0 {
            Transport::InProcess(world) => run(&mut lock(world), command).map_err(AdminError),
            Transport::Http { authority } => post(authority, &command),
        }
    }

    fn done(&self, command: Command) -> Done {
        self.run(command).map(|_| ())
    }

    fn read<T: DeserializeOwned>(&self, command: Command) -> Result<T, AdminError> {
        serde_json::from_value(self.run(command)?).map_err(|error| AdminError(error.to_string()))
    }
}

/// Faults, lags, clock.
///
/// Every method fails if the double cannot be reached.
#[allow(clippy::missing_errors_doc, reason = "said once for all, above")]
impl Admin {
    /// Adds a fault: `admin.fault(Fault::next("CreateRole", Effect::Throttle).times(3))`.
    pub fn fault(&self, fault: Fault) -> Done {
        self.done(Command::AddFault { fault })
    }

    /// The next call of an operation answers an error, before anything is applied.
    pub fn fail_next(&self, operation: &str, code: &str, message: &str, status: u16) -> Done {
        self.fault(Fault::next(operation, Effect::fail(code, message, status)))
    }

    /// The next call of an operation is applied, and its connection closed without an answer.
    pub fn drop_next(&self, operation: &str) -> Done {
        self.fault(Fault::next(operation, Effect::DropAfterApplying))
    }

    /// Removes all faults.
    pub fn clear_faults(&self) -> Done {
        self.done(Command::ClearFaults { containing: None })
    }

    /// Removes the faults that are for requests which hold this text.
    pub fn clear_faults_containing(&self, text: &str) -> Done {
        self.done(Command::ClearFaults { containing: Some(text.to_owned()) })
    }

    /// Sets both lags.
    pub fn set_propagation(&self, propagation: Propagation) -> Done {
        self.done(Command::SetPropagation { propagation })
    }

    /// Says how `GetAccountAuthorizationDetails` answers.
    pub fn set_bulk_answers(&self, bulk_answers: BulkAnswers) -> Done {
        self.done(Command::SetBulkAnswers { bulk_answers })
    }

    /// Keeps every Lambda action of a pipeline that is updated with this merge patch applied.
    pub fn keep_actions_as(&self, patch: Option<Value>) -> Done {
        self.done(Command::KeepActionsAs { patch })
    }

    /// Limits the rate of calls per account and service.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) -> Done {
        self.done(Command::SetRateLimit { limit })
    }

    /// Moves the clock forward.
    pub fn advance_clock(&self, seconds: u64) -> Done {
        self.done(Command::AdvanceClock { seconds })
    }

    /// Ends all sessions, as if every temporary credential had expired.
    pub fn expire_sessions(&self) -> Done {
        self.done(Command::ExpireSessions {})
    }
}

/// What happened and what there is.
///
/// Every method fails if the double cannot be reached.
#[allow(clippy::missing_errors_doc, reason = "said once for all, above")]
impl Admin {
    /// The calls so far, oldest first.
    pub fn calls(&self) -> Result<Vec<Call>, AdminError> {
        self.read(Command::Calls {})
    }

    /// Forgets the calls.
    pub fn clear_calls(&self) -> Done {
        self.done(Command::ClearCalls {})
    }

    /// Calls since the last reset, per account and `service:Operation`.
    pub fn counters(&self) -> Result<Counters, AdminError> {
        self.read(Command::Counters {})
    }

    /// Sets all counters to zero.
    pub fn reset_counters(&self) -> Done {
        self.done(Command::ResetCounters {})
    }

    /// `configuration` and `history`.
    pub fn snapshot(&self) -> Result<Value, AdminError> {
        self.run(Command::Snapshot {})
    }

    /// A role as it is, if it exists.
    pub fn role(&self, account: &str, name: &str) -> Result<Option<RoleSeed>, AdminError> {
        let role = self.configuration()?["accounts"][account]["roles"][name].take();
        serde_json::from_value(role).map_err(|error| AdminError(error.to_string()))
    }

    /// A pipeline's whole declaration without `version`, if it exists.
    pub fn pipeline(&self, account: &str, region: &str, name: &str) -> Result<Option<Value>, AdminError> {
        let (account, region, name) = (account.to_owned(), region.to_owned(), name.to_owned());
        let pipeline = self.run(Command::Pipeline { account, region, name })?;
        Ok(Some(pipeline).filter(|pipeline| !pipeline.is_null()))
    }

    /// The snapshot's `configuration`: what two moments are compared by.
    pub fn configuration(&self) -> Result<Value, AdminError> {
        Ok(self.snapshot()?["configuration"].take())
    }
}

/// Changes of IAM and Lambda behind AWS's back.
///
/// Every method fails if the double cannot be reached, or if what it names is not there.
#[allow(clippy::missing_errors_doc, reason = "said once for all, above")]
impl Admin {
    /// Makes or replaces a role.
    pub fn put_role(&self, account: &str, name: &str, role: RoleSeed) -> Done {
        self.done(Command::PutRole { account: account.to_owned(), name: name.to_owned(), role })
    }

    /// Removes a role with all that hangs on it.
    pub fn remove_role(&self, account: &str, name: &str) -> Done {
        self.done(Command::RemoveRole { account: account.to_owned(), name: name.to_owned() })
    }

    /// Replaces a trust policy.
    pub fn put_trust(&self, account: &str, role: &str, document: Value) -> Done {
        self.done(Command::PutTrust { account: account.to_owned(), role: role.to_owned(), document })
    }

    /// Makes or replaces an inline policy.
    pub fn put_inline_policy(&self, account: &str, role: &str, policy: &str, document: Value) -> Done {
        let (account, role, policy) = (account.to_owned(), role.to_owned(), policy.to_owned());
        self.done(Command::PutInlinePolicy { account, role, policy, document })
    }

    /// Removes an inline policy.
    pub fn remove_inline_policy(&self, account: &str, role: &str, policy: &str) -> Done {
        let (account, role, policy) = (account.to_owned(), role.to_owned(), policy.to_owned());
        self.done(Command::RemoveInlinePolicy { account, role, policy })
    }

    /// Sets a tag of a role.
    pub fn put_tag(&self, account: &str, role: &str, key: &str, value: &str) -> Done {
        let (account, role) = (account.to_owned(), role.to_owned());
        self.done(Command::PutTag { account, role, key: key.to_owned(), value: value.to_owned() })
    }

    /// Removes a tag of a role.
    pub fn remove_tag(&self, account: &str, role: &str, key: &str) -> Done {
        self.done(Command::RemoveTag { account: account.to_owned(), role: role.to_owned(), key: key.to_owned() })
    }

    /// Sets the permissions boundary of a role to a managed policy, or removes it.
    pub fn set_boundary(&self, account: &str, role: &str, boundary: Option<&str>) -> Done {
        let (account, role) = (account.to_owned(), role.to_owned());
        self.done(Command::SetBoundary { account, role, boundary: boundary.map(str::to_owned) })
    }

    /// Makes or replaces a managed policy.
    pub fn put_managed_policy(&self, arn: &str, document: Value) -> Done {
        self.done(Command::PutManagedPolicy { arn: arn.to_owned(), document })
    }

    /// Removes a managed policy that nothing uses.
    pub fn remove_managed_policy(&self, arn: &str) -> Done {
        self.done(Command::RemoveManagedPolicy { arn: arn.to_owned() })
    }

    /// Puts an account into an organization, or takes it out.
    pub fn set_organization(&self, account: &str, organization: Option<&str>) -> Done {
        let organization = organization.map(str::to_owned);
        self.done(Command::SetOrganization { account: account.to_owned(), organization })
    }

    /// Attaches or replaces a service or resource control policy of an account, by ARN or name.
    pub fn put_control_policy(&self, account: &str, kind: ControlPolicy, policy: &str, document: Value) -> Done {
        let (account, policy) = (account.to_owned(), policy.to_owned());
        self.done(Command::PutControlPolicy { account, kind, policy, document })
    }

    /// Detaches a service or resource control policy from an account.
    pub fn remove_control_policy(&self, account: &str, kind: ControlPolicy, policy: &str) -> Done {
        let (account, policy) = (account.to_owned(), policy.to_owned());
        self.done(Command::RemoveControlPolicy { account, kind, policy })
    }

    /// Attaches a managed policy to a role.
    pub fn attach_policy(&self, account: &str, role: &str, arn: &str) -> Done {
        let (account, role) = (account.to_owned(), role.to_owned());
        self.done(Command::AttachPolicy { account, role, arn: arn.to_owned() })
    }

    /// Detaches a managed policy from a role.
    pub fn detach_policy(&self, account: &str, role: &str, arn: &str) -> Done {
        let (account, role) = (account.to_owned(), role.to_owned());
        self.done(Command::DetachPolicy { account, role, arn: arn.to_owned() })
    }

    /// Makes or replaces a function: `{role, runtime?, handler?, description?, timeout?, environment?, behaviour?, tags?}`.
    pub fn put_function(&self, account: &str, region: &str, name: &str, function: Value) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), name.to_owned());
        self.done(Command::PutFunction { account, region, name, function })
    }

    /// Removes a function.
    pub fn remove_function(&self, account: &str, region: &str, name: &str) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), name.to_owned());
        self.done(Command::RemoveFunction { account, region, name })
    }
}

/// Changes of pipelines behind AWS's back.
///
/// Every method fails if the double cannot be reached, or if what it names is not there.
#[allow(clippy::missing_errors_doc, reason = "said once for all, above")]
impl Admin {
    /// Creates a pipeline or replaces its declaration as somebody else would, and cancels what runs.
    pub fn replace_pipeline(&self, account: &str, region: &str, declaration: Value) -> Result<Value, AdminError> {
        let (account, region) = (account.to_owned(), region.to_owned());
        self.run(Command::ReplacePipeline { account, region, declaration })
    }

    /// Removes a pipeline.
    pub fn remove_pipeline(&self, account: &str, region: &str, name: &str) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), name.to_owned());
        self.done(Command::RemovePipeline { account, region, name })
    }

    /// Says where an artifact bucket is; `None` says that there is none of this name.
    pub fn set_bucket(&self, bucket: &str, region: Option<&str>) -> Done {
        self.done(Command::SetBucket { bucket: bucket.to_owned(), region: region.map(str::to_owned) })
    }

    /// Says whether a region has an action type, such as `Compute/AWS/Commands/1`.
    pub fn set_action_type(&self, region: &str, action_type: &str, available: bool) -> Done {
        let (region, action_type) = (region.to_owned(), action_type.to_owned());
        self.done(Command::SetActionType { region, action_type, available })
    }

    /// Makes a new execution (`execution` is `None`) or changes one; without a `stage` it stands between two stages.
    /// Returns its id.
    pub fn put_execution(
        &self,
        (account, region, pipeline): (&str, &str, &str),
        execution: Option<&str>,
        status: &str,
        stage: Option<&str>,
    ) -> Result<String, AdminError> {
        let answer = self.run(Command::PutExecution {
            account: account.to_owned(),
            region: region.to_owned(),
            name: pipeline.to_owned(),
            status: status.to_owned(),
            id: execution.map(str::to_owned),
            stage: stage.map(str::to_owned),
        })?;
        let id = answer["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| AdminError(format!("no execution id in {answer}")))
    }
}

/// Executions that are started over the API.
///
/// Every method fails if the double cannot be reached, or if what it names is not there.
#[allow(clippy::missing_errors_doc, reason = "said once for all, above")]
impl Admin {
    /// What becomes of executions that `StartPipelineExecution` starts from now on: `None` walks through the stages (the
    /// default), `InProgress` stays until [`Self::put_execution`] changes it, and anything else is what it has become
    /// when the call returns.
    pub fn set_started_executions<'s>(
        &self,
        (account, region, pipeline): (&str, &str, &str),
        status: impl Into<Option<&'s str>>,
    ) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), pipeline.to_owned());
        let status = status.into().map(str::to_owned);
        self.done(Command::SetStartedExecutions { account, region, name, status })
    }

    /// What becomes of an action that the double does not run itself (a source, a build, a deployment), from now on and
    /// where it is held.
    pub fn set_action(
        &self,
        (account, region, pipeline): (&str, &str, &str),
        (stage, action): (&str, &str),
        outcome: ActionOutcome,
    ) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), pipeline.to_owned());
        let (stage, action) = (stage.to_owned(), action.to_owned());
        self.done(Command::SetAction { account, region, name, stage, action, outcome })
    }

    /// What becomes of a rule of a stage's condition (`beforeEntry`, `onSuccess` or `onFailure`), from now on and where it
    /// is held.
    pub fn set_rule(
        &self,
        (account, region, pipeline): (&str, &str, &str),
        (stage, condition, rule): (&str, &str, &str),
        outcome: ActionOutcome,
    ) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), pipeline.to_owned());
        let (stage, condition, rule) = (stage.to_owned(), condition.to_owned(), rule.to_owned());
        self.done(Command::SetRule { account, region, name, stage, condition, rule, outcome })
    }

    /// What a function does from now on.
    pub fn set_behaviour(&self, (account, region, function): (&str, &str, &str), behaviour: Behaviour) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), function.to_owned());
        self.done(Command::SetBehaviour { account, region, name, behaviour })
    }

    /// Delivers the latest event of a function once more, as Lambda may at any time.
    pub fn deliver_again(&self, (account, region, function): (&str, &str, &str)) -> Done {
        let (account, region, name) = (account.to_owned(), region.to_owned(), function.to_owned());
        self.done(Command::DeliverAgain { account, region, name })
    }
}

/// One request over a connection of its own.
fn post(authority: &str, command: &Command) -> Result<Value, AdminError> {
    let failed = |error: &dyn std::fmt::Display| AdminError(format!("http://{authority}: {error}"));
    let body = serde_json::to_string(command).map_err(|error| failed(&error))?;
    let mut stream = TcpStream::connect(authority).map_err(|error| failed(&error))?;
    let head = format!(
        "POST /_fakeaws/command HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = String::new();
    stream.write_all(format!("{head}{body}").as_bytes()).map_err(|error| failed(&error))?;
    stream.read_to_string(&mut answer).map_err(|error| failed(&error))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| failed(&"no HTTP answer"))?;
    let value: Value = serde_json::from_str(body).map_err(|error| failed(&error))?;
    if head.starts_with("HTTP/1.1 200") {
        return Ok(value);
    }
    Err(failed(&value["error"].as_str().unwrap_or(head)))
}
