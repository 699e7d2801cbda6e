//! What a write rests on: an object as it was planned for, and what it was granted then.

use std::sync::Arc;

use super::{
    ids::{AccountId, ObjectKey},
    spec::{Declared, Granted},
};

/// One object, as a plan has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// The object.
    pub key: ObjectKey,
    /// Its UID: one that was made again under the same name is another one.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Whether it is being deleted, which needs no grant.
    pub leaving: bool,
    /// What it declares.
    pub declared: Arc<Declared>,
    /// What the accounts grant it.
    pub granted: Arc<Granted>,
}

impl Basis {
    /// Whether the account is one of the two that the object is granted something in.
    #[must_use]
    pub fn enters(&self, account: &AccountId) -> bool {
        [&self.granted.tools, &self.granted.dev].into_iter().any(|access| access.account == *account)
    }
}

#[cfg(test)]
impl Basis {
    /// An object that is granted something in these two accounts.
    pub(crate) fn for_tests(name: &str, tools: &str, dev: &str) -> Self {
        use super::spec::{Access, Location, Trust};
        let key = ObjectKey { namespace: "payments".to_owned(), name: name.to_owned() };
        let location =
            |account: &str| Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() };
        let access = |account: &str| Access {
            account: account.parse().unwrap(),
            object: "account".to_owned(),
            role: None,
            external_id: None,
        };
        let declared = Declared {
            key: key.clone(),
            tools: location(tools),
            dev: location(dev),
            pipeline: "release".parse().unwrap(),
            stage: "Validate".parse().unwrap(),
            position: None,
            action: name.parse().unwrap(),
            run_order: None,
            user_parameters: None,
            variables_namespace: None,
            function: "validate".parse().unwrap(),
            execution_role: None,
            role_name: name.parse().unwrap(),
            role_is_named: false,
            tags: [].into(),
            trust: Trust::PipelineRole,
            interval: std::time::Duration::from_mins(5),
        };
        let granted = Granted {
            tools: access(tools),
            dev: access(dev),
            role_path: "/crossinvoke/x/".parse().unwrap(),
            boundary: None,
            allowed_tag_keys: Vec::new(),
            imposed_tags: [].into(),
            tolerated_policies: Vec::new(),
            today: true,
            closing: None,
        };
        let (declared, granted) = (Arc::new(declared), Arc::new(granted));
        Self { key, uid: name.to_owned(), generation: 1, leaving: false, declared, granted }
    }
}
