//! Logging in: the same text after the same time, whoever was refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fault::{Fault, Kind};
use crate::users::User;
use crate::value::Text;
use crate::verifier::{Proof, Verifier, sha256};

/// How long a refused login takes at least.
const REFUSAL: Duration = Duration::from_millis(200);
/// Refusals of one user from one address before they take longer each time.
const FREE_REFUSALS: u32 = 5;
/// The longest that a refusal takes.
const LONGEST_REFUSAL: Duration = Duration::from_secs(3);
/// After so long without a refusal, the count begins anew.
const FORGET: Duration = Duration::from_secs(300);
/// Users and addresses whose refusals are remembered.
const REMEMBERED: usize = 10_000;
/// Password checks of the slow kind that run at once.
const SLOW_CHECKS: usize = 2;
/// Successful checks of the slow kind that are remembered, and for how long.
const CACHED: usize = 1_024;
const CACHED_FOR: Duration = Duration::from_secs(300);

/// How often a user was refused from an address, and when last.
type Refusals = HashMap<(Text, Option<IpAddr>), (u32, Instant)>;

/// The one who checks proofs.
#[derive(Debug)]
pub(crate) struct Doorman {
    refusals: Mutex<Refusals>,
    slow: Arc<Semaphore>,
    cache: Mutex<HashMap<[u8; 32], Instant>>,
    /// Keys the cache, so that what stands in memory is no hash of a password alone.
    pepper: [u8; 32],
    decoy: Vec<Verifier>,
}

impl Doorman {
    pub(crate) fn new() -> Result<Self, Fault> {
        let mut pepper = [0; 32];
        getrandom::fill(&mut pepper).map_err(|error| {
            Fault::new(Kind::Internal, format!("the system gives no random numbers: {error}"))
        })?;
        let unknowable: String = pepper.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            refusals: Mutex::default(),
            slow: Arc::new(Semaphore::new(SLOW_CHECKS)),
            cache: Mutex::default(),
            pepper,
            decoy: Verifier::quick(&unknowable),
        })
    }

    /// Checks what a client shows. An unknown user is checked against a secret nobody has.
    pub(crate) async fn check(
        &self,
        user: Option<&User>,
        name: &str,
        address: Option<IpAddr>,
        proof: Proof<'_>,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let verifiers = user.map_or(&self.decoy, |user| &user.verifiers);
        if self.verify(verifiers, proof).await && user.is_some() {
            self.lock().remove(&(Text::from(name), address));
            return Ok(());
        }
        tokio::time::sleep_until(began + self.refused(name, address)).await;
        Err(Fault::new(Kind::Login, "the user name or the password is wrong"))
    }

    async fn verify(&self, verifiers: &[Verifier], proof: Proof<'_>) -> bool {
        let fitting = || verifiers.iter().filter(|verifier| verifier.fits(proof));
        let Some(verifier) = fitting().find(|v| !v.is_slow()).or_else(|| fitting().next()) else {
            return false;
        };
        match (verifier, proof) {
            (Verifier::Argon2id(stored), Proof::Password(password)) => {
                self.verify_slowly(verifier, stored, password).await
            }
            _ => verifier.check(proof),
        }
    }

    async fn verify_slowly(&self, verifier: &Verifier, stored: &str, password: &str) -> bool {
        let key = sha256(&[&self.pepper, &sha256(&[stored.as_bytes()]), password.as_bytes()]);
        let now = Instant::now();
        let known = |at: &Instant| now.saturating_duration_since(*at) < CACHED_FOR;
        if self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key).is_some_and(known) {
            return true;
        }
        let Ok(place) = self.slow.clone().acquire_owned().await else { return false };
        let (verifier, password) = (verifier.clone(), password.to_owned());
        let check = tokio::task::spawn_blocking(move || {
            let good = verifier.check(Proof::Password(&password));
            drop(place);
            good
        });
        let good = check.await.unwrap_or(false);
        if good {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            if cache.len() >= CACHED {
                cache.retain(|_, at| known(at));
            }
            if cache.len() < CACHED {
                cache.insert(key, now);
            }
        }
        good
    }

    /// Counts a refusal and says how long it takes.
    fn refused(&self, name: &str, address: Option<IpAddr>) -> Duration {
        let now = Instant::now();
        let fresh = |at: Instant| now.saturating_duration_since(at) < FORGET;
        let mut refusals = self.lock();
        if refusals.len() >= REMEMBERED {
            refusals.retain(|_, (_, at)| fresh(*at));
        }
        if refusals.len() >= REMEMBERED {
            return LONGEST_REFUSAL;
        }
        let entry = refusals.entry((Text::from(name), address)).or_insert((0, now));
        *entry = (if fresh(entry.1) { entry.0 + 1 } else { 1 }, now);
        let doublings = entry.0.saturating_sub(FREE_REFUSALS).min(8);
        (REFUSAL * 2_u32.pow(doublings)).min(LONGEST_REFUSAL)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn attempt(doorman: &Doorman, user: Option<&User>, password: &str) -> (bool, Duration) {
        let began = Instant::now();
        let result = doorman.check(user, "ann", None, Proof::Password(password)).await;
        (result.is_ok(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_users_and_wrong_passwords_are_refused_alike() {
        let doorman = Doorman::new().unwrap();
        let ann = User::new("ann", "pw");
        assert_eq!(attempt(&doorman, Some(&ann), "pw").await, (true, Duration::ZERO));
        let wrong = attempt(&doorman, Some(&ann), "no").await;
        let unknown = attempt(&doorman, None, "no").await;
        assert_eq!(wrong, unknown);
        assert!(!wrong.0);
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_gets_slower_and_the_right_password_never_waits() {
        let doorman = Doorman::new().unwrap();
        let ann = User::new("ann", "pw");
        let mut times = Vec::new();
        for _ in 0..12 {
            times.push(attempt(&doorman, Some(&ann), "no").await.1);
        }
        assert_eq!(times[4], REFUSAL);
        assert!(times[5] > times[4] && times[11] == LONGEST_REFUSAL);
        assert_eq!(attempt(&doorman, Some(&ann), "pw").await, (true, Duration::ZERO));
        assert_eq!(attempt(&doorman, Some(&ann), "no").await.1, REFUSAL);
    }

    #[tokio::test]
    async fn a_slow_hash_is_checked_once_and_then_remembered() {
        let doorman = Doorman::new().unwrap();
        let user = User { verifiers: vec![Verifier::slow("pw")], ..User::default() };
        assert!(attempt(&doorman, Some(&user), "pw").await.0);
        assert_eq!(doorman.cache.lock().unwrap().len(), 1);
        assert!(attempt(&doorman, Some(&user), "pw").await.0);
        assert!(!attempt(&doorman, Some(&user), "pW").await.0);
    }
}
