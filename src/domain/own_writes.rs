//! What this process wrote and has not read back yet, so that a stale read is not taken for drift.
//!
//! IAM and CodePipeline may answer a read with what was there before our own write. Answering that with another write
//! makes write storms; waiting for any difference to pass would hide real drift. So only one value is forgiven, the one
//! from before our write, only until our own value has once been read back, and for two minutes at most.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::observed::Resource;

/// How long the old value is forgiven. IAM changes have been seen to take up to a minute; Terraform waits two.
pub const FORGIVEN_FOR: Duration = Duration::from_mins(2);

/// How long AWS may still apply a write that it was sent: as long as its signature holds.
pub const APPLIED_WITHIN: Duration = Duration::from_mins(5);

/// The canonical text of what a resource is; `None` when it does not exist. For a pipeline it is the version.
pub type State = Option<String>;

#[derive(Clone, Debug)]
struct Written {
    at: Timestamp,
    before: State,
    after: State,
    read_back: bool,
    /// Whether AWS said that it was applied. Without that it may have been, or may be yet.
    answered: bool,
    /// Whether it may be applied yet: nothing came back of it at all.
    open: bool,
}

/// What was remembered of a resource before a write was sent.
#[derive(Debug)]
pub struct Earlier(Option<Written>);

/// The memory of one process, keyed by resource and so shared by all objects that use it.
#[derive(Clone, Debug, Default)]
pub struct OwnWrites {
    entries: HashMap<Resource, Written>,
    /// When it was last looked for entries that say nothing any more: that takes all of them, and not for each write.
    swept: Option<Timestamp>,
}

impl OwnWrites {
    /// Remembers a write that AWS has answered.
    pub fn note_write(&mut self, resource: &Resource, before: State, after: State, at: Timestamp) {
        self.insert(resource, Written { at, before, after, read_back: false, answered: true, open: false });
    }

    /// Remembers a write that is about to be sent: whoever waits for its answer may be dropped before it comes. Returns what
    /// was remembered so far, for [`Self::take_back`].
    #[must_use]
    pub fn note_sent(&mut self, resource: &Resource, before: State, after: State, at: Timestamp) -> Earlier {
        let earlier = self.entries.get(resource).cloned();
        self.insert(resource, Written { at, before, after, read_back: false, answered: false, open: true });
        Earlier(earlier)
    }

    /// The write that was sent has surely not been applied.
    pub fn take_back(&mut self, resource: &Resource, earlier: Earlier) {
        match earlier.0 {
            Some(earlier) => self.entries.insert(resource.clone(), earlier),
            None => self.entries.remove(resource),
        };
    }

    /// AWS answered with a fault of its own: the write may have been applied, and is not applied any more.
    pub fn note_fault(&mut self, resource: &Resource) {
        if let Some(written) = self.entries.get_mut(resource) {
            written.open = false;
        }
    }

    /// Until when nobody writes the resource, since a write that was sent and not answered may be applied meanwhile: it has
    /// an attempt's time to be answered, and as long again to be applied.
    #[must_use]
    pub fn held_until(&self, resource: &Resource, attempt: Duration, now: Timestamp) -> Option<Timestamp> {
        let written = self.entries.get(resource).filter(|written| written.open && !written.read_back)?;
        let until = written.at.checked_add(attempt.saturating_mul(2)).ok()?;
        (until > now).then_some(until)
    }

    fn insert(&mut self, resource: &Resource, written: Written) {
        let at = written.at;
        self.entries.insert(resource.clone(), written);
        if self.swept.is_none_or(|swept| age(swept, at) > FORGIVEN_FOR) {
            self.swept = Some(at);
            // Bounded: an entry that no longer forgives anything says nothing either, but when it was written.
            self.entries.retain(|_, written| age(written.at, at) <= FORGIVEN_FOR.saturating_mul(5));
        }
    }

    /// Recalls a write of an earlier process, as its record tells it; anything this process wrote itself counts more.
    pub fn recall(&mut self, resource: &Resource, after: State, at: Timestamp, now: Timestamp) {
        // A time to come is no record of ours, and would be forgiven for longer than any write.
        if at <= now && age(at, now) < FORGIVEN_FOR && !self.entries.contains_key(resource) {
            let written = Written { at, before: None, after, read_back: false, answered: true, open: false };
            self.entries.insert(resource.clone(), written);
        }
    }

    /// Takes note of what was read; from the first sight of our own value on, any difference is real.
    pub fn note_read(&mut self, resource: &Resource, state: &State) {
        if let Some(written) = self.entries.get_mut(resource) {
            written.read_back |= reached(resource, state, &written.after);
        }
    }

    /// Whether this read shows what was there before our write, which has not been read back yet.
    #[must_use]
    pub fn is_stale(&self, resource: &Resource, state: &State, now: Timestamp) -> bool {
        self.entries.get(resource).is_some_and(|written| {
            !written.read_back
                && age(written.at, now) < FORGIVEN_FOR
                && match resource {
                    // We make no pipelines, so one that is not there has been deleted.
                    Resource::Pipeline { .. } => state.is_some() && !reached(resource, state, &written.after),
                    // Without an answer it is tried again at once, which harms nothing in IAM.
                    _ => written.answered && *state == written.before,
                }
        })
    }

    /// Whether the resource, which is not to be seen, may be there all the same: a write that would have made it was sent,
    /// and its answer never came. Whoever ended a deletion on that would leave it behind.
    #[must_use]
    pub fn may_hide(&self, resource: &Resource, state: &State, now: Timestamp) -> bool {
        state.is_none()
            && !matches!(resource, Resource::Pipeline { .. })
            && self.entries.get(resource).is_some_and(|written| {
                !written.answered
                    && !written.read_back
                    && written.after.is_some()
                    && age(written.at, now) < if written.open { APPLIED_WITHIN + FORGIVEN_FOR } else { FORGIVEN_FOR }
            })
    }

    /// When this process last wrote the resource, as far as it remembers.
    #[must_use]
    pub fn written_at(&self, resource: &Resource) -> Option<Timestamp> {
        self.entries.get(resource).map(|written| written.at)
    }
}

fn age(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or(Duration::ZERO)
}

/// Whether the state shows the write. Of pipelines the version decides: it only grows, so a later one shows it too.
fn reached(resource: &Resource, state: &State, after: &State) -> bool {
    match resource {
        Resource::Pipeline { .. } => match (version(state), version(after)) {
            (Some(seen), Some(written)) => seen >= written,
            _ => state == after,
        },
        _ => state == after,
    }
}

fn version(state: &State) -> Option<i64> {
    state.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn policy() -> Resource {
        Resource::RolePolicy {
            account: "222222222222".parse().unwrap(),
            role: "r".parse().unwrap(),
            policy: "p".to_owned(),
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "a state is what it is compared with")]
    fn state(text: &str) -> State {
        Some(text.to_owned())
    }

    #[test]
    fn only_the_value_from_before_our_write_is_forgiven() {
        let mut writes = OwnWrites::default();
        writes.note_write(&policy(), None, state("ours"), at(0));
        assert!(writes.is_stale(&policy(), &None, at(1)));
        assert!(!writes.is_stale(&policy(), &state("third"), at(1)), "a third value is always real");
        assert!(!writes.is_stale(&policy(), &None, at(120)), "for two minutes at most");
    }

    #[test]
    fn once_read_back_the_old_value_is_drift() {
        let mut writes = OwnWrites::default();
        writes.note_write(&policy(), None, state("ours"), at(0));
        writes.note_read(&policy(), &None);
        assert!(writes.is_stale(&policy(), &None, at(1)));
        writes.note_read(&policy(), &state("ours"));
        assert!(!writes.is_stale(&policy(), &None, at(2)));
    }

    #[test]
    fn of_a_pipeline_the_version_decides() {
        let pipeline = Resource::Pipeline {
            account: "111111111111".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            name: "p".parse().unwrap(),
        };
        let mut writes = OwnWrites::default();
        writes.note_write(&pipeline, state("9"), state("10"), at(0));
        assert!(writes.is_stale(&pipeline, &state("9"), at(1)));
        assert!(writes.is_stale(&pipeline, &state("8"), at(1)), "an even older read is stale too");
        assert!(!writes.is_stale(&pipeline, &state("11"), at(1)));
        assert!(!writes.is_stale(&pipeline, &None, at(1)), "deleted by somebody");
        writes.note_read(&pipeline, &state("11"));
        assert!(!writes.is_stale(&pipeline, &state("9"), at(2)));
    }

    #[test]
    fn what_an_earlier_process_wrote_is_recalled_for_as_long() {
        let pipeline = Resource::Pipeline {
            account: "111111111111".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            name: "p".parse().unwrap(),
        };
        let recalled = |written: i64, now: i64| {
            let mut writes = OwnWrites::default();
            writes.recall(&pipeline, state("10"), at(written), at(now));
            writes
        };
        assert!(recalled(0, 60).is_stale(&pipeline, &state("9"), at(61)));
        assert!(!recalled(0, 60).is_stale(&pipeline, &state("10"), at(61)));
        assert!(!recalled(0, 60).is_stale(&pipeline, &state("9"), at(121)), "two minutes from the write");
        assert!(!recalled(0, 200).is_stale(&pipeline, &state("9"), at(200)));
        assert!(!recalled(500, 60).is_stale(&pipeline, &state("9"), at(61)), "a time to come was not written by us");
    }

    #[test]
    fn what_was_sent_without_an_answer_may_be_there_unseen() {
        let mut writes = OwnWrites::default();
        let none = writes.note_sent(&policy(), None, state("ours"), at(0));
        assert!(!writes.is_stale(&policy(), &None, at(1)), "it is sent again at once");
        assert!(writes.may_hide(&policy(), &None, at(1)));
        assert!(!writes.may_hide(&policy(), &state("ours"), at(1)), "it is to be seen");
        assert!(writes.may_hide(&policy(), &None, at(419)), "applied late, and seen later");
        assert!(!writes.may_hide(&policy(), &None, at(420)), "for seven minutes at most");
        let earlier = writes.note_sent(&policy(), None, state("again"), at(60));
        writes.take_back(&policy(), earlier);
        assert!(!writes.may_hide(&policy(), &None, at(420)), "the refused second one makes no difference");
        writes.note_fault(&policy());
        assert!(
            writes.may_hide(&policy(), &None, at(119)) && !writes.may_hide(&policy(), &None, at(120)),
            "a fault of AWS"
        );
        writes.take_back(&policy(), none);
        assert!(!writes.may_hide(&policy(), &None, at(1)), "surely not applied");
        drop(writes.note_sent(&policy(), state("ours"), None, at(0)));
        assert!(!writes.may_hide(&policy(), &None, at(1)), "a removal hides nothing");
        drop(writes.note_sent(&policy(), None, state("ours"), at(0)));
        writes.note_read(&policy(), &state("ours"));
        assert!(!writes.may_hide(&policy(), &None, at(1)), "read back, and then removed by somebody");
    }

    #[test]
    fn an_update_of_a_pipeline_counts_from_when_it_is_sent() {
        let pipeline = Resource::Pipeline {
            account: "111111111111".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            name: "p".parse().unwrap(),
        };
        let mut writes = OwnWrites::default();
        let earlier = writes.note_sent(&pipeline, state("9"), state("10"), at(0));
        assert!(writes.is_stale(&pipeline, &state("9"), at(1)));
        writes.take_back(&pipeline, earlier);
        assert!(!writes.is_stale(&pipeline, &state("9"), at(1)), "refused");
    }

    #[test]
    fn a_resource_is_held_while_a_write_without_an_answer_may_be_applied() {
        let (mut writes, attempt) = (OwnWrites::default(), Duration::from_secs(10));
        let held = |writes: &OwnWrites, now| writes.held_until(&policy(), attempt, at(now));
        let earlier = writes.note_sent(&policy(), None, state("ours"), at(0));
        assert_eq!((held(&writes, 1), held(&writes, 20)), (Some(at(20)), None));
        let mut other = writes.clone();
        other.note_read(&policy(), &state("ours"));
        assert_eq!(held(&other, 1), None, "it was applied");
        writes.note_fault(&policy());
        assert_eq!(held(&writes, 1), None, "AWS answered");
        writes.take_back(&policy(), earlier);
        writes.note_write(&policy(), None, state("ours"), at(0));
        assert_eq!(held(&writes, 1), None);
    }

    #[test]
    fn another_resource_is_never_stale() {
        assert!(!OwnWrites::default().is_stale(&policy(), &None, at(0)));
    }
}
