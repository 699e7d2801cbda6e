//! What comes back after each correction. This process remembers when it removed a policy; the status tells another one
//! how often it was, which a tenant may have written: it alone never keeps a policy in place.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    ids::{AccountId, Arn, PipelineName, Region},
    spacing::{Corrected, Corrections},
};
use crate::api::{ContestedItem, ContestedReason, CrossAccountInvokeStatus};

/// Removals of one policy within [`WINDOW`]; after them it stays.
const REMOVALS: usize = 3;
/// What a status can say counts less: one removal is tried by each process.
const TOLD_MAX: usize = REMOVALS - 1;
/// How long a removal counts.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// Corrections of one action that are counted: after as many they are as far apart as they get.
const CORRECTIONS: usize = 32;
/// Entries of one object.
const ENTRIES_MAX: usize = 16;

/// What of one object came back, and how often.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contested(Vec<Entry>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Entry {
    account: String,
    resource: String,
    field: String,
    /// What the status said before this process removed it.
    told: Option<Told>,
    /// When this process removed it, or put it back, the latest last.
    removed: Vec<Timestamp>,
    /// Of an action, when it is put back again at the earliest.
    next: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Told {
    count: usize,
    first: Timestamp,
    last: Timestamp,
}

impl Told {
    /// What lies in the future was not written by us, and what began a day ago is over. Corrections of an action never stop,
    /// so that these are over a day after the last one.
    fn of(item: &ContestedItem, now: Timestamp) -> Option<Self> {
        let (first, last) = (item.first_at.0, item.last_at.0);
        let (most, since) = if is_pipeline(&item.resource) { (CORRECTIONS, last) } else { (TOLD_MAX, first) };
        let count = usize::try_from(item.count).unwrap_or_default().min(most);
        (count > 0 && first <= last && last <= now && counts(since, now)).then_some(Self { count, first, last })
    }
}

fn counts(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < WINDOW
}

impl Entry {
    /// Whether it is an action of a pipeline, and not a policy of a role.
    fn is_action(&self) -> bool {
        is_pipeline(&self.resource)
    }

    fn is_over(&self) -> bool {
        self.told.is_none() && self.removed.is_empty()
    }

    fn count(&self) -> usize {
        self.told.map_or(0, |told| told.count) + self.removed.len()
    }

    fn first(&self) -> Timestamp {
        let told = self.told.map(|told| told.first);
        told.or_else(|| self.removed.first().copied()).unwrap_or(Timestamp::MIN)
    }

    fn last(&self) -> Timestamp {
        self.removed.last().copied().or_else(|| self.told.map(|told| told.last)).unwrap_or(Timestamp::MIN)
    }
}

impl Contested {
    /// What this process removed, and what the status says of everything else, as far as it is not over.
    #[must_use]
    pub fn of(status: Option<&CrossAccountInvokeStatus>, own: Self, now: Timestamp) -> Self {
        let mut entries = own.0;
        for entry in &mut entries {
            entry.removed.retain(|at| counts(*at, now));
            let is_action = entry.is_action();
            entry.told = entry.told.filter(|told| counts(if is_action { told.last } else { told.first }, now));
        }
        entries.retain(|entry| !entry.is_over());
        for item in status.map(|status| status.contested.as_slice()).unwrap_or_default() {
            let is_known = entries.iter().any(|entry| entry.resource == item.resource && entry.field == item.field);
            let told = Told::of(item, now).filter(|_| !is_known && entries.len() < ENTRIES_MAX);
            entries.extend(told.map(|told| Entry {
                account: item.account.clone(),
                resource: item.resource.clone(),
                field: item.field.clone(),
                told: Some(told),
                removed: Vec::new(),
                next: item.next_correction_at.as_ref().map(|at| at.0).filter(|_| is_pipeline(&item.resource)),
            }));
        }
        Self(entries)
    }

    /// Those of them that this process removed, to be remembered by it.
    #[must_use]
    pub fn own(&self) -> Self {
        Self(self.0.iter().filter(|entry| !entry.removed.is_empty()).cloned().collect())
    }

    /// A policy was removed from a role of ours.
    pub fn removed(&mut self, role: &Arn, policy: &str, now: Timestamp) {
        self.note((role, policy), (now, None), REMOVALS);
    }

    /// Our action was put back, which somebody had changed or taken out.
    pub fn corrected(&mut self, pipeline: &Arn, corrected: &Corrected) {
        let Corrected { stage, action, .. } = corrected;
        self.note((pipeline, &format!("action {stage}/{action}")), (corrected.at, corrected.next), CORRECTIONS);
    }

    fn note(&mut self, (resource, field): (&Arn, &str), (at, next): (Timestamp, Option<Timestamp>), most: usize) {
        let at = to_the_second(at);
        let next = next.map(to_the_second);
        let known = self.0.iter_mut().find(|entry| entry.resource == resource.as_str() && entry.field == field);
        if let Some(entry) = known {
            entry.removed.push(at);
            entry.next = next;
            let old = entry.removed.len().saturating_sub(most);
            entry.removed.drain(..old);
            return;
        }
        self.0.push(Entry {
            account: resource.account().to_owned(),
            resource: resource.to_string(),
            field: field.to_owned(),
            told: None,
            removed: vec![at],
            next,
        });
        if self.0.len() > ENTRIES_MAX {
            // The one that was quiet for the longest time, and what was only told before that.
            self.0.sort_by_key(|entry| std::cmp::Reverse((!entry.removed.is_empty(), entry.last())));
            self.0.truncate(ENTRIES_MAX);
        }
    }

    /// The policies of a role that were removed as often as they may be in a day.
    #[must_use]
    pub fn returning(&self, role: &Arn) -> BTreeSet<String> {
        let of_role = self.contested().filter(|entry| entry.resource == role.as_str());
        of_role.map(|entry| entry.field.clone()).collect()
    }

    /// How many policies come back after each removal, and how many actions are undone after each correction.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let actions = self.contested().filter(|entry| entry.is_action()).count();
        (self.contested().count() - actions, actions)
    }

    /// What the condition says; `None` while nothing is contested.
    #[must_use]
    pub fn said(&self) -> Option<(ContestedReason, String)> {
        let (actions, policies): (Vec<&Entry>, Vec<&Entry>) = self.contested().partition(|entry| entry.is_action());
        let reason = if policies.is_empty() { ContestedReason::ActionUndone } else { ContestedReason::PolicyReturns };
        let of_actions = actions.into_iter().map(sentence_of_action);
        let sentences: Vec<String> = policies.into_iter().map(sentence).chain(of_actions).collect();
        (!sentences.is_empty()).then(|| (reason, sentences.join("; ")))
    }

    /// The status member.
    #[must_use]
    pub fn status(&self) -> Vec<ContestedItem> {
        let item = |entry: &Entry| ContestedItem {
            account: entry.account.clone(),
            resource: entry.resource.clone(),
            field: entry.field.clone(),
            count: i32::try_from(entry.count()).unwrap_or(i32::MAX),
            first_at: Time(entry.first()),
            last_at: Time(entry.last()),
            next_correction_at: entry.next.map(Time),
        };
        self.0.iter().map(item).collect()
    }

    fn contested(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|entry| entry.count() >= REMOVALS)
    }
}

fn sentence(entry: &Entry) -> String {
    format!(
        "{} of {} was removed {} times since {}, most recently at {}, and stays if it comes back before 24 hours have passed: find \
         out what attaches it, or list it in spec.invokeRoles.toleratedPolicies of the AwsAccount of account {}",
        entry.field,
        entry.resource,
        entry.count(),
        entry.first(),
        entry.last(),
        entry.account
    )
}

fn sentence_of_action(entry: &Entry) -> String {
    format!(
        "{} of {} was put back {} times since {}, most recently at {}: find out who or what writes the pipeline",
        entry.field,
        entry.resource,
        entry.count(),
        entry.first(),
        entry.last(),
    )
}

fn is_pipeline(resource: &str) -> bool {
    resource.parse::<Arn>().is_ok_and(|arn| arn.service() == "codepipeline")
}

fn to_the_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The corrections of a pipeline that a status tells of, before a process began: after that it knows them itself, and
/// whatever a status says of that time was forged.
#[must_use]
pub fn corrections(
    status: &CrossAccountInvokeStatus,
    (account, region, name): (&AccountId, &Region, &PipelineName),
    began: Timestamp,
) -> Option<Corrections> {
    let is_it = |resource: &str| {
        resource.parse::<Arn>().is_ok_and(|arn| {
            let place = (arn.service(), arn.account(), arn.region(), arn.resource());
            place == ("codepipeline", account.as_str(), region.as_str(), name.as_str())
        })
    };
    let told = status.contested.iter().filter(|item| is_it(&item.resource)).filter_map(|item| Told::of(item, began));
    // Within the second that the status says.
    let told = told.map(|told| Corrections {
        count: u32::try_from(told.count).unwrap_or(u32::MAX),
        last: told.last + SignedDuration::from_secs(1),
    });
    told.reduce(|one, other| one.and(Some(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ObjectKey;

    fn role() -> Arn {
        "arn:aws:iam::222222222222:role/crossinvoke/x/validate".parse().unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    const AUDIT: &str = "inline policy audit";

    /// What the next reconcile of this process knows.
    fn next_look(contested: &Contested, minute: i64) -> Contested {
        Contested::of(Some(&status_of(contested)), contested.own(), at(minute))
    }

    /// What another process knows.
    fn next_process(contested: &Contested, minute: i64) -> Contested {
        Contested::of(Some(&status_of(contested)), Contested::default(), at(minute))
    }

    fn status_of(contested: &Contested) -> CrossAccountInvokeStatus {
        CrossAccountInvokeStatus { contested: contested.status(), ..CrossAccountInvokeStatus::default() }
    }

    fn stays(contested: &Contested) -> bool {
        assert_eq!(contested.said().is_some(), !contested.returning(&role()).is_empty());
        contested.returning(&role()).contains(AUDIT)
    }

    /// Removed in these minutes, by one process.
    fn removed_at(minutes: &[i64]) -> Contested {
        minutes.iter().fold(Contested::default(), |contested, minute| {
            let mut contested = next_look(&contested, *minute);
            contested.removed(&role(), AUDIT, at(*minute));
            contested
        })
    }

    #[test]
    fn a_policy_is_removed_three_times_a_day_and_then_stays() {
        for minutes in [&[][..], &[0], &[0, 10]] {
            assert!(!stays(&next_look(&removed_at(minutes), 11)), "{minutes:?}");
        }
        let contested = removed_at(&[0, 10, 20]);
        assert!(stays(&contested) && stays(&next_look(&contested, 21)));
        let (_, said) = contested.said().unwrap();
        assert!(said.contains(AUDIT) && said.contains("3 times") && said.contains("toleratedPolicies"), "{said}");
        let other: Arn = "arn:aws:iam::222222222222:role/crossinvoke/x/other".parse().unwrap();
        assert_eq!(contested.returning(&other), BTreeSet::new());
        let day = 24 * 60;
        assert!(stays(&next_look(&contested, day - 1)));
        assert!(!stays(&next_look(&contested, day)), "the first one was a day ago");
        assert_eq!(next_look(&contested, day + 20), Contested::default());
        let apart = removed_at(&[0, 20 * 60, 40 * 60]);
        assert!(!stays(&apart), "never three within a day");
        assert_eq!(apart.status()[0].count, 2);
    }

    #[test]
    fn another_process_removes_it_once_more() {
        let contested = removed_at(&[0, 10, 20]);
        let mut other = next_process(&contested, 30);
        assert!(!stays(&other));
        other.removed(&role(), AUDIT, at(30));
        assert!(stays(&other) && stays(&next_look(&other, 31)));
        assert_eq!(other.status()[0].first_at.0, at(0));
        assert!(!stays(&next_look(&other, 24 * 60)), "what was told is over");
        let mut once = next_process(&removed_at(&[0]), 30);
        once.removed(&role(), AUDIT, at(30));
        assert_eq!((stays(&once), once.status()[0].count), (false, 2), "what was told counts");
    }

    #[test]
    fn a_status_alone_keeps_no_policy() {
        for (what, count, first, last, told) in [
            ("a forged count", 3, 0, 50, 2),
            ("as many as there can be", i32::MAX, 0, 50, 2),
            ("fewer than none", -1, 0, 50, 0),
            ("begun a day ago", 3, 60 - 24 * 60, 50, 0),
            ("from the future", 3, 0, 61, 0),
            ("ended before it began", 3, 50, 40, 0),
        ] {
            let item = ContestedItem {
                account: "222222222222".to_owned(),
                resource: role().to_string(),
                field: AUDIT.to_owned(),
                count,
                first_at: Time(at(first)),
                last_at: Time(at(last)),
                next_correction_at: None,
            };
            let status = CrossAccountInvokeStatus { contested: vec![item], ..CrossAccountInvokeStatus::default() };
            let read = Contested::of(Some(&status), Contested::default(), at(60));
            let count = read.status().first().map_or(0, |item| item.count);
            assert_eq!((stays(&read), count), (false, told), "{what}");
            // Nor does it change what this process did.
            let own = removed_at(&[55, 56]);
            let read = Contested::of(Some(&status), own.own(), at(60));
            assert_eq!(read, own, "{what}");
        }
    }

    #[test]
    fn an_action_is_put_back_without_end_and_each_time_counted() {
        let pipeline: Arn = "arn:aws:codepipeline:eu-west-1:111111111111:release".parse().unwrap();
        let mut contested = Contested::default();
        let correct = |contested: &mut Contested, minute: i64| {
            let corrected = Corrected {
                object: ObjectKey { namespace: "team".to_owned(), name: "check".to_owned() },
                stage: "Build".parse().unwrap(),
                action: "Check".parse().unwrap(),
                at: at(minute),
                next: Some(at(minute + 60)),
            };
            contested.corrected(&pipeline, &corrected);
        };
        correct(&mut contested, 0);
        correct(&mut contested, 10);
        assert_eq!((contested.said(), contested.counts()), (None, (0, 0)));
        correct(&mut contested, 30);
        let (reason, said) = contested.said().unwrap();
        assert_eq!((reason, contested.counts()), (ContestedReason::ActionUndone, (0, 1)));
        assert!(said.contains("action Build/Check") && said.contains("3 times"), "{said}");
        let item = contested.status().remove(0);
        assert_eq!((item.count, item.next_correction_at.map(|next| next.0)), (3, Some(at(90))));
        // Another process counts on, and knows when the last one was.
        let status = status_of(&contested);
        let known = |name: &str, began: i64| {
            let (account, region) = ("111111111111".parse().unwrap(), "eu-west-1".parse().unwrap());
            corrections(&status, (&account, &region, &name.parse().unwrap()), at(began))
        };
        assert_eq!(known("release", 40), Some(Corrections { count: 3, last: at(30) + SignedDuration::from_secs(1) }));
        assert_eq!(known("other", 40), None);
        assert_eq!(known("release", 20), None, "what is later than its begin was forged");
        let mut other = next_process(&contested, 40);
        correct(&mut other, 90);
        assert_eq!((other.status()[0].count, other.counts()), (4, (0, 1)));
        // It is over a day after the last one, and not after the first.
        assert_eq!(next_process(&contested, 29 + 24 * 60).counts(), (0, 1));
        assert_eq!(next_process(&contested, 30 + 24 * 60), Contested::default());
        // Policies of a role are said first.
        for minute in 0..3 {
            other.removed(&role(), AUDIT, at(minute));
        }
        assert_eq!(other.said().unwrap().0, ContestedReason::PolicyReturns);
    }

    #[test]
    fn policies_are_counted_each_by_itself_and_boundedly() {
        let mut contested = Contested::default();
        for number in 0..20 {
            contested.removed(&role(), &format!("inline policy {number}"), at(number));
        }
        let entries = contested.status();
        assert_eq!(entries.len(), ENTRIES_MAX);
        assert!(entries.iter().all(|entry| entry.count == 1 && entry.field != "inline policy 0"));
        assert_eq!(contested.said(), None);
        // What a status tells does not displace it.
        let mut told = next_process(&contested, 20);
        told.removed(&role(), AUDIT, at(10));
        assert!(told.own().status().iter().any(|entry| entry.field == AUDIT));
        assert_eq!(told.status().len(), ENTRIES_MAX);
    }
}
