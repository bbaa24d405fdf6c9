//! Calls from within the same process.

use std::sync::Arc;

use polyport_core::{
    Anonymous, Arguments, Core, Fault, Guest, Kind, Listener, Peer, Reply, Session, Value,
};

/// A client of the server's own functions, without any socket.
///
/// It is a connection like any other, with one user's rights and limits; tests use it in place of
/// a network client.
#[derive(Debug)]
pub struct Client {
    session: Session,
    _guest: Guest,
}

impl Client {
    pub(crate) fn new(core: &Core, user: &str) -> Result<Self, Fault> {
        let anonymous = Anonymous::Everywhere(user.to_owned().into());
        let listener = Arc::new(Listener { address: "memory".into(), anonymous });
        let full = || Fault::new(Kind::Busy, "there is no place for another connection");
        let guest = core.admit("memory", Peer::Memory, &listener).ok_or_else(full)?;
        let unknown = || Fault::new(Kind::NotFound, format!("there is no user '{user}'"));
        let session = guest.anonymous("memory").ok_or_else(unknown)?;
        Ok(Self { session, _guest: guest })
    }

    /// Calls a function with arguments by position.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn call<V: Into<Value>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = V>,
    ) -> Result<Reply, Fault> {
        self.session.call(name, arguments.into_iter().collect()).await
    }

    /// Calls a function with arguments by position and by name.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn call_with(&self, name: &str, arguments: Arguments) -> Result<Reply, Fault> {
        self.session.call(name, arguments).await
    }

    /// Calls a function and gives its reply as one value; a table is a list of maps, a stream a
    /// list of its items.
    ///
    /// # Errors
    /// As [`Session::call`], and what [`Reply::into_value`] says.
    pub async fn value<V: Into<Value>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = V>,
    ) -> Result<Value, Fault> {
        let limit = self.session.limits().gathered_items;
        self.call(name, arguments).await?.into_value(limit).await
    }

    /// The session, with all that the user may do.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }
}
