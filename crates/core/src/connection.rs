//! Live connections: who is there, who must go, and for whom there is room.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst,
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use jiff::Zoned;
use tokio::time::Instant;

use crate::limits::{FREE_BYTES, Limits, STALL_BYTES};
use crate::stats::ProtocolStats;
use crate::value::Text;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An internet address.
    Ip(SocketAddr),
    /// A Unix socket.
    Unix,
    /// A pipe within this process.
    Memory,
}

impl Peer {
    /// The address, without the port.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix | Self::Memory => None,
        }
    }

    /// The host as error texts name it: an address, or `localhost`.
    #[must_use]
    pub fn host(self) -> String {
        self.ip().map_or_else(|| "localhost".into(), |ip| ip.to_string())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It did not log in within [`Limits::login_s`].
    LoginTimeout,
    /// It was idle for longer than [`Limits::idle_s`].
    Idle,
    /// A message that it began did not go on.
    Stalled,
    /// It gave way to another stranger, having sent nothing.
    Evicted,
    /// An operator killed it.
    Killed,
    /// The server stops.
    Shutdown,
}

impl Reason {
    /// A sentence that a client can show.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::LoginTimeout => "no login within the time limit",
            Self::Idle => "the connection was idle for too long",
            Self::Stalled => "a message that was begun did not go on",
            Self::Evicted => "too many connections are waiting to log in",
            Self::Killed => "the connection was killed",
            Self::Shutdown => "the server is shutting down",
        }
    }
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Stop the running call and go on.
    Call,
    /// Say goodbye and end; at [`Reason::Shutdown`], finish the running calls first.
    Close(Reason),
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not logged in.
    Guest,
    /// Let in without a login, as the listener's anonymous user.
    Anonymous,
    /// Logged in.
    User,
}

/// One live connection.
#[derive(Debug)]
pub struct Connection {
    /// Unique while the server runs; MySQL's `CONNECTION_ID()`.
    pub id: u32,
    /// The protocol's name.
    pub protocol: &'static str,
    /// Where it comes from.
    pub peer: Peer,
    /// When it was accepted, by the wall clock.
    pub since: Zoned,
    pub(crate) stats: Arc<ProtocolStats>,
    opened: Instant,
    user: Mutex<(Text, Option<Zoned>)>,
    stage: AtomicU8,
    exempt: AtomicBool,
    heard: AtomicBool,
    last_active_ms: AtomicU64,
    in_flight: AtomicU32,
    calls: AtomicU64,
    interrupt: AtomicU8,
    waker: AtomicWaker,
    pending: Pending,
    peer_text: OnceLock<Text>,
}

/// The unfinished message of a connection, as the monitor watches it.
#[derive(Debug, Default)]
struct Pending {
    /// Bytes counted against the shared budget.
    charged: AtomicUsize,
    /// Milliseconds after `opened` at which the current window began, plus one; 0 is none.
    window_ms: AtomicU64,
    /// Bytes that arrived within the window.
    window_bytes: AtomicU64,
}

const INTERRUPT_CALL: u8 = 1;
const CLOSE: [Reason; 6] = [
    Reason::LoginTimeout,
    Reason::Idle,
    Reason::Stalled,
    Reason::Evicted,
    Reason::Killed,
    Reason::Shutdown,
];

fn decode(code: u8) -> Option<Interrupt> {
    match code {
        0 => None,
        INTERRUPT_CALL => Some(Interrupt::Call),
        code => CLOSE.get(usize::from(code - 2)).copied().map(Interrupt::Close),
    }
}

impl Connection {
    /// Where it comes from, as text.
    pub fn peer_text(&self) -> Text {
        self.peer_text.get_or_init(|| self.peer.to_string().into()).clone()
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Guest,
            1 => Stage::Anonymous,
            _ => Stage::User,
        }
    }

    /// The user's name, empty before login, and when the login was.
    #[must_use]
    pub fn user(&self) -> (Text, Option<Zoned>) {
        self.user.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Calls and streams that are running.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// How long ago anything was last asked or answered.
    #[must_use]
    pub fn idle(&self) -> Duration {
        let active = Duration::from_millis(self.last_active_ms.load(Relaxed));
        self.opened.elapsed().saturating_sub(active)
    }

    /// Tells the connection to stop its call, or to end. Closing wins over stopping, and the first
    /// reason to close stands.
    pub fn interrupt(&self, interrupt: Interrupt) {
        let code = match interrupt {
            Interrupt::Call => INTERRUPT_CALL,
            Interrupt::Close(reason) => {
                let index = CLOSE.iter().position(|own| *own == reason).unwrap_or_default();
                u8::try_from(index).unwrap_or_default() + 2
            }
        };
        let first = |now: u8| (now <= INTERRUPT_CALL).then_some(code.max(now));
        if self.interrupt.fetch_update(SeqCst, SeqCst, first).is_ok() {
            self.waker.wake();
        }
    }

    /// Waits until the connection is told something. Only one task of a connection may wait here.
    pub fn poll_interrupted(&self, cx: &Context<'_>) -> Poll<Interrupt> {
        self.waker.register(cx.waker());
        decode(self.interrupt.load(SeqCst)).map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits until the connection is told something. Only one task of a connection may wait here.
    pub async fn interrupted(&self) -> Interrupt {
        std::future::poll_fn(|cx| self.poll_interrupted(cx)).await
    }

    /// Forgets an [`Interrupt::Call`] that found no call running.
    pub fn clear_call_interrupt(&self) {
        let _ = self.interrupt.compare_exchange(INTERRUPT_CALL, 0, SeqCst, SeqCst);
    }

    /// Counts bytes that arrived.
    pub fn received(&self, bytes: usize) {
        self.heard.store(true, Relaxed);
        self.stats.counters.bytes_in.fetch_add(bytes as u64, Relaxed);
        if self.pending.window_ms.load(Relaxed) != 0 {
            self.pending.window_bytes.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// Counts bytes that were sent.
    pub fn sent(&self, bytes: usize) {
        self.stats.counters.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// Notes that something was asked or answered just now.
    pub fn touch(&self) {
        self.touch_at(Instant::now());
    }

    pub(crate) fn touch_at(&self, now: Instant) {
        let ms = now.saturating_duration_since(self.opened).as_millis();
        self.last_active_ms.store(u64::try_from(ms).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts one request of any kind.
    pub fn request(&self) {
        self.stats.counters.requests.fetch_add(1, Relaxed);
    }

    /// Counts how the connection ended.
    pub fn closed(&self, normal: bool) {
        let counters = &self.stats.counters;
        let counter = if normal { &counters.closed_normal } else { &counters.closed_error };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn begin_call(&self) -> u32 {
        self.calls.fetch_add(1, Relaxed);
        self.stats.counters.in_flight.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed)
    }

    pub(crate) fn end_call(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.stats.counters.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn enter(&self, stage: Stage, user: Text, exempt: bool) {
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = (user, Some(Zoned::now()));
        self.exempt.store(exempt, Relaxed);
        self.stage.store(if stage == Stage::Anonymous { 1 } else { 2 }, Relaxed);
        self.touch();
    }

    /// Whether the monitor has a reason to end this connection.
    fn overdue(&self, limits: &Limits) -> Option<Reason> {
        let age = self.opened.elapsed();
        if self.stage() == Stage::Guest && age > limits.login_s {
            return Some(Reason::LoginTimeout);
        }
        let window = self.pending.window_ms.load(Relaxed);
        if window != 0 {
            let since = age.saturating_sub(Duration::from_millis(window - 1));
            if since > limits.stall_s {
                if self.pending.window_bytes.swap(0, Relaxed) < STALL_BYTES {
                    return Some(Reason::Stalled);
                }
                self.open_window(age);
            }
        }
        let idle = !limits.idle_s.is_zero()
            && self.stage() != Stage::Guest
            && !self.exempt.load(Relaxed)
            && self.in_flight() == 0
            && self.idle() > limits.idle_s;
        idle.then_some(Reason::Idle)
    }

    fn open_window(&self, age: Duration) {
        let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX - 1);
        self.pending.window_ms.store(ms + 1, Relaxed);
    }
}

/// The live connections and the room for more.
#[derive(Debug)]
pub struct Connections {
    live: Mutex<BTreeMap<u32, Arc<Connection>>>,
    next: AtomicU32,
    guests: AtomicUsize,
    open: AtomicUsize,
    stranger_bytes: AtomicUsize,
    user_bytes: AtomicUsize,
    pub(crate) limits: Arc<Limits>,
}

impl Connections {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self {
            live: Mutex::default(),
            next: AtomicU32::new(1),
            guests: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            stranger_bytes: AtomicUsize::new(0),
            user_bytes: AtomicUsize::new(0),
            limits,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<Connection>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a stranger, or `None` when every place is taken. When only the places
    /// for strangers are, the oldest that has sent nothing is told to go, or failing that the
    /// oldest; the newcomer always gets in, since it may be an honest client.
    pub(crate) fn admit(
        &self,
        protocol: &'static str,
        peer: Peer,
        stats: Arc<ProtocolStats>,
    ) -> Option<Arc<Connection>> {
        let mut live = self.lock();
        if live.len() >= self.limits.connections {
            stats.counters.connections_refused.fetch_add(1, Relaxed);
            return None;
        }
        if self.guests.load(Relaxed) >= self.limits.guests {
            let waiting = || live.values().filter(|c| c.stage() == Stage::Guest);
            let staying = |c: &&Arc<Connection>| c.interrupt.load(Relaxed) <= INTERRUPT_CALL;
            let silent = waiting().filter(staying).find(|c| !c.heard.load(Relaxed));
            if let Some(oldest) = silent.or_else(|| waiting().find(staying)) {
                oldest.interrupt(Interrupt::Close(Reason::Evicted));
            }
        }
        let id = loop {
            let id = self.next.fetch_add(1, Relaxed);
            if id != 0 && !live.contains_key(&id) {
                break id;
            }
        };
        stats.counters.connections.fetch_add(1, Relaxed);
        stats.counters.connections_total.fetch_add(1, Relaxed);
        self.guests.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        let connection = Arc::new(Connection {
            id,
            protocol,
            peer,
            since: Zoned::now(),
            stats,
            opened: Instant::now(),
            user: Mutex::default(),
            stage: AtomicU8::new(0),
            exempt: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            last_active_ms: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            interrupt: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            pending: Pending::default(),
            peer_text: OnceLock::new(),
        });
        live.insert(id, connection.clone());
        Some(connection)
    }

    pub(crate) fn entered(&self, connection: &Connection, stage: Stage, user: Text, exempt: bool) {
        if connection.stage() == Stage::Guest {
            self.guests.fetch_sub(1, Relaxed);
        }
        // What was charged while a stranger is given back; the next read charges anew.
        self.charge(connection, 0);
        connection.enter(stage, user, exempt);
    }

    pub(crate) fn left(&self, connection: &Connection) {
        self.charge(connection, 0);
        if connection.stage() == Stage::Guest {
            self.guests.fetch_sub(1, Relaxed);
        }
        self.open.fetch_sub(1, Relaxed);
        connection.stats.counters.connections.fetch_sub(1, Relaxed);
        self.lock().remove(&connection.id);
    }

    /// Whether only the places kept for administrators are left.
    pub(crate) fn only_reserved_left(&self) -> bool {
        let reserved = self.limits.reserved;
        self.open.load(Relaxed) + reserved > self.limits.connections
    }

    /// Notes the size of the message that a connection has begun and not finished; 0 when there is
    /// none. Returns whether there is room for it.
    #[must_use]
    pub fn pending(&self, connection: &Connection, bytes: usize) -> bool {
        let window = &connection.pending.window_ms;
        match (bytes, window.load(Relaxed)) {
            (0, 0) => return true,
            (0, _) => window.store(0, Relaxed),
            (_, 0) => {
                connection.pending.window_bytes.store(0, Relaxed);
                connection.open_window(connection.opened.elapsed());
            }
            _ => {}
        }
        self.charge(connection, bytes.saturating_sub(FREE_BYTES))
    }

    /// Sets what the connection holds of its budget.
    fn charge(&self, connection: &Connection, bytes: usize) -> bool {
        let before = connection.pending.charged.swap(bytes, Relaxed);
        if before == 0 && bytes == 0 {
            return true;
        }
        let (budget, most) = if connection.stage() == Stage::User {
            (&self.user_bytes, self.limits.buffer_bytes)
        } else {
            (&self.stranger_bytes, self.limits.stranger_buffer_bytes)
        };
        budget.fetch_sub(before, Relaxed);
        budget.fetch_add(bytes, Relaxed) + bytes <= most
    }

    /// The most bytes that one message of this connection may have.
    #[must_use]
    pub fn message_limit(&self, connection: &Connection) -> usize {
        match connection.stage() {
            Stage::User => self.limits.message_bytes,
            Stage::Guest | Stage::Anonymous => self.limits.stranger_message_bytes,
        }
    }

    /// The live connection of an id.
    #[must_use]
    pub fn find(&self, id: u32) -> Option<Arc<Connection>> {
        self.lock().get(&id).cloned()
    }

    /// All live connections, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.lock().values().cloned().collect()
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Ends what is overdue: no login, idle, stalled.
    pub(crate) fn sweep(&self) {
        for connection in self.all() {
            if let Some(reason) = connection.overdue(&self.limits) {
                connection.interrupt(Interrupt::Close(reason));
            }
        }
    }

    /// Tells every connection to end.
    pub(crate) fn close_all(&self, reason: Reason) {
        for connection in self.all() {
            connection.interrupt(Interrupt::Close(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(limits: Limits) -> (Connections, impl Fn(&Connections) -> Arc<Connection>) {
        let stats = Arc::new(ProtocolStats::default());
        let admit = move |connections: &Connections| {
            connections.admit("test", Peer::Memory, stats.clone()).unwrap()
        };
        (Connections::new(Arc::new(limits)), admit)
    }

    async fn told(connection: &Connection) -> Option<Interrupt> {
        tokio::select! {
            biased;
            interrupt = connection.interrupted() => Some(interrupt),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_silent_stranger_gives_way() {
        let (all, admit) = connections(Limits { guests: 2, ..Limits::default() });
        let (talker, silent) = (admit(&all), admit(&all));
        talker.received(1);
        let newcomer = admit(&all);
        assert_eq!(told(&silent).await, Some(Interrupt::Close(Reason::Evicted)));
        assert_eq!(told(&talker).await, None);
        assert_eq!(told(&newcomer).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_who_do_not_log_in_are_sent_away_and_users_are_not() {
        let (all, admit) = connections(Limits::default());
        let (guest, user) = (admit(&all), admit(&all));
        all.entered(&user, Stage::User, "ann".into(), false);
        tokio::time::advance(Duration::from_secs(11)).await;
        all.sweep();
        assert_eq!(told(&guest).await, Some(Interrupt::Close(Reason::LoginTimeout)));
        assert_eq!(told(&user).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_users_are_sent_away_administrators_are_not() {
        let idle_s = Duration::from_secs(5);
        let (all, admit) = connections(Limits { idle_s, ..Limits::default() });
        let (user, root) = (admit(&all), admit(&all));
        all.entered(&user, Stage::User, "ann".into(), false);
        all.entered(&root, Stage::User, "root".into(), true);
        tokio::time::advance(Duration::from_secs(6)).await;
        all.sweep();
        assert_eq!(told(&user).await, Some(Interrupt::Close(Reason::Idle)));
        assert_eq!(told(&root).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dripping_message_is_cut_off_and_a_flowing_one_is_not() {
        let (all, admit) = connections(Limits::default());
        let (drip, flow) = (admit(&all), admit(&all));
        for connection in [&drip, &flow] {
            all.entered(connection, Stage::User, "ann".into(), false);
            assert!(all.pending(connection, 1));
        }
        for _ in 0..3 {
            drip.received(1);
            flow.received(5000);
            tokio::time::advance(Duration::from_secs(11)).await;
            all.sweep();
        }
        assert_eq!(told(&drip).await, Some(Interrupt::Close(Reason::Stalled)));
        assert_eq!(told(&flow).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_share_a_budget_that_small_messages_do_not_touch() {
        let limits = Limits { stranger_buffer_bytes: 1000, ..Limits::default() };
        let (all, admit) = connections(limits);
        let (greedy, other) = (admit(&all), admit(&all));
        assert!(all.pending(&greedy, FREE_BYTES + 900));
        assert!(!all.pending(&other, FREE_BYTES + 900));
        assert!(all.pending(&other, FREE_BYTES));
        all.left(&greedy);
        assert!(all.pending(&other, FREE_BYTES + 900));
    }

    #[tokio::test(start_paused = true)]
    async fn closing_wins_over_stopping_a_call() {
        let (all, admit) = connections(Limits::default());
        let connection = admit(&all);
        connection.interrupt(Interrupt::Call);
        assert_eq!(told(&connection).await, Some(Interrupt::Call));
        connection.interrupt(Interrupt::Close(Reason::Killed));
        connection.interrupt(Interrupt::Call);
        connection.clear_call_interrupt();
        assert_eq!(told(&connection).await, Some(Interrupt::Close(Reason::Killed)));
    }
}
