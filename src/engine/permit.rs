//! The right to make one write: what a last look found, in the very step that makes the write.
//!
//! A permit has the address of what is written in it, and every client that writes takes a permit by value and the address out
//! of it. So a write without a last look does not compile, nor does a second one:
//!
//! ```
//! # use crossinvoke::{aws::{AwsError, Iam, Turn}, engine::role::Permit};
//! async fn one_write(iam: Iam, turn: Turn, permit: Permit) -> Result<(), AwsError> {
//!     iam.write(turn, permit).await
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use crossinvoke::{aws::{AwsError, Iam, Turn}, engine::role::{Permit, Write}};
//! async fn without_a_permit(iam: Iam, turn: Turn, write: Write) -> Result<(), AwsError> {
//!     iam.write(turn, write).await
//! }
//! ```
//!
//! ```compile_fail,E0382
//! # use crossinvoke::{aws::{AwsError, Iam, Turn}, engine::role::Permit};
//! async fn two_writes(iam: Iam, turns: [Turn; 2], permit: Permit) -> Result<(), AwsError> {
//!     let [one, two] = turns;
//!     iam.write(one, permit).await?;
//!     iam.write(two, permit).await
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use crossinvoke::{aws::{AwsError, Iam, Turn}, engine::role::Permit};
//! async fn a_copy(iam: Iam, turn: Turn, permit: &Permit) -> Result<(), AwsError> {
//!     let copy: Permit = permit.clone();
//!     iam.write(turn, copy).await
//! }
//! ```
//!
//! ```compile_fail,E0624
//! # use crossinvoke::{domain::basis::Basis, engine::role::{Permit, Write}};
//! fn without_a_look(write: Write, basis: Basis, now: jiff::Timestamp) -> Permit {
//!     Permit::new(write, vec![basis], now)
//! }
//! ```
//!
//! ```compile_fail,E0624
//! # use crossinvoke::{domain::basis::Basis, engine::role::{Permit, Write}};
//! fn a_look_at_nothing(write: Write, basis: Basis, now: jiff::Timestamp) -> Result<Permit, ()> {
//!     Permit::after_look(write, basis, now, |_| Ok(()))
//! }
//! ```

use std::{fmt, time::Duration};

use jiff::Timestamp;

use crate::domain::{
    basis::Basis,
    ids::{AccountId, ObjectKey},
};

/// How long after its last look a write may be sent.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// What is written, with its address.
pub trait Addressed {
    /// Where a client of AWS writes.
    type Place: fmt::Display + PartialEq;

    /// Where this is written.
    fn place(&self) -> Self::Place;

    /// The account of that.
    fn account(&self) -> &AccountId;
}

/// The right to make one write. There is one for each last look, and whoever sends the write takes it by value.
#[derive(Debug)]
pub struct Permit<W> {
    write: W,
    bases: Vec<Basis>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why a write was not sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Void {
    /// It is for somewhere else.
    #[error("the write is permitted in {permitted}, and would have been sent to {client}")]
    Elsewhere {
        /// Where it may be sent.
        permitted: String,
        /// Where it would have been sent.
        client: String,
    },
    /// Not all objects that it is for are granted something there.
    #[error("{object} is granted nothing in account {account}")]
    NotGranted {
        /// Such an object.
        object: ObjectKey,
        /// The account.
        account: AccountId,
    },
    /// The last look is too long ago, or the clock was set back.
    #[error("the last look before the write was at {0}, which is too long ago")]
    Late(Timestamp),
}

impl<W: Addressed> Permit<W> {
    /// Made by a machine, in the step in which every one of these was found to hold.
    pub(super) fn new(write: W, bases: Vec<Basis>, now: Timestamp) -> Self {
        Self { write, bases, not_before: now, not_after: now + GOOD_FOR }
    }

    /// Looks, and permits the write if what it rests on holds.
    ///
    /// # Errors
    /// What the look found instead.
    pub(crate) fn after_look<E>(
        write: W,
        basis: Basis,
        now: Timestamp,
        look: impl FnOnce(&Basis) -> Result<(), E>,
    ) -> Result<Self, E> {
        look(&basis)?;
        Ok(Self::new(write, vec![basis], now))
    }

    /// A permit without a last look, to test what sends writes.
    #[cfg(test)]
    pub(crate) fn for_tests(write: W, bases: Vec<Basis>, now: Timestamp) -> Self {
        Self::new(write, bases, now)
    }

    /// What may be sent, once: by a client of this place, now.
    ///
    /// # Errors
    /// It may not be sent any more, or not there.
    pub fn spend(self, client: &W::Place, now: Timestamp) -> Result<W, Void> {
        let (permitted, account) = (self.write.place(), self.write.account());
        if permitted != *client {
            return Err(Void::Elsewhere { permitted: permitted.to_string(), client: client.to_string() });
        }
        if let Some(basis) = self.bases.iter().find(|basis| !basis.enters(account)) {
            return Err(Void::NotGranted { object: basis.key.clone(), account: account.clone() });
        }
        // The time of day can be set back, and a permit is not to become good again with it.
        if now < self.not_before || self.not_after < now {
            return Err(Void::Late(self.not_before));
        }
        Ok(self.write)
    }

    /// What would be sent.
    #[must_use]
    pub fn write(&self) -> &W {
        &self.write
    }

    /// The objects that it is for.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &ObjectKey> {
        self.bases.iter().map(|basis| &basis.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::ids::RoleId,
        engine::role::{Change, Write},
    };

    const TOOLS: &str = "111111111111";
    const DEV: &str = "222222222222";
    const OTHER: &str = "333333333333";

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap()
    }

    fn account(id: &str) -> AccountId {
        id.parse().unwrap()
    }

    fn write(of: &str) -> Write {
        Write { role: RoleId { account: account(of), name: "r".parse().unwrap() }, change: Change::Delete }
    }

    fn spent(of: &str, client: &str, bases: &[&str], now: Timestamp) -> Result<Write, Void> {
        let bases = bases.iter().map(|dev| Basis::for_tests("one", TOOLS, dev)).collect();
        Permit::new(write(of), bases, at(0)).spend(&account(client), now)
    }

    #[test]
    fn it_is_good_in_its_account_for_its_objects_and_for_a_second() {
        let not_granted = |account: &str| Void::NotGranted {
            object: Basis::for_tests("one", TOOLS, DEV).key,
            account: account.parse().unwrap(),
        };
        let elsewhere = |permitted: &str, client: &str| Void::Elsewhere {
            permitted: permitted.to_owned(),
            client: client.to_owned(),
        };
        let good = |account| Ok(write(account));
        for (of, client, bases, after, expected) in [
            (DEV, DEV, &[DEV][..], 0, good(DEV)),
            (DEV, DEV, &[DEV], 1_000, good(DEV)),
            (TOOLS, TOOLS, &[DEV, OTHER], 1, good(TOOLS)),
            // It puts back what ours replaced, and no object asks for it any more.
            (DEV, DEV, &[], 1, good(DEV)),
            (DEV, DEV, &[DEV], 1_001, Err(Void::Late(at(0)))),
            (DEV, DEV, &[DEV], -1, Err(Void::Late(at(0)))),
            (DEV, OTHER, &[DEV], 1, Err(elsewhere(DEV, OTHER))),
            (OTHER, DEV, &[DEV], 1, Err(elsewhere(OTHER, DEV))),
            (DEV, DEV, &[DEV, OTHER], 1, Err(not_granted(DEV))),
        ] {
            assert_eq!(spent(of, client, bases, at(after)), expected, "{of} {client} {bases:?} {after}");
        }
    }

    #[test]
    fn there_is_none_where_the_look_finds_something_else() {
        let basis = Basis::for_tests("one", TOOLS, DEV);
        let mut looked = None;
        let refused = Permit::after_look(write(DEV), basis.clone(), at(0), |at| {
            looked = Some(at.clone());
            Err("edited")
        });
        assert_eq!((refused.map(drop), looked), (Err("edited"), Some(basis.clone())));
        let permit = Permit::after_look(write(DEV), basis.clone(), at(0), |_| Ok::<_, ()>(())).unwrap();
        assert_eq!((permit.write(), permit.objects().collect::<Vec<_>>()), (&write(DEV), vec![&basis.key]));
    }
}
