//! What converging and removing begin with: the typed spec, the way into both accounts, and the clients there.

use super::{
    context::Context,
    gate_input::gate_input,
    outcome::Verdict,
    pass::{Halt, Pass},
    sessions::Sessions,
    spreading,
};
use crate::domain::{
    gate::{self, Input},
    ids::InstallationId,
    inventory::Inventory,
    plan::{Blocker, Others, Situation, Staying},
    spec::{Declared, Granted},
    validate::validate_object,
};

/// Who is let in: [`crate::domain::gate::gate`] or [`crate::domain::gate::access_for_removal`].
pub type Gate = fn(&Declared, &Input, &InstallationId) -> Result<Granted, Blocker>;

/// Both accounts of one object, entered.
pub struct Entered {
    /// The spec.
    pub declared: Declared,
    /// What the accounts allow and impose, as the gate saw it.
    pub granted: Granted,
    /// The clients.
    pub sessions: Sessions,
    /// What the other objects need; nobody's until it has been gathered.
    pub others: Others,
    /// Nothing stays for the time being before the roles were looked at.
    staying: Staying,
    inventory: Inventory,
}

/// What an object waits for that is granted what it asks for and whose accounts are not held yet.
pub(super) fn waits(pass: &Pass<'_>) -> Option<Verdict> {
    let (context, installation) = (pass.context, &pass.context.settings.installation);
    let declared = validate_object(&pass.key, &pass.object, installation).ok()?;
    let blocker = gate::gate(&declared, &gate_input(context, &declared.key), installation).err()?;
    Some(Verdict::from(blocker)).filter(Verdict::is_on_its_way)
}

impl Entered {
    /// Validates the spec, passes the gate and opens the sessions.
    ///
    /// # Errors
    /// The verdict that ends the reconcile here.
    pub async fn open(pass: &mut Pass<'_>, gate: Gate) -> Result<Self, Halt> {
        let context = pass.context;
        let installation = &context.settings.installation;
        let declared = validate_object(&pass.key, &pass.object, installation).map_err(Verdict::from)?;
        pass.declare(&declared);
        let granted = gate(&declared, &gate_input(context, &declared.key), installation).map_err(Verdict::from)?;
        let sessions = Sessions::open(context, &pass.reader, &declared, &granted).await?;
        context.memory.note_imposed(&pass.uid, spreading::imposed(&granted));
        if granted.today {
            pass.recall(&declared);
        }
        let (others, staying) = (Others::default(), Staying::new());
        Ok(Self { declared, granted, sessions, others, staying, inventory: pass.inventory.clone() })
    }

    /// Everything the planner needs beside what is read.
    #[must_use]
    pub fn situation<'a>(&'a self, context: &'a Context) -> Situation<'a> {
        Situation {
            installation: &context.settings.installation,
            declared: &self.declared,
            granted: &self.granted,
            list_functions: context.settings.list_functions,
            inventory: &self.inventory,
            others: &self.others,
            staying: &self.staying,
            now: Context::now(),
        }
    }
}
