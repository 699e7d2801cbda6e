//! Scans of everything in an account, which fill the shelves of what is claimed there. What they show may only confirm.
//!
//! A scan is begun by the first look that could use it, and awaited by all that come meanwhile. It runs in a task of its
//! own: whoever stops waiting does not take it from the others. Whether one is worth its price, [`bulk_reads`] decides.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Readers, RoleKey, role_key};
use crate::{
    aws::{AwsError, AwsErrorKind, Iam, iam::account::RoleDetailed, lambda::Lambda, page::Page},
    domain::{
        bulk_reads::{self, Choice, Claims, Known, Listing, Mode, Seen, Why},
        ids::{AccountId, Region},
    },
};

/// Scans at a time, over all accounts: each holds a page.
const AT_A_TIME: usize = 2;

/// How long a look waits for a scan. One that takes longer goes on for those that come later.
const WAITED_FOR: Duration = Duration::from_secs(5);

/// What is scanned: all roles of an account, or all functions of an account in a region.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scanned {
    /// Roles.
    Roles(AccountId),
    /// Functions.
    Functions(AccountId, Region),
}

impl Scanned {
    /// The account.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        match self {
            Self::Roles(account) | Self::Functions(account, _) => account,
        }
    }

    /// What of it is listed.
    #[must_use]
    pub fn listing(&self) -> Listing {
        match self {
            Self::Roles(_) => Listing::Roles,
            Self::Functions(..) => Listing::Functions,
        }
    }

    fn service(&self) -> &'static str {
        match self {
            Self::Roles(_) => "iam",
            Self::Functions(..) => "lambda",
        }
    }
}

/// What objects want to know of what is scanned.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// Names: of roles in lower case, since IAM compares them so.
    pub names: HashSet<String>,
    /// Calls that read all of it singly.
    pub calls: u64,
}

impl Claimed {
    fn claims(&self) -> Claims {
        Claims { things: count(self.names.len()), calls: self.calls }
    }
}

/// Who knows what objects want.
pub trait Claimants: Send + Sync {
    /// Everything that objects want to know of it, and how its account wants to be read.
    fn claimed(&self, of: &Scanned) -> (Mode, Claimed);
    /// What reading it comes to has changed.
    fn judged(&self, of: &Scanned);
}

/// What became of a scan, for the counter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// It showed all that is claimed, or came to the end.
    Ended,
    /// It was broken off: the rest would have cost too much.
    NotCheaper,
    /// AWS refused it for want of a right.
    Denied,
    /// AWS did not answer it.
    Failed,
}

/// All scans of the process.
#[derive(Default)]
pub(super) struct Scans {
    /// Who knows what is claimed, and how far apart scans are.
    claimants: OnceLock<(Arc<dyn Claimants>, Duration)>,
    states: Mutex<BTreeMap<Scanned, State>>,
    /// Partitions in which roles were shown with their boundaries. Where none was, that a role has none means nothing.
    shows_boundaries: Mutex<BTreeSet<String>>,
    slots: OnceLock<Arc<Semaphore>>,
}

#[derive(Default)]
struct State {
    last: Option<(Seen, Claims)>,
    begun: Option<Instant>,
    decided: Option<Instant>,
    denied: bool,
    judged: Option<Result<(), Why>>,
    flight: Option<Shared<BoxFuture<'static, ()>>>,
}

impl State {
    fn known(&self, now: Instant) -> Known {
        let begun = self.begun.map(|begun| now.duration_since(begun));
        Known { last: self.last, begun, denied: self.denied }
    }
}

/// What is to be done before a single read.
enum Next {
    Nothing,
    Await(Shared<BoxFuture<'static, ()>>),
}

/// Where the pages come from.
#[derive(Clone)]
pub(super) enum Lister {
    Roles(Iam),
    Functions(Lambda),
}

impl fmt::Debug for Scans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scans").finish_non_exhaustive()
    }
}

impl Scans {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scanned, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> Arc<Semaphore> {
        self.slots.get_or_init(|| Arc::new(Semaphore::new(AT_A_TIME))).clone()
    }
}

impl Readers {
    /// From now on these say what is claimed, and scans of one account are so far apart. Before that nothing is scanned.
    pub fn set_claimants(&self, claimants: Arc<dyn Claimants>, spacing: Duration) {
        // A second one would be a second controller in this process.
        let _ = self.0.scans.claimants.set((claimants, spacing));
    }

    /// The account is looked at: a right that was missing may be there now.
    pub fn forget_denials(&self, account: &AccountId) {
        let mut states = self.0.scans.lock();
        for (_, state) in states.iter_mut().filter(|(of, state)| of.account() == account && state.denied) {
            (state.denied, state.decided, state.begun) = (false, None, None);
        }
    }

    /// What reading this account has come to, in each of its listings that were judged.
    #[must_use]
    pub fn judged(&self, account: &AccountId) -> Vec<(Scanned, Result<(), Why>)> {
        let states = self.0.scans.lock();
        let of_account = states.iter().filter(|(of, _)| of.account() == account);
        of_account.filter_map(|(of, state)| Some((of.clone(), state.judged?))).collect()
    }

    /// Fills the shelves with what a scan shows, if one is due or under way.
    pub(super) async fn scanned(&self, of: Scanned, lister: impl FnOnce() -> Lister) {
        match self.next(&of, lister) {
            Next::Nothing => {}
            Next::Await(flight) => {
                if tokio::time::timeout(WAITED_FOR, flight).await.is_err() {
                    tracing::debug!("a scan takes long; what it may show is read singly");
                }
            }
        }
    }

    fn next(&self, of: &Scanned, lister: impl FnOnce() -> Lister) -> Next {
        let Some((claimants, spacing)) = self.0.scans.claimants.get().cloned() else { return Next::Nothing };
        let now = Instant::now();
        let mut states = self.0.scans.lock();
        let state = states.entry(of.clone()).or_default();
        if let Some(flight) = &state.flight {
            return Next::Await(flight.clone());
        }
        // Where too many accounts are scanned already, nobody waits for their end.
        let Ok(slot) = self.0.scans.slots().try_acquire_owned() else { return Next::Nothing };
        // What is claimed is asked for once in a while, and not at each look.
        if state.decided.is_some_and(|decided| now.duration_since(decided) < spacing) {
            return Next::Nothing;
        }
        state.decided = Some(now);
        let (mode, claimed) = claimants.claimed(of);
        let known = state.known(now);
        let choice = bulk_reads::choose(mode, of.listing(), &known, claimed.claims(), spacing);
        let Choice::Scan { page } = choice else {
            let changed = judge(state, mode, of, claimed.claims(), now);
            drop(states);
            if changed {
                claimants.judged(of);
            }
            return Next::Nothing;
        };
        state.begun = Some(now);
        let (readers, lister) = (self.clone(), lister());
        let (scanned, of) = (of.clone(), of.clone());
        let running = tokio::spawn(async move { readers.scan(scanned, lister, (mode, claimed), page, slot).await });
        let readers = self.clone();
        // However the task ends, nobody waits for it any more.
        let flight = async move {
            let _ = running.await;
            readers.0.scans.lock().entry(of).or_default().flight = None;
        };
        let flight = flight.boxed().shared();
        state.flight = Some(flight.clone());
        Next::Await(flight)
    }

    async fn scan(
        &self,
        of: Scanned,
        lister: Lister,
        (mode, claimed): (Mode, Claimed),
        page: u64,
        slot: OwnedSemaphorePermit,
    ) {
        let claims = claimed.claims();
        let mut seen = Seen::default();
        let ended = self.pages(&of, &lister, &claimed, page, &mut seen).await;
        drop(slot);
        let outcome = match &ended {
            Ok(()) if seen.ended => Outcome::Ended,
            Ok(()) => Outcome::NotCheaper,
            Err(error) if matches!(error.kind, AwsErrorKind::AccessDenied { .. }) => Outcome::Denied,
            Err(_) => Outcome::Failed,
        };
        tracing::debug!(?of, ?outcome, ?seen, "an account was read at once");
        self.0.observer.scanned(of.service(), outcome);
        let changed = {
            let mut states = self.0.scans.lock();
            let state = states.entry(of.clone()).or_default();
            match outcome {
                Outcome::Ended | Outcome::NotCheaper => state.last = Some((seen, claims)),
                Outcome::Denied => state.denied = true,
                Outcome::Failed => {}
            }
            judge(state, mode, &of, claims, Instant::now())
        };
        if let Some((claimants, _)) = self.0.scans.claimants.get().filter(|_| changed) {
            claimants.judged(&of);
        }
    }

    /// Page after page, for as long as the next one is worth its price.
    async fn pages(
        &self,
        of: &Scanned,
        lister: &Lister,
        claimed: &Claimed,
        size: u64,
        seen: &mut Seen,
    ) -> Result<(), AwsError> {
        let claims = claimed.claims();
        let (mut marker, begun) = (None, Instant::now());
        let mut missing = claimed.names.clone();
        loop {
            let sent = Instant::now();
            let (more, part) = match (lister, of) {
                (Lister::Roles(iam), _) => {
                    let is_claimed = |name: &str| claimed.names.contains(&name.to_ascii_lowercase());
                    let (page, shows_boundaries) = iam.roles_of_account(marker, size, is_claimed).await?;
                    let part = of_page(&page);
                    let more = page.next.clone();
                    for role in &page.claimed {
                        missing.remove(&role.name.as_str().to_ascii_lowercase());
                    }
                    self.put_roles(of.account(), page, shows_boundaries, sent);
                    (more, part)
                }
                (Lister::Functions(lambda), Scanned::Functions(account, region)) => {
                    let page = lambda.functions_of_account(marker, size, |name| claimed.names.contains(name)).await?;
                    let part = of_page(&page);
                    for (name, function) in page.claimed {
                        missing.remove(name.as_str());
                        let key = (account.clone(), region.clone(), name);
                        self.0.functions.put(key, Some(function), sent, KEPT);
                    }
                    (page.next, part)
                }
                (Lister::Functions(_), Scanned::Roles(_)) => return Ok(()),
            };
            add(seen, &part);
            seen.ended = more.is_none() || seen.claimed >= claims.things;
            if more.is_none() {
                self.forget_missing(of, &missing, begun);
            }
            if !seen.goes_on(of.listing(), claims) {
                return Ok(());
            }
            marker = more;
        }
    }

    /// Forgets what earlier scans showed of things that a whole scan does not show.
    fn forget_missing(&self, of: &Scanned, missing: &HashSet<String>, begun: Instant) {
        for name in missing {
            match of {
                Scanned::Roles(account) => self.forget_scanned(&(account.clone(), name.clone()), begun),
                Scanned::Functions(account, region) => {
                    let Ok(name) = name.parse() else { continue };
                    let key = (account.clone(), region.clone(), name);
                    self.0.functions.forget_scanned(key.clone(), begun, |other| *other == key);
                }
            }
        }
    }

    fn put_roles(&self, account: &AccountId, page: Page<RoleDetailed>, shows_boundaries: bool, sent: Instant) {
        for RoleDetailed { name, role, inline, attached } in page.claimed {
            let key = role_key(account, &name);
            let role = role.filter(|role| self.tells_boundary(role, shows_boundaries));
            // What this scan lacks, an earlier one does not confirm.
            self.forget_scanned(&key, sent);
            if let Some(role) = role {
                self.0.roles.put(key.clone(), Some(role), sent, KEPT);
            }
            if let Some(attached) = attached {
                self.0.attached.put(key.clone(), attached, sent, KEPT);
            }
            let Some(inline) = inline else { continue };
            self.0.policy_names.put(key.clone(), inline.keys().cloned().collect(), sent, KEPT);
            for (policy, document) in inline {
                if let Some(document) = document {
                    self.0.role_policies.put((key.clone(), policy), Some(document), sent, KEPT);
                }
            }
        }
    }

    /// Forgets what earlier scans showed of a role.
    fn forget_scanned(&self, key: &RoleKey, sent: Instant) {
        self.0.roles.forget_scanned(key.clone(), sent, |other| other == key);
        self.0.attached.forget_scanned(key.clone(), sent, |other| other == key);
        self.0.policy_names.forget_scanned(key.clone(), sent, |other| other == key);
        self.0.role_policies.forget_scanned((key.clone(), String::new()), sent, |(role, _)| role == key);
    }

    /// Whether the answer tells of the role's boundary. That there is none counts only where some role was shown with one.
    fn tells_boundary(&self, role: &crate::aws::RoleRead, shown_on_page: bool) -> bool {
        let mut partitions = self.0.scans.shows_boundaries.lock().unwrap_or_else(PoisonError::into_inner);
        if shown_on_page {
            partitions.insert(role.arn.partition().to_owned());
        }
        role.boundary.is_some() || partitions.contains(role.arn.partition())
    }
}

/// For how long what was scanned is of interest to a look; the next scan replaces it.
const KEPT: Duration = Duration::from_mins(12);

fn of_page<T>(page: &Page<T>) -> Seen {
    Seen {
        pages: 1,
        things: page.things,
        bytes: page.bytes,
        claimed: count(page.claimed.len()),
        claimed_bytes: page.claimed_bytes,
        ended: false,
    }
}

fn add(seen: &mut Seen, page: &Seen) {
    seen.pages += page.pages;
    seen.things += page.things;
    seen.bytes += page.bytes;
    seen.claimed += page.claimed;
    seen.claimed_bytes += page.claimed_bytes;
}

/// Takes note of what reading comes to; whether that is news.
fn judge(state: &mut State, mode: Mode, of: &Scanned, claims: Claims, now: Instant) -> bool {
    let judged = bulk_reads::verdict(mode, of.listing(), &state.known(now), claims);
    let changed = judged.is_some() && judged != state.judged;
    state.judged = judged.or(state.judged);
    changed
}

fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}
