//! How far the executions of a pipeline were looked through, where its state does not show which of them run.
//!
//! Executions are listed newest first. All of them are over between the newest one that was seen and the place where
//! looking goes on, and below the last place nothing can run any more. A long list is looked through over several checks, and
//! once: a later check reads what is new, and goes on where the one before stopped.

use jiff::Timestamp;

use super::occupancy::Execution;

/// Pages that one check reads at most, beside the first: a list of a year would hold up all other calls to the account.
pub const PAGES: usize = 20;

/// What is known of the executions of one pipeline.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// The newest execution that was seen. Those that it was followed by are over, down to `rest`.
    newest: Option<String>,
    rest: Rest,
}

/// Where looking goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Rest {
    /// Nothing is left that could run.
    #[default]
    Nothing,
    /// At the page with this token.
    At(String),
}

/// What a page showed.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its executions, newest first.
    pub executions: &'a [Execution],
    /// The token of the page after it, if there is one.
    pub next: Option<&'a str>,
}

/// One check: it begins with the first page, and asks for further ones.
#[derive(Clone, Debug)]
pub struct Walk {
    known: History,
    /// The newest execution of the first page.
    newest: Option<String>,
    /// No execution that began before this time can still run.
    oldest: Timestamp,
    ahead: Ahead,
    pages: usize,
}

/// What is read next.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Ahead {
    /// What began since the last check.
    New(String),
    /// What was left by the last check.
    Old(String),
    /// Nothing: all executions are over.
    Nothing,
    /// Nothing: one was found that runs.
    Found,
}

impl Walk {
    /// Begins with the first page.
    #[must_use]
    pub fn begin(known: History, oldest: Timestamp, first: Page<'_>) -> Self {
        let newest = first.executions.first().map(|execution| execution.id.clone());
        let mut walk = Self { known, newest, oldest, ahead: Ahead::Nothing, pages: 0 };
        walk.ahead =
            if first.executions.iter().any(Execution::is_unfinished) { Ahead::Found } else { walk.after(first, true) };
        walk
    }

    /// The token of the page to read next, while there is any and this check may read more.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        match &self.ahead {
            Ahead::New(token) | Ahead::Old(token) if self.pages < PAGES => Some(token),
            _ => None,
        }
    }

    /// Takes the page that was asked for. Returns whether an execution on it runs.
    pub fn saw(&mut self, page: Page<'_>) -> bool {
        self.pages += 1;
        let (is_new, token) = match &self.ahead {
            Ahead::New(token) => (true, token.clone()),
            Ahead::Old(token) => (false, token.clone()),
            Ahead::Nothing | Ahead::Found => return false,
        };
        if page.executions.iter().any(Execution::is_unfinished) {
            // The next check looks there first.
            self.known = History { newest: self.newest.clone(), rest: Rest::At(token) };
            self.ahead = Ahead::Found;
            return true;
        }
        self.ahead = self.after(page, is_new);
        false
    }

    /// Forgets what was known: the page that was asked for is not there any more.
    pub fn lost(&mut self) {
        self.known = History::default();
        self.ahead = Ahead::Found;
    }

    /// How many pages were read beside the first.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// What is known now, and whether it is known of every execution that it is over.
    #[must_use]
    pub fn end(self) -> (History, bool) {
        let newest = self.newest;
        match self.ahead {
            Ahead::Found => (self.known, false),
            Ahead::Nothing => (History { newest, rest: Rest::Nothing }, true),
            Ahead::New(token) | Ahead::Old(token) => (History { newest, rest: Rest::At(token) }, false),
        }
    }

    /// Where to go on after a page on which nothing runs.
    fn after(&self, page: Page<'_>, is_new: bool) -> Ahead {
        let is_known = |execution: &Execution| Some(&execution.id) == self.known.newest.as_ref();
        if is_new && page.executions.iter().any(is_known) {
            return match &self.known.rest {
                Rest::Nothing => Ahead::Nothing,
                Rest::At(token) => Ahead::Old(token.clone()),
            };
        }
        let is_too_old = |execution: &Execution| execution.started.is_some_and(|at| at < self.oldest);
        match page.next {
            Some(_) if page.executions.iter().any(is_too_old) => Ahead::Nothing,
            Some(token) if is_new => Ahead::New(token.to_owned()),
            Some(token) => Ahead::Old(token.to_owned()),
            None => Ahead::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
