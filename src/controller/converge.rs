//! An object that exists: its five parts are made and kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    apply,
    confirming::{self, InPlaceBy},
    context::Context,
    entered::Entered,
    events::Deed,
    evidence,
    observe::{self, Purpose, Untouched},
    others,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    pipeline_writer::{self, Edit},
    record, role_changes, role_writer,
    sessions::{Reads, Sessions},
    unknown,
};
use crate::{
    api::Reason,
    aws::AwsError,
    domain::{
        gate,
        ids::{PipelineName, RoleId, RoleName},
        inventory::Part,
        names,
        observed::{Observed, Resource},
        plan::{self, Change, Comparison, Others, Phase, PipelineGoal, Plan, Situation, Step},
    },
};

/// Converges one object.
///
/// # Errors
/// A verdict that ends the reconcile early, or a status write that was not taken.
pub async fn run(pass: &mut Pass<'_>) -> Result<Verdict, Halt> {
    let verdict = Box::pin(look(pass)).await?;
    if pass.in_place == InPlaceBy::SameAnswers {
        return Ok(verdict);
    }
    if verdict != Verdict::Converged || record::is_news(pass, &verdict) {
        pass.rests_on_its_own_reads()?;
    }
    Ok(verdict)
}

/// What a regular look finds on the readings of others may only confirm what is known. Whatever else it shows is read
/// again before a step, a difference or a status comes of it.
async fn look(pass: &mut Pass<'_>) -> Result<Verdict, Halt> {
    let context = pass.context;
    let entered = Entered::open(pass, gate::gate).await?;
    let settled = context.memory.settled(&pass.uid);
    if let Some(closing) = entered.granted.closing.as_ref().filter(|_| settled.is_none() && !pass.inventory.has_any()) {
        return Ok(gate::not_granted(closing.clone()).into());
    }
    let (reads, situation) = (&entered.sessions.reads, entered.situation(context));
    if let Some(answers) = pass.to_confirm(&entered.granted) {
        return confirming::confirm(pass, reads, &entered.declared, &answers).await;
    }
    let mut observed = observe::named(reads, &situation, Purpose::Converge, Untouched::default()).await?;
    if observed.pipelines.values().any(Option::is_none) {
        // Two reads have to say that a pipeline is not there, and not one that two looks see.
        pass.rests_on_its_own_reads()?;
    }
    observe::doubt(pass, reads, &situation, &mut observed).await?;
    if !plan::suspects(&situation, &observed).is_empty() || plan::taken_out(&situation, &observed).is_some() {
        pass.rests_on_its_own_reads()?;
    }
    role_changes::look(context, reads, &situation, &pass.uid, &mut observed).await?;
    role_changes::look_for_taken_out(context, reads, &situation, &pass.uid, &mut observed).await?;
    pass.saw(&situation, &observed);
    // What cannot be resolved needs no look at shared policies.
    if let Err(blockers) = plan::resolve(&situation, &observed) {
        return Ok(first(blockers));
    }
    if is_all_to_be_made(&situation, &observed) {
        pass.rests_on_its_own_reads()?;
        return phases(pass, &entered.sessions, &situation, observed, &BTreeSet::new()).await;
    }
    observe::callbacks(context, reads, &situation, &mut observed).await?;
    let mut needed = BTreeSet::new();
    if !nothing_is_left_over(&situation, &observed) {
        pass.rests_on_its_own_reads()?;
        let mut others = others::gather(context, reads, &situation, &pass.uid, &observed).await;
        evidence::of_callbacks(context, reads, (&situation, &pass.uid), &observed, &mut others).await?;
        needed = others.callback;
    }
    observe::assumes(context, reads, &situation, &mut observed, Purpose::Converge).await?;
    pass.saw_everything();
    phases(pass, &entered.sessions, &situation, observed, &needed).await
}

/// Whether the role has to be made, and nothing was ever seen in place. The shared policies are claimed then, whatever they are,
/// and read by those who write them.
fn is_all_to_be_made(situation: &Situation<'_>, observed: &Observed) -> bool {
    let is_missing = observed.role(&situation.declared.role_name).is_none();
    let is_open = situation.granted.closing.is_none();
    is_missing && is_open && !situation.inventory.has_any() && nothing_is_left_over(situation, observed)
}

/// Whether the inventory holds nothing but what is declared: then no callback policy can be due for release.
fn nothing_is_left_over(situation: &Situation<'_>, observed: &Observed) -> bool {
    plan::converged_inventory(situation, observed)
        .is_some_and(|desired| situation.inventory.leftovers(&desired).0.is_empty())
}

fn first(mut blockers: Vec<plan::Blocker>) -> Verdict {
    if blockers.is_empty() {
        return Verdict::progressing("nothing could be told of pipeline and function", Retry::Backoff);
    }
    blockers.swap_remove(0).into()
}

/// Takes the due phases in turn, each planned on what the one before left to be read.
async fn phases(
    pass: &mut Pass<'_>,
    sessions: &Sessions,
    situation: &Situation<'_>,
    mut observed: Observed,
    needed: &BTreeSet<RoleId>,
) -> Result<Verdict, Halt> {
    let context = pass.context;
    let mut others = gather(pass, &sessions.reads, situation, &observed, needed).await;
    let (mut is_fresh, is_complete) = (true, !observed.assume.is_empty());
    let mut done: Vec<Phase> = Vec::new();
    loop {
        let staying = pass.staying(situation, &observed);
        let situation = &Situation { staying: &staying, others: &others, ..*situation };
        pass.saw(situation, &observed);
        let comparison = Comparison::of(situation, &observed);
        let mut plan = comparison.plan();
        if !plan.blockers.is_empty() || !plan.steps.is_empty() {
            pass.rests_on_its_own_reads()?;
        }
        if !plan.blockers.is_empty() {
            pass.compare(&comparison);
            return Ok(first(plan.blockers));
        }
        let closing = closing(context, &pass.uid, situation, &observed, &mut plan);
        let withheld = unknown::withhold(context, situation, &observed, &mut plan);
        if let Some(blocker) = closing.filter(|_| plan.steps.is_empty()) {
            pass.compare(&comparison);
            return Ok(blocker.into());
        }
        let nothing_waits = withheld.is_none();
        let Some(phase) = plan.due().first().map(|step| step.phase) else {
            // What is not this object's to remove, such as entries that others may need, keeps it from nothing.
            if let Some((_, unknown)) = withheld.filter(|(phase, _)| *phase != Phase::Access) {
                pass.compare(&comparison);
                return Ok(unknown::waits(&unknown, false));
            }
            let doubted = comparison.doubted_leftovers();
            if let Some(verdict) = observe::doubted(situation, Reason::Progressing, &doubted) {
                pass.compare(&comparison);
                return Ok(verdict);
            }
            if let Some(desired) = plan::converged_inventory(situation, &observed) {
                context.memory.settle(&pass.uid, &desired);
                pass.inventory = kept_times(&pass.inventory, desired);
                context.memory.claim(&pass.uid, &pass.inventory);
            }
            pass.facts.kept_for(plan::users_of_old_roles(situation, &observed));
            pass.facts.unexplained(comparison.unexplained_entries().len());
            pass.facts.note_place(comparison.notes());
            // What was just written was read in another way than by whole looks.
            if done.is_empty() && nothing_waits && situation.granted.closing.is_none() && others.proof.behind.is_empty()
            {
                pass.in_place = InPlaceBy::EmptyPlan;
            }
            pass.compare(&comparison);
            return Ok(Verdict::Converged);
        };
        pass.compare(&comparison);
        restrain(pass, &plan, phase, &done)?;
        done.push(phase);
        match phase {
            Phase::Access | Phase::Release => {
                if !is_fresh {
                    return Ok(Verdict::progressing(
                        "the pipeline was changed; what is no longer needed goes next",
                        Retry::Now,
                    ));
                }
                record::record(pass, comparison, plan.due()).await?;
                apply::iam(pass, sessions, (situation, &observed), plan.due()).await?;
                refresh(pass, &sessions.reads.fresh(), situation, &mut observed, plan.due()).await?;
                if !is_complete {
                    pass.saw_everything();
                }
                // Others have come and gone while they were waited for.
                others = gather(pass, &sessions.reads, situation, &observed, needed).await;
                role_writer::show_newest(pass, &mut observed);
            }
            Phase::OldPipeline if done.contains(&Phase::Pipeline) => {
                return Ok(Verdict::progressing(
                    "the new action is in place; once it is read back, the one of the older spec goes",
                    Retry::Now,
                ));
            }
            Phase::Pipeline | Phase::OldPipeline => {
                is_fresh = false;
                record::record(pass, comparison, plan.due()).await?;
                role_writer::confirm(pass, sessions, (situation, &observed)).await?;
                for step in plan.due() {
                    edit_pipeline(pass, sessions, situation, &mut observed, step).await?;
                }
                others = gather(pass, &sessions.reads, situation, &observed, needed).await;
                role_writer::show_newest(pass, &mut observed);
            }
        }
    }
}

/// What other objects need; `needed` are execution roles whose callback policy is needed by roles that no object asks for.
async fn gather(
    pass: &Pass<'_>,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &Observed,
    needed: &BTreeSet<RoleId>,
) -> Others {
    let mut others = others::gather(pass.context, reads, situation, &pass.uid, observed).await;
    others.callback.extend(needed.iter().cloned());
    others
}

/// Where an account is being deleted: takes out of the plan what would be new there, and says so.
fn closing(
    context: &Context,
    uid: &str,
    situation: &Situation<'_>,
    observed: &Observed,
    plan: &mut Plan,
) -> Option<plan::Blocker> {
    let said = situation.granted.closing.as_ref()?;
    let settled = context.memory.settled(uid);
    let is_new = plan::keep_what_was_in_place(plan, situation, observed, settled.as_deref());
    is_new.then(|| gate::not_granted(said.clone()))
}

/// Nothing is written on a stale read, and no phase is taken twice in one reconcile: what was written must read back.
fn restrain(pass: &Pass<'_>, plan: &Plan, phase: Phase, done: &[Phase]) -> Result<(), Verdict> {
    // What objects share is read again by those who write it.
    let mut own = plan.due().iter().filter(|step| role_writer::place(step).is_none());
    if let Some(step) = own.find(|step| pass.is_stale(&step.resource, &step.before)) {
        return Err(pipeline_writer::stale(&step.resource));
    }
    if done.contains(&phase) {
        let resource = plan.due().first().map(|step| step.resource.to_string()).unwrap_or_default();
        return Err(Verdict::progressing(
            format!("{resource} did not read back as it was written; it is compared again"),
            Retry::Backoff,
        ));
    }
    Ok(())
}

/// Edits one pipeline and takes what CodePipeline answered as read.
///
/// # Errors
/// As [`pipeline_writer::write`].
pub(super) async fn edit_pipeline(
    pass: &mut Pass<'_>,
    sessions: &Sessions,
    situation: &Situation<'_>,
    observed: &mut Observed,
    step: &Step,
) -> Result<(), Halt> {
    let (Resource::Pipeline { name, .. }, Change::EditPipeline(goal)) = (&step.resource, &step.change) else {
        return Ok(());
    };
    let Some(planned_on) = observed.pipeline(name) else { return Ok(()) };
    let edit = Edit { name, planned_on, goal, resource: &step.resource };
    let there = goal.is_there(&planned_on.declaration);
    let written = pipeline_writer::write(pass, sessions, situation, &edit).await?;
    pass.wrote_pipeline(&written.pipeline.arn);
    pass.contested = pass.undone();
    pass.deeds.push((Deed::of(step, there), pipeline_words(goal, &step.resource)));
    pass.versions.push((step.resource.clone(), written.clone()));
    let written = (*written.pipeline).clone();
    let name: PipelineName = name.clone();
    observed.pipelines.insert(name, Some(written));
    Ok(())
}

fn pipeline_words(goal: &PipelineGoal, pipeline: &Resource) -> String {
    match goal {
        PipelineGoal::Holds(action, _) => format!("action {}/{} of {pipeline}", action.stage, action.name),
        PipelineGoal::HoldsNone(_) => format!("our action of {pipeline}"),
    }
}

/// Reads again what these steps wrote.
async fn refresh(
    pass: &Pass<'_>,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &mut Observed,
    steps: &[Step],
) -> Result<(), AwsError> {
    let context = pass.context;
    let mut roles: BTreeMap<RoleName, Purpose> = BTreeMap::new();
    let own_policy = names::invoke_policy(situation.installation);
    for step in steps {
        match (&step.resource, step.part) {
            // Policies that nobody declared were looked for once; they are again only where some were taken off.
            (Resource::RolePolicy { role, .. } | Resource::AttachedPolicy { role, .. }, Part::InvokeRole) => {
                roles.insert(role.clone(), Purpose::Converge);
            }
            (Resource::InvokeRole { role, .. }, _) => {
                roles.entry(role.clone()).or_insert(Purpose::Reread);
            }
            (Resource::RolePolicy { role, policy, .. }, _)
                if observed.roles.contains_key(role) && *policy == own_policy =>
            {
                roles.entry(role.clone()).or_insert(Purpose::Reread);
            }
            // Shared ones were read by those who wrote them.
            (Resource::RolePolicy { .. } | Resource::AttachedPolicy { .. } | Resource::Pipeline { .. }, _) => {}
        }
    }
    for (name, purpose) in roles {
        let before = observed.role(&name).map(|role| role.extra_policies.clone()).unwrap_or_default();
        let execution_role = observed.function.as_ref().and_then(|function| function.role.role());
        let mut role = observe::role(reads, situation, &name, purpose, execution_role.as_ref()).await?;
        if let Some(role) = role.as_mut().filter(|_| purpose == Purpose::Reread) {
            role.extra_policies = before;
        }
        observed.roles.insert(name, role);
    }
    note_taken_off(context, situation, observed, steps);
    role_writer::show_newest(pass, observed);
    Ok(())
}

/// A policy that was taken off and is read as gone is no stale read when somebody puts it on again.
fn note_taken_off(context: &Context, situation: &Situation<'_>, observed: &Observed, steps: &[Step]) {
    let there: Vec<Resource> = plan::extra_policies(situation, observed);
    for step in steps.iter().filter(|step| step.after.is_none() && !there.contains(&step.resource)) {
        context.memory.own_writes(|writes| writes.note_read(&step.resource, &None));
    }
}

/// The converged inventory, all of which was just seen, with the writing times that are known.
fn kept_times(
    known: &crate::domain::inventory::Inventory,
    mut desired: crate::domain::inventory::Inventory,
) -> crate::domain::inventory::Inventory {
    for item in &mut desired.0 {
        if let Some(known) = known.0.iter().find(|known| known.same_thing(item)) {
            item.written_at = known.written_at;
            item.stage_made |= known.stage_made;
            item.digest.clone_from(&known.digest);
            item.pipeline_version = known.pipeline_version;
        }
        item.read_back = true;
    }
    crate::domain::inventory::Inventory::default().union(&desired)
}
