//! Values as text.

use polyport_core::{Text, Value};

/// The value as MySQL shows it; null is empty here, so ask for null first.
pub(super) fn to_text(value: &Value) -> Text {
    match value {
        Value::Null => Text::new(),
        Value::Text(text) => text.clone(),
        Value::Bool(flag) => Text::from(if *flag { "1" } else { "0" }),
        Value::Int(number) => number.to_string().into(),
        Value::Big(number) => number.to_string().into(),
        Value::Float(number) => float_text(*number).into(),
        Value::Decimal(number) => number.to_plain_string().into(),
        Value::Bytes(bytes) => match Text::from_utf8(bytes.clone()) {
            Ok(text) => text,
            Err(_) => String::from_utf8_lossy(bytes).into_owned().into(),
        },
        Value::Time(time) => time.to_string().into(),
        other => other.to_string().into(),
    }
}

/// A float in its shortest form, with an exponent outside of what fits a screen, as MySQL has it.
fn float_text(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-15..1e15).contains(&size) {
        format!("{number}")
    } else {
        format!("{number:e}")
    }
}

/// The bytes of the value.
pub(super) fn to_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.to_vec(),
        other => to_text(other).as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short() {
        for (number, text) in [(7.0, "7"), (0.1, "0.1"), (1e20, "1e20"), (-2.5e-20, "-2.5e-20")] {
            assert_eq!(to_text(&Value::Float(number)), text);
        }
    }
}
