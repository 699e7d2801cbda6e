//! Tags of roles.

use std::collections::BTreeMap;

use super::{change_role, limits, on_role, page, read_role};
use crate::{
    error::ServiceError,
    state::{Caller, World},
    wire::query::{Form, Xml},
};

pub(super) fn tag(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:TagRole", form)?;
    let pairs = form.pairs("Tags");
    limits::tags(&pairs)?;
    change_role(world, caller, name, |role| {
        add(&mut role.tags, &pairs);
        limits::tag_count(&role.tags)
    })?;
    Ok(Xml::default())
}

/// Adds tags; a key that differs only in case replaces the old one.
pub(super) fn add(tags: &mut BTreeMap<String, String>, pairs: &[(&str, &str)]) {
    for (key, value) in pairs {
        tags.retain(|old, _| old.to_lowercase() != key.to_lowercase());
        tags.insert((*key).to_owned(), (*value).to_owned());
    }
}

pub(super) fn untag(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:UntagRole", form)?;
    let keys: Vec<String> = form.members("TagKeys").iter().map(|key| key.to_lowercase()).collect();
    change_role(world, caller, name, |role| {
        role.tags.retain(|key, _| !keys.contains(&key.to_lowercase()));
        Ok(())
    })?;
    Ok(Xml::default())
}

pub(super) fn list(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:ListRoleTags", form)?;
    let (tags, end) = page(read_role(world, caller, name)?.tags.iter(), form)?;
    let mut answer = Xml::default().list("Tags", tags.into_iter().map(member));
    answer.append(&end);
    Ok(answer)
}

/// One tag of a list.
pub(super) fn member((key, value): (&String, &String)) -> Xml {
    Xml::default().text("Key", key).text("Value", value)
}
