//! `polyport user`: the users kept in the data folder.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use polyport_core::Verifier;
use polyport_core::rights::{Right, Rights};

use super::DATA;
use crate::config::UserSettings;
use crate::error::Error;
use crate::folder::{Folder, random_word};

/// `polyport user …`
#[derive(Args)]
#[command(after_help = "Examples:\n  polyport user add ann --right 'call math.*'\n  \
                        echo secret-words | polyport user password ann\n  polyport user token ann\n\n\
                        A server that is running reads the changes when it gets SIGHUP.")]
pub(super) struct UserCommand {
    /// The data folder.
    #[arg(short, long, value_name = "DIR", default_value = DATA, global = true)]
    data: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the users and their rights.
    List,
    /// Add a user; the password is read from the terminal or standard input.
    Add {
        /// The user's name.
        name: String,
        /// A right, such as 'call math.*' or admin; may be given several times.
        #[arg(long = "right", value_name = "RIGHT")]
        rights: Vec<Right>,
        /// Store only an Argon2id hash. MySQL clients can then log in over TLS alone, since
        /// their usual login needs another hash.
        #[arg(long)]
        strong: bool,
    },
    /// Remove a user.
    Remove {
        /// The user's name.
        name: String,
    },
    /// Set a user's password, read from the terminal or standard input.
    Password {
        /// The user's name.
        name: String,
        /// Store only an Argon2id hash.
        #[arg(long)]
        strong: bool,
    },
    /// Set a user's rights.
    Grant {
        /// The user's name.
        name: String,
        /// A right, such as 'call math.*' or admin.
        rights: Vec<Right>,
    },
    /// Make a bearer token for a user and show it, once.
    Token {
        /// The user's name.
        name: String,
    },
    /// Print the stored form of a password, for the configuration file.
    Hash {
        /// Print only the Argon2id hash.
        #[arg(long)]
        strong: bool,
    },
}

type Users = BTreeMap<String, UserSettings>;

impl UserCommand {
    pub(super) fn run(self) -> Result<(), Error> {
        if let Verb::Hash { strong } = self.verb {
            for secret in secrets(&ask("Password: ")?, strong) {
                println!("{secret}");
            }
            return Ok(());
        }
        if !self.data.exists() {
            std::fs::create_dir_all(&self.data).map_err(|error| {
                Error::new(format!("cannot make {}: {error}", self.data.display()))
            })?;
        }
        let folder = Folder::visit(&self.data);
        let mut users = folder.users()?;
        if matches!(self.verb, Verb::List) {
            list(&users);
            return Ok(());
        }
        change(&mut users, self.verb)?;
        folder.keep_users(&users)
    }
}

fn change(users: &mut Users, verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::List | Verb::Hash { .. } => {}
        Verb::Add { name, rights, strong } => {
            if users.contains_key(&name) {
                return Err(Error::new(format!("user '{name}' exists"))
                    .hint("change it with `polyport user password` or `polyport user grant`"));
            }
            if rights.is_empty() {
                eprintln!("note: without a right the user can log in and call nothing");
            }
            let secrets = secrets(&ask("Password: ")?, strong);
            let rights = Rights(rights);
            users.insert(name, UserSettings { secrets, rights, ..UserSettings::default() });
        }
        Verb::Remove { name } => {
            known(users, &name)?;
            users.remove(&name);
        }
        Verb::Password { name, strong } => {
            let user = known(users, &name)?;
            user.secrets = secrets(&ask("New password: ")?, strong);
            user.password = None;
        }
        Verb::Grant { name, rights } => known(users, &name)?.rights = Rights(rights),
        Verb::Token { name } => {
            let token = random_word()?;
            let hash = polyport_core::users::token_hash(&token);
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            known(users, &name)?.token_hashes.push(hex);
            println!("{token}");
        }
    }
    Ok(())
}

fn known<'u>(users: &'u mut Users, name: &str) -> Result<&'u mut UserSettings, Error> {
    users.get_mut(name).ok_or_else(|| {
        Error::new(format!("there is no user '{name}' in the data folder"))
            .hint("`polyport user list` shows those there are; others stand in the configuration")
    })
}

fn secrets(password: &str, strong: bool) -> Vec<Verifier> {
    if strong { vec![Verifier::slow(password)] } else { Verifier::quick(password) }
}

fn list(users: &Users) {
    println!("{:<20} {:<6} rights", "name", "tokens");
    for (name, user) in users {
        let rights: Vec<String> = user.rights.0.iter().map(ToString::to_string).collect();
        let tokens = user.tokens.len() + user.token_hashes.len();
        println!("{name:<20} {tokens:<6} {}", rights.join(", "));
    }
}

/// Reads one line, the prompt shown only to a person. The terminal's echo stays on where it cannot
/// be switched off.
fn ask(prompt: &str) -> Result<String, Error> {
    let person = std::io::stdin().is_terminal();
    let echo = person.then(|| stty("-echo"));
    if person {
        eprint!("{prompt}");
        let _ = std::io::stderr().flush();
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if echo.is_some() {
        stty("echo");
        eprintln!();
    }
    read.map_err(|error| Error::new(format!("cannot read the password: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.chars().count() < 8 {
        return Err(Error::new("a password has at least 8 characters"));
    }
    Ok(password)
}

fn stty(mode: &str) {
    let _ = std::process::Command::new("stty").arg(mode).status();
}
