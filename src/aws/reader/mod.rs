//! Every read of AWS goes through here: one call for all who ask at the same time, and readings that were sent lately
//! enough for whoever asks.
//!
//! [`Readers`] is one for the process. A look takes a [`Reader`] from it, which says how old a reading may be, and that
//! one hands out an [`AccountReader`] for each account and region. The clients that only read are private to `aws`, and
//! those that write outdate what was read of the thing that they change.
//!
//! **Where a bulk read comes in.** One call that tells of many things at once is no answer to a question, but fills
//! shelves: before a single call is made, `bulk` decides whether a scan of the account is due, and puts each thing that it
//! shows in with [`Shelf::put`] and the time at which it was *sent*. What it lacks is read singly, and what it shows
//! otherwise than it was is read again, since a stored reading may only confirm (`controller::converge`).

mod account;
mod asker;
mod bulk;
mod question;
mod shelf;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

pub(super) use self::shelf::Sent;
pub use self::{
    account::AccountReader,
    asker::User,
    bulk::{Claimants, Claimed, Outcome as ScanOutcome, Scanned},
    question::{Answers, Question},
    shelf::Source,
};
use self::{
    asker::{Asker, Wake},
    bulk::Scans,
    question::Asked,
    shelf::Shelf,
};
use super::{CallObserver, FunctionRead, PipelineRead, RoleListed, RoleRead, Session, codepipeline::is_earlier};
use crate::domain::ids::{
    AccountId, Arn, FunctionName, ObjectKey, PipelineKey, PipelineName, Region, RoleName, RolePath,
};

/// For how long an answer is of interest to somebody who does not say how often it looks.
const KEEP: Duration = Duration::from_mins(30);

/// A role in an account, by the name that IAM compares without regard to case.
type RoleKey = (AccountId, String);

/// Everything that was read of AWS. Cheap to clone.
#[derive(Clone)]
pub struct Readers(Arc<Shelves>);

pub(super) struct Shelves {
    roles: Shelf<RoleKey, Option<RoleRead>>,
    role_policies: Shelf<(RoleKey, String), Option<Value>>,
    policy_names: Shelf<RoleKey, Vec<String>>,
    attached: Shelf<RoleKey, Vec<Arn>>,
    managed: Shelf<(AccountId, Arn), Option<Value>>,
    managed_exist: Shelf<(AccountId, Arn), bool>,
    roles_at: Shelf<(AccountId, Option<RolePath>), Vec<RoleListed>>,
    functions: Shelf<(AccountId, Region, FunctionName), Option<FunctionRead>>,
    pipelines: Shelf<(AccountId, Region, PipelineName), Option<PipelineRead>>,
    scans: Scans,
    observer: Arc<dyn CallObserver>,
    wake: Arc<OnceLock<Wake>>,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl Readers {
    pub(super) fn new(observer: Arc<dyn CallObserver>) -> Self {
        Self(Arc::new(Shelves {
            roles: Shelf::new(None),
            role_policies: Shelf::new(None),
            policy_names: Shelf::new(None),
            attached: Shelf::new(None),
            managed: Shelf::new(None),
            managed_exist: Shelf::new(None),
            roles_at: Shelf::new(None),
            functions: Shelf::new(None),
            pipelines: Shelf::new(Some(is_earlier)),
            scans: Scans::default(),
            observer,
            wake: Arc::default(),
        }))
    }

    /// A reader for a look that accepts what was sent `since` then; without a time, what is sent from now on.
    #[must_use]
    pub fn look(&self, user: Option<User>, since: Option<Instant>) -> Reader {
        let (readers, began) = (self.clone(), Instant::now());
        let not_sent_before = since.unwrap_or(began);
        Reader {
            readers,
            user,
            began,
            placed: began,
            not_sent_before,
            keep: KEEP,
            used_stored: Arc::default(),
            used_earlier: Arc::default(),
            scanned_since: None,
            asked: Arc::new(Asked::nothing()),
        }
    }

    /// Whom to tell when something that an object read has turned out otherwise at a later read; once.
    pub fn on_change(&self, wake: impl Fn(&ObjectKey) + Send + Sync + 'static) {
        // A second one would be a programming error, and the first one is as good.
        let _ = self.0.wake.set(Box::new(wake));
    }
}

/// Something of ours is being written. What was sent before that is settled is of no use: it is outdated when the write
/// begins, and again when it has its answer or is dropped without one.
pub(super) struct Writing {
    readers: Readers,
    thing: Thing,
}

/// What a write changes.
#[derive(Clone, Debug)]
pub(super) enum Thing {
    /// A role with everything that hangs on it.
    Role(AccountId, RoleName),
    /// A pipeline.
    Pipeline(PipelineKey),
}

impl Readers {
    /// A write of this thing begins, and lasts until what is returned is dropped.
    pub(super) fn writing(&self, thing: Thing) -> Writing {
        self.outdate(&thing);
        Writing { readers: self.clone(), thing }
    }

    fn outdate(&self, thing: &Thing) {
        let shelves = &self.0;
        match thing {
            Thing::Role(account, name) => {
                let role = role_key(account, name);
                shelves.roles.outdate(&role);
                shelves.policy_names.outdate(&role);
                shelves.attached.outdate(&role);
                shelves.roles_at.outdate_all((account.clone(), None), |(of, _)| of == account);
                shelves.role_policies.outdate_all((role.clone(), String::new()), |(of, _)| *of == role);
            }
            Thing::Pipeline(PipelineKey { account, region, name }) => {
                shelves.pipelines.outdate(&(account.clone(), region.clone(), name.clone()));
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.readers.outdate(&self.thing);
    }
}

fn role_key(account: &AccountId, name: &RoleName) -> RoleKey {
    (account.clone(), name.as_str().to_ascii_lowercase())
}

/// The reads of one look.
#[derive(Clone, Debug)]
pub struct Reader {
    readers: Readers,
    user: Option<User>,
    began: Instant,
    /// When it had its place; from then on its own calls are sent.
    placed: Instant,
    not_sent_before: Instant,
    keep: Duration,
    used_stored: Arc<AtomicBool>,
    used_earlier: Arc<AtomicBool>,
    scanned_since: Option<Instant>,
    asked: Arc<Asked>,
}

impl Reader {
    /// The reads of this look in one account and region.
    #[must_use]
    pub fn within(&self, session: &Session, region: &Region) -> AccountReader {
        AccountReader::new(self.clone(), session.clone(), region.clone())
    }

    /// The same look, which from now on accepts only what is sent from now on.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { not_sent_before: Instant::now(), scanned_since: None, ..self.clone() }
    }

    /// The look was asked for at this time, and has waited for its place since: what was sent meanwhile is as new as what it
    /// would have read then.
    pub fn asked_for(&mut self, at: Instant) {
        (self.began, self.not_sent_before) = (self.began.min(at), self.not_sent_before.min(at));
    }

    /// Where a scan of the account that was sent at most so long ago shows the same, that will do for this look.
    pub fn confirm_by_scans(&mut self, age: Duration) {
        self.scanned_since = self.began.checked_sub(age);
    }

    /// An answer is kept for as long as nobody asks again.
    pub fn keep_for(&mut self, keep: Duration) {
        self.keep = keep;
    }

    /// Whether anything was answered that had been sent before the look began. It may confirm what is known; nothing else
    /// may come of it.
    #[must_use]
    pub fn used_stored(&self) -> bool {
        self.used_stored.load(Ordering::Relaxed)
    }

    /// Whether anything was answered that had been sent for somebody else before this look had its place. Such an answer is new
    /// enough, but it is not a second one.
    #[must_use]
    pub fn used_earlier(&self) -> bool {
        self.used_earlier.load(Ordering::Relaxed)
    }

    /// What was asked so far, and digests of the answers; none if something cannot be asked again.
    #[must_use]
    pub fn answers(&self) -> Option<Answers> {
        self.asked.answers()
    }

    fn note(&self, question: Option<(AccountId, Question)>, digest: u64) {
        self.asked.note(question, digest);
    }

    fn note_unrepeatable(&self) {
        self.asked.note(None, 0);
    }

    fn observer(&self) -> &Arc<dyn CallObserver> {
        &self.readers.0.observer
    }

    fn asker(&self, operation: &'static str) -> Asker {
        Asker {
            user: self.user.clone(),
            began: self.began,
            placed: self.placed,
            not_sent_before: self.not_sent_before,
            keep: self.keep,
            used_stored: self.used_stored.clone(),
            used_earlier: self.used_earlier.clone(),
            scanned_since: self.scanned_since,
            operation,
            observer: self.readers.0.observer.clone(),
            wake: self.readers.0.wake.clone(),
        }
    }
}
