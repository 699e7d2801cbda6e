//! What a look asked, and digests of what it was answered: enough to ask again and see whether anything is otherwise.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::domain::ids::{AccountId, Arn, FunctionName, PipelineName, Region, RoleName};

/// The keys of all digests. They are of this process alone, so that nobody can make two answers that have the same one.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The digest of an answer. It means nothing to another process.
pub(super) fn digest(answer: &impl Hash) -> u64 {
    KEYS.hash_one(answer)
}

/// A question about one account that can be asked again.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Question {
    /// A role.
    Role(RoleName),
    /// The document of an inline policy.
    RolePolicy(RoleName, String),
    /// The names of all inline policies of a role.
    RolePolicies(RoleName),
    /// The managed policies attached to a role.
    AttachedRolePolicies(RoleName),
    /// The document of a managed policy.
    ManagedPolicy(Arn),
    /// A function.
    Function(Region, FunctionName),
    /// A pipeline.
    Pipeline(Region, PipelineName),
}

/// What a look was answered, as digests.
pub type Answers = Vec<(AccountId, Question, u64)>;

/// What one look has asked so far.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// None once something was asked that cannot be asked again.
    answers: Mutex<Option<Answers>>,
}

impl Asked {
    /// Nothing so far.
    pub(super) fn nothing() -> Self {
        Self { answers: Mutex::new(Some(Answers::new())) }
    }

    /// Takes note of an answer. What was asked twice counts as it was answered last.
    pub(super) fn note(&self, question: Option<(AccountId, Question)>, digest: u64) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((account, question)) = question else {
            *answers = None;
            return;
        };
        let Some(answers) = answers.as_mut() else { return };
        let known = answers.iter_mut().find(|(of, asked, _)| *of == account && *asked == question);
        match known {
            Some((_, _, last)) => *last = digest,
            None => answers.push((account, question, digest)),
        }
    }

    /// All of it; none if something cannot be asked again.
    pub(super) fn answers(&self) -> Option<Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
