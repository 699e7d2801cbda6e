//! The admin path: what a test or a person does to the double behind AWS's back.
//!
//! One [`Command`] per deed. Over HTTP it is `POST /_fakeaws/command` with the command as JSON, for example
//! `{"command": "advance-clock", "seconds": 3600}`; the answer is JSON, or status 400 with `{"error": …}`.
//! `GET /_fakeaws/snapshot`, `/_fakeaws/calls` and `/_fakeaws/counters` are there for browsers and curl;
//! `GET /_fakeaws/settled` answers when functions have ended and pipelines have come as far as they can.

mod client;
mod direct;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::client::{Admin, AdminError};
use crate::{
    codepipeline::{self, ActionOutcome},
    knobs::{BulkAnswers, Fault, Propagation, RateLimit},
    lambda::Behaviour,
    server::{Shared, lock},
    snapshot::RoleSeed,
    state::World,
    wire::{Answer, Request},
};

/// One deed behind AWS's back.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Command {
    /// Adds a fault.
    AddFault {
        /// Which calls, and what happens to them.
        fault: Fault,
    },
    /// Removes all faults.
    ClearFaults {
        /// Only those that are for requests which hold this text.
        #[serde(default)]
        containing: Option<String>,
    },
    /// Sets both lags.
    SetPropagation {
        /// The lags from now on.
        propagation: Propagation,
    },
    /// Says how `GetAccountAuthorizationDetails` answers.
    SetBulkAnswers {
        /// From now on.
        bulk_answers: BulkAnswers,
    },
    /// Says what becomes of every Lambda action of a pipeline that is updated, as a merge patch (RFC 7386): a member that
    /// the service fills in one day, or a value that it keeps otherwise than it was sent. `None` ends it.
    KeepActionsAs {
        /// The patch from now on.
        patch: Option<Value>,
    },
    /// Limits the rate of calls per account and service; `None` lifts the limit.
    SetRateLimit {
        /// The limit from now on.
        limit: Option<RateLimit>,
    },
    /// Moves the clock forward. Actions whose time is up have failed when this returns.
    AdvanceClock {
        /// By how much.
        seconds: u64,
    },
    /// The calls so far, oldest first: an array of [`crate::Call`].
    Calls {},
    /// Forgets the calls.
    ClearCalls {},
    /// Calls since the last reset, per account and `service:Operation`.
    Counters {},
    /// Sets all counters to zero.
    ResetCounters {},
    /// `configuration` and `history`.
    Snapshot {},
    /// A pipeline's declaration as `configuration` has it; null if there is none.
    Pipeline {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Pipeline name.
        name: String,
    },
    /// Makes or replaces a role. A role that is there keeps its identity unless its path changes.
    PutRole {
        /// Account id.
        account: String,
        /// Role name.
        name: String,
        /// The whole role.
        role: RoleSeed,
    },
    /// Removes a role with all that hangs on it, as somebody else would.
    RemoveRole {
        /// Account id.
        account: String,
        /// Role name.
        name: String,
    },
    /// Replaces a trust policy.
    PutTrust {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// The document.
        document: Value,
    },
    /// Makes or replaces an inline policy.
    PutInlinePolicy {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// Policy name.
        policy: String,
        /// The document.
        document: Value,
    },
    /// Removes an inline policy.
    RemoveInlinePolicy {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// Policy name.
        policy: String,
    },
    /// Sets a tag of a role.
    PutTag {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// Tag key.
        key: String,
        /// Tag value.
        value: String,
    },
    /// Removes a tag of a role.
    RemoveTag {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// Tag key.
        key: String,
    },
    /// Sets or removes the permissions boundary of a role.
    SetBoundary {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// ARN of a managed policy; `None` removes the boundary.
        boundary: Option<String>,
    },
    /// Makes or replaces a managed policy.
    PutManagedPolicy {
        /// ARN of the policy.
        arn: String,
        /// The document.
        document: Value,
    },
    /// Removes a managed policy that nothing uses.
    RemoveManagedPolicy {
        /// ARN of the policy.
        arn: String,
    },
    /// Puts an account into an organization, or takes it out.
    SetOrganization {
        /// Account id.
        account: String,
        /// Such as `o-exampleorgid`.
        organization: Option<String>,
    },
    /// Attaches or replaces a control policy. With the first service control policy comes `FullAWSAccess`.
    PutControlPolicy {
        /// Account id.
        account: String,
        /// Service or resource control policy.
        kind: ControlPolicy,
        /// ARN or name of the policy; denials show an ARN.
        policy: String,
        /// The document.
        document: Value,
    },
    /// Detaches a control policy.
    RemoveControlPolicy {
        /// Account id.
        account: String,
        /// Service or resource control policy.
        kind: ControlPolicy,
        /// ARN or name of the policy.
        policy: String,
    },
    /// Attaches a managed policy to a role.
    AttachPolicy {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// ARN of the policy.
        arn: String,
    },
    /// Detaches a managed policy from a role.
    DetachPolicy {
        /// Account id.
        account: String,
        /// Role name.
        role: String,
        /// ARN of the policy.
        arn: String,
    },
    /// Makes or replaces a function.
    PutFunction {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Function name.
        name: String,
        /// `{role, runtime?, handler?, description?, timeout?, state?, vpcConfig?, environment?, behaviour?, tags?, …}`.
        function: Value,
    },
    /// Removes a function.
    RemoveFunction {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Function name.
        name: String,
    },
    /// Says what a function does from now on.
    SetBehaviour {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Function name.
        name: String,
        /// What it does when it is invoked.
        behaviour: Behaviour,
    },
    /// Delivers the latest event of a function once more, as Lambda may at any time.
    DeliverAgain {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Function name.
        name: String,
    },
    /// Makes a long-lived access key.
    PutKey {
        /// The access key id.
        key: String,
        /// ARN of a root, role or user.
        arn: String,
    },
    /// Ends all sessions, as if every temporary credential had expired.
    ExpireSessions {},
    /// Creates a pipeline or replaces its declaration, as somebody else would: the version goes up by one and what
    /// runs is cancelled.
    ReplacePipeline {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// The whole declaration; a `version` in it does not count.
        declaration: Value,
    },
    /// Removes a pipeline.
    RemovePipeline {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Pipeline name.
        name: String,
    },
    /// Makes an execution, or changes one.
    PutExecution {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Pipeline name.
        name: String,
        /// `InProgress`, `Stopping`, `Succeeded`, `Failed`, `Stopped`, `Cancelled` or `Superseded`.
        status: String,
        /// An execution's id; `None` makes a new execution.
        id: Option<String>,
        /// The stage that it is in; `None` is between two stages.
        stage: Option<String>,
    },
    /// Says what becomes of executions that are started from now on.
    SetStartedExecutions {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Pipeline name.
        name: String,
        /// `None` walks through the stages (the default); `InProgress` stays until it is changed by hand; anything else
        /// is what it has become when the call returns.
        #[serde(default)]
        status: Option<String>,
    },
    /// Says where an artifact bucket is. A bucket of which nothing was said is wherever a pipeline needs it.
    SetBucket {
        /// The bucket's name.
        bucket: String,
        /// Its region; `None` says that there is no such bucket.
        region: Option<String>,
    },
    /// Says whether a region has an action type. One of which nothing was said is available.
    SetActionType {
        /// Region.
        region: String,
        /// Category, owner, provider and version: `Compute/AWS/Commands/1`.
        action_type: String,
        /// Whether it is available there.
        available: bool,
    },
    /// Says what becomes of an action that the double does not run itself (a source, a build, a deployment), from now on
    /// and where it is held.
    SetAction {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Pipeline name.
        name: String,
        /// Stage name.
        stage: String,
        /// Action name.
        action: String,
        /// What becomes of it.
        outcome: ActionOutcome,
    },
    /// Says what becomes of a rule of a stage's condition, from now on and where it is held.
    SetRule {
        /// Account id.
        account: String,
        /// Region.
        region: String,
        /// Pipeline name.
        name: String,
        /// Stage name.
        stage: String,
        /// `beforeEntry`, `onSuccess` or `onFailure`.
        condition: String,
        /// Rule name.
        rule: String,
        /// What becomes of it.
        outcome: ActionOutcome,
    },
}

/// The control policies of an organization.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlPolicy {
    /// Limits what the principals of an account may do.
    Service,
    /// Limits what may be done with the resources of an account, also by principals of other accounts.
    Resource,
}

/// Does one deed.
pub(crate) fn run(world: &mut World, command: Command) -> Result<Value, String> {
    let done = Ok(json!({}));
    match command {
        Command::AddFault { fault } => world.knobs.add(fault),
        Command::ClearFaults { containing } => world.knobs.clear_faults(containing.as_deref()),
        Command::SetPropagation { propagation } => world.knobs.propagation = propagation,
        Command::SetBulkAnswers { bulk_answers } => world.knobs.bulk_answers = bulk_answers,
        Command::KeepActionsAs { patch } => world.knobs.kept_as = patch,
        Command::SetRateLimit { limit } => world.knobs.limit_rate(limit),
        Command::AdvanceClock { seconds } => {
            world.clock.advance(std::time::Duration::from_secs(seconds));
            codepipeline::run::run_timers(world);
            world.signals.changed();
        }
        Command::Calls {} => return Ok(json!(world.log.calls())),
        Command::ClearCalls {} => world.log.clear(),
        Command::Counters {} => return Ok(json!(world.log.counters())),
        Command::ResetCounters {} => world.log.reset_counters(),
        Command::Snapshot {} => return Ok(world.snapshot()),
        Command::Pipeline { account, region, name } => {
            let account = world.accounts.get(&account).ok_or_else(|| format!("no account {account}"))?;
            let mut declaration = account.pipelines.configuration_of(&region, &name).unwrap_or_default();
            declaration.sort_all_objects();
            return Ok(declaration);
        }
        Command::ExpireSessions {} => world.expire_sessions(),
        Command::SetBucket { bucket, region } => world.places.set_bucket(bucket, region),
        Command::SetActionType { region, action_type, available } => {
            world.places.set_action_type(region, action_type, available);
        }
        other => return direct::change(world, other),
    }
    done
}

/// Answers a request under `/_fakeaws/`.
pub(crate) fn over_http(world: &Shared, path: &str, request: &Request) -> Answer {
    let command = match (request.method.as_str(), path) {
        ("GET", "snapshot") => Ok(Command::Snapshot {}),
        ("GET", "calls") => Ok(Command::Calls {}),
        ("GET", "counters") => Ok(Command::Counters {}),
        ("POST", "command") => serde_json::from_slice(&request.body).map_err(|error| error.to_string()),
        (method, path) => Err(format!("no {method} /_fakeaws/{path}; commands go to POST /_fakeaws/command")),
    };
    let outcome = command.and_then(|command| run(&mut lock(world), command));
    let (status, body) = match outcome {
        Ok(body) => (200, body),
        Err(error) => (400, json!({"error": error})),
    };
    let headers = vec![("content-type", "application/json".to_owned())];
    Answer { status, headers, body: body.to_string().into_bytes() }
}
