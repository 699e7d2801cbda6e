//! What comes back after each correction. This process remembers when it removed a policy; the status tells another one
//! how often it was, which a tenant may have written: it alone never keeps a policy in place.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::ids::Arn;
use crate::api::{ContestedItem, CrossAccountInvokeStatus};

/// Removals of one policy within [`WINDOW`]; after them it stays.
const REMOVALS: usize = 3;
/// What a status can say counts less: one removal is tried by each process.
const TOLD_MAX: usize = REMOVALS - 1;
/// How long a removal counts.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
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
    /// When this process removed it, the latest last.
    removed: Vec<Timestamp>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Told {
    count: usize,
    first: Timestamp,
    last: Timestamp,
}

impl Told {
    /// What lies in the future was not written by us, and what began a day ago is over.
    fn of(item: &ContestedItem, now: Timestamp) -> Option<Self> {
        let (first, last) = (item.first_at.0, item.last_at.0);
        let count = usize::try_from(item.count).unwrap_or_default().min(TOLD_MAX);
        (count > 0 && first <= last && last <= now && counts(first, now)).then_some(Self { count, first, last })
    }
}

fn counts(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < WINDOW
}

impl Entry {
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
            entry.told = entry.told.filter(|told| counts(told.first, now));
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
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let known = self.0.iter_mut().find(|entry| entry.resource == role.as_str() && entry.field == policy);
        if let Some(entry) = known {
            entry.removed.push(now);
            let old = entry.removed.len().saturating_sub(REMOVALS);
            entry.removed.drain(..old);
            return;
        }
        self.0.push(Entry {
            account: role.account().to_owned(),
            resource: role.to_string(),
            field: policy.to_owned(),
            told: None,
            removed: vec![now],
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

    /// How many policies come back after each removal.
    #[must_use]
    pub fn count(&self) -> usize {
        self.contested().count()
    }

    /// What the condition says; `None` while nothing is contested.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        let sentences: Vec<String> = self.contested().map(sentence).collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let said = contested.said().unwrap();
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
