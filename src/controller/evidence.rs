//! What AWS shows of things that no known object asks for, before they leave a shared policy: whose role stands behind an
//! entry, and which function an invoke role may call. Nothing here is read for an object that nobody granted anything.

use std::collections::BTreeSet;

use super::{
    context::{Context, session_key},
    gate_input::gate_input,
    others,
    outcome::{Retry, Verdict},
    pass::Halt,
    sessions::Reads,
};
use crate::{
    aws::{AccountReader, AwsError, RoleRead},
    domain::{
        gate,
        ids::{AccountId, Arn, FunctionName, InstallationId, Region, RoleId},
        names,
        observed::Observed,
        plan::{self, Others, Situation},
        policy,
        shared_policy::{self, Behind},
    },
};

/// Reads of one reconcile. What was read is remembered, so the next one gets further.
const READS: usize = 20;

/// Looks at the roles behind entries of the assume policies that no object asks for. What is planned on this is only claimed:
/// whoever writes the policy looks again.
pub(super) async fn of_entries(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &Observed,
    gathered: &mut Others,
) {
    let mut count = 0;
    for (holder, document) in &observed.assume {
        let in_place = document.as_ref().map(policy::assume_entries_of_any_form).unwrap_or_default();
        let users = gathered.assume.get(holder).map(Vec::as_slice).unwrap_or_default();
        let unexplained = shared_policy::unexplained(&in_place, &BTreeSet::new(), users);
        for entry in unexplained {
            if plan::behind_of_observed(situation, observed, &entry).is_some() {
                continue;
            }
            let behind = match context.memory.behind(&entry, Context::now()) {
                Some((_, known)) => known,
                None if count < READS => {
                    count += 1;
                    let behind = read(context, reads, situation, &entry).await;
                    tracing::info!(%entry, of = %holder, ?behind, "no object asks for an entry of an assume policy");
                    behind
                }
                None => Behind::Unknown,
            };
            gathered.proof.behind.insert(entry, behind);
        }
    }
}

/// Reads the role behind an entry, in whichever account it is.
async fn read(context: &Context, reads: &Reads, situation: &Situation<'_>, entry: &Arn) -> Behind {
    let Some(role) = entry.role() else { return Behind::Nothing };
    let found = match account(context, reads, situation, &role.account).await {
        Ok(account) => account.get_role(&role.name).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    let behind = behind(entry, found, situation.installation);
    context.memory.note_behind(entry, &behind, Context::now());
    behind
}

/// What a look at the role behind an entry shows.
pub(super) fn behind(entry: &Arn, found: Result<Option<RoleRead>, String>, installation: &InstallationId) -> Behind {
    match found {
        Ok(Some(read)) if read.arn == *entry => Behind::of_tags(&read.tags, installation),
        // The name may stand at another path: nothing can be assumed under this ARN.
        Ok(_) => Behind::Nothing,
        Err(error) => {
            tracing::warn!(%entry, "the role behind an entry of an assume policy cannot be read, so the entry stays: {error}");
            Behind::Unknown
        }
    }
}

/// The reads in an account: in the object's own two through the sessions that are open, in another one as its `AwsAccount`
/// says.
pub(super) async fn account(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    account: &AccountId,
) -> Result<AccountReader, String> {
    let declared = situation.declared;
    if *account == declared.dev.account {
        return Ok(reads.dev.clone());
    }
    if *account == declared.tools.account {
        return Ok(reads.tools.clone());
    }
    let input = gate_input(context, &declared.key);
    let access = gate::way_into(&input, account).map_err(|blocker| blocker.message)?;
    let session = context.aws.session(&session_key(&access)).await.map_err(|error| error.to_string())?;
    Ok(reads.dev.within(&session))
}

/// Looks for roles of this installation that may need a callback policy which is about to go, and adds what they need.
/// An object may be in a namespace that is not watched, or have lost its grant: its role in AWS tells of it.
///
/// # Errors
/// The roles cannot be listed, or there are more to be read than one reconcile may.
pub(super) async fn of_callbacks(
    context: &Context,
    reads: &Reads,
    (situation, uid): (&Situation<'_>, &str),
    observed: &Observed,
    gathered: &mut Others,
) -> Result<(), Halt> {
    let in_place = observed.callback.iter().filter(|(_, document)| document.is_some()).map(|(role, _)| role);
    let open: BTreeSet<RoleId> = in_place.filter(|role| !gathered.callback.contains(role)).cloned().collect();
    if open.is_empty() {
        return Ok(());
    }
    // What was read before may have changed since.
    let reads = &reads.fresh();
    let path = &situation.granted.role_path;
    let listed = reads.dev.list_roles(path).await?;
    // By path and tag: in an incident somebody may have emptied a trust policy. Only where a path is shared with other
    // people's roles those are passed over that services alone may assume, as most are.
    let is_ours_alone = *path == names::default_role_path(situation.installation);
    let invoke_roles = listed.into_iter().filter(|role| is_ours_alone || !policy::trusts_only_services(&role.trust));
    let since = context.memory.looking_since(uid, Context::now());
    let mut count = 0;
    for role in invoke_roles.map(|role| role.arn) {
        let Some(id) = role.role().filter(|id| !others::explain(context, situation, uid, id)) else { continue };
        let now = Context::now();
        let seen = plan::behind_of_observed(situation, observed, &role);
        let frees = |behind: &Behind| {
            let is_free = matches!(behind, Behind::Nothing | Behind::Foreign);
            is_free || gathered.proof.is_released(behind, &situation.declared.key)
        };
        // What lets a policy go is read again, if it was not read for this very removal.
        let known = || context.memory.behind(&role, now).filter(|(at, known)| *at >= since || !frees(known));
        let behind = if let Some(known) = seen.or_else(|| known().map(|(_, known)| known)) {
            known
        } else {
            counted(&mut count)?;
            read(context, reads, situation, &role).await
        };
        if frees(&behind) {
            continue;
        }
        let needs = if let Some((_, known)) = context.memory.callback_needs(&role, now).filter(|(at, _)| *at >= since) {
            known
        } else {
            counted(&mut count)?;
            let needs = needs(context, reads, situation, observed, &id).await;
            context.memory.note_callback_needs(&role, needs.as_ref(), now);
            needs
        };
        let needed: BTreeSet<RoleId> = match needs {
            Some(needs) => needs.intersection(&open).cloned().collect(),
            None => open.clone(),
        };
        if !needed.is_empty() {
            let of: Vec<String> = needed.iter().map(ToString::to_string).collect();
            tracing::info!(%role, of = %of.join(", "), ?behind, "a callback policy stays, since a role that no object asks for needs it");
        }
        gathered.callback.extend(needed);
    }
    context.memory.looked(uid);
    Ok(())
}

/// Counts a read, or puts the rest off.
fn counted(count: &mut usize) -> Result<(), Halt> {
    if *count == READS {
        let message = "whether a callback policy is still needed is being looked up, a few roles at a time";
        return Err(Verdict::progressing(message, Retry::Now).into());
    }
    *count += 1;
    Ok(())
}

/// The execution roles of the functions that an invoke role may call; `None` when that cannot be told, in which case it
/// may need any.
async fn needs(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    observed: &Observed,
    role: &RoleId,
) -> Option<BTreeSet<RoleId>> {
    let name = names::invoke_policy(situation.installation);
    let document = reads.dev.get_role_policy(&role.name, &name).await;
    let functions = told(document, role)?.as_ref().and_then(policy::invoke_entries)?;
    let mut needs = BTreeSet::new();
    for function in &functions {
        let own = observed.function.as_ref().filter(|own| own.arn == *function);
        let execution_role = match own {
            Some(own) => Some(own.role.clone()),
            None => execution_role(context, reads, role, function).await?,
        };
        needs.extend(execution_role.and_then(|role| role.role()));
    }
    Some(needs)
}

/// The role that a function runs as, as Lambda says now; `Some(None)` for a function that is gone. What was read earlier does
/// not count: the function may run as another role by now.
async fn execution_role(context: &Context, reads: &Reads, role: &RoleId, function: &Arn) -> Option<Option<Arn>> {
    let region: Region = function.region().parse().ok()?;
    let name: FunctionName = function.resource().strip_prefix("function:")?.parse().ok()?;
    let key = (role.account.clone(), region, name);
    let found = told(reads.dev.in_region(&key.1).get_function(&key.2).await, role)?;
    let execution_role = found.map(|found| found.role);
    context.memory.note_function(key, execution_role.as_ref());
    Some(execution_role)
}

/// An answer, or a line in the log that says what could not be read.
fn told<T>(answer: Result<T, AwsError>, role: &RoleId) -> Option<T> {
    answer.inspect_err(|error| tracing::warn!(%role, "what a role needs cannot be told: {error}")).ok()
}
