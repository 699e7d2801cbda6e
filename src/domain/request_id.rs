//! The id that AWS gives each call, which its support asks for: once in a message, at its end.

use std::borrow::Cow;

/// How an id ends a message.
#[must_use]
pub fn suffix(id: &str) -> String {
    format!(" (request id {id})")
}

/// The message without any request id: our own at its end, and those that AWS writes into its texts, such as
/// "(Service: AWSCodePipeline; Status Code: 400; Request ID: …; Proxy: null)".
#[must_use]
pub fn removed(message: &str) -> Cow<'_, str> {
    const MARKERS: [&str; 3] = ["request id: ", "request id ", "requestid: "];
    let lower = message.to_ascii_lowercase();
    let mut kept = String::new();
    let mut from = 0;
    while let Some((at, marker)) = MARKERS
        .iter()
        .filter_map(|marker| lower[from..].find(marker).map(|at| (from + at, *marker)))
        .min_by_key(|(at, marker)| (*at, std::cmp::Reverse(marker.len())))
    {
        let id = at + marker.len();
        let end =
            message[id..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).map_or(message.len(), |n| id + n);
        // A word that is not an id, as in "the request id is missing".
        if !message[id..end].contains(|c: char| c.is_ascii_digit()) {
            kept.push_str(&message[from..end]);
            from = end;
            continue;
        }
        // With the brackets, or the separator, that held it alone.
        let before = &message[from..at];
        let after = &message[end..];
        if let (Some(before), Some(after)) = (before.strip_suffix(" ("), after.strip_prefix(')')) {
            kept.push_str(before);
            from = message.len() - after.len();
        } else {
            kept.push_str(before.strip_suffix("; ").or_else(|| before.strip_suffix(", ")).unwrap_or(before));
            from = end;
        }
    }
    if from == 0 {
        return Cow::Borrowed(message);
    }
    kept.push_str(&message[from..]);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_taken_out_and_nothing_else() {
        for (message, left) in [
            ("AWS says: Throttling: Rate exceeded (request id 6f5b0c3e-11aa)", "AWS says: Throttling: Rate exceeded"),
            (
                "no (Service: AWSCodePipeline; Status Code: 400; Request ID: 6f5b-1; Proxy: null)",
                "no (Service: AWSCodePipeline; Status Code: 400; Proxy: null)",
            ),
            ("no (Service: Iam, Status Code: 400, Request ID: 6f5b-1)", "no (Service: Iam, Status Code: 400)"),
            ("a (RequestId: 1a) b (request id 2b)", "a b"),
            ("the request id is missing", "the request id is missing"),
            ("Ärger ohne Nummer", "Ärger ohne Nummer"),
        ] {
            assert_eq!(removed(message), left, "{message}");
        }
    }
}
