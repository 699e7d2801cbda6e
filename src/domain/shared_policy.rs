//! What a policy that several objects share must hold. An entry leaves only when its object releases it.
//!
//! Three sources say what the other objects need, and they are trusted differently, because status can be written by a
//! tenant: what is *in place* may be kept on anybody's word, since keeping it gives nobody anything new; what is *added*
//! must have been recorded by this process, or be the object's own role under a grant that holds now.

use std::collections::BTreeSet;

use super::ids::{Arn, ObjectKey};

/// Whether another object's pipeline or function uses the role in question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// It was seen to, or its inventory says so.
    Uses,
    /// It was seen to use another role.
    DoesNot,
    /// Its pipeline or function has not been read by this process and its inventory does not say.
    Unknown,
}

/// Another existing object, whatever its state, as far as one pipeline role's assume policy (P3) is concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AssumeUser {
    /// The object.
    pub key: ObjectKey,
    /// Whether its pipeline uses this pipeline role.
    pub usage: Usage,
    /// The invoke role that its spec asks for.
    pub invoke_role: Option<Arn>,
    /// Whether both accounts grant it that today.
    pub granted: bool,
    /// Invoke roles that its inventory records under this pipeline role.
    pub recorded: BTreeSet<Arn>,
    /// Invoke roles that this very process recorded under this pipeline role.
    pub written_here: BTreeSet<Arn>,
    /// Invoke roles that were once seen in place under this pipeline role: their absence is drift.
    pub verified: BTreeSet<Arn>,
}

/// The invoke roles that the assume policy of one pipeline role must name: `own`, and what the others need of it.
#[must_use]
pub fn assume_entries(in_place: &BTreeSet<Arn>, own: &BTreeSet<Arn>, others: &[AssumeUser]) -> BTreeSet<Arn> {
    let mut entries = own.clone();
    for other in others {
        entries.extend(other.written_here.iter().cloned());
        let asked_for = other.invoke_role.iter().filter(|_| other.usage != Usage::DoesNot);
        entries.extend(other.recorded.iter().chain(asked_for).filter(|role| in_place.contains(role)).cloned());
        // Recorded by an earlier process and perhaps hidden by a stale read: only what it may have today.
        let own_role = other.invoke_role.as_ref().filter(|role| other.granted && other.recorded.contains(role));
        entries.extend(own_role.cloned());
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Arn {
        format!("arn:aws:iam::222222222222:role/crossinvoke/x/{name}").parse().unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<Arn> {
        names.iter().map(|name| role(name)).collect()
    }

    fn user(usage: Usage, wants: &str, granted: bool, recorded: &[&str], written_here: &[&str]) -> AssumeUser {
        AssumeUser {
            key: ObjectKey { namespace: "n".to_owned(), name: wants.to_owned() },
            usage,
            invoke_role: Some(role(wants)),
            granted,
            recorded: set(recorded),
            written_here: set(written_here),
            verified: BTreeSet::new(),
        }
    }

    #[test]
    fn entries_follow_who_may_keep_and_who_may_add() {
        use Usage::{DoesNot, Unknown, Uses};
        let cases: &[(&str, &[&str], AssumeUser, bool)] = &[
            ("another's entry in place stays", &["b"], user(Uses, "b", true, &["b"], &[]), true),
            ("also when its status was wiped", &["b"], user(Uses, "b", true, &[], &[]), true),
            ("also when its pipeline was not read yet", &["b"], user(Unknown, "b", true, &[], &[]), true),
            ("also when its grant was revoked", &["b"], user(Uses, "b", false, &[], &[]), true),
            ("not when its pipeline uses another role", &["b"], user(DoesNot, "b", true, &[], &[]), false),
            ("what it recorded under its old spec stays", &["b"], user(DoesNot, "b", false, &["b"], &[]), true),
            ("what it has not made yet is left to itself", &[], user(Uses, "b", true, &[], &[]), false),
            ("recorded and granted survives a stale read", &[], user(Uses, "b", true, &["b"], &[]), true),
            ("recorded without a grant adds nothing", &[], user(Uses, "b", false, &["b"], &[]), false),
            ("a forged record of a foreign role adds nothing", &[], user(Uses, "x", true, &["b"], &[]), false),
            ("what this process wrote is there whatever is read", &[], user(Uses, "b", true, &[], &["b"]), true),
        ];
        for (what, in_place, other, expected) in cases {
            let entries = assume_entries(&set(in_place), &set(&["own"]), std::slice::from_ref(other));
            assert_eq!(entries.contains(&role("b")), *expected, "{what}");
            assert!(entries.contains(&role("own")), "{what}");
        }
    }

    #[test]
    fn an_entry_of_nobody_goes() {
        assert_eq!(assume_entries(&set(&["stray", "own"]), &set(&["own"]), &[]), set(&["own"]));
    }
}
