//! One connection's life: its requests, its logins, its time limits, its end.

mod line;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use futures_core::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use polyport_core::{Connection, Fault, Guest, Interrupt, Kind, Proof, Reason, Session};
use polyport_wire::Accepted;
use subtle::ConstantTimeEq as _;
use tokio::time::{Instant, Sleep};
use tower::ServiceExt as _;

use crate::Http;
use crate::codec::credentials::Credentials;
use crate::config::Config;
use crate::connection::line::Line;
use crate::fault::{self, Failure};

/// How long a connection that has to end may take to finish what it is answering.
const GOODBYE: Duration = Duration::from_secs(1);

/// The least that hyper takes for its buffers.
const LEAST_BUFFER_BYTES: usize = 8 << 10;

/// What the requests of one connection share.
pub(crate) struct Visit {
    guest: Guest,
    /// The last `Authorization` that was let in (`None` without one) and whom it made, so that a
    /// kept-alive connection pays for a login once.
    session: Mutex<Option<(Option<HeaderValue>, Session)>>,
    /// Requests being answered.
    busy: AtomicUsize,
    /// Requests begun so far.
    turns: AtomicU64,
    /// Whether a part of the next request has arrived.
    heard: AtomicBool,
}

impl Visit {
    pub(crate) const fn guest(&self) -> &Guest {
        &self.guest
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        self.guest.connection()
    }

    /// Whom a request acts for. Each is checked by itself, since a proxy may send the requests of
    /// many users through one connection.
    pub(crate) async fn session(&self, headers: &HeaderMap) -> Result<Session, Fault> {
        let shown = headers.get(header::AUTHORIZATION);
        if let Some(session) = self.remembered(shown) {
            // What a per-connection object keeps must not reach the next user of a proxy.
            session.reset();
            return Ok(session);
        }
        let session = match shown.map(|value| Credentials::parse(value.as_bytes())) {
            None => self.guest.anonymous("http").ok_or_else(|| {
                Fault::new(Kind::Login, "log in with a bearer token, or a user and a password")
            })?,
            Some(None) => {
                let text = "the Authorization header is neither Bearer nor Basic";
                return Err(Fault::new(Kind::Login, text));
            }
            Some(Some(Credentials::Bearer(token))) => self.guest.login_token(&token).await?,
            Some(Some(Credentials::Basic { user, password })) => {
                self.guest.login(&user, Proof::Password(&password)).await?
            }
        };
        let mut last = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((shown.cloned(), session.clone()));
        Ok(session)
    }

    fn remembered(&self, shown: Option<&HeaderValue>) -> Option<Session> {
        let last = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, session) = last.as_ref()?;
        let same = match (header, shown) {
            (None, None) => true,
            (Some(own), Some(shown)) => own.as_bytes().ct_eq(shown.as_bytes()).into(),
            _ => false,
        };
        same.then(|| session.clone())
    }

    /// Why the running request must stop, if it must. A shutdown lets it finish.
    pub(crate) fn poll_stopped(&self, cx: &Context<'_>) -> Poll<Fault> {
        match self.connection().poll_interrupted(cx) {
            Poll::Pending | Poll::Ready(Interrupt::Close(Reason::Shutdown)) => Poll::Pending,
            Poll::Ready(Interrupt::Call) => {
                self.connection().clear_call_interrupt();
                Poll::Ready(Fault::new(Kind::Cancelled, "the call was stopped"))
            }
            Poll::Ready(Interrupt::Close(reason)) => {
                let slow = matches!(reason, Reason::Stalled | Reason::LoginTimeout | Reason::Idle);
                let kind = if slow { Kind::Timeout } else { Kind::Cancelled };
                Poll::Ready(Fault::new(kind, reason.text()))
            }
        }
    }

    /// Waits for work that an operator may stop.
    pub(crate) async fn stoppable<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => self.poll_stopped(cx).map(Err),
        })
        .await
    }

    /// Reads a request's body, up to what the user's messages may have.
    pub(crate) async fn body(&self, mut body: Body) -> Result<Vec<u8>, Failure> {
        let limit = self.guest.connections().message_limit(self.connection());
        let too_large = || {
            let text = format!("the body has more than {limit} bytes");
            Failure::from(Fault::new(Kind::TooLarge, text))
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let _unfinished = Unfinished(&self.guest);
        let mut whole = Vec::new();
        loop {
            // A body that was begun counts as one byte at least, so that it is watched for
            // stalling from its beginning.
            if !self.guest.connections().pending(self.connection(), whole.len().max(1)) {
                let text = "the memory for unfinished messages is used up";
                return Err(Fault::new(Kind::Busy, text).into());
            }
            match self.frame(&mut body).await? {
                None => return Ok(whole),
                Some(bytes) if whole.len() + bytes.len() > limit => return Err(too_large()),
                Some(bytes) => whole.extend_from_slice(&bytes),
            }
        }
    }

    async fn frame(&self, body: &mut Body) -> Result<Option<Bytes>, Failure> {
        let mut frame = pin!(body.frame());
        let frame = poll_fn(|cx| match frame.as_mut().poll(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => self.poll_stopped(cx).map(Err),
        });
        match frame.await {
            Ok(None) => Ok(None),
            // Trailers are no part of the body.
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
            Ok(Some(Err(error))) => {
                let text = format!("the body cannot be read: {error}");
                Err(Fault::new(Kind::Syntax, text).into())
            }
            Err(fault) if fault.kind() == Kind::Timeout => {
                Err(Failure::of(StatusCode::REQUEST_TIMEOUT, fault))
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

/// Gives back what an unfinished body was charged for.
struct Unfinished<'a>(&'a Guest);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let _ = self.0.connections().pending(self.0.connection(), 0);
    }
}

/// Marks a request as being answered until its answer's last byte is handed over.
struct Busy(Arc<Visit>);

impl Busy {
    fn begin(visit: Arc<Visit>) -> Self {
        visit.connection().request();
        visit.connection().touch();
        visit.busy.fetch_add(1, Relaxed);
        visit.turns.fetch_add(1, Relaxed);
        visit.heard.store(false, Relaxed);
        Self(visit)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.connection().touch();
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

/// An answer's body, and the mark that it is not yet sent.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(http: Arc<Http>, accepted: Accepted) {
    let Accepted { io, guest, tls: _ } = accepted;
    let config = &http.site.config;
    let visit = Arc::new(Visit {
        guest,
        session: Mutex::default(),
        busy: AtomicUsize::new(0),
        turns: AtomicU64::new(0),
        heard: AtomicBool::new(false),
    });
    let answer = {
        let (visit, router) = (visit.clone(), http.router.clone());
        move |mut request: Request<Incoming>| {
            let busy = Busy::begin(visit.clone());
            request.extensions_mut().insert(visit.clone());
            let answering = router.clone().oneshot(request);
            let future: BoxFuture<'static, Result<_, Infallible>> = Box::pin(async move {
                let response = answering.await?;
                Ok(response.map(|body| Answer { body, _busy: busy }))
            });
            future
        }
    };
    let mut connection = http1::Builder::new()
        // hyper's own limit for headers would also cut off connections idle between requests.
        .header_read_timeout(None)
        .max_headers(config.headers)
        .max_header_size(config.header_bytes)
        .max_buf_size(config.header_bytes.max(LEAST_BUFFER_BYTES))
        .serve_connection(TokioIo::new(Line::new(io, visit.clone())), service_fn(answer));

    let ending = Watch::new(&visit, config).until_end(&mut connection).await;
    match &ending {
        Ending::Served(Err(error)) => tracing::debug!(
            target: "polyport::http",
            connection = visit.connection().id,
            %error,
            "connection ended"
        ),
        Ending::Slow => {
            let fault = Fault::new(Kind::Timeout, "the request that was begun did not go on");
            connection.into_parts().io.into_inner().part(&fault::too_slow(&fault)).await;
        }
        Ending::Served(Ok(())) | Ending::Idle | Ending::Cut => {}
    }
    visit.connection().closed(matches!(ending, Ending::Served(Ok(())) | Ending::Idle));
}

/// How a connection ended.
enum Ending {
    /// As HTTP has it, or by a broken socket or message.
    Served(hyper::Result<()>),
    /// Nobody asked anything for too long.
    Idle,
    /// A request's head did not come to its end.
    Slow,
    /// The core wanted it to end, and its last answer took too long.
    Cut,
}

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Request,
    Head,
    Answer,
}

/// Watches the time and the core's wishes while hyper serves.
struct Watch<'a> {
    visit: &'a Visit,
    config: &'a Config,
    now: (Phase, u64),
    timer: Pin<Box<Sleep>>,
    cut: Option<Pin<Box<Sleep>>>,
    ending: bool,
}

impl<'a> Watch<'a> {
    fn new(visit: &'a Visit, config: &'a Config) -> Self {
        let first = visit.guest.limits().login_s;
        let timer = Box::pin(tokio::time::sleep(first));
        Self { visit, config, now: (Phase::Request, 0), timer, cut: None, ending: false }
    }

    async fn until_end<C: Served>(mut self, connection: &mut C) -> Ending {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                    return Poll::Ready(Ending::Served(result));
                }
                if !self.wants_end(cx) {
                    break;
                }
                // An idle connection is over at once; a busy one after its answer.
                connection.end_soon();
            }
            if self.cut.as_mut().is_some_and(|cut| cut.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ending::Cut);
            }
            self.poll_phase(cx)
        })
        .await
    }

    /// Whether the core asks for the end for the first time.
    fn wants_end(&mut self, cx: &Context<'_>) -> bool {
        match self.visit.connection().poll_interrupted(cx) {
            Poll::Pending => false,
            Poll::Ready(Interrupt::Call) => {
                // A request that is being answered hears of it by itself.
                if self.visit.busy.load(Relaxed) == 0 {
                    self.visit.connection().clear_call_interrupt();
                }
                false
            }
            Poll::Ready(Interrupt::Close(_)) if self.ending => false,
            Poll::Ready(Interrupt::Close(reason)) => {
                self.ending = true;
                if reason != Reason::Shutdown {
                    self.cut = Some(Box::pin(tokio::time::sleep(GOODBYE)));
                }
                true
            }
        }
    }

    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let phase = if self.visit.busy.load(Relaxed) > 0 {
            Phase::Answer
        } else if self.visit.heard.load(Relaxed) {
            Phase::Head
        } else {
            Phase::Request
        };
        let now = (phase, self.visit.turns.load(Relaxed));
        if now != self.now {
            self.now = now;
            let limit = match phase {
                Phase::Request => self.config.keep_alive_s,
                Phase::Head => self.visit.guest.limits().login_s,
                // The body and the socket have limits of their own.
                Phase::Answer => return Poll::Pending,
            };
            let at = Instant::now().checked_add(limit);
            self.timer.as_mut().reset(at.unwrap_or_else(|| Instant::now() + A_DAY));
        }
        match phase {
            Phase::Answer => Poll::Pending,
            Phase::Request => self.timer.as_mut().poll(cx).map(|()| Ending::Idle),
            Phase::Head => self.timer.as_mut().poll(cx).map(|()| Ending::Slow),
        }
    }
}

/// Longer than any connection is left alone when the limit is beyond what the clock can say.
const A_DAY: Duration = Duration::from_secs(86_400);

/// hyper's connection, whose full type cannot be written down.
trait Served: Future<Output = hyper::Result<()>> + Unpin {
    fn end_soon(&mut self);
}

impl<S, B> Served for http1::Connection<TokioIo<Line>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: HttpBody + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Self: Unpin,
{
    fn end_soon(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}
