//! Numbers that are more than a machine's number: `123456789012345678901234567890`, `1.10`, `1E400`.
//!
//! A service keeps what it does not know as it came. Inside the double such a number is a text with a mark that no client
//! sends; on the wire it has its own digits again. (serde_json's `arbitrary_precision` would do this too, but a feature is
//! turned on for the whole build, and would hide what the controller does with such numbers.)

use serde_json::Value;

/// A character that Unicode keeps for use inside programs.
const MARK: char = '\u{FDD0}';

/// The value that stands for a number of exactly these digits in a declaration.
#[must_use]
pub fn exact_number(digits: &str) -> Value {
    Value::String(format!("{MARK}{digits}"))
}

/// JSON in which every number that would not come back as it is has become a marked text.
pub(crate) fn hide(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        hidden.push_str(before);
        let length = if from.starts_with('"') { string_length(from) } else { number_length(from) };
        let (token, behind) = from.split_at(length);
        if token.starts_with('"') || comes_back(token) || !is_number(token) {
            hidden.push_str(token);
        } else {
            hidden.push_str(&exact_number(token).to_string());
        }
        rest = behind;
    }
    hidden.push_str(rest);
    hidden
}

/// The same JSON with the numbers.
pub(crate) fn show(text: &str) -> String {
    let opening = format!("\"{MARK}");
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(&opening) {
        shown.push_str(before);
        let (digits, behind) = from.split_once('"').unwrap_or((from, ""));
        shown.push_str(digits);
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// The bytes of the string at the beginning of a text, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn number_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(text.len())
}

fn comes_back(token: &str) -> bool {
    let again = serde_json::from_str::<Value>(token).map(|value| value.to_string());
    again.is_ok_and(|again| again == token)
}

/// Whether a token is a number in JSON's grammar.
fn is_number(token: &str) -> bool {
    let unsigned = token.strip_prefix('-').unwrap_or(token);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_everything_else_its_kind() {
        let text = r#"{"a":[123456789012345678901234567890,1.10,1E400,-0.0,1e5,7,-2.5],"b":"1.10 \" 1E400","c":null,"1.10":{}}"#;
        let value: Value = serde_json::from_str(&hide(text)).unwrap();
        assert_eq!(value["a"][0], exact_number("123456789012345678901234567890"));
        assert_eq!((value["a"][5].as_i64(), value["a"][6].as_f64()), (Some(7), Some(-2.5)));
        assert_eq!(show(&value.to_string()), text);
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["01", "[1.]", "[1e]", "[--1]", "[+1]", "\"1", "[.5]"] {
            assert_eq!(hide(text), text);
            assert!(serde_json::from_str::<Value>(&hide(text)).is_err(), "{text}");
        }
    }
}
