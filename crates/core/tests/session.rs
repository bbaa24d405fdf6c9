//! What a session may and may not do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use polyport_core::{
    Anonymous, Arguments, Core, Fault, Function, Guest, Interrupt, Kind, Limits, Listener, Object,
    Param, Peer, Proof, Ran, Reason, Reply, Session, Settings, Sink, Stage, Stream, Type, User,
    Value,
};

fn core_with(limits: Limits) -> Core {
    let databases = vec!["polyport".into()];
    let core = Core::new(Settings { limits, databases, keep_users: None }).unwrap();
    let number = |name| Param::new(name, Type::Int);
    core.register(vec![
        Function::build("add").param(number("a")).param(number("b")).inline(|_, mut args| {
            let (a, b): (i64, i64) = (args.take()?, args.take()?);
            Ok::<_, Fault>(a + b)
        }),
        Function::build("math.double").param(number("n")).inline(|_, mut args| {
            let n: i64 = args.take()?;
            Ok::<_, Fault>(2 * n)
        }),
        Function::build("polyport.tricky").inline(|_, _| "the whole name"),
        Function::build("wait").asynchronous(|_, _| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok(Reply::Value(Value::Int(60)))
            })
        }),
        Function::build("boom").inline(|_, _| -> i64 { panic!("ouch") }),
        Function::build("again").asynchronous(|call, _| {
            Box::pin(async move { call.call("again", Arguments::default()).await })
        }),
        Function::build("endless").inline(|_, _| {
            Stream::produce(async |sink: Sink| {
                loop {
                    sink.send(1).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            })
        }),
    ])
    .unwrap();
    core.put_user(User::new("ann", "secret").right("call *"));
    core.put_user(User::new("bob", "secret").right("call math.*"));
    core.put_user(User::new("map", "secret").export("plus", "add"));
    core.put_user(User::new("root", "secret").right("admin"));
    core
}

fn core() -> Core {
    core_with(Limits::default())
}

fn arrive(core: &Core) -> Guest {
    core.admit("mysql", Peer::Memory, &Arc::new(Listener::default())).unwrap()
}

async fn login(core: &Core, user: &str) -> (Guest, Session) {
    let guest = arrive(core);
    let session = guest.login(user, Proof::Password("secret")).await.unwrap();
    (guest, session)
}

async fn call(session: &Session, name: &str, arguments: &[i64]) -> Result<Value, Fault> {
    let arguments = arguments.iter().copied().collect();
    session.call(name, arguments).await?.into_value(100).await
}

async fn kind(session: &Session, name: &str) -> Kind {
    call(session, name, &[]).await.unwrap_err().kind()
}

#[tokio::test]
async fn names_are_resolved_through_the_user() {
    let core = core();
    let (_a, ann) = login(&core, "ann").await;
    let (_b, bob) = login(&core, "bob").await;
    let (_m, map) = login(&core, "map").await;
    assert_eq!(call(&ann, "add", &[3, 4]).await.unwrap(), Value::Int(7));
    assert_eq!(call(&bob, "math.double", &[4]).await.unwrap(), Value::Int(8));
    assert_eq!(kind(&bob, "add").await, Kind::NotFound);
    assert_eq!(call(&map, "plus", &[3, 4]).await.unwrap(), Value::Int(7));
    assert_eq!(kind(&map, "add").await, Kind::NotFound);
    assert_eq!(kind(&map, "system.listMethods").await, Kind::NotFound);
    let names = |session: &Session| {
        session.functions().into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&map), ["plus"]);
    assert_eq!(names(&bob), ["math.double"]);
}

#[tokio::test]
async fn a_database_is_taken_off_a_name_only_when_the_whole_name_is_unknown() {
    let core = core();
    let (_guest, ann) = login(&core, "ann").await;
    assert_eq!(call(&ann, "polyport.add", &[1, 1]).await.unwrap(), Value::Int(2));
    assert_eq!(call(&ann, "polyport.math.double", &[1]).await.unwrap(), Value::Int(2));
    assert_eq!(call(&ann, "polyport.tricky", &[]).await.unwrap(), "the whole name".into());
    assert_eq!(kind(&ann, "other.add").await, Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_call_past_its_time_limit_is_stopped_and_answered() {
    let core = core();
    let limit = Duration::from_secs(3);
    core.put_user(User::new("slow", "secret").right("call *").time_limit("mysql", limit));
    let (_guest, session) = login(&core, "slow").await;
    let began = tokio::time::Instant::now();
    let fault = call(&session, "wait", &[]).await.unwrap_err();
    assert_eq!((fault.kind(), fault.ran()), (Kind::Timeout, Ran::Maybe));
    assert_eq!(began.elapsed(), limit);
    assert_eq!(session.connection().in_flight(), 0);
    assert_eq!(call(&session, "add", &[1, 1]).await.unwrap(), Value::Int(2));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_give_a_call_less_time_than_the_user_has_and_not_more() {
    let core = core();
    let limit = Duration::from_secs(10);
    core.put_user(User::new("slow", "secret").right("call *").time_limit("mysql", limit));
    let guest = arrive(&core);
    let slow = guest.login("slow", Proof::Password("secret")).await.unwrap();
    for (given, took, text) in [(2, 2, "its client gave it"), (20, 10, "its limit of 10s")] {
        let began = tokio::time::Instant::now();
        let deadline = began + Duration::from_secs(given);
        let fault = slow.call_until("wait", Arguments::default(), deadline).await.unwrap_err();
        assert_eq!((fault.kind(), fault.ran()), (Kind::Timeout, Ran::Maybe));
        assert_eq!(began.elapsed(), Duration::from_secs(took));
        assert!(fault.message().ends_with(text), "{fault}");

        let deadline = tokio::time::Instant::now() + Duration::from_secs(given);
        let reply = slow.call_until("endless", Arguments::default(), deadline).await.unwrap();
        let Reply::Stream(mut stream) = reply else { panic!("{reply:?}") };
        let mut last = stream.next().await.unwrap();
        while last.is_ok() {
            last = stream.next().await.unwrap();
        }
        assert!(last.unwrap_err().message().ends_with(text));
    }
    let past = tokio::time::Instant::now();
    let fault = slow.call_until("wait", Arguments::default(), past).await.unwrap_err();
    assert_eq!((fault.kind(), fault.ran()), (Kind::Timeout, Ran::No));
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_as_running_and_ends_at_the_time_limit() {
    let core = core();
    let limit = Duration::from_secs(3);
    core.put_user(User::new("slow", "secret").right("call *").time_limit("mysql", limit));
    let (_guest, session) = login(&core, "slow").await;
    let Reply::Stream(mut stream) = session.call("endless", Arguments::default()).await.unwrap()
    else {
        panic!("the function makes a stream")
    };
    assert_eq!(session.connection().in_flight(), 1);
    let mut items = 0;
    let fault = loop {
        match stream.next().await.unwrap() {
            Ok(_) => items += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!((items, fault.kind()), (3, Kind::Timeout));
    assert!(stream.next().await.is_none());
    assert_eq!(session.connection().in_flight(), 0);
}

#[tokio::test]
async fn a_function_that_panics_costs_its_caller_an_error_and_nobody_else_anything() {
    let core = core();
    let (_guest, ann) = login(&core, "ann").await;
    let fault = call(&ann, "boom", &[]).await.unwrap_err();
    assert_eq!(fault.message(), "the function panicked: ouch");
    assert_eq!(call(&ann, "add", &[1, 1]).await.unwrap(), Value::Int(2));
}

#[tokio::test]
async fn functions_that_call_each_other_for_ever_are_stopped() {
    let core = core();
    let (_guest, ann) = login(&core, "ann").await;
    assert_eq!(kind(&ann, "again").await, Kind::Busy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_function_learns_that_its_caller_is_gone() {
    let core = core();
    let (tell, told) = std::sync::mpsc::channel();
    let (began, begun) = tokio::sync::oneshot::channel();
    let began = std::sync::Mutex::new(Some(began));
    core.register(vec![Function::build("busy").blocking(move |call, _| {
        began.lock().unwrap().take().unwrap().send(()).unwrap();
        while !call.is_cancelled() {
            std::thread::yield_now();
        }
        tell.send(()).unwrap();
    })])
    .unwrap();
    let (_guest, ann) = login(&core, "ann").await;
    let running = tokio::spawn(async move { ann.call("busy", Arguments::default()).await });
    begun.await.unwrap();
    assert_eq!(core.busy_threads(), 1);
    running.abort();
    told.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_function_may_wait_for_another_and_an_inline_one_may_not() {
    let core = core();
    let relay =
        |call: &polyport_core::Call| call.call_and_wait("add", Arguments::from_iter([3, 4]));
    core.register(vec![
        Function::build("relay").blocking(move |call, _| relay(call)),
        Function::build("hasty").inline(move |call, _| relay(call)),
    ])
    .unwrap();
    let (_guest, ann) = login(&core, "ann").await;
    assert_eq!(call(&ann, "relay", &[]).await.unwrap(), Value::Int(7));
    assert_eq!(kind(&ann, "hasty").await, Kind::Unsupported);
}

#[tokio::test]
async fn objects_are_shared_or_made_for_each_connection_or_call() {
    let core = core();
    let counter = || {
        let made = AtomicUsize::new(0);
        move || AtomicUsize::new(10 * made.fetch_add(1, Relaxed))
    };
    let count = |object: Object<AtomicUsize>| {
        let next = object.build("next");
        object.inline(next, |count, _, _| count.fetch_add(1, Relaxed) + 1)
    };
    core.register_object(count(Object::shared("shared", AtomicUsize::new(0)))).unwrap();
    core.register_object(count(Object::per_connection("own", counter()))).unwrap();
    core.register_object(count(Object::per_call("fresh", counter()))).unwrap();
    let (_a, ann) = login(&core, "ann").await;
    let (_b, other) = login(&core, "ann").await;
    for (name, want) in
        [("shared.next", [1, 2, 3]), ("own.next", [1, 2, 11]), ("fresh.next", [1, 11, 21])]
    {
        for (session, want) in [&ann, &ann, &other].into_iter().zip(want) {
            assert_eq!(call(session, name, &[]).await.unwrap(), Value::Int(want), "{name}");
        }
    }
    ann.reset();
    assert_eq!(call(&ann, "own.next", &[]).await.unwrap(), Value::Int(21));
}

#[tokio::test(start_paused = true)]
async fn only_the_right_password_gets_in_and_nobody_is_let_in_unasked() {
    let core = core();
    let guest = arrive(&core);
    assert!(guest.anonymous("mysql").is_none());
    let fault = guest.login("ann", Proof::Password("wrong")).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Login);
    assert_eq!(guest.connection().stage(), Stage::Guest);
    let unknown = guest.login("nobody", Proof::Password("wrong")).await.unwrap_err();
    assert_eq!(unknown.message(), fault.message());
    guest.login("ann", Proof::Password("secret")).await.unwrap();
    assert_eq!(guest.connection().stage(), Stage::User);
    assert_eq!(guest.connection().user().0, "ann");
}

#[tokio::test(start_paused = true)]
async fn a_user_without_a_secret_serves_as_anonymous_and_cannot_log_in() {
    let core = core();
    core.put_user(User::anonymous("guest").right("call *"));
    let by_dialect = [("standard".into(), "guest".into())].into();
    let listener = Listener { address: String::new(), anonymous: Anonymous::ByDialect(by_dialect) };
    let guest = core.admit("msgpack", Peer::Memory, &Arc::new(listener)).unwrap();
    assert!(guest.anonymous("pymprpc").is_none());
    assert!(guest.login("guest", Proof::Password("")).await.is_err());
    let session = guest.anonymous("standard").unwrap();
    assert_eq!(guest.connection().stage(), Stage::Anonymous);
    assert_eq!(call(&session, "add", &[1, 1]).await.unwrap(), Value::Int(2));
}

#[tokio::test]
async fn the_last_places_are_kept_for_administrators() {
    let core = core_with(Limits { connections: 5, reserved: 3, ..Limits::default() });
    let (_a, _) = login(&core, "ann").await;
    let (_b, _) = login(&core, "ann").await;
    let third = arrive(&core);
    let fault = third.login("ann", Proof::Password("secret")).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Busy);
    third.login("root", Proof::Password("secret")).await.unwrap();
    let _fourth = arrive(&core);
    let _fifth = arrive(&core);
    let listener = Arc::new(Listener::default());
    assert!(core.admit("mysql", Peer::Memory, &listener).is_none());
    drop(third);
    assert!(core.admit("mysql", Peer::Memory, &listener).is_some());
}

#[tokio::test]
async fn users_may_end_their_own_connections_and_administrators_all() {
    let core = core();
    let (a, ann) = login(&core, "ann").await;
    let (b, bob) = login(&core, "bob").await;
    let (_r, root) = login(&core, "root").await;
    assert_eq!(ann.kill(b.connection().id, false).unwrap_err().kind(), Kind::Denied);
    assert_eq!(ann.kill(9999, false).unwrap_err().kind(), Kind::NotFound);
    assert_eq!((ann.connections().len(), root.connections().len()), (1, 3));
    bob.kill(b.connection().id, true).unwrap();
    assert_eq!(b.connection().interrupted().await, Interrupt::Call);
    root.kill(a.connection().id, false).unwrap();
    assert_eq!(a.connection().interrupted().await, Interrupt::Close(Reason::Killed));
}

#[tokio::test]
async fn a_connection_has_only_so_many_calls_running() {
    let core = core_with(Limits { calls_per_connection: 2, ..Limits::default() });
    let (_guest, ann) = login(&core, "ann").await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(ann.call("endless", Arguments::default()).await.unwrap());
    }
    assert_eq!(kind(&ann, "add").await, Kind::Busy);
    streams.pop();
    assert_eq!(call(&ann, "add", &[1, 1]).await.unwrap(), Value::Int(2));
}

#[tokio::test]
async fn changes_to_users_reach_their_open_sessions() {
    let core = core();
    let (_a, ann) = login(&core, "ann").await;
    let (_r, root) = login(&core, "root").await;
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect();
    let grant = Arguments::positional(vec!["ann".into(), Value::List(texts(&["call math.*"]))]);
    assert_eq!(ann.call("user.grant", grant.clone()).await.unwrap_err().kind(), Kind::Denied);
    root.call("user.grant", grant).await.unwrap();
    assert_eq!(kind(&ann, "add").await, Kind::NotFound);
    root.call("user.remove", Arguments::from_iter(["ann"])).await.unwrap();
    assert_eq!(kind(&ann, "math.double").await, Kind::NotFound);
    let new: Arguments = ["eve", "long enough"].into_iter().collect();
    root.call("user.add", new.clone()).await.unwrap();
    assert_eq!(root.call("user.add", new).await.unwrap_err().kind(), Kind::Conflict);
    arrive(&core).login("eve", Proof::Password("long enough")).await.unwrap();
}

#[tokio::test]
async fn everything_is_counted_once() {
    let core = core();
    let (guest, ann) = login(&core, "ann").await;
    call(&ann, "add", &[1, 1]).await.unwrap();
    let _ = call(&ann, "nope", &[]).await;
    let _ = call(&ann, "add", &[]).await;
    let counts = core.stats().total();
    assert_eq!((counts.calls_good, counts.calls_bad), (1, 2));
    assert_eq!((counts.connections, counts.logins_good, counts.in_flight), (1, 1, 0));
    drop(guest);
    assert_eq!(core.stats().total().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_counted_and_listed_by_a_name_of_bounded_length() {
    let databases = vec!["*".into()];
    let core = Core::new(Settings { databases, ..Settings::default() }).unwrap();
    let wait = Function::build("wait").asynchronous(|_, _| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(Reply::Value(Value::Null))
        })
    });
    core.register(vec![wait]).unwrap();
    core.put_user(User::new("ann", "secret").right("call *"));
    let (_guest, session) = login(&core, "ann").await;
    session.call("system.version", Arguments::default()).await.unwrap();
    let name = format!("{}.wait", "x".repeat(1_000_000));
    session.call(&name, Arguments::default()).await.unwrap();
    let slow = core.stats().slow_calls();
    assert_eq!((slow.len(), core.stats().total().calls_slow), (1, 1));
    assert_eq!(slow[0].name.len(), 200);
    assert!(slow[0].good && slow[0].took >= Duration::from_secs(2));
}
