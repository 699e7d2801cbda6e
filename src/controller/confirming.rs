//! A regular look at an object in place asks what the last whole one asked, and compares the answers (ADR 14).

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    context::Context,
    memory::InPlace,
    outcome::Verdict,
    pass::{Halt, Pass},
    role_writer,
    sessions::Reads,
    spreading,
};
use crate::{
    aws::{Answers, AwsError, Question},
    domain::{
        observed::Resource,
        spec::{Declared, Granted},
    },
};

/// By what a reconcile sees that everything is in place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InPlaceBy {
    /// It has not seen that, or there is something to be said beside it.
    Nothing,
    /// There was nothing to plan.
    EmptyPlan,
    /// AWS answers as at the last whole look.
    SameAnswers,
}

/// Confirms what the last whole look found.
///
/// # Errors
/// [`Halt::Restart`] where AWS answers otherwise; else as AWS answers.
pub(super) async fn confirm(
    pass: &mut Pass<'_>,
    reads: &Reads,
    declared: &Declared,
    answers: &Answers,
) -> Result<Verdict, Halt> {
    if !is_as_it_was(reads, declared, answers).await? {
        return Err(Halt::Restart);
    }
    pass.in_place = InPlaceBy::SameAnswers;
    found_again(pass, answers);
    pass.saw_everything();
    Ok(Verdict::Converged)
}

/// Whether AWS answers all that the last whole look asked as it did then.
async fn is_as_it_was(reads: &Reads, declared: &Declared, answers: &Answers) -> Result<bool, AwsError> {
    for (account, question, known) in answers {
        let of = [(&declared.tools.account, &reads.tools), (&declared.dev.account, &reads.dev)];
        let Some((_, reads)) = of.into_iter().find(|(id, _)| *id == account) else { return Ok(false) };
        if !reads.confirms(question, *known).await? {
            tracing::debug!(?question, "not as it was at the last look");
            return Ok(false);
        }
    }
    Ok(true)
}

/// A pipeline that was read is not in doubt any more, whoever had not found it.
fn found_again(pass: &Pass<'_>, answers: &Answers) {
    for (account, question, _) in answers {
        if let Question::Pipeline(region, name) = question {
            let (account, region, name) = (account.clone(), region.clone(), name.clone());
            let _ = pass.context.memory.is_doubted(&Resource::Pipeline { account, region, name }, true, Context::now());
        }
    }
}

impl Pass<'_> {
    /// What this look has to confirm; none where it has to be a whole one.
    #[must_use]
    pub fn to_confirm(&self, granted: &Granted) -> Option<Arc<Answers>> {
        if !self.is_regular {
            return None;
        }
        let version = self.object.metadata.resource_version.as_deref();
        self.context.memory.to_confirm(&self.uid, version, spreading::imposed(granted))
    }

    /// Remembers what this look was answered, for the next one, if everything was in place and nothing of it depends on time
    /// or has to be said again.
    pub fn note_in_place(&self) {
        let memory = &self.context.memory;
        let is_plain = self.in_place == InPlaceBy::EmptyPlan
            && self.refused_removals.is_empty()
            && self.drift.status().is_none_or(|drift| drift.items.is_empty())
            && self.contested.status().is_empty()
            && self.facts.is_plain()
            && !memory.is_unsettled(&self.uid, Context::now())
            && !role_writer::is_unsettled(self.context, &self.inventory);
        let (Some(answers), Some(imposed)) = (self.reader.answers().filter(|_| is_plain), memory.imposed(&self.uid))
        else {
            return;
        };
        let resource_version = self.object.metadata.resource_version.clone();
        let (answers, noted) = (Arc::new(answers), Instant::now());
        let look = InPlace { resource_version, imposed, answers, began: self.began, noted };
        memory.note_in_place(&self.uid, look);
    }
}
