//! What can be asked of one account and region. Each answer is that of the call of the same name; what does not exist is
//! an answer and no failure.

use std::{hash::Hash, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;

use super::{
    Reader, RoleKey, Shelves,
    asker::Asker,
    bulk::{Lister, Scanned},
    question::{Question, digest},
    role_key,
    shelf::{Sent, Shelf, Source},
};
use crate::{
    aws::{
        AwsError, CodePipeline, FunctionRead, Iam, Known, PipelineRead, RoleListed, RoleRead, Session, Turn,
        lambda::Lambda,
    },
    domain::{
        bulk_reads::Listing,
        history::History,
        ids::{AccountId, Arn, FunctionName, PipelineName, Region, RoleName, RolePath},
        occupancy::Occupancy,
    },
};

/// The reads of one look in one account and region.
#[derive(Clone, Debug)]
pub struct AccountReader {
    reader: Reader,
    session: Session,
    region: Region,
}

/// A question, and the call that answers it.
struct Asking<K, V> {
    operation: &'static str,
    /// How a later look asks it again; `None` for what only looks with something to do ask.
    question: Option<(AccountId, Question)>,
    /// The scan that may answer it.
    scanned: Option<Listing>,
    shelf: fn(&Shelves) -> &Shelf<K, V>,
    key: K,
    call: Call<V>,
}

type Call<V> = Box<dyn FnOnce(Here) -> BoxFuture<'static, Result<V, AwsError>> + Send + Sync>;

/// Where a call is sent, and where it is said when it leaves.
struct Here {
    session: Session,
    region: Region,
    sent: Sent,
}

impl Here {
    fn iam(&self) -> Iam {
        self.session.iam(&self.region).marking(self.sent.clone())
    }

    fn lambda(&self) -> Lambda {
        self.session.lambda(&self.region).marking(self.sent.clone())
    }

    fn codepipeline(&self) -> CodePipeline {
        self.session.codepipeline(&self.region).marking(self.sent.clone())
    }
}

impl AccountReader {
    pub(super) fn new(reader: Reader, session: Session, region: Region) -> Self {
        Self { reader, session, region }
    }

    /// The same look in another region.
    #[must_use]
    pub fn in_region(&self, region: &Region) -> Self {
        Self { region: region.clone(), ..self.clone() }
    }

    /// The same look in another account.
    #[must_use]
    pub fn within(&self, session: &Session) -> Self {
        Self { session: session.clone(), ..self.clone() }
    }

    /// The same reads, for whoever looks at it for all.
    #[must_use]
    pub fn for_nobody(&self) -> Self {
        Self { reader: Reader { user: None, ..self.reader.fresh() }, ..self.clone() }
    }

    /// The same look, which from now on accepts only what is sent from now on.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { reader: self.reader.fresh(), ..self.clone() }
    }

    fn here(&self) -> Here {
        Here { session: self.session.clone(), region: self.region.clone(), sent: Sent::default() }
    }

    /// Looks for a scan that answers a question, where the look takes one and nothing is held.
    async fn in_bulk<K, V>(&self, asking: &Asking<K, V>, holds: impl FnOnce(&Shelf<K, V>, &Asker) -> bool)
    where
        K: Clone + Ord + Send + 'static,
        V: Hash + PartialEq + Send + Sync + 'static,
    {
        let readers = &self.reader.readers;
        let Some(scanned) = asking.scanned.filter(|_| self.reader.scanned_since.is_some()) else { return };
        if holds((asking.shelf)(&readers.0), &self.reader.asker(asking.operation)) {
            return;
        }
        let (here, account) = (self.here(), self.session.account().clone());
        match scanned {
            Listing::Roles => readers.scanned(Scanned::Roles(account), || Lister::Roles(here.iam())).await,
            Listing::Functions => {
                let of = Scanned::Functions(account, self.region.clone());
                readers.scanned(of, || Lister::Functions(here.lambda())).await;
            }
        }
    }

    async fn ask<K, V>(&self, asking: Asking<K, V>) -> Result<V, AwsError>
    where
        K: Clone + Ord + Send + 'static,
        V: Clone + Hash + PartialEq + Send + Sync + 'static,
    {
        self.in_bulk(&asking, |shelf, asker| shelf.holds(&asking.key, asker)).await;
        let (asker, here) = (self.reader.asker(asking.operation), self.here());
        let readings = (asking.shelf)(&self.reader.readers.0);
        let (value, _) = readings.ask(asking.key, &asker, |sent| (asking.call)(Here { sent, ..here })).await?;
        self.reader.note(asking.question, digest(&*value));
        Ok(Arc::unwrap_or_clone(value))
    }

    async fn confirms_one<K, V>(&self, asking: Asking<K, V>, known: u64) -> Result<bool, AwsError>
    where
        K: Clone + Ord + Send + 'static,
        V: Clone + Hash + PartialEq + Send + Sync + 'static,
    {
        self.in_bulk(&asking, |shelf, asker| shelf.holds_digest(&asking.key, asker)).await;
        let (asker, here) = (self.reader.asker(asking.operation), self.here());
        let readings = (asking.shelf)(&self.reader.readers.0);
        readings.confirms(asking.key, &asker, known, |sent| (asking.call)(Here { sent, ..here })).await
    }

    /// Whether the answer to a question of this account is the one that is known, by its digest.
    ///
    /// # Errors
    /// As AWS answers.
    pub async fn confirms(&self, question: &Question, known: u64) -> Result<bool, AwsError> {
        match question {
            Question::Role(name) => self.confirms_one(self.role(name), known).await,
            Question::RolePolicy(role, policy) => self.confirms_one(self.role_policy(role, policy), known).await,
            Question::RolePolicies(role) => self.confirms_one(self.role_policies(role), known).await,
            Question::AttachedRolePolicies(role) => self.confirms_one(self.attached(role), known).await,
            Question::ManagedPolicy(policy) => self.confirms_one(self.managed(policy), known).await,
            Question::Function(region, name) => {
                let there = self.in_region(region);
                there.confirms_one(there.function(name), known).await
            }
            Question::Pipeline(region, name) => {
                let there = self.in_region(region);
                there.confirms_one(there.pipeline(name), known).await
            }
        }
    }

    fn role(&self, name: &RoleName) -> Asking<RoleKey, Option<RoleRead>> {
        let (key, asked) = (role_key(self.session.account(), name), name.clone());
        Asking {
            operation: "GetRole",
            question: Some(self.that(Question::Role(name.clone()))),
            scanned: Some(Listing::Roles),
            shelf: |shelves| &shelves.roles,
            key,
            call: Box::new(move |here| async move { here.iam().get_role(&asked).await }.boxed()),
        }
    }

    fn role_policy(&self, role: &RoleName, policy: &str) -> Asking<(RoleKey, String), Option<Value>> {
        let key = (role_key(self.session.account(), role), policy.to_owned());
        let (of, named) = (role.clone(), policy.to_owned());
        Asking {
            operation: "GetRolePolicy",
            question: Some(self.that(Question::RolePolicy(role.clone(), policy.to_owned()))),
            scanned: Some(Listing::Roles),
            shelf: |shelves| &shelves.role_policies,
            key,
            call: Box::new(move |here| async move { here.iam().get_role_policy(&of, &named).await }.boxed()),
        }
    }

    fn role_policies(&self, role: &RoleName) -> Asking<RoleKey, Vec<String>> {
        let (key, of) = (role_key(self.session.account(), role), role.clone());
        Asking {
            operation: "ListRolePolicies",
            question: Some(self.that(Question::RolePolicies(role.clone()))),
            scanned: Some(Listing::Roles),
            shelf: |shelves| &shelves.policy_names,
            key,
            call: Box::new(move |here| async move { here.iam().list_role_policies(&of).await }.boxed()),
        }
    }

    fn attached(&self, role: &RoleName) -> Asking<RoleKey, Vec<Arn>> {
        let (key, of) = (role_key(self.session.account(), role), role.clone());
        Asking {
            operation: "ListAttachedRolePolicies",
            question: Some(self.that(Question::AttachedRolePolicies(role.clone()))),
            scanned: Some(Listing::Roles),
            shelf: |shelves| &shelves.attached,
            key,
            call: Box::new(move |here| async move { here.iam().list_attached_role_policies(&of).await }.boxed()),
        }
    }

    fn managed(&self, policy: &Arn) -> Asking<(AccountId, Arn), Option<Value>> {
        let (key, asked) = ((self.session.account().clone(), policy.clone()), policy.clone());
        Asking {
            operation: "GetPolicyVersion",
            question: Some(self.that(Question::ManagedPolicy(policy.clone()))),
            scanned: None,
            shelf: |shelves| &shelves.managed,
            key,
            call: Box::new(move |here| async move { here.iam().managed_policy(&asked).await }.boxed()),
        }
    }

    fn function(&self, name: &FunctionName) -> Asking<(AccountId, Region, FunctionName), Option<FunctionRead>> {
        let (key, asked) = ((self.session.account().clone(), self.region.clone(), name.clone()), name.clone());
        Asking {
            operation: "GetFunctionConfiguration",
            question: Some(self.that(Question::Function(self.region.clone(), name.clone()))),
            scanned: Some(Listing::Functions),
            shelf: |shelves| &shelves.functions,
            key,
            call: Box::new(move |here| async move { here.lambda().get_function(&asked).await }.boxed()),
        }
    }

    fn pipeline(&self, name: &PipelineName) -> Asking<(AccountId, Region, PipelineName), Option<PipelineRead>> {
        let (key, asked) = ((self.session.account().clone(), self.region.clone(), name.clone()), name.clone());
        Asking {
            operation: "GetPipeline",
            question: Some(self.that(Question::Pipeline(self.region.clone(), name.clone()))),
            scanned: None,
            shelf: |shelves| &shelves.pipelines,
            key,
            call: Box::new(move |here| async move { here.codepipeline().get_pipeline(&asked).await }.boxed()),
        }
    }

    fn that(&self, question: Question) -> (AccountId, Question) {
        (self.session.account().clone(), question)
    }
}

/// IAM.
#[allow(clippy::missing_errors_doc, reason = "each fails as AWS answers")]
impl AccountReader {
    /// A role.
    pub async fn get_role(&self, name: &RoleName) -> Result<Option<RoleRead>, AwsError> {
        self.ask(self.role(name)).await
    }

    /// All roles at a path, as far as a list tells of them.
    pub async fn list_roles(&self, path: &RolePath) -> Result<Vec<RoleListed>, AwsError> {
        let (key, path) = ((self.session.account().clone(), Some(path.clone())), path.clone());
        let asking = Asking {
            operation: "ListRoles",
            question: None,
            scanned: None,
            shelf: |shelves| &shelves.roles_at,
            key,
            call: Box::new(move |here| async move { here.iam().list_roles(&path).await }.boxed()),
        };
        self.ask(asking).await
    }

    /// The document of an inline policy.
    pub async fn get_role_policy(&self, role: &RoleName, policy: &str) -> Result<Option<Value>, AwsError> {
        self.ask(self.role_policy(role, policy)).await
    }

    /// Names of all inline policies of a role.
    pub async fn list_role_policies(&self, role: &RoleName) -> Result<Vec<String>, AwsError> {
        self.ask(self.role_policies(role)).await
    }

    /// All managed policies attached to a role.
    pub async fn list_attached_role_policies(&self, role: &RoleName) -> Result<Vec<Arn>, AwsError> {
        self.ask(self.attached(role)).await
    }

    /// The document of a managed policy in its default version.
    pub async fn managed_policy(&self, policy: &Arn) -> Result<Option<Value>, AwsError> {
        self.ask(self.managed(policy)).await
    }

    /// Whether a managed policy exists.
    pub async fn policy_exists(&self, policy: &Arn) -> Result<bool, AwsError> {
        let (key, policy) = ((self.session.account().clone(), policy.clone()), policy.clone());
        let asking = Asking {
            operation: "GetPolicy",
            question: None,
            scanned: None,
            shelf: |shelves| &shelves.managed_exist,
            key,
            call: Box::new(move |here| async move { here.iam().policy_exists(&policy).await }.boxed()),
        };
        self.ask(asking).await
    }
}

/// Lambda and CodePipeline.
#[allow(clippy::missing_errors_doc, reason = "each fails as AWS answers")]
impl AccountReader {
    /// A function.
    pub async fn get_function(&self, name: &FunctionName) -> Result<Option<FunctionRead>, AwsError> {
        self.ask(self.function(name)).await
    }

    /// A pipeline. Its version never goes back: a reading of an earlier one is answered with what was read before.
    pub async fn get_pipeline(&self, name: &PipelineName) -> Result<Option<PipelineRead>, AwsError> {
        self.ask(self.pipeline(name)).await
    }

    /// A pipeline in an earlier version; always a call of its own.
    pub async fn get_version(&self, name: &PipelineName, version: i32) -> Result<Option<PipelineRead>, AwsError> {
        self.reader.note_unrepeatable();
        self.reader.observer().read(Source::Single, "GetPipeline", Duration::ZERO);
        self.here().codepipeline().get_version(name, version).await
    }

    /// What may keep a pipeline from being updated; always calls of its own, since they come right before the update.
    ///
    /// # Errors
    /// As AWS answers.
    pub async fn occupancy(
        &self,
        turn: &Turn,
        name: &PipelineName,
        known: Known<'_>,
    ) -> Result<(Occupancy, History), AwsError> {
        self.reader.note_unrepeatable();
        self.reader.observer().read(Source::Single, "ListPipelineExecutions", Duration::ZERO);
        self.here().codepipeline().occupancy(turn, name, known).await
    }
}
