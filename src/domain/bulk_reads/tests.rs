use proptest::prelude::*;

use super::*;

const SPACING: Duration = Duration::from_mins(10);
const LATELY: Option<Duration> = Some(Duration::from_mins(9));
const BEFORE: Option<Duration> = Some(Duration::from_mins(11));
const LONG_AGO: Option<Duration> = Some(Duration::from_hours(25));

/// Forty objects: an invoke role with four reads each, and an execution role with one.
const FORTY: Claims = Claims { things: 80, calls: 200 };
const ONE: Claims = Claims { things: 2, calls: 5 };

/// An account of so many roles of 2 kB, of which all that is claimed was shown.
fn whole(things: u64, claims: Claims) -> Seen {
    let pages = things.div_ceil(Listing::Roles.page()).max(1);
    let bytes = things * 2_000;
    Seen { pages, things, bytes, claimed: claims.things, claimed_bytes: claims.things * 2_000, ended: true }
}

fn known(seen: Seen, claims: Claims, begun: Option<Duration>) -> Known {
    Known { last: Some((seen, claims)), begun, denied: false }
}

fn chosen(known: &Known, claims: Claims) -> Choice {
    choose(Mode::Auto, Listing::Roles, known, claims, SPACING)
}

#[test]
fn what_was_seen_last_decides() {
    use Choice::{Scan, Single};
    let whole_page = Scan { page: 300 };
    for (case, known, claims, expected) in [
        ("an account of theirs alone", known(whole(82, FORTY), FORTY, BEFORE), FORTY, whole_page),
        ("twice as many others", known(whole(120, FORTY), FORTY, BEFORE), FORTY, whole_page),
        ("a crowd of others: bytes", known(whole(900, FORTY), FORTY, BEFORE), FORTY, Single(Why::NotCheaper)),
        ("one object among many", known(whole(120, ONE), ONE, BEFORE), ONE, Single(Why::NotCheaper)),
        ("one object alone", known(whole(2, ONE), ONE, BEFORE), ONE, whole_page),
        ("scanned lately", known(whole(82, FORTY), FORTY, LATELY), FORTY, Single(Why::Spaced)),
        ("too dear, and lately", known(whole(900, FORTY), FORTY, LATELY), FORTY, Single(Why::NotCheaper)),
        ("seen long ago: measured anew", known(whole(900, FORTY), FORTY, LONG_AGO), FORTY, Scan { page: 139 }),
        ("nothing is claimed", known(whole(82, FORTY), FORTY, BEFORE), Claims::default(), Single(Why::NotCheaper)),
    ] {
        assert_eq!(chosen(&known, claims), expected, "{case}");
    }
}

/// Before anything was seen, a page is asked for that costs less than half of the single reads.
#[test]
fn at_a_start_the_first_page_decides() {
    let start = Known::default();
    for (claims, expected) in [
        (FORTY, Choice::Scan { page: 139 }),
        (Claims { things: 2_000, calls: 5_000 }, Choice::Scan { page: 300 }),
        (ONE, Choice::Scan { page: 2 }),
        (Claims { things: 1, calls: 2 }, Choice::Single(Why::NotCheaper)),
        (Claims::default(), Choice::Single(Why::NotCheaper)),
    ] {
        assert_eq!(chosen(&start, claims), expected, "{claims:?}");
    }
    let page = |things, claimed| Seen {
        pages: 1,
        things,
        bytes: things * 2_000,
        claimed,
        claimed_bytes: claimed * 2_000,
        ended: false,
    };
    for (case, seen, goes_on) in [
        ("half of it is claimed", page(60, 40), true),
        ("little of it is claimed", page(139, 10), false),
        ("nothing of it is claimed", page(139, 0), false),
        ("all is seen", Seen { ended: true, ..page(60, 40) }, false),
    ] {
        assert_eq!(seen.goes_on(Listing::Roles, FORTY), goes_on, "{case}");
    }
}

/// What was broken off is tried again when twice as much is claimed, or a day is over.
#[test]
fn a_scan_that_was_broken_off_is_not_tried_again_soon() {
    let seen = Seen { pages: 1, things: 3, bytes: 6_000, claimed: 0, claimed_bytes: 0, ended: false };
    for (begun, claims, expected) in [
        (BEFORE, ONE, Choice::Single(Why::NotCheaper)),
        (BEFORE, Claims { things: 3, calls: 9 }, Choice::Single(Why::NotCheaper)),
        (LATELY, FORTY, Choice::Single(Why::Spaced)),
        (BEFORE, FORTY, Choice::Scan { page: 139 }),
        (LONG_AGO, ONE, Choice::Scan { page: 2 }),
    ] {
        assert_eq!(chosen(&known(seen, ONE, begun), claims), expected, "{claims:?} {begun:?}");
    }
}

#[test]
fn what_reading_comes_to_is_said_once_it_is_known() {
    let cheap = known(whole(82, FORTY), FORTY, LATELY);
    let dear = known(whole(900, FORTY), FORTY, LATELY);
    let denied = Known { denied: true, begun: LATELY, last: None };
    for (mode, known, expected) in [
        (Mode::Auto, Known::default(), None),
        (Mode::Single, Known::default(), Some(Err(Why::Requested))),
        (Mode::Single, cheap, Some(Err(Why::Requested))),
        (Mode::Auto, denied, Some(Err(Why::Denied))),
        (Mode::Auto, cheap, Some(Ok(()))),
        (Mode::Auto, dear, Some(Err(Why::NotCheaper))),
    ] {
        assert_eq!(verdict(mode, Listing::Roles, &known, FORTY), expected, "{mode:?} {known:?}");
    }
}

fn any_claims() -> impl Strategy<Value = Claims> {
    (0_u64..3_000, 1_u64..5).prop_map(|(things, each)| Claims { things, calls: things * each })
}

prop_compose! {
    fn any_seen()(
        things in 0_u64..6_000,
        share in 0.0..=1.0,
        size in 400_u64..20_000,
        claimed_size in 400_u64..4_000,
        ended: bool,
    ) -> Seen {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let claimed = (things as f64 * share) as u64;
        let bytes = (things - claimed) * size + claimed * claimed_size;
        let pages = things.div_ceil(300).max(1);
        Seen { pages, things, bytes, claimed, claimed_bytes: claimed * claimed_size, ended }
    }
}

prop_compose! {
    fn any_known()(
        last in prop::option::of((any_seen(), any_claims())),
        begun in prop::option::of((0_u64..90_000).prop_map(Duration::from_secs)),
        denied: bool,
    ) -> Known {
        Known { last, begun, denied }
    }
}

fn any_listing() -> impl Strategy<Value = Listing> {
    prop_oneof![Just(Listing::Roles), Just(Listing::Functions)]
}

proptest! {
    /// Nobody who asked for single reads or has no right gets a scan, and nobody gets two in ten minutes.
    #[test]
    fn a_scan_is_never_begun_where_it_may_not(known in any_known(), claims in any_claims(), of in any_listing()) {
        let begins = |mode| matches!(choose(mode, of, &known, claims, SPACING), Choice::Scan { .. });
        prop_assert!(!begins(Mode::Single));
        let begins = begins(Mode::Auto);
        if known.denied || known.begun.is_some_and(|begun| begun < SPACING) {
            prop_assert!(!begins);
        }
        // What is said of the account agrees with what is done.
        match verdict(Mode::Auto, of, &known, claims) {
            Some(Err(_)) => prop_assert!(!begins),
            Some(Ok(())) => prop_assert!(begins || known.begun.is_some_and(|begun| begun < SPACING)),
            None => prop_assert!(known.last.is_none()),
        }
    }

    /// After a scan that ended, another one follows only where the last one cost less than half in calls and in bytes.
    #[test]
    fn a_scan_pays(seen in any_seen(), claims in any_claims(), of in any_listing()) {
        let known = Known { last: Some((Seen { ended: true, ..seen }, claims)), begun: BEFORE, denied: false };
        if let Choice::Scan { .. } = choose(Mode::Auto, of, &known, claims, SPACING) {
            prop_assert!(seen.pages * 2 < claims.calls);
            let each = seen.claimed_bytes.checked_div(seen.claimed).unwrap_or_else(|| of.usual());
            let singly = claims.calls * CALL + claims.things * each;
            prop_assert!((seen.bytes + seen.pages * CALL) * 2 < singly);
        }
    }

    /// What a first page may cost at most, whatever comes of it, is half of what it is to replace, or a thing's worth more.
    #[test]
    fn the_first_page_is_affordable(claims in any_claims(), of in any_listing()) {
        if let Choice::Scan { page } = choose(Mode::Auto, of, &Known::default(), claims, SPACING) {
            prop_assert!((1..=of.page()).contains(&page));
            let singly = claims.calls * CALL + claims.things * of.usual();
            prop_assert!(claims.calls > 2 && CALL + page * of.usual() <= singly / 2 + of.usual());
        }
    }

    /// Who claims more of the same account is not turned away where fewer were served.
    #[test]
    fn more_claims_never_make_a_scan_dearer(seen in any_seen(), fewer in any_claims(), more in 0_u64..1_000) {
        let claims = Claims { things: fewer.things + more, calls: fewer.calls + more };
        let seen = Seen { ended: true, ..seen };
        let choice = |claims| chosen(&known(seen, fewer, BEFORE), claims);
        if choice(fewer) == (Choice::Scan { page: 300 }) {
            prop_assert_eq!(choice(claims), Choice::Scan { page: 300 });
        }
    }

    /// A page more is asked for only while all of it together is still expected to pay.
    #[test]
    fn no_page_is_asked_for_after_the_price_is_reached(seen in any_seen(), claims in any_claims(), of in any_listing()) {
        if seen.goes_on(of, claims) {
            prop_assert!(!seen.ended && (seen.pages + 1) * 2 < claims.calls);
        }
    }
}
