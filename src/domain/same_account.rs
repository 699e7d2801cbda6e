//! Several `AwsAccount`s of one account id: which of them count. Two that count open nothing, since nobody can say which of
//! them is meant. One that is being deleted is on its way out of that, so it counts only while no other stays: whoever is
//! told to delete all but one has done so with the deletion, and what is in place holds none of them up.

use super::{gate::Account, plan::Blocker};
use crate::api::Reason;

/// Those of an account id that count, by name: all that stay, or else the one through which things are removed.
#[must_use]
pub fn counting<'a>(accounts: &'a [Account], id: &str) -> Vec<&'a Account> {
    let (going, mut staying): (Vec<_>, Vec<_>) = of_id(accounts, id).partition(|account| account.deleting);
    if staying.is_empty() {
        return through_which_to_remove(going).into_iter().collect();
    }
    staying.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    staying
}

/// The one that stands in for an account that goes: it counts, and this installation holds it. With it the other has nothing
/// to wait for, since what is in AWS can be reached.
#[must_use]
pub fn successor<'a>(accounts: &'a [Account], id: &str, going: &str) -> Option<&'a Account> {
    let counting = counting(accounts, id);
    let counts = counting.iter().any(|account| account.name == going);
    counting.into_iter().find(|account| !counts && account.held)
}

/// Those that this installation holds and that go while another one stays.
pub fn to_be_succeeded<'a>(accounts: &'a [Account], id: &str) -> impl Iterator<Item = &'a Account> {
    let stays = of_id(accounts, id).any(|account| !account.deleting);
    of_id(accounts, id).filter(move |account| stays && account.deleting && account.held)
}

/// What is said of several that count.
#[must_use]
pub fn duplicate(counting: &[&Account], id: &str) -> Blocker {
    let names: Vec<&str> = counting.iter().map(|account| account.name.as_str()).collect();
    let names = names.join(" and ");
    Blocker {
        reason: Reason::DuplicateAccount,
        message: format!(
            "AwsAccounts {names} all have accountID {id}, so none of them opens anything; delete all but one"
        ),
    }
}

fn of_id<'a>(accounts: &'a [Account], id: &str) -> impl Iterator<Item = &'a Account> {
    accounts.iter().filter(move |account| account.id == id)
}

/// The oldest of those that this installation holds; one that it does not hold can go at any time.
fn through_which_to_remove(going: Vec<&Account>) -> Option<&Account> {
    going.into_iter().min_by_key(|account| (!account.held, account.created, account.name.as_str()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// Letters: `d` for being deleted, `h` for held. Made in this order, if not at once.
    fn accounts(written: &[(&str, &str, i64)]) -> Vec<Account> {
        let account = |(name, letters, created): &(&str, &str, i64)| Account {
            name: (*name).to_owned(),
            id: "222222222222".to_owned(),
            // Whether they can be read makes no difference.
            spec: Err("missing field".to_owned()),
            deleting: letters.contains('d'),
            held: letters.contains('h'),
            created: Some(Timestamp::from_second(*created).unwrap()),
        };
        let mut all: Vec<Account> = written.iter().map(account).collect();
        let mut other = all[0].clone();
        (other.name, other.id) = ("of-another-id".to_owned(), "333333333333".to_owned());
        all.push(other);
        all
    }

    #[test]
    fn one_that_goes_counts_only_while_none_stays() {
        // Who there is, who counts, whom an account that goes is released for.
        type Row<'a> = (&'a [(&'a str, &'a str, i64)], &'a [&'a str], &'a [(&'a str, Option<&'a str>)]);
        let rows: &[Row<'_>] = &[
            (&[("a", "h", 1)], &["a"], &[("a", None)]),
            (&[("b", "h", 1), ("a", "h", 2)], &["a", "b"], &[]),
            (&[("a", "h", 1), ("b", "hd", 2)], &["a"], &[("b", Some("a"))]),
            (&[("a", "hd", 1), ("b", "h", 2)], &["b"], &[("a", Some("b"))]),
            // What nobody of ours holds could go at once, and what is in AWS would be out of reach.
            (&[("a", "hd", 1), ("b", "", 2)], &["b"], &[("a", None)]),
            (&[("a", "hd", 1), ("b", "h", 2), ("c", "h", 3)], &["b", "c"], &[("a", Some("b"))]),
            (&[("a", "hd", 1)], &["a"], &[("a", None)]),
            (&[("b", "hd", 1), ("a", "hd", 2)], &["b"], &[("a", Some("b")), ("b", None)]),
            (&[("b", "hd", 1), ("a", "hd", 1)], &["a"], &[("b", Some("a")), ("a", None)]),
            (&[("a", "d", 1), ("b", "hd", 2)], &["b"], &[("b", None)]),
        ];
        for (written, counts, released) in rows {
            let accounts = accounts(written);
            let names: Vec<&str> =
                counting(&accounts, "222222222222").iter().map(|account| account.name.as_str()).collect();
            assert_eq!(names, *counts, "{written:?}");
            for (going, by) in *released {
                let found = successor(&accounts, "222222222222", going).map(|account| account.name.as_str());
                assert_eq!(found, *by, "{written:?} {going}");
            }
        }
    }

    #[test]
    fn one_that_stays_takes_over_from_those_that_go_and_are_held() {
        for (written, from) in [
            (&[("a", "hd", 1), ("b", "", 2)][..], &["a"][..]),
            (&[("a", "d", 1), ("b", "", 2)], &[]),
            (&[("a", "hd", 1), ("b", "hd", 2)], &[]),
            (&[("a", "h", 1), ("b", "", 2)], &[]),
        ] {
            let accounts = accounts(written);
            let names: Vec<&str> =
                to_be_succeeded(&accounts, "222222222222").map(|account| account.name.as_str()).collect();
            assert_eq!(names, from, "{written:?}");
        }
    }
}
