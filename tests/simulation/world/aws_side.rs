//! The side of AWS: what a call that has arrived does and shows.

use std::{collections::BTreeMap, rc::Rc};

use crossinvoke::{
    domain::{observed::Pipeline, pipeline_edit::Json},
    engine::pipeline::{Failure, Input},
};

use super::{
    super::{
        aws::{Run, Status, Version, foreign, ours, owner, role_of},
        checks::{Checked, Checks, Failed, Sent},
        history::{Millis, Step},
    },
    Call, Error, Event, World,
};

impl World<'_> {
    pub(super) fn execution(&mut self, step: Step) {
        let (now, newest) = (self.now, self.aws.newest().cloned());
        let Some(newest) = newest else { return };
        if step == Step::Start {
            let (status, failed) = (Status::InProgress, None);
            return self.aws.runs.push(Run { started: now, updated: now, status, failed, failed_in_ours: false });
        }
        let ours = || {
            let stages = newest.declaration.list("stages").iter();
            let mut actions = stages.flat_map(|stage| stage.list("actions").iter().map(move |action| (stage, action)));
            let (stage, action) = actions.find(|(_, action)| owner(action).is_some())?;
            Some((stage.text("name").to_owned(), action.text("name").to_owned()))
        };
        let Some(run) = self.aws.running() else { return };
        run.updated = now;
        match step {
            Step::Finish => run.status = Status::Succeeded,
            Step::Stop => run.status = Status::Stopping,
            Step::Stopped => run.status = Status::Stopped,
            Step::Fail { in_ours } => {
                let ours = in_ours.then(ours).flatten();
                run.status = Status::Failed;
                run.failed_in_ours = ours.is_some();
                run.failed = Some(ours.unwrap_or_else(|| ("Build".to_owned(), "Make".to_owned())));
            }
            _ => {}
        }
    }

    /// What a read shows now.
    pub(super) fn sample(&mut self) -> Option<Rc<Version>> {
        let mut behind = 0;
        if let Some((by, pattern)) = &mut self.lag {
            behind = if *pattern & 1 == 1 { *by } else { 0 };
            *pattern >>= 1;
        }
        self.aws.at(self.now.saturating_sub(behind))
    }

    pub(super) fn arrives(&mut self, process: u32, call: Call) -> Result<(), Failed> {
        let fails = !matches!(call, Call::Write { .. }) && std::mem::take(&mut self.next_call_fails);
        let (input, checked) = match call {
            Call::Read if fails => (Input::Read(Err("unavailable")), None),
            Call::Version(_) if fails => (Input::ReadVersion(Err("unavailable")), None),
            Call::Check if fails => (Input::Checked(Err("unavailable")), None),
            Call::Read => (Input::Read(Ok(self.sample().map(|version| version.read()))), None),
            Call::Version(number) => {
                (Input::ReadVersion(Ok(self.aws.version(number).map(|version| version.read()))), None)
            }
            Call::Check => {
                let checked = Checked::of(&self.aws, self.now);
                (Input::Checked(Ok(self.aws.occupancy())), Some(checked))
            }
            Call::Write { sent, declaration, is_answered } => {
                let answer = self.update(&sent, declaration)?;
                if !is_answered {
                    return Ok(());
                }
                (Input::Wrote(answer), None)
            }
        };
        self.put(self.now + self.latency, Event::Answered(process, Box::new(input), checked));
        Ok(())
    }

    pub(super) fn update(
        &mut self,
        sent: &Sent,
        declaration: Json,
    ) -> Result<Result<Pipeline, Failure<Error>>, Failed> {
        let refused =
            |role, of_declaration| Ok(Err(Failure::Refused { role, of_declaration, error: "refused by AWS" }));
        let is_in = |object: &usize| !ours(&declaration, *object).is_empty();
        let now = self.now;
        let because = |refusing: &BTreeMap<usize, Millis>| {
            refusing.iter().find(|(object, until)| **until > now && is_in(object)).map(|(object, _)| *object)
        };
        if let Some(object) = because(&self.role_refused) {
            return refused(Some(role_of(object)), true);
        }
        if because(&self.action_refused).is_some() {
            return refused(None, true);
        }
        let before = self.aws.newest().cloned();
        Checks::arrives(sent, &self.aws, self.now)?;
        let Some(made) = self.aws.update(declaration, self.now) else { return refused(None, false) };
        self.checks.applied(sent, before.as_deref(), &made)?;
        let is_lost = before.is_some_and(|before| foreign(&before.declaration) != foreign(&made.declaration));
        self.say(|| {
            format!(
                "AWS makes version {} of an update planned on {}; another's edit is lost: {is_lost}",
                made.number, sent.base
            )
        });
        Ok(Ok(Pipeline { unread: true, ..made.read() }))
    }
}
