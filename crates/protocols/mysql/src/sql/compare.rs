//! How values compare, and what patterns match.

use std::cmp::Ordering;

use polyport_core::{Text, Time, Value};

use super::number::{decimal, float, numeric};

/// Compares two values as MySQL does; `None` when one is null. `exact` compares texts by their
/// bytes, else without regard to case.
pub(super) fn compare(left: &Value, right: &Value, exact: bool) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) if exact => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(compare_folded(left, right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Text(right)) => Some(left.as_slice().cmp(right.as_bytes())),
        (Value::Text(left), Value::Bytes(right)) => Some(left.as_bytes().cmp(right.as_slice())),
        (Value::Time(left), Value::Time(right)) => Some(compare_times(left, right)),
        (Value::Time(left), Value::Text(text)) => Some(match Time::parse(text) {
            Some(right) => compare_times(left, &right),
            None => left.to_string().as_str().cmp(text),
        }),
        (Value::Text(_), Value::Time(_)) => compare(right, left, exact).map(Ordering::reverse),
        (Value::Tuple(left), Value::Tuple(right)) => {
            for (left, right) in left.iter().zip(right) {
                match compare(left, right, exact)? {
                    Ordering::Equal => {}
                    unequal => return Some(unequal),
                }
            }
            Some(left.len().cmp(&right.len()))
        }
        _ => Some(compare_numbers(left, right)),
    }
}

/// A date is midnight of its day beside a point in time.
fn compare_times(left: &Time, right: &Time) -> Ordering {
    let point = |time: &Time| match time {
        Time::Date(day) => Time::DateTime(day.at(0, 0, 0, 0)),
        other => *other,
    };
    point(left).cmp(&point(right))
}

fn compare_numbers(left: &Value, right: &Value) -> Ordering {
    let (left, right) = (numeric(left), numeric(right));
    if matches!(left, Value::Float(_)) || matches!(right, Value::Float(_)) {
        return float(&left).partial_cmp(&float(&right)).unwrap_or(Ordering::Equal);
    }
    decimal(&left).cmp(&decimal(&right))
}

fn compare_folded(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        return left.bytes().map(lower).cmp(right.bytes().map(lower));
    }
    let left = left.chars().flat_map(char::to_lowercase);
    left.cmp(right.chars().flat_map(char::to_lowercase))
}

/// A key under which equal values meet, for `DISTINCT`, `GROUP BY` and `UNION`.
pub(super) fn key(value: &Value) -> Text {
    match value {
        Value::Null => "n".into(),
        Value::Text(text) => format!("t{}", text.to_lowercase()).into(),
        Value::Bytes(bytes) => format!("b{}", bytes.escape_ascii()).into(),
        Value::Time(time) => format!("d{time}").into(),
        Value::Tuple(items) => items.iter().map(key).collect::<Vec<Text>>().join("\0").into(),
        number => format!("#{}", decimal(number).normalized()).into(),
    }
}

/// Whether `LIKE` matches. `steps` counts what it costs, since two long texts can cost their
/// product; at 0 it gives up with `None`.
pub(super) fn like(
    text: &str,
    pattern: &str,
    escape: Option<char>,
    exact: bool,
    steps: &mut u64,
) -> Option<bool> {
    let fold = |c: char| match exact {
        true => c,
        false => c.to_lowercase().next().unwrap_or(c),
    };
    let text: Vec<char> = text.chars().map(fold).collect();
    let pattern = pieces(pattern, escape, fold);
    let (mut at, mut piece) = (0, 0);
    // Where to go on when a later piece fails: after the last `%`, one character further.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        *steps = steps.checked_sub(1)?;
        let Some(c) = text.get(at) else { break };
        match pattern.get(piece) {
            Some(Piece::Any) => {
                retry = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) => {
                (at, piece) = (at + 1, piece + 1);
                continue;
            }
            Some(Piece::Char(own)) if own == c => {
                (at, piece) = (at + 1, piece + 1);
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = retry else { return Some(false) };
        retry = Some((after, from + 1));
        (piece, at) = (after, from + 1);
    }
    Some(pattern.iter().skip(piece).all(|piece| matches!(piece, Piece::Any)))
}

enum Piece {
    /// `%`.
    Any,
    /// `_`.
    One,
    Char(char),
}

fn pieces(pattern: &str, escape: Option<char>, fold: impl Fn(char) -> char) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            c if Some(c) == escape => Piece::Char(fold(chars.next().unwrap_or(c))),
            '%' => Piece::Any,
            '_' => Piece::One,
            c => Piece::Char(fold(c)),
        });
    }
    pieces
}

/// The value as a truth: `None` for null.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Null => None,
        Value::Int(number) => Some(*number != 0),
        Value::Bool(flag) => Some(*flag),
        other => Some(float(other) != 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, pattern: &str) -> bool {
        like(text, pattern, Some('\\'), false, &mut 100_000).unwrap()
    }

    #[test]
    fn like_knows_both_wildcards_and_the_escape() {
        for (text, pattern, result) in [
            ("abc", "ABC", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("abc", "", false),
            ("", "%", true),
            ("", "", true),
            ("a_c", r"a\_c", true),
            ("abc", r"a\_c", false),
            ("100%", r"100\%", true),
            ("aXbXc", "a%x%c", true),
            ("mississippi", "m%iss%pi", true),
        ] {
            assert_eq!(matches(text, pattern), result, "{text} LIKE {pattern}");
        }
    }

    #[test]
    fn like_gives_up_instead_of_taking_for_ever() {
        let (text, pattern) = ("a".repeat(100_000), format!("%{}b", "a".repeat(10_000)));
        assert_eq!(like(&text, &pattern, None, true, &mut 1_000_000), None);
    }

    #[test]
    fn values_of_different_kinds_compare() {
        use Ordering::{Equal, Greater, Less};
        let time = Value::Time(Time::parse("2020-01-02 00:00:00").unwrap());
        let decimal = Value::Decimal(Box::new("1.50".parse().unwrap()));
        for (left, right, order) in [
            (Value::Int(1), Value::Float(1.5), Some(Less)),
            (Value::from("1"), Value::Int(1), Some(Equal)),
            (Value::from("b"), Value::from("A"), Some(Greater)),
            (Value::Null, Value::Int(1), None),
            (time.clone(), "2020-01-02".into(), Some(Equal)),
            ("2021-01-01".into(), time, Some(Greater)),
            (decimal, Value::Float(1.5), Some(Equal)),
            (Value::from("É"), Value::from("é"), Some(Equal)),
        ] {
            assert_eq!(compare(&left, &right, false), order, "{left} {right}");
        }
        assert_ne!(compare(&"a".into(), &"A".into(), true), Some(Equal));
    }
}
