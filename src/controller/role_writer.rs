//! What one object wants of policies that it shares with others is claimed, and what came of the claims is put into words. A
//! role is written by its own worker (`shell::roles`), for all objects at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    context::Context,
    current,
    events::Deed,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    pipeline_writer,
    sessions::Sessions,
};
use crate::{
    api::Reason,
    aws::AwsError,
    domain::{
        ids::{Arn, RoleId},
        inventory::{Inventory, Part},
        observed::{Observed, Resource},
        plan::{self, Change, Comparison, Phase, Situation, Step},
        role_claims::{Claim, Facet, Goal},
    },
    engine::role::{Outcome, Waiting},
    shell::roles::{Clients, Place, Told},
};

/// How long before its end a reconcile stops waiting for others: enough to report.
const TO_REPORT: Duration = Duration::from_secs(1);

/// When an object looks again that nobody has woken.
const UNLESS_WOKEN: Duration = Duration::from_mins(1);

/// How long it stands what was looked up of who may need a callback policy.
const PROVEN_FOR: Duration = Duration::from_mins(1);

/// The policy that a step is about, if objects share it.
#[must_use]
pub fn place(step: &Step) -> Option<Place> {
    let facet = match step.part {
        Part::CallbackPolicy => Facet::CallbackPolicy,
        Part::AssumePolicy => Facet::AssumePolicy,
        Part::InvokeRole | Part::InvokePolicy | Part::PipelineAction => return None,
    };
    let Resource::RolePolicy { account, role, .. } = &step.resource else { return None };
    Some((RoleId { account: account.clone(), name: role.clone() }, facet))
}

/// Claims what these steps are for, and waits until it is written together with what other objects want.
///
/// # Errors
/// The verdict that ends this reconcile: it waits, is refused, or has to be planned again.
pub async fn write(
    pass: &mut Pass<'_>,
    sessions: &Sessions,
    (situation, observed): (&Situation<'_>, &Observed),
    steps: &[Step],
) -> Result<(), Halt> {
    let mut claimed = Vec::new();
    let comparison = Comparison::of(situation, observed);
    for step in steps {
        let Some(place) = place(step) else { continue };
        let goal = goal(pass, &comparison, step, &place);
        let clients = clients(sessions, situation, &place.0);
        let told = pass.context.roles.claim(&place.0, &claim(pass, situation, goal), &clients);
        claimed.push((step, place, told));
    }
    drop(comparison);
    // Whatever waits holds no place that somebody else could use.
    pass.only_waits();
    let mut worst: Option<Halt> = None;
    for (step, place, mut told) in claimed {
        let limit = pass.time_left().saturating_sub(TO_REPORT);
        let outcome = tokio::select! {
            outcome = settled(&mut told, limit) => outcome,
            () = pass.context.roles.stopped() => None,
        };
        pass.claimed_of_roles.insert(place.clone(), told);
        if let Err(halt) = took(pass, situation, step, &place, outcome)
            && worst.as_ref().is_none_or(|known| rank(known) < rank(&halt))
        {
            worst = Some(halt);
        }
    }
    worst.map_or(Ok(()), Err)
}

/// Ranks the results of several claims: the object reports the one that keeps it waiting longest.
fn rank(halt: &Halt) -> u8 {
    match halt {
        Halt::Verdict(Verdict::Stalled { .. }) => 2,
        Halt::Verdict(verdict) if !verdict.reason().is_failed_look() => 0,
        Halt::Verdict(_) => 1,
        Halt::Conflict | Halt::Restart | Halt::Kubernetes(_) => 3,
    }
}

/// The reads and writes in the account of a role. The worker's reads are nobody's in particular.
fn clients(sessions: &Sessions, situation: &Situation<'_>, role: &RoleId) -> Clients {
    let Sessions { reads, writes } = sessions;
    if role.account == situation.declared.tools.account {
        Clients { reads: reads.tools.for_nobody(), writes: writes.tools_iam.clone() }
    } else {
        Clients { reads: reads.dev.for_nobody(), writes: writes.dev_iam.clone() }
    }
}

fn claim(pass: &Pass<'_>, situation: &Situation<'_>, goal: Goal) -> Claim {
    Claim { basis: current::basis(pass, situation), created: pass.created(), goal }
}

fn goal(pass: &Pass<'_>, comparison: &Comparison<'_>, step: &Step, (role, facet): &Place) -> Goal {
    let (situation, observed) = (comparison.situation(), comparison.observed());
    if *facet == Facet::CallbackPolicy {
        return match step.change {
            Change::DeletePolicy => Goal::NoCallback { proven_until: Context::now() + PROVEN_FOR },
            _ => Goal::Callback,
        };
    }
    let leaving = pass.object.metadata.deletion_timestamp.is_some();
    let entries = if leaving { BTreeSet::new() } else { comparison.own_entries(role) };
    Goal::Assume {
        was_in_place: was_in_place(pass, role, &entries),
        used: plan::used(observed, role),
        behind: plan::behind_of_entries(situation, observed, role),
        entries,
    }
}

/// Whether the record says that all of these were seen in place: that decides only who comes first where room is short.
fn was_in_place(pass: &Pass<'_>, role: &RoleId, entries: &BTreeSet<Arn>) -> bool {
    let seen = pass.inventory.of(Part::AssumePolicy).filter(|item| item.digest.is_some());
    let seen: BTreeSet<&Arn> =
        seen.filter(|item| item.holder.is_of(role)).filter_map(|item| item.entry.as_ref()).collect();
    entries.iter().all(|entry| seen.contains(entry))
}

/// What came of the claim; `None` if it still waits for others when the time is over.
async fn settled(told: &mut Told, limit: Duration) -> Option<Outcome<AwsError>> {
    let is_settled = |outcome: &Option<Outcome<_>>| match outcome {
        Some(Outcome::Waiting(waiting)) => *waiting != Waiting::Others,
        Some(_) => true,
        None => false,
    };
    let waiting = tokio::time::timeout(limit, told.wait_for(is_settled)).await;
    waiting.ok()?.ok().and_then(|outcome| outcome.clone())
}

fn took(
    pass: &mut Pass<'_>,
    situation: &Situation<'_>,
    step: &Step,
    place: &Place,
    outcome: Option<Outcome<AwsError>>,
) -> Result<(), Halt> {
    let verdict = match outcome {
        Some(Outcome::Settled { written, .. }) => {
            if written {
                wrote(pass, step);
            }
            pass.shared.insert(place.clone());
            return Ok(());
        }
        Some(Outcome::Full { reading }) => plan::no_room(situation, &place.0, reading.of(place.1)).into(),
        Some(Outcome::Failed(error)) => {
            AwsError { also_missing: plan::lacks_boundary(situation, step), ..error }.into()
        }
        Some(Outcome::Stale) => return Err(Halt::Conflict),
        Some(Outcome::Unreached) => Verdict::progressing(
            format!("{} did not read back as it was written; it is compared again", step.resource),
            Retry::Backoff,
        ),
        // Of what goes the absence of all is read before the object goes.
        Some(Outcome::Waiting(Waiting::Reading)) if step.phase == Phase::Release => {
            wrote(pass, step);
            return Ok(());
        }
        Some(Outcome::Waiting(Waiting::Reading)) => unless_woken(pipeline_writer::stale(&step.resource)),
        Some(Outcome::Waiting(Waiting::Settling)) => settling(step),
        Some(Outcome::Waiting(Waiting::Others)) | None => Verdict::progressing(
            format!("{} is written together with what other objects want of it", step.resource),
            Retry::After(UNLESS_WOKEN),
        ),
    };
    Err(verdict.into())
}

/// Shows the shared policies as their workers last read them, where that is newer than what the object read itself. What others
/// were told since to have in place there would else seem to be missing.
pub fn show_newest(pass: &Pass<'_>, observed: &mut Observed) {
    let read = |facet, roles: &BTreeMap<RoleId, Option<Value>>| {
        roles.keys().map(move |role| (role.clone(), facet)).collect::<Vec<_>>()
    };
    let mut places = read(Facet::CallbackPolicy, &observed.callback);
    places.extend(read(Facet::AssumePolicy, &observed.assume));
    places.extend(pass.shared.iter().cloned());
    for place in places {
        let Some((reading, sent)) = pass.context.roles.newest(&place) else { continue };
        if pass.shared.contains(&place) || pass.is_newer(sent) {
            let (role, facet) = place;
            let policies = match facet {
                Facet::CallbackPolicy => &mut observed.callback,
                Facet::AssumePolicy => &mut observed.assume,
            };
            policies.insert(role, reading.of(facet).cloned());
        }
    }
}

/// A new change of ours starts the wait for its spreading again.
fn wrote(pass: &mut Pass<'_>, step: &Step) {
    pass.context.memory.attempts(&pass.uid, |attempts| attempts.propagation = 0);
    pass.deeds.push((Deed::of(step, false), step.resource.to_string()));
}

/// The worker reads again by itself, and wakes the object.
fn unless_woken(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Reconciling { reason, message, .. } => {
            Verdict::Reconciling { reason, message, retry: Retry::After(UNLESS_WOKEN) }
        }
        other => other,
    }
}

fn settling(step: &Step) -> Verdict {
    Verdict::Reconciling {
        reason: Reason::AwsUnavailable,
        message: format!(
            "the answer to a write of {} was lost, and it may yet undo what is there now; it is read again once a minute, for five \
             minutes at most",
            step.resource
        ),
        retry: Retry::After(UNLESS_WOKEN),
    }
}

/// Where the answer to a write of a shared policy was lost, the worker knows better than a read what is in place and what is
/// gone: the action is placed, and a deletion ends, only when nothing may undo the access or its removal any more.
///
/// # Errors
/// As [`write`].
pub async fn confirm(
    pass: &mut Pass<'_>,
    sessions: &Sessions,
    (situation, observed): (&Situation<'_>, &Observed),
) -> Result<(), Halt> {
    let steps = if pass.object.metadata.deletion_timestamp.is_some() {
        plan::access_gone(situation, observed)
    } else {
        plan::access_in_place(situation, observed)
    };
    let open: Vec<Step> = steps.into_iter().filter(|step| must_be_asked(pass, step)).collect();
    if open.is_empty() {
        return Ok(());
    }
    write(pass, sessions, (situation, observed), &open).await
}

fn must_be_asked(pass: &Pass<'_>, step: &Step) -> bool {
    let roles = &pass.context.roles;
    place(step)
        .is_some_and(|place| roles.is_unsettled(&place.0, Context::exact_now()) || roles.waits(&pass.uid, &place))
}

/// Whether a write to a shared policy that holds something of the object may be applied yet: it could undo what is there.
#[must_use]
pub fn is_unsettled(context: &Context, inventory: &Inventory) -> bool {
    let now = Context::exact_now();
    let mut roles = inventory.roles(Part::CallbackPolicy).chain(inventory.roles(Part::AssumePolicy));
    roles.any(|role| context.roles.is_unsettled(&role, now))
}
