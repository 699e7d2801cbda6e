//! Secrets of the structure: shown as four asterisks, and kept when those come back under the same stage and action.
//!
//! CodePipeline User Guide: the token is "always displayed as a mask of four asterisks", and "if you edit a stage name
//! and the stage contains an action with secret parameters, the value of those parameters is not preserved".

use serde_json::{Value, json};

use crate::error::ServiceError;

/// What is shown in place of a secret.
const MASK: &str = "****";
/// Configuration keys whose values are secret (GitHub version 1, Alexa Skills Kit).
const SECRETS: [&str; 3] = ["OAuthToken", "ClientSecret", "RefreshToken"];

/// The declaration as AWS shows it.
pub(super) fn masked(declaration: &Value) -> Value {
    let mut shown = declaration.clone();
    for_each_secret(&mut shown, |_, _, value| *value = json!(MASK));
    shown
}

/// The declaration as it is kept: masks become the secrets they stood for.
///
/// # Errors
/// A mask for which there is no secret under the same stage and action name: it was renamed, and the secret is lost.
pub(super) fn unmasked(sent: &Value, before: &Value) -> Result<Value, ServiceError> {
    let mut secrets: Vec<(String, String, Value)> = Vec::new();
    let mut known = before.clone();
    for_each_secret(&mut known, |place, key, value| secrets.push((place.to_owned(), key.to_owned(), value.clone())));
    let mut kept = sent.clone();
    let mut lost = None;
    for_each_secret(&mut kept, |place, key, value| {
        if value.as_str() != Some(MASK) {
            return;
        }
        match secrets.iter().find(|(known, of, _)| known == place && of == key) {
            Some((_, _, secret)) => *value = secret.clone(),
            None => {
                lost = Some(format!(
                    "Action configuration for action '{place}' is missing required configuration '{key}'"
                ));
            }
        }
    });
    match lost {
        Some(message) => Err(ServiceError::new("InvalidActionDeclarationException", message)),
        None => Ok(kept),
    }
}

fn for_each_secret(declaration: &mut Value, mut visit: impl FnMut(&str, &str, &mut Value)) {
    let stages = declaration.get_mut("stages").and_then(Value::as_array_mut);
    for stage in stages.into_iter().flatten() {
        let stage_name = stage.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let actions = stage.get_mut("actions").and_then(Value::as_array_mut);
        for action in actions.into_iter().flatten() {
            let name = action.get("name").and_then(Value::as_str).unwrap_or_default();
            let place = format!("{stage_name}/{name}");
            let configuration = action.get_mut("configuration").and_then(Value::as_object_mut);
            for (key, value) in configuration.into_iter().flatten() {
                if SECRETS.contains(&key.as_str()) {
                    visit(&place, key, value);
                }
            }
        }
    }
}
