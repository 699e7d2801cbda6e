//! A claim that comes between the reading and the write: what that reading does not show is not written over.

use std::time::Duration;

use crossinvoke::{
    domain::{
        fold::{self, Claim},
        observed::Pipeline,
        occupancy::Occupancy,
        pipeline_edit::Json,
        plan::PipelineGoal,
        spacing::Window,
    },
    engine::pipeline::{Effect, Failure, Input, Machine, Outcome, Settings, Update},
};
use libtest_mimic::{Failed, Trial};
use serde_json::json;

use super::{
    aws::{Aws, time},
    history::Wish,
    objects::{Object, Objects},
    world::pipeline,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("a claim for another pipeline role is in no update", another_role),
        Trial::test("an update without an answer is found beneath a later version", beneath_a_later_one),
        Trial::test("a claim withdrawn while an update has no answer is in no later update", withdrawn_meanwhile),
        Trial::test(
            "an action counts as ours by a role that was planned, and not by one that is named",
            named_and_planned,
        ),
        Trial::test("an update that was not sent in time is made anew", not_sent_in_time),
        Trial::test("a claim that has seen a later version has the pipeline read again", a_later_version),
    ]
}

struct Late {
    machine: Machine<String>,
    objects: Objects,
    read: Pipeline,
}

/// A machine that has read the pipeline for one object and asks whether it is idle.
fn checking() -> Late {
    let machine = Machine::new(Settings {
        pipeline: pipeline(),
        collect: Duration::ZERO,
        collect_max: Duration::ZERO,
        idle_poll: Duration::from_secs(30),
        hold_after_failure: Duration::ZERO,
        corrections: Window { first: Duration::ZERO, most: Duration::ZERO },
    });
    let mut objects = Objects::default();
    for index in 0..2 {
        let mut object = Object::new(index, 0, 0, Wish { stage: "Deploy", shared_name: false, parameters: 1 });
        object.record(false);
        object.looked = object.generation;
        objects.0.insert(index, object);
    }
    let read = Aws::new().newest().expect("it was just made").read();
    let mut late = Late { machine, objects, read };
    let first = late.claim(0);
    late.step(Input::Claim(Box::new(first)));
    late.step(Input::Woken);
    let effects = late.step(Input::Read(Ok(Some(late.read.clone()))));
    assert!(matches!(effects.as_slice(), [Effect::Check]), "{effects:?}");
    late
}

impl Late {
    fn claim(&self, index: usize) -> Claim {
        let object = &self.objects.0[&index];
        object.claim(object.goal(&self.objects.others(object)), &self.read, false)
    }

    fn step(&mut self, input: Input<String>) -> Vec<Effect<String>> {
        self.machine.step(input, time(1_000), &self.objects)
    }

    fn is_idle(&mut self) -> Vec<Effect<String>> {
        self.step(Input::Checked(Ok(Occupancy::default())))
    }
}

/// The update that is asked for, if one is.
fn sent(effects: Vec<Effect<String>>) -> Option<Update> {
    effects.into_iter().find_map(|effect| match effect {
        Effect::Write(permit) => permit.spend(&pipeline(), time(1_000)).ok(),
        _ => None,
    })
}

/// Its permit was void: nothing is answered, and all is read and asked for again before the next one.
fn not_sent_in_time() -> Result<(), Failed> {
    let mut late = checking();
    let Some(first) = sent(late.is_idle()) else { return Err("nothing was written".into()) };
    let waits = late.step(Input::Wrote(Err(Failure::NotSent)));
    let later = time(20_000);
    let reads = late.machine.step(Input::Woken, later, &late.objects);
    let asks = late.machine.step(Input::Read(Ok(Some(late.read.clone()))), later, &late.objects);
    let again = late.machine.step(Input::Checked(Ok(Occupancy::default())), later, &late.objects);
    let is_permitted_then = again.iter().any(|effect| match effect {
        Effect::Write(permit) => *permit.write() == first,
        _ => false,
    });
    let is_in_order = matches!(waits.as_slice(), [Effect::WakeAt(_)])
        && matches!(reads.as_slice(), [Effect::Read])
        && matches!(asks.as_slice(), [Effect::Check]);
    if is_in_order && is_permitted_then {
        Ok(())
    } else {
        Err(format!("{waits:?} {reads:?} {asks:?} {again:?}").into())
    }
}

fn another_role() -> Result<(), Failed> {
    let mut late = checking();
    let mut claim = late.claim(1);
    claim.pipeline_role = "arn:aws:iam::111111111111:role/another".parse().expect("an ARN");
    let uid = claim.basis.uid.clone();
    late.step(Input::Claim(Box::new(claim)));
    let effects = late.is_idle();
    let has_it = |effect: &Effect<String>| match effect {
        Effect::Write(permit) => permit.objects().len() != 1,
        _ => false,
    };
    let is_stale = |effect: &Effect<String>| matches!(effect, Effect::Outcome(of, Outcome::Stale) if *of == uid);
    let is_written = effects.iter().any(|effect| matches!(effect, Effect::Write(_)));
    if is_written && effects.iter().any(is_stale) && !effects.iter().any(has_it) {
        return Ok(());
    }
    Err(format!("{effects:?}").into())
}

fn a_later_version() -> Result<(), Failed> {
    let mut late = checking();
    let mut claim = late.claim(1);
    claim.seen_version += 1;
    late.step(Input::Claim(Box::new(claim)));
    let effects = late.is_idle();
    if matches!(effects.as_slice(), [Effect::Read]) { Ok(()) } else { Err(format!("{effects:?}").into()) }
}

/// Somebody wrote after our update, whose answer was lost: the newest version does not tell, the one before it does.
fn beneath_a_later_one() -> Result<(), Failed> {
    let mut late = checking();
    let Some(update) = sent(late.is_idle()) else { return Err("nothing was written".into()) };
    late.step(Input::Wrote(Err(Failure::Unknown("no answer".to_owned()))));
    let newest = Pipeline { version: update.base + 2, ..late.read.clone() };
    let effects = late.step(Input::Read(Ok(Some(newest))));
    let asked = matches!(effects.as_slice(), [Effect::ReadVersion(version)] if *version == update.base + 1);
    let ours =
        Pipeline { version: update.base + 1, declaration: update.declaration.clone().into(), ..late.read.clone() };
    let answered = late.step(Input::ReadVersion(Ok(Some(ours))));
    let told = answered.iter().any(|effect| matches!(effect, Effect::Outcome(_, Outcome::Written(_))));
    if asked && told { Ok(()) } else { Err(format!("{effects:?}, then {answered:?}").into()) }
}

/// What is in the update that has no answer waits for it; what came after it goes at once.
fn withdrawn_meanwhile() -> Result<(), Failed> {
    let mut late = checking();
    let (first, second) = (late.claim(0), late.claim(1));
    let Some(update) = sent(late.is_idle()) else { return Err("nothing was written".into()) };
    late.step(Input::Wrote(Err(Failure::Unknown("no answer".to_owned()))));
    late.step(Input::Claim(Box::new(second.clone())));
    for uid in [&first.basis.uid, &second.basis.uid] {
        late.step(Input::Withdraw(uid.clone()));
    }
    let ours = Pipeline { version: update.base + 1, declaration: update.declaration.into(), ..late.read.clone() };
    let answered = late.step(Input::Read(Ok(Some(ours))));
    let tells = |of: &str| answered.iter().any(|effect| matches!(effect, Effect::Outcome(uid, _) if uid == of));
    if tells(&first.basis.uid) && !tells(&second.basis.uid) && late.machine.is_idle() {
        return Ok(());
    }
    Err(format!("{answered:?}").into())
}

/// A failed run is kept for whoever retries it unless our own actions alone failed. A tenant may name any role.
fn named_and_planned() -> Result<(), Failed> {
    const ROLE: &str = "arn:aws:iam::222222222222:role/deployer";
    let invoke = json!({"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"});
    let deploy = json!({"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"});
    let role = ROLE.parse::<crossinvoke::domain::ids::Arn>().ok().and_then(|arn| arn.role()).ok_or("a role")?;
    for (kind, is_planned, expected) in [(&invoke, false, false), (&invoke, true, true), (&deploy, true, false)] {
        let actions = json!([{"name": "Ship", "actionTypeId": kind, "roleArn": ROLE}]);
        let declaration: Json = json!({"stages": [{"name": "Deploy", "actions": actions}]}).into();
        let mut claim = checking().claim(0);
        let (PipelineGoal::Holds(_, owned) | PipelineGoal::HoldsNone(owned)) = &mut claim.goal;
        owned.neighbours.insert(role.clone());
        owned.planned_neighbours.extend(is_planned.then(|| role.clone()));
        if fold::is_ours(&declaration, "Deploy", "Ship", [&claim]) != expected {
            return Err(format!("{kind}, planned: {is_planned}").into());
        }
    }
    Ok(())
}
