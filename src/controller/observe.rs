//! AWS reads of one reconcile, in two waves: what the spec names, then the policies on the roles that the first wave
//! showed, which are shared.

use std::collections::BTreeSet;

use super::{
    context::Context,
    outcome::{Retry, Verdict},
    pass::Pass,
    sessions::Reads,
};
use crate::{
    api::Reason,
    aws::{AccountReader, AwsError, AwsErrorKind},
    domain::{
        absence::SECOND_LOOK,
        ids::{Arn, PipelineName, RoleId, RoleName},
        inventory::Part,
        names,
        observed::{ExtraPolicy, ExtraPolicyName, Function, InvokeRole, Observed, Pipeline, Resource},
        plan::Situation,
        policy, targets,
    },
};

/// What is looked for on our roles beside P1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Every other policy, with a look at whether it grants anything.
    Converge,
    /// Nothing: what was just written is read back.
    Reread,
    /// Every other policy, whatever it says, since all of them have to go before the role.
    Remove,
}

/// First wave: pipelines, function, invoke roles with the policies on them.
///
/// # Errors
/// The first read that AWS did not answer.
pub async fn named(
    reads: &Reads,
    situation: &Situation<'_>,
    purpose: Purpose,
    untouched: Untouched,
) -> Result<Observed, AwsError> {
    let mut observed = Observed::default();
    for name in targets::pipelines(situation) {
        let read = pipeline(reads, situation, &name).await;
        if untouched.pipeline && name == situation.declared.pipeline && read.as_ref().is_err_and(is_denied) {
            tracing::info!(pipeline = %name, "a pipeline that may not be read never had anything of this object");
            continue;
        }
        observed.pipelines.insert(name, read?);
    }
    let function = if targets::reads_function(situation) { function(reads, situation, untouched).await? } else { None };
    observed.function = function.map(|function| Function { arn: function.arn, role: function.role });
    let execution_role = observed.function.as_ref().and_then(|function| function.role.role());
    for name in targets::roles(situation) {
        let role = role(reads, situation, &name, purpose, execution_role.as_ref()).await?;
        observed.roles.insert(name, role);
    }
    Ok(observed)
}

/// The declared function.
async fn function(
    reads: &Reads,
    situation: &Situation<'_>,
    untouched: Untouched,
) -> Result<Option<crate::aws::FunctionRead>, AwsError> {
    match reads.dev.get_function(&situation.declared.function).await {
        Err(error) if untouched.function && is_denied(&error) => {
            let function = &situation.declared.function;
            tracing::info!(%function, "a function that may not be read never had anything of this object");
            Ok(None)
        }
        read => read,
    }
}

/// Takes note of the pipelines that were not found: one wrong answer must not pass for a pipeline that is gone. Where the answer
/// may be one that somebody else's look had got, they are read again first, since it would count twice.
///
/// # Errors
/// As AWS answers.
pub async fn doubt(
    pass: &Pass<'_>,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &mut Observed,
) -> Result<(), AwsError> {
    let (context, tools) = (pass.context, &situation.declared.tools);
    let missing = observed.pipelines.iter().filter(|(_, read)| read.is_none()).map(|(name, _)| name.clone());
    let missing: Vec<PipelineName> = missing.filter(|_| pass.reader.used_earlier()).collect();
    for name in missing {
        let read = pipeline(&reads.fresh(), situation, &name).await?;
        observed.pipelines.insert(name, read);
    }
    for (name, pipeline) in &observed.pipelines {
        let (account, region) = (tools.account.clone(), tools.region.clone());
        let resource = Resource::Pipeline { account, region, name: name.clone() };
        if context.memory.is_doubted(&resource, pipeline.is_some(), Context::now()) {
            observed.doubted.insert(name.clone());
        }
    }
    Ok(())
}

/// What an object without a grant is told.
pub const LOOKING: &str =
    "what exists in AWS because of this object is being looked for, and is removed when it is found";

/// The verdict while pipelines are in doubt.
#[must_use]
pub fn doubted(situation: &Situation<'_>, reason: Reason, pipelines: &BTreeSet<PipelineName>) -> Option<Verdict> {
    let tools = &situation.declared.tools;
    let name = pipelines.first()?;
    let message = format!(
        "pipeline {name} in tools account {}, {}, is not found; it is looked at again, and nothing that its action needs is \
         removed before a second look says the same",
        tools.account, tools.region
    );
    Some(Verdict::Reconciling {
        reason,
        // An object without a grant is told nothing of the accounts.
        message: if situation.granted.today { message } else { LOOKING.to_owned() },
        retry: Retry::After(SECOND_LOOK),
    })
}

/// What of the spec is known never to have been in place, by this process itself: where it may not be read, deletion does
/// without.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untouched {
    /// Nothing of the object was ever in the declared pipeline.
    pub pipeline: bool,
    /// Nothing of the object was ever made for the declared function.
    pub function: bool,
}

/// Whether AWS refused a call for want of a right.
#[must_use]
pub fn is_denied(error: &AwsError) -> bool {
    matches!(error.kind, AwsErrorKind::AccessDenied { .. })
}

/// One pipeline.
///
/// # Errors
/// As AWS answers.
pub async fn pipeline(
    reads: &Reads,
    situation: &Situation<'_>,
    name: &PipelineName,
) -> Result<Option<Pipeline>, AwsError> {
    let read = reads.tools.get_pipeline(name).await?;
    Ok(read.map(|read| described(situation, name, read)))
}

/// A pipeline as `UpdatePipeline` answered it: later reads may still show the one before.
#[must_use]
pub fn answered(situation: &Situation<'_>, name: &PipelineName, answer: crate::aws::PipelineRead) -> Pipeline {
    Pipeline { unread: true, ..described(situation, name, answer) }
}

fn described(situation: &Situation<'_>, name: &PipelineName, read: crate::aws::PipelineRead) -> Pipeline {
    let tools = &situation.declared.tools;
    // `metadata` carries the ARN; where a service leaves it out, its parts are all known.
    let arn = read.arn.unwrap_or_else(|| Arn::of_pipeline(read.role.partition(), &tools.region, &tools.account, name));
    Pipeline { declaration: read.declaration, version: read.version, role: read.role, arn, unread: false }
}

/// One role with P1, and as the purpose asks with everything else that hangs on it. Where the function runs as the very
/// role, its callback policy is no stranger there.
///
/// # Errors
/// As AWS answers.
pub async fn role(
    reads: &Reads,
    situation: &Situation<'_>,
    name: &RoleName,
    purpose: Purpose,
    execution_role: Option<&RoleId>,
) -> Result<Option<InvokeRole>, AwsError> {
    let dev = &reads.dev;
    let Some(read) = dev.get_role(name).await? else { return Ok(None) };
    let owned = names::owned(&read.tags, situation.installation, &situation.declared.key);
    let policy = names::invoke_policy(situation.installation);
    // Of a role that is somebody else's nothing more is of interest: it is a conflict, or left alone.
    let invoke_policy = if owned { dev.get_role_policy(name, &policy).await? } else { None };
    let extra_policies = if owned && purpose != Purpose::Reread {
        let runs_as_it = execution_role.is_some_and(|role| role.name == *name);
        extra_policies(dev, situation, name, purpose, runs_as_it).await?
    } else {
        Vec::new()
    };
    Ok(Some(InvokeRole {
        arn: read.arn,
        path: read.path,
        trust: read.trust,
        tags: read.tags,
        boundary: read.boundary,
        invoke_policy,
        extra_policies,
    }))
}

/// The policies on our role that we did not write.
async fn extra_policies(
    dev: &AccountReader,
    situation: &Situation<'_>,
    role: &RoleName,
    purpose: Purpose,
    runs_as_it: bool,
) -> Result<Vec<ExtraPolicy>, AwsError> {
    let installation = situation.installation;
    let mut ours = vec![names::invoke_policy(installation)];
    if purpose == Purpose::Converge && runs_as_it {
        ours.push(names::callback_policy(installation));
    }
    let mut extras = Vec::new();
    for name in dev.list_role_policies(role).await?.into_iter().filter(|name| !ours.contains(name)) {
        let (grants, denies) = match purpose {
            Purpose::Remove => (true, false),
            _ => match dev.get_role_policy(role, &name).await? {
                Some(document) => (policy::grants(&document), policy::denies(&document)),
                None => continue,
            },
        };
        extras.push(ExtraPolicy { name: ExtraPolicyName::Inline(name), grants, denies });
    }
    for arn in dev.list_attached_role_policies(role).await? {
        let (grants, denies) = match purpose {
            Purpose::Remove => (true, false),
            _ => match dev.managed_policy(&arn).await? {
                Some(document) => (policy::grants(&document), policy::denies(&document)),
                None => continue,
            },
        };
        extras.push(ExtraPolicy { name: ExtraPolicyName::Attached(arn), grants, denies });
    }
    Ok(extras)
}

/// Second wave: P2 on every execution role that may carry it for this object. What the object needs is known by now to those who
/// write it, and no write is on its way meanwhile: what is read here stays as long as it is needed.
///
/// # Errors
/// As AWS answers.
pub async fn callbacks(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &mut Observed,
) -> Result<(), AwsError> {
    let roles = execution_roles(situation, observed);
    loop {
        let quiet = context.roles.quiet(&roles).await;
        callbacks_of(reads, situation, observed, &roles).await?;
        if context.roles.undisturbed(&quiet) {
            return Ok(());
        }
    }
}

/// Third wave: P3 on every pipeline role that may carry it for this object, in the same way.
///
/// # Errors
/// As AWS answers.
pub async fn assumes(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &mut Observed,
    purpose: Purpose,
) -> Result<(), AwsError> {
    let roles = pipeline_roles(situation, observed, purpose);
    loop {
        let quiet = context.roles.quiet(&roles).await;
        assumes_of(reads, situation, observed, &roles).await?;
        if context.roles.undisturbed(&quiet) {
            return Ok(());
        }
    }
}

/// Reads P2 of these roles.
async fn callbacks_of(
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &mut Observed,
    roles: &BTreeSet<RoleId>,
) -> Result<(), AwsError> {
    let policy = names::callback_policy(situation.installation);
    for role in roles {
        let document = reads.dev.get_role_policy(&role.name, &policy).await?;
        observed.callback.insert(role.clone(), document);
    }
    Ok(())
}

/// Reads P3 of these roles.
async fn assumes_of(
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &mut Observed,
    roles: &BTreeSet<RoleId>,
) -> Result<(), AwsError> {
    let policy = names::assume_policy(situation.installation);
    for role in roles {
        let document = reads.tools.get_role_policy(&role.name, &policy).await?;
        observed.assume.insert(role.clone(), document);
    }
    Ok(())
}

/// The roles of the dev account that may carry P2 for this object.
fn execution_roles(situation: &Situation<'_>, observed: &Observed) -> BTreeSet<RoleId> {
    let function = observed.function.as_ref();
    // As it was read first: of one role under two ARNs the first name counts.
    let seen = function.and_then(|function| function.role.role());
    let recorded = situation.inventory.roles(Part::CallbackPolicy);
    // The spec's own word, for a function that is gone together with the status.
    let says = situation.declared.execution_role.as_ref().filter(|_| situation.granted.today && function.is_none());
    let expected = says.and_then(Arn::role);
    let account = &situation.declared.dev.account;
    seen.into_iter().chain(recorded).chain(expected).filter(|role| role.account == *account).collect()
}

/// The roles of the tools account that may carry P3 for this object.
fn pipeline_roles(situation: &Situation<'_>, observed: &Observed, purpose: Purpose) -> BTreeSet<RoleId> {
    let seen = observed.pipeline(&situation.declared.pipeline).and_then(|pipeline| pipeline.role.role());
    let mut roles: BTreeSet<RoleId> = seen.into_iter().collect();
    roles.extend(situation.inventory.roles(Part::AssumePolicy));
    if purpose == Purpose::Remove {
        // Where pipeline and status are both gone, the trust policy of our role still names the pipeline role.
        let own = observed.roles.values().flatten();
        let own = own.filter(|role| names::owned(&role.tags, situation.installation, &situation.declared.key));
        let trusted = own.filter_map(|role| policy::trusted_pipeline_roles(&role.trust)).flatten();
        roles.extend(trusted.filter_map(|role| role.role()));
    }
    roles.retain(|role| role.account == situation.declared.tools.account);
    roles
}
