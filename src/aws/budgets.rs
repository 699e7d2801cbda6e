//! How many calls a second AWS is sent, by account and service. AWS limits each account's calls, and other people's tools
//! live on the same limits: whoever sends more than its share slows them. An account that is throttled waits alone.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::CallObserver;
use crate::domain::{
    budget::{Bucket, Budget, DEFAULTS, Rate},
    ids::AccountId,
};

/// One service in one account, and who waits for it.
struct Account {
    bucket: Mutex<Bucket>,
    /// Whoever holds it is next.
    queue: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
}

impl Account {
    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The budgets of all accounts. Cheap to clone.
#[derive(Clone)]
pub struct Budgets(Arc<Inner>);

struct Inner {
    rates: BTreeMap<&'static str, Rate>,
    accounts: Mutex<BTreeMap<(AccountId, &'static str), Arc<Account>>>,
    /// Times are counted from here.
    beginning: Instant,
    observer: Arc<dyn CallObserver>,
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets").field("rates", &self.0.rates).finish_non_exhaustive()
    }
}

/// Counts as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Budgets {
    /// The usual budgets, but for these.
    #[must_use]
    pub fn new(changed: &[Budget], observer: Arc<dyn CallObserver>) -> Self {
        let rates = DEFAULTS.iter().chain(changed).map(|budget| (budget.service, budget.rate)).collect();
        Self(Arc::new(Inner { rates, accounts: Mutex::default(), beginning: Instant::now(), observer }))
    }

    /// Waits until a call of this service may be sent in this account, first come first served. Whoever is dropped while
    /// waiting has taken nothing.
    pub(super) async fn leave(&self, account: &AccountId, service: &'static str) {
        let Some(of) = self.of(account, service) else { return };
        let began = Instant::now();
        let waiting = Waiting::new(&of.waiting);
        let queue = of.queue.lock().await;
        loop {
            let taken = of.bucket().take(self.now());
            match taken {
                Ok(()) => break,
                Err(wait) => tokio::time::sleep_until(Instant::now() + wait).await,
            }
        }
        drop((queue, waiting));
        self.0.observer.waited(service, began.elapsed());
    }

    /// A call was sent that nobody took leave for: another page, or the SDK's second attempt.
    pub(super) fn charge(&self, account: &AccountId, service: &'static str) {
        if let Some(of) = self.of(account, service) {
            of.bucket().charge(self.now());
        }
    }

    /// AWS throttled a call.
    pub(super) fn throttled(&self, account: &AccountId, service: &'static str) {
        if let Some(of) = self.of(account, service) {
            of.bucket().throttled(self.now());
        }
    }

    /// A service of this account for which calls wait or would have to, and how many of it are sent a second.
    #[must_use]
    pub fn crowded(&self, account: &AccountId) -> Option<(&'static str, f64)> {
        self.0.rates.keys().find_map(|service| {
            let of = self.of(account, service)?;
            let (rate, is_spent) = {
                let mut bucket = of.bucket();
                (bucket.rate(), bucket.is_spent(self.now()))
            };
            (is_spent || of.waiting.load(Ordering::Relaxed) > 0).then_some((*service, rate))
        })
    }

    fn now(&self) -> Duration {
        self.0.beginning.elapsed()
    }

    fn of(&self, account: &AccountId, service: &'static str) -> Option<Arc<Account>> {
        let full = *self.0.rates.get(service)?;
        let mut accounts = self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let bucket = Mutex::new(Bucket::new(full, self.now()));
            Arc::new(Account { bucket, queue: tokio::sync::Mutex::default(), waiting: AtomicUsize::new(0) })
        };
        Some(accounts.entry((account.clone(), service)).or_insert_with(new).clone())
    }
}

#[cfg(test)]
impl Budgets {
    /// The usual ones, of which nobody hears.
    pub(super) fn for_tests() -> Self {
        Self::new(&[], Arc::new(tests::Nobody))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    pub(super) struct Nobody;

    impl CallObserver for Nobody {
        fn called(&self, _service: &'static str, _operation: &str, _code: &str, _took: Duration) {}
    }

    #[tokio::test]
    async fn an_account_that_waits_holds_up_no_other_and_whoever_is_dropped_has_taken_nothing() {
        let budgets = Budgets::new(&["iam=5/1".parse().unwrap()], Arc::new(Nobody));
        let (slow, other): (AccountId, AccountId) = ("111111111111".parse().unwrap(), "222222222222".parse().unwrap());
        budgets.leave(&slow, "iam").await;
        let mut waits = Box::pin(budgets.leave(&slow, "iam"));
        assert!(futures::poll!(&mut waits).is_pending());
        assert_eq!(budgets.crowded(&slow).map(|(service, _)| service), Some("iam"));
        assert_eq!(budgets.crowded(&other), None);
        budgets.leave(&other, "iam").await;
        budgets.leave(&slow, "lambda").await;
        drop(waits);
        let next = tokio::time::timeout(SECOND * 10, budgets.leave(&slow, "iam")).await;
        assert!(next.is_ok(), "the one that was dropped is still the next");
    }
}
