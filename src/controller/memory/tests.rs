use std::collections::BTreeSet;

use super::*;
use crate::{
    domain::{ids::ObjectKey, inventory::Part},
    engine::index::{Neighbour, Shown},
};

#[test]
fn our_own_status_write_is_no_news_and_a_foreign_one_is() {
    let memory = Memory::default();
    assert!(memory.is_news("uid", 1, 0), "first sight, without a status");
    memory.note_own_status("uid", 11);
    assert!(!memory.is_news("uid", 1, NO_STATUS), "our finalizer, seen after our status was sent");
    assert!(!memory.is_news("uid", 1, 11));
    memory.note_own_status("uid", 12);
    assert!(!memory.is_news("uid", 1, 12));
    assert!(!memory.is_news("uid", 1, 11), "events of own writes may come late");
    assert!(memory.is_news("uid", 1, 99), "a forged status");
    assert!(!memory.is_news("uid", 1, 12), "our answer to it");
    assert!(memory.is_news("uid", 1, NO_STATUS), "a wiped status");
    assert!(memory.is_news("uid", 2, 12), "a changed object");
}

#[test]
fn a_finalizer_that_somebody_takes_off_is_noticed_once() {
    let memory = Memory::default();
    assert!(!memory.lost_finalizer("uid", false), "it never had one");
    assert!(!memory.lost_finalizer("uid", true));
    assert!(memory.lost_finalizer("uid", false));
    assert!(!memory.lost_finalizer("uid", false), "known");
    assert!(!memory.lost_finalizer("uid", true), "it is back");
    memory.finish("uid");
    assert!(!memory.lost_finalizer("uid", false), "we took it off");
}

#[test]
fn a_look_at_an_account_holds_until_the_next_regular_one() {
    let memory = Memory::default();
    let at = |second: i64| Timestamp::from_second(1_000 + second).unwrap();
    let left = |generation, second| memory.held_look("uid", generation, at(second)).map(|left| left.as_secs());
    assert_eq!(left(1, 0), None, "a start");
    memory.hold_look("uid", 1, at(0), Duration::from_millis(9_700));
    for (generation, second, expected) in [
        (1, 0, Some(9)),
        (1, 8, Some(1)),
        // The timer of 9.7 s may fire while the clock, which has whole seconds, still says 9.
        (1, 9, None),
        (1, 10_000, None),
        (2, 1, None),
        // The clock was set back.
        (1, -1, None),
    ] {
        assert_eq!(left(generation, second), expected, "generation {generation} at {second}");
    }
    memory.end_look("uid");
    assert_eq!(left(1, 1), None, "a look that was asked for, or one that failed");
    memory.hold_look("uid", 1, at(0), Duration::from_secs(10));
    memory.forget("uid");
    assert_eq!(left(1, 1), None);
}

#[test]
fn what_an_object_can_have_is_known_only_once_it_was_seen_converged() {
    let memory = Memory::default();
    let item = |name: &str| {
        Inventory(vec![crate::domain::inventory::Item {
            part: Part::PipelineAction,
            holder: format!("arn:aws:codepipeline:us-east-1:111111111111:{name}").parse().unwrap(),
            entry: None,
            action: None,
            stage_made: false,
            written_at: Timestamp::UNIX_EPOCH,
            read_back: false,
            digest: None,
            pipeline_version: None,
        }])
    };
    memory.plan("uid", &item("first"));
    assert_eq!(memory.since_settled("uid"), None, "an earlier process may have planned more");
    memory.settle("uid", &item("first"));
    assert_eq!(memory.since_settled("uid").as_deref(), Some(&item("first")));
    memory.plan("uid", &item("second"));
    let both = item("first").union(&item("second"));
    assert_eq!(memory.since_settled("uid").as_deref(), Some(&both), "perhaps made by now");
    memory.settle("uid", &item("second"));
    assert_eq!(memory.since_settled("uid").as_deref(), Some(&item("second")));
    memory.forget("uid");
    assert_eq!(memory.since_settled("uid"), None);
}

#[test]
fn what_was_released_needs_nothing_any_more() {
    let (memory, key) =
        (Memory::default(), ObjectKey { namespace: "payments".to_owned(), name: "validate".to_owned() });
    let neighbour = Neighbour { uid: "uid".to_owned(), declared: None, recorded: Arc::default() };
    let shown = Shown { uid: "uid".to_owned(), neighbour: Some(Arc::new(neighbour)), ..Shown::default() };
    memory.index(|index| index.put(&key, shown));
    let keys = BTreeSet::from([key]);
    memory.claim("uid", &Inventory::default());
    assert_eq!(memory.neighbours(&keys).len(), 1);
    memory.release("uid");
    assert!(memory.neighbours(&keys).is_empty());
    assert!(!memory.is_finished("uid"), "its own things may still have to go");
    memory.finish("uid");
    assert!(memory.is_finished("uid"));
    assert_eq!(memory.claims("uid"), None);
    assert!(memory.neighbours(&keys).is_empty());
    memory.forget("uid");
    assert_eq!(memory.neighbours(&keys).len(), 1, "whether it is there is for the watch to say");
}

#[test]
fn what_no_watch_shows_is_forgotten() {
    let memory = Memory::default();
    let now = Timestamp::UNIX_EPOCH;
    let fill = |uid: &str| {
        memory.count_look(uid, true);
        memory.note_look(uid, now);
        memory.looking_since(uid, now);
        assert!(memory.is_untold(uid, "InUse"));
    };
    let is_empty = || {
        let inner = memory.lock();
        inner.known.is_empty()
    };
    fill("account");
    memory.retain(&BTreeSet::from(["account".to_owned()]));
    assert!(memory.last_look("account").is_some() && !memory.is_untold("account", "InUse"), "it is still there");
    memory.forget("account");
    assert!(is_empty());
    fill("object");
    memory.retain(&BTreeSet::new());
    assert!(is_empty());
}

#[test]
fn what_lets_a_callback_policy_go_is_read_while_it_is_looked_up() {
    let memory = Memory::default();
    let at = |minute| Timestamp::UNIX_EPOCH + Duration::from_mins(minute);
    assert_eq!(memory.looking_since("uid", at(0)), at(0));
    assert_eq!(memory.looking_since("uid", at(1)), at(0), "a few roles at a time");
    memory.looked("uid");
    assert_eq!(memory.looking_since("uid", at(2)), at(2));
    assert_eq!(memory.looking_since("uid", at(12)), at(12), "nothing older counts");
}
