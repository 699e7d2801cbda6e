//! What can be asked of one account and region. Each answer is that of the call of the same name; what does not exist is
//! an answer and no failure.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use serde_json::Value;

use super::{
    Reader, Shelves,
    bulk::{Lister, Scanned},
    role_key,
    shelf::{Sent, Shelf, Source},
};
use crate::{
    aws::{
        AwsError, CodePipeline, FunctionRead, Iam, Known, PipelineRead, RoleListed, RoleRead, Session, Turn,
        lambda::Lambda,
    },
    domain::{
        history::History,
        ids::{Arn, FunctionName, PipelineName, Region, RoleName, RolePath},
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

    /// Looks for a scan that tells of a role, where the look takes one and nothing is held.
    async fn roles_in_bulk<K, V>(&self, operation: &'static str, which: impl FnOnce(&Shelves) -> &Shelf<K, V>, key: &K)
    where
        K: Clone + Ord + Send + 'static,
        V: PartialEq + Send + Sync + 'static,
    {
        let of = Scanned::Roles(self.session.account().clone());
        self.in_bulk(operation, which, key, (of, |here: &Here| Lister::Roles(here.iam()))).await;
    }

    async fn in_bulk<K, V>(
        &self,
        operation: &'static str,
        which: impl FnOnce(&Shelves) -> &Shelf<K, V>,
        key: &K,
        (of, lister): (Scanned, impl FnOnce(&Here) -> Lister),
    ) where
        K: Clone + Ord + Send + 'static,
        V: PartialEq + Send + Sync + 'static,
    {
        let readers = &self.reader.readers;
        if self.reader.scanned_since.is_some() && !which(&readers.0).holds(key, &self.reader.asker(operation)) {
            let here = self.here();
            readers.scanned(of, || lister(&here)).await;
        }
    }

    async fn ask<K, V, F>(
        &self,
        operation: &'static str,
        which: impl FnOnce(&Shelves) -> &Shelf<K, V>,
        key: K,
        call: impl FnOnce(Here) -> F + Send + 'static,
    ) -> Result<V, AwsError>
    where
        K: Clone + Ord + Send + 'static,
        V: Clone + PartialEq + Send + Sync + 'static,
        F: Future<Output = Result<V, AwsError>> + Send + 'static,
    {
        let here = self.here();
        let asker = self.reader.asker(operation);
        let answered = which(&self.reader.readers.0)
            .ask(key, &asker, |sent| async move { call(Here { sent, ..here }).await }.boxed());
        answered.await.map(|(value, _)| Arc::unwrap_or_clone(value))
    }
}

/// IAM.
#[allow(clippy::missing_errors_doc, reason = "each fails as AWS answers")]
impl AccountReader {
    /// A role.
    pub async fn get_role(&self, name: &RoleName) -> Result<Option<RoleRead>, AwsError> {
        let (key, name) = (role_key(self.session.account(), name), name.clone());
        self.roles_in_bulk("GetRole", |shelves| &shelves.roles, &key).await;
        let call = move |here: Here| async move { here.iam().get_role(&name).await };
        self.ask("GetRole", |shelves| &shelves.roles, key, call).await
    }

    /// All roles at a path, as far as a list tells of them.
    pub async fn list_roles(&self, path: &RolePath) -> Result<Vec<RoleListed>, AwsError> {
        let (key, path) = ((self.session.account().clone(), Some(path.clone())), path.clone());
        let call = move |here: Here| async move { here.iam().list_roles(&path).await };
        self.ask("ListRoles", |shelves| &shelves.roles_at, key, call).await
    }

    /// The document of an inline policy.
    pub async fn get_role_policy(&self, role: &RoleName, policy: &str) -> Result<Option<Value>, AwsError> {
        let key = (role_key(self.session.account(), role), policy.to_owned());
        let (role, policy) = (role.clone(), policy.to_owned());
        self.roles_in_bulk("GetRolePolicy", |shelves| &shelves.role_policies, &key).await;
        let call = move |here: Here| async move { here.iam().get_role_policy(&role, &policy).await };
        self.ask("GetRolePolicy", |shelves| &shelves.role_policies, key, call).await
    }

    /// Names of all inline policies of a role.
    pub async fn list_role_policies(&self, role: &RoleName) -> Result<Vec<String>, AwsError> {
        let (key, role) = (role_key(self.session.account(), role), role.clone());
        self.roles_in_bulk("ListRolePolicies", |shelves| &shelves.policy_names, &key).await;
        let call = move |here: Here| async move { here.iam().list_role_policies(&role).await };
        self.ask("ListRolePolicies", |shelves| &shelves.policy_names, key, call).await
    }

    /// All managed policies attached to a role.
    pub async fn list_attached_role_policies(&self, role: &RoleName) -> Result<Vec<Arn>, AwsError> {
        let (key, role) = (role_key(self.session.account(), role), role.clone());
        self.roles_in_bulk("ListAttachedRolePolicies", |shelves| &shelves.attached, &key).await;
        let call = move |here: Here| async move { here.iam().list_attached_role_policies(&role).await };
        self.ask("ListAttachedRolePolicies", |shelves| &shelves.attached, key, call).await
    }

    /// The document of a managed policy in its default version.
    pub async fn managed_policy(&self, policy: &Arn) -> Result<Option<Value>, AwsError> {
        let (key, policy) = ((self.session.account().clone(), policy.clone()), policy.clone());
        let call = move |here: Here| async move { here.iam().managed_policy(&policy).await };
        self.ask("GetPolicyVersion", |shelves| &shelves.managed, key, call).await
    }

    /// Whether a managed policy exists.
    pub async fn policy_exists(&self, policy: &Arn) -> Result<bool, AwsError> {
        let (key, policy) = ((self.session.account().clone(), policy.clone()), policy.clone());
        let call = move |here: Here| async move { here.iam().policy_exists(&policy).await };
        self.ask("GetPolicy", |shelves| &shelves.managed_exist, key, call).await
    }
}

/// Lambda and CodePipeline.
#[allow(clippy::missing_errors_doc, reason = "each fails as AWS answers")]
impl AccountReader {
    /// A function.
    pub async fn get_function(&self, name: &FunctionName) -> Result<Option<FunctionRead>, AwsError> {
        let (key, name) = ((self.session.account().clone(), self.region.clone(), name.clone()), name.clone());
        let of = Scanned::Functions(key.0.clone(), key.1.clone());
        let lister = |here: &Here| Lister::Functions(here.lambda());
        self.in_bulk("GetFunctionConfiguration", |shelves| &shelves.functions, &key, (of, lister)).await;
        let call = move |here: Here| async move { here.lambda().get_function(&name).await };
        self.ask("GetFunctionConfiguration", |shelves| &shelves.functions, key, call).await
    }

    /// A pipeline. Its version never goes back: a reading of an earlier one is answered with what was read before.
    pub async fn get_pipeline(&self, name: &PipelineName) -> Result<Option<PipelineRead>, AwsError> {
        let (key, name) = ((self.session.account().clone(), self.region.clone(), name.clone()), name.clone());
        let call = move |here: Here| async move { here.codepipeline().get_pipeline(&name).await };
        self.ask("GetPipeline", |shelves| &shelves.pipelines, key, call).await
    }

    /// A pipeline in an earlier version; always a call of its own.
    pub async fn get_version(&self, name: &PipelineName, version: i32) -> Result<Option<PipelineRead>, AwsError> {
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
        self.reader.observer().read(Source::Single, "ListPipelineExecutions", Duration::ZERO);
        self.here().codepipeline().occupancy(turn, name, known).await
    }
}
