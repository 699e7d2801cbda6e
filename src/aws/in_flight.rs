//! Calls in flight are limited: overall, and by account and service. A call takes a turn and gives it back when it is
//! answered, so that an account that answers slowly holds a few turns and nothing else. Of several accounts that wait,
//! the one with the fewest calls in flight comes next.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::domain::ids::AccountId;

/// How many calls may be in flight.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of all accounts and services.
    pub overall: usize,
    /// Of one service in one account.
    pub by_service: usize,
}

impl Default for Limits {
    // Far more than what AWS allows an account at 20 ms a call, and few enough for memory and connections.
    fn default() -> Self {
        Self { overall: 128, by_service: 8 }
    }
}

/// The calls in flight of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<State>>);

/// Leave for one call; it is given back when this is dropped.
#[derive(Debug)]
pub struct Turn {
    of: InFlight,
    account: AccountId,
    service: &'static str,
    /// Whether a call was sent in it.
    begun: AtomicBool,
}

impl Turn {
    /// A call is sent in it. Whether it is the first one.
    pub(super) fn begins(&self) -> bool {
        !self.begun.swap(true, Ordering::Relaxed)
    }
}

/// How many calls are in flight, and how many wait for a turn.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// Sent and not answered.
    pub in_flight: usize,
    /// Not sent yet.
    pub waiting: usize,
}

#[derive(Debug, Default)]
struct State {
    limits: Limits,
    in_flight: usize,
    /// Only accounts with calls in flight or waiting.
    accounts: BTreeMap<AccountId, BTreeMap<&'static str, Calls>>,
    /// Counts the calls that had to wait, so that the oldest of equals comes first.
    arrivals: u64,
}

#[derive(Debug, Default)]
struct Calls {
    in_flight: usize,
    waiting: VecDeque<(u64, oneshot::Sender<Turn>)>,
}

impl InFlight {
    /// With other limits than the usual ones.
    #[must_use]
    pub fn with(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(State { limits, ..State::default() })))
    }

    /// Waits for a turn. Whoever is dropped while waiting gives its place up.
    pub async fn turn(&self, account: &AccountId, service: &'static str) -> Turn {
        let receiver = {
            let mut state = self.lock();
            let (sender, receiver) = oneshot::channel();
            state.arrivals += 1;
            let arrival = state.arrivals;
            let calls = state.accounts.entry(account.clone()).or_default().entry(service).or_default();
            calls.waiting.push_back((arrival, sender));
            self.admit(state);
            receiver
        };
        match receiver.await {
            Ok(turn) => turn,
            // The sender is dropped only with its turn sent; this is never reached.
            Err(_) => std::future::pending().await,
        }
    }

    /// Calls by service, of all accounts.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, Count> {
        let mut counts: BTreeMap<&'static str, Count> = BTreeMap::new();
        for (service, calls) in self.lock().accounts.values().flatten() {
            let count = counts.entry(service).or_default();
            count.in_flight += calls.in_flight;
            count.waiting += calls.waiting.iter().filter(|(_, waits)| !waits.is_closed()).count();
        }
        counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to those who wait, as far as the limits allow.
    fn admit(&self, mut state: MutexGuard<'_, State>) {
        let mut undelivered = Vec::new();
        while let Some((account, service, sender)) = state.next() {
            let turn = Turn { of: self.clone(), account, service, begun: AtomicBool::new(false) };
            // Nobody waits any more: the turn goes back once the lock is free.
            undelivered.extend(sender.send(turn).err());
        }
        drop(state);
        drop(undelivered);
    }

    fn give_back(&self, account: &AccountId, service: &'static str) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if let Some(services) = state.accounts.get_mut(account) {
            if let Some(calls) = services.get_mut(service) {
                calls.in_flight = calls.in_flight.saturating_sub(1);
                if calls.in_flight == 0 && calls.waiting.is_empty() {
                    services.remove(service);
                }
            }
            if services.is_empty() {
                state.accounts.remove(account);
            }
        }
        self.admit(state);
    }
}

impl State {
    /// Takes out the next one who may call and counts the call.
    fn next(&mut self) -> Option<(AccountId, &'static str, oneshot::Sender<Turn>)> {
        if self.in_flight >= self.limits.overall {
            return None;
        }
        let by_service = self.limits.by_service;
        let candidates = self.accounts.iter().flat_map(|(account, services)| {
            let of_account: usize = services.values().map(|calls| calls.in_flight).sum();
            let free = services.iter().filter(move |(_, calls)| calls.in_flight < by_service);
            free.filter_map(move |(service, calls)| {
                Some(((of_account, calls.waiting.front()?.0), account.clone(), *service))
            })
        });
        let (_, account, service) = candidates.min_by_key(|(order, ..)| *order)?;
        let calls = self.accounts.get_mut(&account)?.get_mut(service)?;
        let (_, sender) = calls.waiting.pop_front()?;
        calls.in_flight += 1;
        self.in_flight += 1;
        Some((account, service, sender))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.give_back(&self.account, self.service);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::BoxFuture};

    use super::*;

    fn account(digit: char) -> AccountId {
        std::iter::repeat_n(digit, 12).collect::<String>().parse().unwrap()
    }

    fn asks(of: &InFlight, digit: char, service: &'static str) -> BoxFuture<'static, Turn> {
        let (of, account) = (of.clone(), account(digit));
        let mut asking = async move { of.turn(&account, service).await }.boxed();
        // Polled once, it is in the queue.
        if let Some(turn) = (&mut asking).now_or_never() { std::future::ready(turn).boxed() } else { asking }
    }

    fn has(asking: &mut BoxFuture<'static, Turn>) -> Option<Turn> {
        asking.now_or_never()
    }

    #[test]
    fn one_account_and_service_has_so_many_and_holds_up_nobody_else() {
        let of = InFlight::with(Limits { overall: 10, by_service: 2 });
        let mut first: Vec<_> = (0..4).map(|_| asks(&of, '1', "iam")).collect();
        let turns: Vec<_> = first.iter_mut().map(has).collect();
        assert_eq!(turns.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, false]);
        assert_eq!(of.counts()["iam"], Count { in_flight: 2, waiting: 2 });
        assert!(has(&mut asks(&of, '1', "lambda")).is_some() && has(&mut asks(&of, '2', "iam")).is_some());
        drop(turns);
        assert!(first[2..].iter_mut().all(|asking| has(asking).is_some()));
        drop(first);
        assert_eq!(of.counts(), BTreeMap::new());
    }

    #[test]
    fn the_account_with_the_fewest_calls_comes_next_and_of_equals_the_first() {
        let of = InFlight::with(Limits { overall: 3, by_service: 3 });
        let mut held: Vec<_> = (0..3).map(|_| has(&mut asks(&of, '1', "iam"))).collect();
        let mut of_first = asks(&of, '1', "sts");
        let (mut of_second, mut of_third) = (asks(&of, '2', "iam"), asks(&of, '3', "iam"));
        assert!(has(&mut of_first).is_none() && has(&mut of_second).is_none());
        held.pop();
        let second = has(&mut of_second);
        assert!(second.is_some() && has(&mut of_first).is_none() && has(&mut of_third).is_none());
        held.pop();
        assert!(has(&mut of_third).is_some(), "it was answered at once, and the next comes");
        assert!(has(&mut of_first).is_some());
    }

    #[test]
    fn who_waits_no_more_takes_no_turn() {
        let of = InFlight::with(Limits { overall: 1, by_service: 1 });
        let held = has(&mut asks(&of, '1', "iam"));
        let (gone, mut stays) = (asks(&of, '1', "iam"), asks(&of, '1', "iam"));
        drop(gone);
        assert_eq!(of.counts()["iam"], Count { in_flight: 1, waiting: 1 });
        drop(held);
        assert!(has(&mut stays).is_some());
        assert_eq!(of.counts(), BTreeMap::new());
    }
}
