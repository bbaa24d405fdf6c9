//! MySQL's own errors, by number.

use super::SqlError;

/// Characters of the statement that a syntax error shows.
const NEAR_CHARS: usize = 80;

impl SqlError {
    /// An error of this number and state.
    pub(crate) fn new(errno: u16, state: &'static str, message: impl Into<String>) -> Self {
        Self { errno, state, message: message.into() }
    }

    /// 1064 at an offset of the statement.
    pub(crate) fn syntax(text: &[u8], at: usize) -> Self {
        let (before, near) = text.split_at_checked(at).unwrap_or((text, b""));
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let near = near.get(..near.len().min(NEAR_CHARS * 4)).unwrap_or_default();
        let near: String = String::from_utf8_lossy(near).chars().take(NEAR_CHARS).collect();
        Self::new(
            1064,
            "42000",
            format!(
                "You have an error in your SQL syntax; check the manual that corresponds to your \
                 MySQL server version for the right syntax to use near '{near}' at line {line}"
            ),
        )
    }

    /// 1235: understood, and not offered.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::new(1235, "42000", format!("This server doesn't support '{what}'"))
    }

    /// 1049.
    pub(super) fn unknown_database(name: &str) -> Self {
        Self::new(1049, "42000", format!("Unknown database '{name}'"))
    }

    /// 1046.
    pub(super) fn no_database() -> Self {
        Self::new(1046, "3D000", "No database selected")
    }

    /// 1146.
    pub(super) fn no_table(database: &str, table: &str) -> Self {
        Self::new(1146, "42S02", format!("Table '{database}.{table}' doesn't exist"))
    }

    /// 1054.
    pub(super) fn unknown_column(name: &str, place: &str) -> Self {
        Self::new(1054, "42S22", format!("Unknown column '{name}' in '{place}'"))
    }

    /// 1193.
    pub(super) fn unknown_variable(name: &str) -> Self {
        Self::new(1193, "HY000", format!("Unknown system variable '{name}'"))
    }

    /// 1115.
    pub(super) fn unknown_charset(name: &str) -> Self {
        Self::new(1115, "42000", format!("Unknown character set: '{name}'"))
    }

    /// 1231.
    pub(super) fn wrong_value(variable: &str, value: &str) -> Self {
        let text = format!("Variable '{variable}' can't be set to the value of '{value}'");
        Self::new(1231, "42000", text)
    }

    /// 1232.
    pub(super) fn wrong_type(variable: &str) -> Self {
        Self::new(1232, "42000", format!("Incorrect argument type to variable '{variable}'"))
    }

    /// 1305 for a procedure or a function.
    pub(super) fn no_routine(kind: &str, name: &str) -> Self {
        Self::new(1305, "42000", format!("{kind} {name} does not exist"))
    }

    /// 1582: a built-in function with the wrong number of arguments.
    pub(super) fn argument_count(function: &str) -> Self {
        Self::new(
            1582,
            "42000",
            format!("Incorrect parameter count in the call to native function '{function}'"),
        )
    }

    /// 1436: the statement nests too deeply.
    pub(super) fn too_deep(most: usize) -> Self {
        Self::new(1436, "HY000", format!("The statement nests more than {most} deep"))
    }

    /// 3170: the statement computes for too long or with too much memory.
    pub(super) fn too_much(what: &str) -> Self {
        Self::new(3170, "HY000", format!("The statement takes more {what} than one may"))
    }
}
