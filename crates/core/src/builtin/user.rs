//! `user.*`: who is who. All but `user.whoami` and `user.password` change or show other users and
//! need the right `admin`.

use crate::call::Call;
use crate::fault::{Fault, Kind};
use crate::function::{Function, Param};
use crate::reply::Rows;
use crate::rights::{Right, Rights};
use crate::types::Type;
use crate::users::User;
use crate::value::{Text, Value};
use crate::verifier::Verifier;

pub(super) fn functions() -> Vec<Function> {
    let text = |name| Param::new(name, Type::Text);
    vec![
        Function::build("user.whoami")
            .help("The caller's user name, protocol, address and rights.")
            .inline(|call, _| {
                let user = call.session().user();
                Rows::new(["user", "protocol", "peer", "rights"]).cells(vec![
                    Value::Text(user.name.clone()),
                    call.protocol().to_owned().into(),
                    call.peer().to_string().into(),
                    shown(&user.rights).into(),
                ])
            }),
        Function::build("user.list")
            .help("All users with their rights and what they can log in with. Needs admin.")
            .inline(|call, _| {
                admin(call)?;
                let mut table = Rows::new(["name", "rights", "exports", "secrets", "tokens"]);
                for user in call.session().core().users().all() {
                    let secrets = user.verifiers.iter().map(kind_of).collect::<Vec<_>>();
                    table.push(vec![
                        Value::Text(user.name.clone()),
                        shown(&user.rights).into(),
                        user.exports.as_ref().map_or(Value::Null, |map| map.len().into()),
                        secrets.join(", ").into(),
                        user.tokens.len().into(),
                    ]);
                }
                Ok::<_, Fault>(table)
            }),
        Function::build("user.add")
            .param(text("name"))
            .param(text("password"))
            .param(Param::new("rights", Type::List).or(Value::List(Vec::new())))
            .help("Adds a user with a password and a list of rights. Needs admin.")
            .blocking(|call, mut args| {
                admin(call)?;
                let (name, password): (Text, String) = (args.take()?, args.take()?);
                let rights: Vec<String> = args.take()?;
                if call.session().core().users().find(&name).is_some() {
                    return Err(Fault::new(Kind::Conflict, format!("user '{name}' exists")));
                }
                strong(&password)?;
                let rights = parsed(&rights)?;
                put(call, User { rights, ..User::new(name, &password) })
            }),
        Function::build("user.remove")
            .param(text("name"))
            .help("Removes a user, whose open sessions may do nothing from then on. Needs admin.")
            .blocking(|call, mut args| {
                admin(call)?;
                let name: String = args.take()?;
                call.session().core().change_users(None, Some(&name))
            }),
        Function::build("user.password")
            .param(text("name"))
            .param(text("password"))
            .help("Sets a user's password: the caller's own, or anybody's with admin.")
            .blocking(|call, mut args| {
                let (name, password): (Text, String) = (args.take()?, args.take()?);
                if call.user() != name {
                    admin(call)?;
                }
                strong(&password)?;
                let mut user = known(call, &name)?;
                user.verifiers = Verifier::quick(&password);
                put(call, user)
            }),
        Function::build("user.grant")
            .param(text("name"))
            .param(Param::new("rights", Type::List))
            .help("Sets a user's rights, a list such as ['call math.*']. Needs admin.")
            .blocking(|call, mut args| {
                admin(call)?;
                let name: Text = args.take()?;
                let rights: Vec<String> = args.take()?;
                let mut user = known(call, &name)?;
                user.rights = parsed(&rights)?;
                put(call, user)
            }),
    ]
}

/// Characters that a new password has at least.
const PASSWORD_CHARS: usize = 8;

fn admin(call: &Call) -> Result<(), Fault> {
    if call.session().is_admin() {
        return Ok(());
    }
    Err(Fault::new(Kind::Denied, "managing users needs the right \"admin\""))
}

fn known(call: &Call, name: &str) -> Result<User, Fault> {
    let account = call.session().core().users().find(name);
    let account =
        account.ok_or_else(|| Fault::new(Kind::NotFound, format!("there is no user '{name}'")))?;
    Ok((*account.load_full()).clone())
}

fn strong(password: &str) -> Result<(), Fault> {
    if password.chars().count() >= PASSWORD_CHARS {
        return Ok(());
    }
    Err(Fault::raised("ValueError", format!("a password has at least {PASSWORD_CHARS} characters")))
}

fn parsed(rights: &[String]) -> Result<Rights, Fault> {
    let parsed: Result<Vec<Right>, String> = rights.iter().map(|right| right.parse()).collect();
    parsed.map(Rights).map_err(|why| Fault::raised("ValueError", why))
}

fn put(call: &Call, user: User) -> Result<(), Fault> {
    call.session().core().change_users(Some(user), None)
}

fn shown(rights: &Rights) -> String {
    rights.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

const fn kind_of(verifier: &Verifier) -> &'static str {
    match verifier {
        Verifier::Sha1Twice(_) => "sha1x2",
        Verifier::Sha256Twice(_) => "sha256x2",
        Verifier::Argon2id(_) => "argon2id",
    }
}
