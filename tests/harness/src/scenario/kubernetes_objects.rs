//! The objects of a scenario, as a user has them.

use kube::{Api, api::DynamicObject};
use serde_json::{Value, json};

use super::Scenario;
use crate::{
    error::{Context as _, Error, Result},
    objects::{self, has_reason},
    wait::{DEADLINE, until_object},
};

impl Scenario<'_> {
    /// A `CrossAccountInvoke` of this scenario, to be changed and applied.
    #[must_use]
    pub fn invoke(&self, name: &str) -> Value {
        objects::cross_account_invoke(&self.accounts, &self.namespace, name)
    }

    /// Applies an object server-side, as a user would.
    ///
    /// # Errors
    /// If the API server refuses it; with its message.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        self.kubectl().apply(&object.to_string()).await.map(|_| ())
    }

    /// Deletes a `CrossAccountInvoke` without waiting for its finalizer.
    ///
    /// # Errors
    /// If there is none.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.invokes().delete(name, &kube::api::DeleteParams::default()).await.context("deleting")?;
        Ok(())
    }

    /// The `CrossAccountInvoke`s of this scenario.
    #[must_use]
    pub fn invokes(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &objects::cross_account_invokes())
    }

    /// All `AwsAccount`s.
    #[must_use]
    pub fn aws_accounts(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &objects::aws_accounts())
    }

    /// Waits until a `CrossAccountInvoke` satisfies a condition, and returns it.
    ///
    /// # Errors
    /// After a minute, with the object as it then is.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&DynamicObject) -> bool,
    ) -> Result<DynamicObject> {
        let there = |object: Option<&DynamicObject>| object.is_some_and(&condition);
        let object = until_object(&self.invokes(), name, &format!("{name}: {what}"), DEADLINE, there).await?;
        object.ok_or_else(|| Error::new(format!("{name} went away while waiting: {what}")))
    }

    /// Waits until a `CrossAccountInvoke`'s status is about its present spec and says this reason, and returns it.
    ///
    /// # Errors
    /// After a minute, with the object as it then is.
    pub async fn until_reason(&self, name: &str, reason: &str) -> Result<DynamicObject> {
        self.until(name, &format!("reason {reason}"), |object| has_reason(object, reason)).await
    }

    /// Waits until an `AwsAccount`'s status is about its present spec and says this reason, and returns it.
    ///
    /// # Errors
    /// After a minute, with the object as it then is.
    pub async fn until_account_reason(&self, name: &str, reason: &str) -> Result<DynamicObject> {
        let there = |object: Option<&DynamicObject>| object.is_some_and(|object| has_reason(object, reason));
        let what = format!("{name}: reason {reason}");
        let object = until_object(&self.aws_accounts(), name, &what, DEADLINE, there).await?;
        object.ok_or_else(|| Error::new(format!("{name} went away while waiting: {what}")))
    }

    /// Waits until a `CrossAccountInvoke` is gone.
    ///
    /// # Errors
    /// After a minute, with the object as it then is.
    pub async fn until_gone(&self, name: &str) -> Result<()> {
        let gone = |object: Option<&DynamicObject>| object.is_none();
        until_object(&self.invokes(), name, &format!("{name} is gone"), DEADLINE, gone).await.map(|_| ())
    }

    /// Makes the controller look at an object at once, as its annotation does whenever the value is a new one.
    ///
    /// # Errors
    /// If there is no such object.
    pub async fn touch(&self, name: &str, value: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {"crossinvoke.dev/reconcile-requested-at": value}}});
        let patch = kube::api::Patch::Merge(patch);
        self.invokes().patch(name, &kube::api::PatchParams::default(), &patch).await.context("annotating")?;
        Ok(())
    }
}
