//! How one scenario differs from the usual one.

use fakeaws::Seed;
use serde_json::Value;

use crate::accounts::Accounts;

/// Changes the seed of the AWS double.
type SeedChange = Box<dyn FnOnce(&Accounts, &mut Seed) + Send>;

/// Changes the scenario's accounts.
type AccountsChange = Box<dyn FnOnce(&mut Accounts) + Send>;

/// Changes the `AwsAccount`s of tools and dev.
type AwsAccountsChange = Box<dyn FnOnce(&mut Value, &mut Value) + Send>;

/// What differs from the usual scenario.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Setup {
    pub(crate) accounts: Option<Accounts>,
    pub(crate) adjust: Option<AccountsChange>,
    pub(crate) seed: Option<SeedChange>,
    pub(crate) aws_accounts: Option<AwsAccountsChange>,
    pub(crate) flags: Vec<String>,
    pub(crate) on_moto: bool,
    pub(crate) without_controller: bool,
    pub(crate) without_rights: bool,
    pub(crate) everywhere: bool,
    pub(crate) in_a_namespace_of_its_own: bool,
}

impl Setup {
    /// Uses these accounts, not those of the scenario's name.
    #[must_use]
    pub fn accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// Changes the accounts of the scenario's name, such as their regions or partition.
    #[must_use]
    pub fn adjust_accounts(mut self, change: impl FnOnce(&mut Accounts) + Send + 'static) -> Self {
        self.adjust = Some(Box::new(change));
        self
    }

    /// Gives the controller the dev account's rights of `dev-without-boundary.json`, and imposes no boundary.
    #[must_use]
    pub fn without_boundary(self) -> Self {
        self.adjust_accounts(|accounts| accounts.bounded = false)
    }

    /// Lets the controller read all roles and functions of both accounts at once.
    #[must_use]
    pub fn with_bulk_reads(self) -> Self {
        self.adjust_accounts(|accounts| accounts.bulk_reads = true)
    }

    /// Changes what AWS holds before anything starts.
    #[must_use]
    pub fn seed(mut self, change: impl FnOnce(&Accounts, &mut Seed) + Send + 'static) -> Self {
        self.seed = Some(Box::new(change));
        self
    }

    /// Changes the `AwsAccount`s of tools and dev before they are applied.
    #[must_use]
    pub fn aws_accounts(mut self, change: impl FnOnce(&mut Value, &mut Value) + Send + 'static) -> Self {
        self.aws_accounts = Some(Box::new(change));
        self
    }

    /// Adds flags of `crossinvoke run`.
    #[must_use]
    pub fn flags<'a>(mut self, flags: impl IntoIterator<Item = &'a str>) -> Self {
        self.flags.extend(flags.into_iter().map(str::to_owned));
        self
    }

    /// Takes moto instead of the AWS double.
    #[must_use]
    pub fn on_moto(mut self) -> Self {
        self.on_moto = true;
        self
    }

    /// Lets the controller watch all namespaces. It sees what other scenarios on the same control plane do.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// Leaves the controller to be started by the scenario.
    #[must_use]
    pub fn without_controller(mut self) -> Self {
        self.without_controller = true;
        self
    }

    /// Puts the controller's `ServiceAccount` and rights into a namespace beside the scenario's.
    #[must_use]
    pub fn in_a_namespace_of_its_own(mut self) -> Self {
        self.in_a_namespace_of_its_own = true;
        self
    }

    /// Leaves the controller's `ServiceAccount` and rights to a release that the scenario installs.
    #[must_use]
    pub fn without_rights(mut self) -> Self {
        self.without_rights = true;
        self
    }
}
