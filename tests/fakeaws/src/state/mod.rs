//! The world of the double: accounts, credentials, clock, knobs and log, behind one lock.

pub(crate) mod account;
pub(crate) mod authorize;
pub(crate) mod caller;
pub(crate) mod principals;
pub(crate) mod signals;
pub(crate) mod versioned;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(crate) use self::{
    account::{Account, Function, PROTECTED_PATHS, Policies, Role, User},
    caller::{Caller, Identity, Issued, SECRET_KEY, Service, Session},
};
use crate::{
    call_log::{Authorisation, CallLog},
    clock::Clock,
    codepipeline::{Jobs, Pipelines, Places, run::At},
    knobs::Knobs,
    lambda::Invocations,
    state::{signals::Signals, versioned::Versioned},
};

/// Everything there is.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Accounts by id.
    pub(crate) accounts: BTreeMap<String, Account>,
    /// Documents of managed policies by ARN. They come from the seed.
    pub(crate) managed_policies: BTreeMap<String, Value>,
    /// Long-lived access keys: key → ARN of a root, role or user.
    pub(crate) keys: BTreeMap<String, String>,
    /// Temporary credentials by access key.
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) clock: Clock,
    pub(crate) knobs: Knobs,
    pub(crate) log: CallLog,
    /// What the call in progress was authorised as; the server moves it to the log.
    pub(crate) authorised: Vec<Authorisation>,
    /// What `CodePipeline` waits for from functions.
    pub(crate) jobs: Jobs,
    /// Artifact buckets and action types as far as they are not simply there.
    pub(crate) places: Places,
    /// Asynchronous invocations of functions.
    pub(crate) invocations: Invocations,
    /// How the background task learns that there is something to do.
    pub(crate) signals: Signals,
    /// Unique id → (account, key) of a role or user, dead ones included.
    unique_ids: BTreeMap<String, (String, String)>,
}

impl World {
    /// The time of the double.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The moment whose state IAM reads show now.
    pub(crate) fn read_time(&self) -> Timestamp {
        self.ago(self.knobs.propagation.reads_milliseconds)
    }

    /// The moment whose roles the bulk read of an account shows now.
    pub(crate) fn bulk_read_time(&self) -> Timestamp {
        let Knobs { propagation, bulk_answers, .. } = &self.knobs;
        self.ago(propagation.reads_milliseconds.saturating_add(bulk_answers.lag_milliseconds))
    }

    /// The moment whose policies judge an `AssumeRole` now.
    pub(crate) fn authorisation_time(&self) -> Timestamp {
        self.ago(self.knobs.propagation.authorisation_milliseconds)
    }

    fn ago(&self, milliseconds: u64) -> Timestamp {
        let lag = SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX)).min(versioned::KEPT);
        self.now().checked_sub(lag).unwrap_or(Timestamp::MIN)
    }

    /// An account that is known to exist because a caller or an admin command came through it.
    pub(crate) fn account_mut(&mut self, id: &str) -> &mut Account {
        self.accounts.entry(id.to_owned()).or_insert_with(|| Account {
            id: id.to_owned(),
            partition: "aws".to_owned(),
            ..Account::default()
        })
    }

    /// The pipelines of an account that is known to exist.
    pub(crate) fn pipelines_mut(&mut self, at: &At) -> &mut Pipelines {
        &mut self.account_mut(&at.account).pipelines
    }

    /// Writes a role as it is from now on; `None` deletes it.
    pub(crate) fn set_role(&mut self, account: &str, name: &str, role: Option<Role>) {
        let now = self.now();
        let key = name.to_ascii_lowercase();
        if let Some(role) = &role {
            self.unique_ids.insert(role.id.clone(), (account.to_owned(), key.clone()));
        }
        self.account_mut(account).roles.entry(key).or_default().set(now, role);
    }

    /// Puts a role that has been there since ever: no propagation lag hides it.
    pub(crate) fn seed_role(&mut self, account: &str, role: Role) {
        let key = role.name.to_ascii_lowercase();
        self.unique_ids.insert(role.id.clone(), (account.to_owned(), key.clone()));
        self.account_mut(account).roles.insert(key, Versioned::since_ever(role));
    }

    /// Puts a user.
    pub(crate) fn seed_user(&mut self, account: &str, user: User) {
        self.unique_ids.insert(user.id.clone(), (account.to_owned(), user.name.clone()));
        self.account_mut(account).users.insert(user.name.clone(), user);
    }

    /// The document of a managed policy that this caller's account can use: one of its own, or one of AWS.
    pub(crate) fn attachable_policy(&self, caller: &Caller, arn: &str) -> Option<&Value> {
        let mut parts = arn.splitn(6, ':').skip(1);
        let (partition, owner) = (parts.next()?, parts.nth(2)?);
        let is_own = partition == caller.partition && (owner == "aws" || owner == caller.account);
        self.managed_policies.get(arn).filter(|_| is_own)
    }

    /// How often a managed policy is attached in an account, and how often it is a boundary.
    pub(crate) fn uses_of_policy(&self, account: &str, arn: &str) -> (usize, usize) {
        let Some(account) = self.accounts.get(account) else { return (0, 0) };
        let roles = account.roles.values().filter_map(Versioned::current).map(|role| &role.policies);
        let all: Vec<&Policies> = roles.chain(account.users.values().map(|user| &user.policies)).collect();
        let attached = all.iter().filter(|policies| policies.attached.iter().any(|one| one == arn)).count();
        let boundaries = all.iter().filter(|policies| policies.boundary.as_deref() == Some(arn)).count();
        (attached, boundaries)
    }

    /// The ARN behind a unique id, while that very role or user lives.
    pub(crate) fn arn_of_unique_id(&self, id: &str) -> Option<String> {
        let (account, key) = self.unique_ids.get(id)?;
        let account = self.accounts.get(account)?;
        if let Some(role) = account.role(key).filter(|role| role.id == id) {
            return Some(account.role_arn(role));
        }
        account.users.get(key).filter(|user| user.id == id).map(|user| account.user_arn(user))
    }
}

/// A new unique id of 21 characters, as IAM's: `AROA`, `AIDA`, `ASIA`, and random upper-case letters and digits.
pub(crate) fn unique_id(prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bits = rand::random::<u128>();
    let mut id = prefix.to_owned();
    while id.len() < 21 {
        id.push(char::from(ALPHABET[usize::try_from(bits % 32).unwrap_or_default()]));
        bits /= 32;
    }
    id
}
