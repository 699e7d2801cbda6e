//! What a look found in place, as digests: enough to see at the next regular look that nothing has changed.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Memory;
use crate::{
    aws::{Answers, Question},
    domain::ids::{AccountId, RoleId},
    engine::index::{Index, Moment, PipelinePlace},
};

/// After this time there is another whole look in any case. Nothing is known to need it: it bounds what a mistake in what is
/// compared could hide. Most often the hourly record of the last look comes before it, which changes the object.
const CONFIRMED_FOR: Duration = Duration::from_hours(24);

/// A look that found everything in place and left nothing to be said.
#[derive(Clone, Debug)]
pub struct InPlace {
    /// The object as it was then.
    pub resource_version: Option<String>,
    /// A digest of what its accounts imposed on it.
    pub imposed: u64,
    /// What was asked, and what AWS answered.
    pub answers: Arc<Answers>,
    /// When the look began: nothing that others need of the same things has changed since.
    pub began: Moment,
    /// When it ended.
    pub noted: Instant,
}

impl InPlace {
    /// Whether what was seen then can tell whether everything is in place: the object is as it was, and so is all that its
    /// plan rests on beside what is read in AWS.
    fn holds(&self, resource_version: Option<&str>, imposed: u64, index: &Index) -> bool {
        let pipelines: Vec<PipelinePlace> = self.answers.iter().filter_map(pipeline_of).collect();
        let roles: Vec<RoleId> = self.answers.iter().filter_map(role_of).collect();
        self.resource_version.as_deref() == resource_version
            && self.imposed == imposed
            && self.noted.elapsed() < CONFIRMED_FOR
            && !index.changed_since(self.began, pipelines.iter(), roles.iter())
    }
}

fn pipeline_of((account, question, _): &(AccountId, Question, u64)) -> Option<PipelinePlace> {
    match question {
        Question::Pipeline(region, name) => Some((account.clone(), region.clone(), name.clone())),
        _ => None,
    }
}

fn role_of((account, question, _): &(AccountId, Question, u64)) -> Option<RoleId> {
    match question {
        Question::Role(name)
        | Question::RolePolicy(name, _)
        | Question::RolePolicies(name)
        | Question::AttachedRolePolicies(name) => Some(RoleId { account: account.clone(), name: name.clone() }),
        Question::ManagedPolicy(_) | Question::Function(..) | Question::Pipeline(..) => None,
    }
}

impl Memory {
    /// Remembers a look that found everything in place.
    pub fn note_in_place(&self, uid: &str, look: InPlace) {
        self.lock().of(uid).in_place = Some(Box::new(look));
    }

    /// What the next regular look has to confirm; none where it has to be a whole one.
    pub fn to_confirm(&self, uid: &str, resource_version: Option<&str>, imposed: u64) -> Option<Arc<Answers>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let known = inner.known.get_mut(uid)?;
        let look = known.in_place.as_deref()?;
        if look.holds(resource_version, imposed, &inner.index) {
            return Some(look.answers.clone());
        }
        known.in_place = None;
        None
    }
}
