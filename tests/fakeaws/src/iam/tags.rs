//! Tags of roles.

use std::collections::BTreeMap;

use super::{access::on_role, change_tags, limits, page, read_role};
use crate::{
    error::ServiceError,
    state::{Caller, World},
    wire::query::{Form, Xml},
};

pub(super) fn tag(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:TagRole", form)?;
    let pairs = form.pairs("Tags");
    limits::tags(&pairs)?;
    change_tags(world, caller, name, |role| {
        add(&mut role.tags, &pairs);
        limits::tag_count(&role.tags)
    })?;
    Ok(Xml::default())
}

/// Adds tags. Keys are unique without regard to case, so another spelling replaces the key as well as the value (IAM User
/// Guide, "Tagging IAM resources"; aws/aws-cdk #26253 shows TagRole doing it).
pub(crate) fn add(tags: &mut BTreeMap<String, String>, pairs: &[(&str, &str)]) {
    for (key, value) in pairs {
        tags.retain(|old, _| old.to_lowercase() != key.to_lowercase());
        tags.insert((*key).to_owned(), (*value).to_owned());
    }
}

pub(super) fn untag(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:UntagRole", form)?;
    change_tags(world, caller, name, |role| {
        remove(&mut role.tags, &form.members("TagKeys"));
        Ok(())
    })?;
    Ok(Xml::default())
}

/// Removes tags, however their keys are spelled.
pub(crate) fn remove(tags: &mut BTreeMap<String, String>, keys: &[&str]) {
    tags.retain(|old, _| !keys.iter().any(|key| key.to_lowercase() == old.to_lowercase()));
}

pub(super) fn list(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:ListRoleTags", form)?;
    let (tags, end) = page(read_role(world, caller, name)?.tags.iter(), form, usize::MAX)?;
    let mut answer = Xml::default().list("Tags", tags.into_iter().map(member));
    answer.append(&end);
    Ok(answer)
}

/// One tag of a list.
pub(super) fn member((key, value): (&String, &String)) -> Xml {
    Xml::default().text("Key", key).text("Value", value)
}
