use proptest::prelude::*;

use super::*;
use crate::domain::occupancy::Standing;

/// Executions of a page.
const ON_A_PAGE: usize = 100;

/// A pipeline whose executions are numbered as they begin, one a minute.
#[derive(Debug, Default)]
struct Pipeline {
    runs: Vec<bool>,
}

fn time(number: usize) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + 60 * i64::try_from(number).unwrap()).unwrap()
}

impl Pipeline {
    fn of(count: usize) -> Self {
        Self { runs: vec![false; count] }
    }

    /// The executions that began before this one, newest first, and the token of the page after them. A token is the number of the
    /// execution before which its page begins, so that it names the same place when others begin.
    fn page(&self, token: Option<&str>) -> (Vec<Execution>, Option<String>) {
        let before = token.map_or(self.runs.len(), |token| token.parse().unwrap());
        let last = before.saturating_sub(ON_A_PAGE);
        let execution = |number: usize| Execution {
            id: format!("run-{number}"),
            status: String::new(),
            standing: if self.runs[number] { Standing::Unfinished } else { Standing::Over },
            started: Some(time(number)),
            updated: None,
        };
        ((last..before).rev().map(execution).collect(), (last > 0).then(|| last.to_string()))
    }

    /// What a check finds: whether it saw one that runs, what it knows then, whether all are over, and the pages it read.
    fn check(&self, known: History, oldest: usize) -> (bool, History, bool, usize) {
        let (first, next) = self.page(None);
        let is_on_first = first.iter().any(Execution::is_unfinished);
        let mut walk = Walk::begin(known, time(oldest), Page { executions: &first, next: next.as_deref() });
        let mut found = is_on_first;
        while let Some(token) = walk.next().map(str::to_owned) {
            let (executions, next) = self.page(Some(&token));
            found |= walk.saw(Page { executions: &executions, next: next.as_deref() });
        }
        let pages = walk.pages();
        let (history, is_known) = walk.end();
        (found, history, is_known, pages)
    }
}

#[test]
fn fifteen_thousand_executions_are_looked_through_once_and_some_at_a_time() {
    let mut pipeline = Pipeline::of(15_000);
    let mut history = History::default();
    let mut checks = Vec::new();
    loop {
        let (found, known, is_known, pages) = pipeline.check(history, 0);
        history = known;
        checks.push(pages);
        assert!(!found && pages <= PAGES && checks.len() < 20);
        if is_known {
            break;
        }
    }
    assert_eq!(checks, [20, 20, 20, 20, 20, 20, 20, 9]);
    // From then on what is new is read, and no more.
    let cases = [(0, 0), (60, 0), (250, 2)];
    for (new, pages) in cases {
        pipeline.runs.extend(vec![false; new]);
        let (found, known, is_known, read) = pipeline.check(history, 0);
        history = known;
        assert_eq!((found, is_known, read), (false, true, pages), "{new} new ones");
    }
}

#[test]
fn nothing_is_read_that_is_too_old_to_run() {
    let (found, _, is_known, pages) = Pipeline::of(15_000).check(History::default(), 14_500);
    assert_eq!((found, is_known, pages), (false, true, 5));
}

#[test]
fn an_execution_that_waits_for_days_is_looked_for_where_it_was() {
    let mut pipeline = Pipeline::of(1_000);
    pipeline.runs[350] = true;
    let (found, history, is_known, pages) = pipeline.check(History::default(), 0);
    assert_eq!((found, is_known, pages), (true, false, 6));
    pipeline.runs.extend([false; 30]);
    let (found, history, is_known, pages) = pipeline.check(history, 0);
    assert_eq!((found, is_known, pages), (true, false, 1));
    // It is given, and the rest is looked through.
    pipeline.runs[350] = false;
    let (found, history, is_known, pages) = pipeline.check(history, 0);
    assert_eq!((found, is_known, pages), (false, true, 4));
    // One that began since is beyond the first page by now.
    pipeline.runs.push(true);
    pipeline.runs.extend([false; 350]);
    let (found, _, is_known, pages) = pipeline.check(history, 0);
    assert_eq!((found, is_known, pages), (true, false, 3));
}

/// What happens between two checks: so many begin, and of these and of all earlier ones some run.
fn between() -> impl Strategy<Value = (usize, Vec<prop::sample::Index>)> {
    (prop_oneof![Just(0), 1..150_usize, 150..3_000_usize], prop::collection::vec(any::<prop::sample::Index>(), 0..3))
}

proptest! {
    #[test]
    fn all_are_over_when_it_is_said(steps in prop::collection::vec(between(), 1..8)) {
        let (mut pipeline, mut history) = (Pipeline::default(), History::default());
        for (begun, run) in steps {
            let earlier = pipeline.runs.len();
            // What ran before ends or goes on; nothing that is over runs again.
            pipeline.runs.extend(vec![false; begun]);
            for index in run.iter().filter(|_| begun > 0) {
                let number = earlier + index.index(begun);
                pipeline.runs[number] = true;
            }
            let (found, known, is_known, _) = pipeline.check(history, 0);
            let runs = pipeline.runs.iter().any(|runs| *runs);
            prop_assert!(!is_known || !runs, "one runs");
            prop_assert!(!found || runs, "none runs");
            history = known;
            if let Some(oldest) = pipeline.runs.iter().position(|runs| *runs).filter(|_| begun % 2 == 0) {
                pipeline.runs[oldest] = false;
            }
        }
        // Once all are over that is found out, in as many checks as there are pages to read.
        pipeline.runs.fill(false);
        let most = pipeline.runs.len() / ON_A_PAGE / PAGES + 2;
        let ends = (0..most).any(|_| {
            let (_, known, is_known, _) = pipeline.check(std::mem::take(&mut history), 0);
            history = known;
            is_known
        });
        prop_assert!(ends, "it goes on for ever");
    }
}
