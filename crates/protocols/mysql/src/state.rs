//! The handshake, from the server's hello to the proof that it checks: no socket, no waiting.

use polyport_core::Proof;

use crate::codec::handshake::{
    ChangeUser, Login, Plugin, SHA2_GOOD, SHA2_SEND_PASSWORD, Salt, is_tls_request, write_switch,
};
use crate::codec::{Capabilities, Malformed};

/// What an account has secrets for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) sha1: bool,
    pub(crate) sha256: bool,
    /// Only the password itself can be checked.
    pub(crate) password: bool,
}

/// What to do after a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Change to TLS and read on.
    StartTls,
    /// Send this and read on.
    Ask(Vec<u8>),
    /// Check this.
    Check(Shown),
    /// Refuse: the server lets nobody in without TLS.
    WantsTls,
}

/// What the client showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// An answer to the salt.
    Answer(Plugin, Vec<u8>),
    /// The password.
    Password(String),
}

/// Who wants in, and to where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) collation: u16,
    /// Whether a password was used, which the refusal tells.
    pub(crate) with_password: bool,
}

/// What the server demands and offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) tls: bool,
    pub(crate) require_tls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Login,
    Switched(Plugin),
    Password,
    Checking,
}

/// One handshake, or one change of user.
#[derive(Debug)]
pub(crate) struct Handshake {
    terms: Terms,
    stage: Stage,
    salt: Salt,
    /// For a switch to another way, which takes a salt of its own.
    fresh: Salt,
    secure: bool,
    account: Account,
    capabilities: Capabilities,
    asked: Asked,
}

impl Handshake {
    /// Begins with the hello that carries `salt`.
    pub(crate) fn new(terms: Terms, salt: Salt, fresh: Salt) -> Self {
        let account = Account { sha1: false, sha256: false, password: false };
        Self {
            terms,
            stage: Stage::Login,
            salt,
            fresh,
            secure: false,
            account,
            capabilities: Capabilities::default(),
            asked: Asked::default(),
        }
    }

    /// What the hello offers.
    pub(crate) const fn offered(&self) -> Capabilities {
        match self.terms.tls {
            true => Capabilities::OFFERED.with(Capabilities::TLS),
            false => Capabilities::OFFERED,
        }
    }

    /// What both sides agreed on, once the login is there.
    pub(crate) const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Who asked, once the login is there.
    pub(crate) const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The salt that an answer was computed from.
    pub(crate) fn proof<'a>(&'a self, shown: &'a Shown) -> Proof<'a> {
        match shown {
            Shown::Answer(Plugin::Sha2, answer) => Proof::Sha256Answer { salt: &self.salt, answer },
            Shown::Answer(_, answer) => Proof::Sha1Answer { salt: &self.salt, answer },
            Shown::Password(password) => Proof::Password(password),
        }
    }

    /// What goes out before the OK when the proof was good.
    pub(crate) const fn word_before_ok(shown: &Shown) -> Option<[u8; 2]> {
        match shown {
            Shown::Answer(Plugin::Sha2, _) => Some(SHA2_GOOD),
            Shown::Answer(..) | Shown::Password(_) => None,
        }
    }

    /// Takes the client's next packet. `account` tells what a user has.
    pub(crate) fn receive(
        &mut self,
        payload: &[u8],
        account: impl FnOnce(&str) -> Account,
    ) -> Result<Step, Malformed> {
        match self.stage {
            Stage::Login if self.terms.tls && !self.secure && is_tls_request(payload) => {
                self.secure = true;
                Ok(Step::StartTls)
            }
            Stage::Login => {
                let login = Login::read(payload, self.offered())?;
                self.capabilities = agreed(login.capabilities, self.offered());
                if self.terms.require_tls && !self.secure {
                    return Ok(Step::WantsTls);
                }
                self.ask(login.user, login.database, login.collation);
                self.account = account(&self.asked.user);
                let plugin = Plugin::from_name(login.plugin);
                Ok(self.decide(plugin, login.answer))
            }
            Stage::Switched(plugin) => Ok(self.answered(plugin, payload)),
            Stage::Password => Ok(self.password(payload)),
            Stage::Checking => Err(Malformed { expected: "patience", offset: 0 }),
        }
    }

    /// Begins a change of user on a connection that has the given salts and capabilities.
    ///
    /// The old salt is used up, so a client that knows the request to switch gets a new one; the
    /// others (Node's mysql 2.18) have answered the old one.
    pub(crate) fn change_user(
        &mut self,
        request: &ChangeUser<'_>,
        fresh: Salt,
        account: impl FnOnce(&str) -> Account,
    ) -> Step {
        self.fresh = fresh;
        self.ask(request.user, request.database, request.collation.unwrap_or(self.asked.collation));
        self.account = account(&self.asked.user);
        if !self.capabilities.has(Capabilities::PLUGIN_AUTH) {
            return self.decide(None, request.answer);
        }
        match Plugin::from_name(request.plugin) {
            Some(Plugin::Native) if self.account.sha1 => self.switch(Plugin::Native),
            Some(Plugin::Sha2) if self.account.sha256 => self.switch(Plugin::Sha2),
            _ => self.switch_to_any(),
        }
    }

    fn ask(&mut self, user: &[u8], database: &[u8], collation: u16) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.asked =
            Asked { user: text(user), database: text(database), collation, with_password: false };
    }

    /// Decides what to do with a login's own answer. A client that names no way has the oldest.
    fn decide(&mut self, plugin: Option<Plugin>, answer: &[u8]) -> Step {
        let can_switch = self.capabilities.has(Capabilities::PLUGIN_AUTH);
        match plugin {
            _ if !can_switch => self.check(Plugin::Native, answer),
            Some(Plugin::Native) if self.account.sha1 => self.check(Plugin::Native, answer),
            Some(Plugin::Sha2) if self.account.sha256 => self.check(Plugin::Sha2, answer),
            Some(Plugin::Sha2) if self.account.password => self.answered(Plugin::Sha2, answer),
            Some(Plugin::Clear) if self.secure => self.password(answer),
            _ => self.switch_to_any(),
        }
    }

    fn switch_to_any(&mut self) -> Step {
        let has_sha1_alone = self.account.sha1 && !self.account.sha256;
        self.switch(if has_sha1_alone { Plugin::Native } else { Plugin::Sha2 })
    }

    fn switch(&mut self, plugin: Plugin) -> Step {
        self.salt = self.fresh;
        self.stage = Stage::Switched(plugin);
        let mut packet = Vec::new();
        write_switch(&mut packet, plugin, &self.salt);
        Step::Ask(packet)
    }

    fn answered(&mut self, plugin: Plugin, answer: &[u8]) -> Step {
        let only_password = self.account.password && !self.account.sha256;
        if plugin == Plugin::Sha2 && only_password && self.secure && !is_empty(answer) {
            self.stage = Stage::Password;
            return Step::Ask(SHA2_SEND_PASSWORD.to_vec());
        }
        self.check(plugin, answer)
    }

    fn check(&mut self, plugin: Plugin, answer: &[u8]) -> Step {
        self.stage = Stage::Checking;
        self.asked.with_password = !is_empty(answer);
        Step::Check(Shown::Answer(plugin, answer.to_vec()))
    }

    /// Takes the password itself. A client without TLS asks for a public key here, which fails as
    /// any wrong password does.
    fn password(&mut self, payload: &[u8]) -> Step {
        self.stage = Stage::Checking;
        let password = payload.strip_suffix(b"\0").unwrap_or(payload);
        self.asked.with_password = !password.is_empty();
        Step::Check(Shown::Password(String::from_utf8_lossy(password).into_owned()))
    }
}

/// What both sides speak. Who sends several statements takes several results, said or not.
fn agreed(asked: Capabilities, offered: Capabilities) -> Capabilities {
    let both = asked.both(offered);
    match both.has(Capabilities::MULTI_STATEMENTS) {
        true => both.with(Capabilities::MULTI_RESULTS),
        false => both,
    }
}

/// Whether the answer says that there is no password, with nothing or with a lone zero.
fn is_empty(answer: &[u8]) -> bool {
    matches!(answer, [] | [0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::handshake::SALT_BYTES;

    const SALTS: [Salt; 2] = [[b'a'; SALT_BYTES], [b'b'; SALT_BYTES]];
    const BOTH: Account = Account { sha1: true, sha256: true, password: false };
    const SHA1: Account = Account { sha1: true, sha256: false, password: false };
    const SLOW: Account = Account { sha1: false, sha256: false, password: true };
    const WITH_PLUGIN: u32 = 1 << 9 | 1 << 15 | 1 << 19;

    fn handshake() -> Handshake {
        let terms = Terms { tls: true, require_tls: false };
        Handshake::new(terms, SALTS[0], SALTS[1])
    }

    fn login(capabilities: u32, plugin: &str) -> Vec<u8> {
        let mut payload = capabilities.to_le_bytes().to_vec();
        payload.extend_from_slice(&[0, 0, 0, 1, 45]);
        payload.extend_from_slice(&[0; 23]);
        payload.extend_from_slice(b"ann\0\x03abc");
        payload.extend_from_slice(plugin.as_bytes());
        payload.push(0);
        payload
    }

    fn after_login(handshake: &mut Handshake, plugin: &str, account: Account) -> Step {
        handshake.receive(&login(WITH_PLUGIN, plugin), |_| account).unwrap()
    }

    fn answer(plugin: Plugin) -> Step {
        Step::Check(Shown::Answer(plugin, b"abc".to_vec()))
    }

    #[test]
    fn the_clients_own_way_is_taken_when_the_account_has_it() {
        let native = after_login(&mut handshake(), "mysql_native_password", BOTH);
        assert_eq!(native, answer(Plugin::Native));
        let sha2 = after_login(&mut handshake(), "caching_sha2_password", BOTH);
        assert_eq!(sha2, answer(Plugin::Sha2));
    }

    #[test]
    fn another_way_is_asked_for_with_a_new_salt() {
        let mut one = handshake();
        let step = after_login(&mut one, "caching_sha2_password", SHA1);
        let Step::Ask(packet) = step else { panic!("{step:?}") };
        assert!(packet.starts_with(b"\xfemysql_native_password\0bbbb"));
        assert_eq!(packet.last(), Some(&0));
        let step = one.receive(b"abc", |_| unreachable!()).unwrap();
        assert_eq!(step, answer(Plugin::Native));
        let shown = Shown::Answer(Plugin::Native, b"abc".to_vec());
        assert!(matches!(one.proof(&shown), Proof::Sha1Answer { salt, .. } if salt == SALTS[1]));

        for foreign in ["client_ed25519", "mysql_clear_password", ""] {
            let step = after_login(&mut handshake(), foreign, BOTH);
            assert!(matches!(step, Step::Ask(packet) if packet.starts_with(b"\xfecaching_sha2")));
        }
    }

    #[test]
    fn a_client_that_cannot_switch_has_the_oldest_way() {
        let mut one = handshake();
        let step = one.receive(&login(1 << 9 | 1 << 15, ""), |_| SLOW).unwrap();
        assert_eq!(step, answer(Plugin::Native));
    }

    #[test]
    fn the_password_itself_is_asked_for_over_tls_only() {
        let mut plain = handshake();
        let step = after_login(&mut plain, "caching_sha2_password", SLOW);
        assert_eq!(step, answer(Plugin::Sha2));

        let mut secure = handshake();
        let mut request = login(WITH_PLUGIN | 1 << 11, "");
        request.truncate(32);
        assert_eq!(secure.receive(&request, |_| SLOW), Ok(Step::StartTls));
        let step = after_login(&mut secure, "caching_sha2_password", SLOW);
        assert_eq!(step, Step::Ask(vec![1, 4]));
        let step = secure.receive(b"secret\0", |_| unreachable!()).unwrap();
        assert_eq!(step, Step::Check(Shown::Password("secret".into())));
        assert!(secure.asked().with_password);
    }

    #[test]
    fn a_second_request_for_tls_is_no_login() {
        let mut secure = handshake();
        let mut request = login(WITH_PLUGIN | 1 << 11, "");
        request.truncate(32);
        assert_eq!(secure.receive(&request, |_| BOTH), Ok(Step::StartTls));
        assert!(secure.receive(&request, |_| BOTH).is_err());
    }

    #[test]
    fn where_tls_is_required_nobody_comes_in_without() {
        let terms = Terms { tls: true, require_tls: true };
        let mut one = Handshake::new(terms, SALTS[0], SALTS[1]);
        assert_eq!(after_login(&mut one, "caching_sha2_password", BOTH), Step::WantsTls);
    }

    #[test]
    fn a_change_of_user_asks_for_an_answer_to_a_new_salt() {
        let mut one = handshake();
        after_login(&mut one, "caching_sha2_password", BOTH);
        let request = ChangeUser {
            user: b"bob",
            answer: b"old",
            database: b"",
            collation: None,
            plugin: b"mysql_native_password",
        };
        let step = one.change_user(&request, [b'c'; SALT_BYTES], |user| {
            assert_eq!(user, "bob");
            BOTH
        });
        let Step::Ask(packet) = step else { panic!("{step:?}") };
        assert!(packet.starts_with(b"\xfemysql_native_password\0cccc"));
        assert_eq!(one.asked().collation, 45);
    }

    #[test]
    fn an_empty_answer_is_no_password() {
        for empty in [&b""[..], b"\0"] {
            let mut one = handshake();
            assert!(matches!(after_login(&mut one, "x", BOTH), Step::Ask(_)));
            assert!(matches!(one.receive(empty, |_| BOTH).unwrap(), Step::Check(_)));
            assert!(!one.asked().with_password);
        }
    }
}
