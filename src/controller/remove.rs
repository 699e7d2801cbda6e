//! An object that is being deleted: the action goes first, when the pipeline is idle; then P3, P2, P1 and the role; and
//! only when all of it is read as gone does the object go.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    apply,
    context::{Context, FINALIZER},
    converge::edit_pipeline,
    entered::Entered,
    evidence,
    observe::{self, Purpose, Untouched},
    others,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    pipeline_writer, record, role_changes, role_writer,
    sessions::Reads,
    standing::{self, Standing, standing},
    unknown,
};
use crate::{
    api::{CrossAccountInvoke, Reason, annotation},
    aws::AwsError,
    cluster::kind,
    domain::{
        gate,
        ids::{AccountId, RoleId},
        inventory::{Item, Part},
        names,
        observed::{Observed, Resource},
        own_writes::{FORGIVEN_FOR, State},
        plan::{self, Comparison, Phase, Situation},
        retry,
    },
};

/// Removes everything of one object.
///
/// # Errors
/// A verdict that ends the reconcile early, or a status write that was not taken.
pub async fn run(pass: &mut Pass<'_>) -> Result<Verdict, Halt> {
    let context = pass.context;
    kind_stays(pass).await?;
    let has_nothing = match standing(pass) {
        Standing::Known => false,
        Standing::Claimed => !standing::is_proven(pass).await?,
        Standing::Nothing => true,
    };
    if has_nothing {
        return Ok(Verdict::Released);
    }
    let mut entered = Entered::open(pass, gate::access_for_removal).await?;
    let reads = &entered.sessions.reads;
    let situation = entered.situation(context);
    let untouched = untouched(context, &situation, &pass.uid);
    let mut observed = match observe::named(reads, &situation, Purpose::Remove, untouched).await {
        Err(error) if observe::is_denied(&error) => return Ok(out_of_sight(&situation, error)),
        read => read?,
    };
    observe::doubt(pass, reads, &situation, &mut observed).await?;
    if let Some(verdict) = observe::doubted(&situation, Reason::Deleting, &observed.doubted) {
        return Ok(verdict);
    }
    role_changes::look(context, reads, &situation, &pass.uid, &mut observed).await?;
    release(pass, &situation, &observed);
    observe::callbacks(context, reads, &situation, &mut observed).await?;
    let needed = callbacks_needed(pass, reads, &situation, &observed).await?;
    observe::assumes(context, reads, &situation, &mut observed, Purpose::Remove).await?;
    let mut others = others::gather(context, reads, &situation, &pass.uid, &observed).await;
    others.callback.extend(needed);
    entered.others = others;
    pass.saw(&entered.situation(context), &observed);
    invisible(pass, &entered.situation(context), &observed)?;
    let mut plan = plan::plan_removal(&entered.situation(context), &observed);
    let (sessions, situation) = (&entered.sessions, entered.situation(context));
    pass.saw_everything();
    let withheld = unknown::withhold(context, &situation, &observed, &mut plan);
    if let Some(blocker) = plan.blockers.into_iter().next() {
        return Ok(blocker.into());
    }
    if let Some((_, unknown)) = withheld {
        return Ok(unknown::waits(&unknown, true));
    }
    let Some(phase) = plan.steps.first().map(|step| step.phase) else {
        context.memory.release(&pass.uid);
        role_writer::confirm(pass, sessions, (&situation, &observed)).await?;
        return Ok(Verdict::Released);
    };
    match phase {
        Phase::Pipeline => {
            record::record(pass, Comparison::of(&situation, &observed), &plan.steps).await?;
            for step in &plan.steps {
                edit_pipeline(pass, sessions, &situation, &mut observed, step).await?;
            }
        }
        Phase::Access | Phase::OldPipeline | Phase::Release => {
            context.memory.release(&pass.uid);
            record::record(pass, Comparison::of(&situation, &observed), &plan.steps).await?;
            apply::iam(pass, sessions, (&situation, &observed), &plan.steps).await?;
        }
    }
    Ok(Verdict::Reconciling {
        reason: Reason::Deleting,
        message: "removal was sent; AWS is read again until nothing is left".to_owned(),
        retry: Retry::Now,
    })
}

/// Says that the object needs nothing of what is shared, if its action is gone: before it is asked what the others need, so that
/// of two objects that go together the later one cleans up for both.
fn release(pass: &Pass<'_>, situation: &Situation<'_>, observed: &Observed) {
    if invisible(pass, situation, observed).is_err() {
        return;
    }
    let plan = plan::plan_removal(situation, observed);
    if plan.blockers.is_empty() && !plan.steps.iter().any(|step| step.phase == Phase::Pipeline) {
        pass.context.memory.release(&pass.uid);
    }
}

/// The execution roles whose callback policy other objects or roles need, if one is about to go.
async fn callbacks_needed(
    pass: &mut Pass<'_>,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &Observed,
) -> Result<BTreeSet<RoleId>, Halt> {
    let context = pass.context;
    let mut others = others::gather(context, reads, situation, &pass.uid, observed).await;
    pass.saw(situation, observed);
    invisible(pass, situation, observed)?;
    let plan = plan::plan_removal(&Situation { others: &others, ..*situation }, observed);
    if plan.steps.iter().any(|step| step.part == Part::CallbackPolicy) {
        evidence::of_callbacks(context, reads, (situation, &pass.uid), observed, &mut others).await?;
    }
    Ok(others.callback)
}

/// What of the spec never was in place, as this process saw it: it has seen the object converged with another spec, and
/// planned nothing there since. A status does not tell: it may have been wiped, or written by anybody.
fn untouched(context: &Context, situation: &Situation<'_>, uid: &str) -> Untouched {
    let Some(since) = context.memory.since_settled(uid) else { return Untouched::default() };
    let (known, declared) = (since.union(situation.inventory), situation.declared);
    let in_pipeline = |item: &Item| {
        item.holder.resource() == declared.pipeline.as_str() && item.holder.region() == declared.tools.region.as_str()
    };
    let function = format!("function:{}", declared.function);
    let for_function = |item: &Item| {
        item.entry.as_ref().is_none_or(|of| of.resource() == function && of.region() == declared.dev.region.as_str())
    };
    Untouched {
        pipeline: !known.of(Part::PipelineAction).any(in_pipeline),
        function: !known.of(Part::InvokePolicy).any(for_function),
    }
}

/// Something that the spec names, or that the record names, may not be read, and something of this object may be there.
/// While it is not known what is there nothing goes: an action whose role is gone fails every run.
fn out_of_sight(situation: &Situation<'_>, error: AwsError) -> Verdict {
    let declared = situation.declared;
    let pipelines = situation.inventory.of(Part::PipelineAction).map(|item| item.holder.resource().to_owned());
    let functions = situation.inventory.of(Part::InvokePolicy).filter_map(|item| item.entry.as_ref());
    let functions = functions.filter_map(|function| function.resource().strip_prefix("function:").map(str::to_owned));
    let (field, now, recorded): (_, _, BTreeSet<String>) = match error.operation {
        "GetPipeline" => ("spec.pipeline.name", declared.pipeline.as_str(), pipelines.collect()),
        "GetFunctionConfiguration" => ("spec.function.name", declared.function.as_str(), functions.collect()),
        _ => ("", "", BTreeSet::new()),
    };
    let earlier: Vec<String> = recorded.into_iter().filter(|name| name != now).collect();
    let back = if earlier.is_empty() {
        String::new()
    } else {
        format!(", or, if this object never was Ready with {now}, set {field} back to {}", earlier.join(" or "))
    };
    let verdict = Verdict::from(error);
    match verdict {
        Verdict::Stalled { reason, message } => Verdict::Stalled {
            reason,
            message: format!(
                "{message}. Nothing is removed before it is known what of this object is there: grant that right{back}; deletion \
                 then goes on"
            ),
        },
        other => other,
    }
}

/// Nobody who deletes a kind means to stop every release that its objects gate, so that needs a word of its own.
async fn kind_stays(pass: &Pass<'_>) -> Result<(), Halt> {
    let name = kind::name_of::<CrossAccountInvoke>();
    let message = match kind::going_unconfirmed::<CrossAccountInvoke>(&pass.context.client).await {
        Ok(since) if kind::takes_along(since, &pass.object) => format!(
            "this object is being deleted because its kind {name} is, so nothing is removed from AWS. To remove all of it: \
             kubectl annotate crd {name} {}=true. To keep it: save the objects (kubectl get crossaccountinvokes -A -o yaml), take \
             the finalizer {FINALIZER} off each, and when the kind is gone install it and apply the objects again; what exists \
             in AWS is found by name and tag",
            annotation::CONFIRM_REMOVAL
        ),
        Ok(_) => return Ok(()),
        Err(kube::Error::Api(status)) if status.code == 403 => format!(
            "the controller may not get the CustomResourceDefinition {name}, so it is not known whether this object goes because its \
             kind goes, and nothing is removed from AWS; grant it get on that customresourcedefinition, as the chart does"
        ),
        Err(error) => return Err(error.into()),
    };
    Err(Verdict::Stalled { reason: Reason::DeletionBlocked, message }.into())
}

/// Something may exist that a stale read does not show: deletion that ended now would leave it behind.
///
/// # Errors
/// The verdict that waits for it.
pub fn invisible(pass: &Pass<'_>, situation: &Situation<'_>, observed: &Observed) -> Result<(), Verdict> {
    let (context, now) = (pass.context, Context::now());
    let hidden =
        |resource: &Resource, state: &State| context.memory.own_writes(|writes| writes.may_hide(resource, state, now));
    let mut states = plan::observed_states(situation, observed).into_iter();
    let unseen = states.find(|(resource, state)| pass.is_stale(resource, state) || hidden(resource, state));
    if let Some((resource, _)) = unseen {
        return Err(pipeline_writer::stale(&resource));
    }
    let young = situation.inventory.0.iter().find(|item| {
        !item.read_back
            && !written_here(context, situation, item)
            && item.written_at < context.started
            && age(item.written_at, now) < FORGIVEN_FOR
            && !is_seen(observed, item)
    });
    match young {
        Some(item) => Err(Verdict::Reconciling {
            reason: Reason::Deleting,
            message: format!(
                "{} may have been written just before this controller started and is not to be seen yet; it is looked for until two minutes have passed",
                item.holder
            ),
            retry: Retry::After(retry::STALE_READ),
        }),
        None => Ok(()),
    }
}

/// Whether this process wrote (or removed) it itself: then its own memory tells stale reads.
fn written_here(context: &Context, situation: &Situation<'_>, item: &Item) -> bool {
    let Some(role) = item.holder.role_name() else { return false };
    let (installation, tools, dev) =
        (situation.installation, &situation.declared.tools.account, &situation.declared.dev.account);
    let policy =
        |account: &AccountId, policy| Resource::RolePolicy { account: account.clone(), role: role.clone(), policy };
    let resource = match item.part {
        Part::InvokeRole => Resource::InvokeRole { account: dev.clone(), role: role.clone() },
        Part::InvokePolicy => policy(dev, names::invoke_policy(installation)),
        Part::CallbackPolicy => policy(dev, names::callback_policy(installation)),
        Part::AssumePolicy => policy(tools, names::assume_policy(installation)),
        Part::PipelineAction => return false,
    };
    context.memory.own_writes(|writes| writes.written_at(&resource).is_some())
}

fn age(then: Timestamp, now: Timestamp) -> std::time::Duration {
    now.duration_since(then).try_into().unwrap_or(std::time::Duration::MAX)
}

fn is_seen(observed: &Observed, item: &Item) -> bool {
    let holder = &item.holder;
    let holds = |policies: &BTreeMap<RoleId, Option<serde_json::Value>>| {
        holder.role().and_then(|role| policies.get(&role)).is_some_and(Option::is_some)
    };
    match item.part {
        Part::InvokeRole => observed.roles.values().flatten().any(|role| role.arn == *holder),
        Part::InvokePolicy => {
            observed.roles.values().flatten().any(|role| role.arn == *holder && role.invoke_policy.is_some())
        }
        Part::CallbackPolicy => holds(&observed.callback),
        Part::AssumePolicy => holds(&observed.assume),
        // A pipeline's version tells; an action that is not there was never accepted, or has been removed.
        Part::PipelineAction => true,
    }
}

/// Takes our finalizer off: the object goes.
///
/// # Errors
/// The API server did not take the write; an object that is gone already is success.
pub async fn let_go(pass: &Pass<'_>) -> Result<(), Halt> {
    let finalizers: Vec<&String> = pass.object.finalizers().iter().filter(|name| *name != FINALIZER).collect();
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": pass.object.resource_version()}});
    match pass.api().patch(&pass.key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error.into()),
    }
    if pass.context.caches.object(&pass.key).is_some() {
        pass.context.memory.finish(&pass.uid);
    } else {
        // The watch was faster, and will not tell again.
        pass.context.memory.forget(&pass.uid);
    }
    Ok(())
}
