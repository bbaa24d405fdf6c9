//! What a connection knows about the listener that accepted it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::value::Text;

/// A listener's settings that concern its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// The address it listens on, as the banner shows it.
    pub address: String,
    /// Who strangers become.
    pub anonymous: Anonymous,
}

impl Listener {
    /// The user that a stranger who speaks this dialect becomes.
    pub(crate) fn anonymous_user(&self, dialect: &str) -> Option<&Text> {
        match &self.anonymous {
            Anonymous::Nobody => None,
            Anonymous::Everywhere(user) => Some(user),
            Anonymous::ByDialect(users) => users.get(dialect),
        }
    }
}

/// Who becomes whom without a login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Anonymous {
    /// Everybody has to log in.
    #[default]
    Nobody,
    /// Strangers become this user.
    Everywhere(#[serde(with = "text")] Text),
    /// Strangers become a user by the dialect they speak.
    ByDialect(#[serde(with = "text_map")] BTreeMap<Text, Text>),
}

mod text {
    use serde::{Deserialize, Deserializer};

    use crate::value::Text;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        String::deserialize(from).map(Text::from)
    }
}

mod text_map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer};

    use crate::value::Text;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Text, Text>, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(from)?;
        Ok(map.into_iter().map(|(dialect, user)| (dialect.into(), user.into())).collect())
    }
}
