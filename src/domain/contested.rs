//! What comes back after each correction. The counters live in the status, so that a restart does not reset them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::ids::Arn;
use crate::api::{ContestedItem, CrossAccountInvokeStatus};

/// Removals of one policy within [`WINDOW`]; after them it stays.
const REMOVALS: i32 = 3;
/// How long a count lasts after the last correction.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// Entries in the status.
const ENTRIES_MAX: usize = 16;

/// What of one object came back, and how often.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contested(Vec<ContestedItem>);

impl Contested {
    /// What the status says, as far as it is not over.
    #[must_use]
    pub fn of(status: Option<&CrossAccountInvokeStatus>, now: Timestamp) -> Self {
        let mut entries = status.map(|status| status.contested.clone()).unwrap_or_default();
        // What lies in the future was not written by us.
        entries.retain(|entry| entry.last_at.0 <= now && now.duration_since(entry.last_at.0) < WINDOW);
        entries.truncate(ENTRIES_MAX);
        Self(entries)
    }

    /// A policy was removed from a role of ours.
    pub fn removed(&mut self, role: &Arn, policy: &str, now: Timestamp) {
        let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
        let known = self.0.iter_mut().find(|entry| entry.resource == role.as_str() && entry.field == policy);
        if let Some(entry) = known {
            entry.count = entry.count.saturating_add(1);
            entry.last_at = now;
            return;
        }
        self.0.push(ContestedItem {
            account: role.account().to_owned(),
            resource: role.to_string(),
            field: policy.to_owned(),
            count: 1,
            first_at: now.clone(),
            last_at: now,
        });
        if self.0.len() > ENTRIES_MAX {
            // The one that was quiet for the longest time.
            self.0.sort_by_key(|entry| std::cmp::Reverse(entry.last_at.0));
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
        self.0.clone()
    }

    fn contested(&self) -> impl Iterator<Item = &ContestedItem> {
        self.0.iter().filter(|entry| entry.count >= REMOVALS)
    }
}

fn sentence(entry: &ContestedItem) -> String {
    format!(
        "{} of {} was removed {} times since {}, most recently at {}, and stays if it comes back before 24 hours have passed: find \
         out what attaches it, or list it in spec.invokeRoles.toleratedPolicies of the AwsAccount of account {}",
        entry.field, entry.resource, entry.count, entry.first_at.0, entry.last_at.0, entry.account
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

    /// What the next reconcile, or the next process, knows.
    fn read_again(contested: &Contested, minute: i64) -> Contested {
        let status = CrossAccountInvokeStatus { contested: contested.status(), ..CrossAccountInvokeStatus::default() };
        Contested::of(Some(&status), at(minute))
    }

    #[test]
    fn a_policy_is_removed_three_times_and_then_stays_for_a_day() {
        let mut contested = Contested::default();
        for minute in [0, 10, 20] {
            assert_eq!(contested.returning(&role()), BTreeSet::new(), "minute {minute}");
            assert_eq!(contested.said(), None);
            contested.removed(&role(), "inline policy audit", at(minute));
            contested = read_again(&contested, minute + 1);
        }
        assert_eq!(contested.returning(&role()), BTreeSet::from(["inline policy audit".to_owned()]));
        let said = contested.said().unwrap();
        assert!(
            said.contains("inline policy audit") && said.contains("3 times") && said.contains("toleratedPolicies"),
            "{said}"
        );
        let other: Arn = "arn:aws:iam::222222222222:role/crossinvoke/x/other".parse().unwrap();
        assert_eq!(contested.returning(&other), BTreeSet::new());

        let almost = read_again(&contested, 20 + 24 * 60 - 1);
        assert_eq!(almost, contested);
        assert_eq!(read_again(&contested, 20 + 24 * 60), Contested::default(), "a day without a removal ends it");
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
    }

    #[test]
    fn a_count_from_the_future_is_not_ours() {
        let mut contested = Contested::default();
        for _ in 0..3 {
            contested.removed(&role(), "inline policy audit", at(99));
        }
        assert_eq!(read_again(&contested, 0), Contested::default());
    }
}
