use super::*;
use polyport_core::{Interrupt, Reason};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[tokio::test(start_paused = true)]
async fn every_mode_is_answered_in_the_same_mode() {
    let server = Server::new();
    let compressions = [Compression::Zlib, Compression::Bz2, Compression::Xz];
    for compression in compressions.into_iter().map(Some).chain([None]) {
        for format in [Format::Json, Format::Packed] {
            let mut client = server.client(mode(format, compression));
            client.send(&login("ann", "secret")).await;
            let welcome = client.receive().await;
            assert_eq!(code(&welcome), 100);
            assert_eq!(welcome.get("DEBUG"), Some(&(format == Format::Json).into()));
            let name = compression.map_or(Value::Null, |c| c.name().into());
            assert_eq!(welcome.get("COMPRESER"), Some(&name));
            let text = "中文#".repeat(30_000);
            let answer = client.call("echo", list([text.as_str()])).await;
            assert_eq!(result(&answer), text.as_str().into());
            client.send(&call("s", "count", list([2]))).await;
            let mut codes = Vec::new();
            for _ in 0..4 {
                codes.push(client.code().await);
            }
            assert_eq!(codes, [201, 202, 202, 206]);
            assert_eq!(code(&client.call("boom", none()).await), 404);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_login_answer_has_all_that_the_original_gives() {
    let config = Config { description: "Sums".into(), ..Config::default() };
    let server = Server::with(config, Limits::default(), &[]);
    let mut client = server.client(PACKED);
    client.send(&login("ann", "secret")).await;
    let bytes = async {
        let mut bytes = vec![0; 200];
        let read = client.io.read(&mut bytes).await.unwrap();
        bytes.truncate(read);
        bytes
    };
    let bytes = bytes.await;
    assert!(!bytes.iter().any(|byte| matches!(byte, 0x00 | 0x11 | 0xff)), "{bytes:?}");
    let answer = read(&bytes[..bytes.len() - MARK.len()], Format::Packed);
    let want = request([
        ("CODE", 100.into()),
        ("VERSION", "0.0.1".into()),
        ("DESC", "Sums".into()),
        ("DEBUG", false.into()),
        ("COMPRESER", Value::Null),
        ("TIMEOUT", 180.into()),
    ]);
    assert_eq!(answer, want);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_before_the_login() {
    let server = Server::new();
    let mut client = server.client(JSON);
    client.send(&call("id", "echo", list([1]))).await;
    assert_eq!(client.code().await, 501);
    client.send(&login("ann", "secret")).await;
    client.send(&call("id", "echo", list([1]))).await;
    assert_eq!(client.code().await, 100);
    assert_eq!(result(&client.receive().await), 1.into());
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_told_and_ends_the_connection() {
    let server = Server::new();
    let odd = Value::map([("USERNAME", Value::Int(7)), ("PASSWORD", Value::Int(7))]);
    let bad = [login("ann", "wrong"), login("nobody", ""), request([("AUTH", odd)])];
    for login in bad {
        let mut client = server.client(PACKED);
        client.send(&login).await;
        assert_eq!(client.code().await, 501);
        assert!(client.is_closed().await);
    }
}

fn null_login() -> Value {
    request([("AUTH", Value::map([("USERNAME", Value::Null), ("PASSWORD", Value::Null)]))])
}

#[tokio::test(start_paused = true)]
async fn a_login_without_a_user_needs_an_anonymous_one() {
    let mut client = Server::new().client(JSON);
    client.send(&null_login()).await;
    assert_eq!(client.code().await, 501);
    assert!(client.is_closed().await);

    let server = Server::with(Config::default(), Limits::default(), &[("pymprpc", "nobody")]);
    let mut client = server.client(JSON);
    client.send(&null_login()).await;
    assert_eq!(client.code().await, 100);
    assert_eq!(result(&client.call("add", list([1, 2])).await), 3.into());
    let mut client = server.client(JSON);
    assert_eq!(result(&client.call("add", list([1, 2])).await), 3.into());
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_says_nothing_useful_is_sent_away() {
    let server = Server::new();
    let core = server.core.clone();
    tokio::spawn(async move { core.sweep_for_ever().await });
    let mut client = server.client(JSON);
    client.send(&request([("HEARTBEAT", "ping".into())])).await;
    assert_eq!(client.code().await, 101);
    assert_eq!(client.code().await, 501);
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_told_and_what_is_no_message_ends_the_connection() {
    let server = Server::new();
    let mut client = server.json().await;
    client.send(&request([("METHOD", "echo".into())])).await;
    assert_eq!(client.code().await, 506);
    assert_eq!(result(&client.call("add", list([1, 2])).await), 3.into());
    client.send(&Value::map([("MPRPC", Value::from("9.9")), ("ID", "x".into())])).await;
    assert_eq!(client.code().await, 505);
    assert!(client.is_closed().await);

    for garbage in [&b"{nonsense"[..], b"GET / HTTP/1.1", b"\r\n"] {
        let mut client = server.client(JSON);
        client.io.write_all(&[garbage, MARK].concat()).await.unwrap();
        assert_eq!(client.code().await, 505);
        assert!(client.is_closed().await);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_one_call_have_the_codes_and_texts_of_the_original() {
    let server = Server::new();
    let mut client = server.json().await;
    let cases = [
        ("nosuch", none(), 401, "method \"nosuch\" is not supported"),
        ("_add", none(), 401, "method \"_add\" is not supported"),
        ("add", list([1]), 402, "args can not bind to method add"),
        ("add", list([1, 2, 3]), 402, "args can not bind to method add"),
        ("add", "text".into(), 402, "args can not bind to method add"),
        ("add", list([1.into(), Value::from("x")]), 404, "Error:TypeError happend in method add"),
        ("boom", none(), 404, "Error:ValueError happend in method boom"),
        ("lookup", none(), 404, "Error:LookupError happend in method lookup"),
        ("admin_only", none(), 403, "not for you"),
    ];
    for (method, args, want, text) in cases {
        let answer = client.call(method, args.clone()).await;
        assert_eq!(error(&answer), (want, text.to_owned()));
        let data = part(&answer, "DATA");
        assert_eq!(data.get("METHOD"), Some(&method.into()));
        assert_eq!(data.get("ARGS"), Some(&args));
        assert_eq!(data.get("KWARGS"), Some(&Value::Map(vec![])));
    }
    client.send(&request([("ID", "x".into())])).await;
    let answer = client.receive().await;
    assert_eq!(error(&answer), (400, "request do not have method".to_owned()));
    assert_eq!(part(&answer, "EXCEPTION"), "<class 'pymprpc.errors.RequestError'>".into());
    assert_eq!(part(&answer, "DATA").get("ARGS"), Some(&Value::Null));
}

#[tokio::test(start_paused = true)]
async fn an_error_tells_more_where_that_is_wanted() {
    let config = Config { error_details: true, ..Config::default() };
    let server = Server::with(config, Limits::default(), &[]);
    let answer = server.json().await.call("boom", none()).await;
    let text = "Error:ValueError happend in method boom: no such luck";
    assert_eq!(error(&answer), (404, text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_large_request_is_not_repeated_in_its_error() {
    let mut client = Server::new().json().await;
    let answer = client.call("boom", list(["x".repeat(40_000)])).await;
    assert_eq!(code(&answer), 402);
    assert_eq!(part(&answer, "DATA").get("ARGS"), Some(&Value::Null));
}

#[tokio::test(start_paused = true)]
async fn ids_of_any_kind_are_repeated() {
    let mut client = Server::new().logged_in(PACKED).await;
    for id in [Value::Int(7), list([1, 2]), "x".into(), "x".into(), Value::Bytes(b"\xff".into())] {
        let mut message = call("id", "echo", list([1]));
        if let Value::Map(pairs) = &mut message {
            pairs[1].1 = id.clone();
        }
        client.send(&message).await;
        let answer = client.receive().await;
        assert_eq!((result(&answer), part(&answer, "ID")), (1.into(), id));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_go_out_as_calls_finish() {
    let mut client = Server::new().json().await;
    for (id, ms) in [("slow", 300), ("middle", 200), ("quick", 100)] {
        client.send(&call(id, "sleep", list([ms]))).await;
    }
    client.send(&call("now", "echo", list([1]))).await;
    for id in ["now", "quick", "middle", "slow"] {
        assert_eq!(part(&client.receive().await, "ID"), id.into());
    }
}

#[tokio::test(start_paused = true)]
async fn streams_run_beside_each_other_and_beside_calls() {
    let mut client = Server::new().json().await;
    client.send(&call("a", "tick", list([3]))).await;
    client.send(&call("b", "tick", list([3]))).await;
    let began = tokio::time::Instant::now();
    let (mut items, mut ended) = (0, 0);
    while ended < 2 {
        let answer = client.receive().await;
        items += i32::from(code(&answer) == 202);
        ended += i32::from(code(&answer) == 206);
    }
    assert_eq!(items, 6);
    assert!(began.elapsed() < Duration::from_millis(400));
    assert_eq!(result(&client.call("add", list([1, 2])).await), 3.into());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_half_way_ends_and_says_why() {
    let mut client = Server::new().json().await;
    client.send(&call("s", "broken", none())).await;
    assert_eq!(client.code().await, 201);
    assert_eq!(client.code().await, 202);
    let end = client.receive().await;
    assert_eq!(error(&end), (206, "Error:ValueError happend in method broken".to_owned()));
    assert_eq!(result(&client.call("add", list([1, 2])).await), 3.into());
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_a_client_that_does_not_read() {
    let server = Server::new();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let endless = Function::build("endless").inline(move |_, _| {
        let counter = counter.clone();
        Stream::new(futures_util::stream::repeat_with(move || {
            counter.fetch_add(1, SeqCst);
            "x".repeat(1000)
        }))
    });
    server.core.register(vec![endless]).unwrap();
    let mut client = server.json().await;
    client.send(&call("s", "endless", none())).await;
    settle().await;
    let behind = taken.load(SeqCst);
    assert!((60..300).contains(&behind), "{behind} items were made for nobody");
    for _ in 0..1000 {
        client.receive().await;
    }
    assert!(taken.load(SeqCst) >= 999);
}

fn endless() -> Function {
    Function::build("endless").inline(|_, _| Stream::new(futures_util::stream::repeat("x")))
}

#[tokio::test(start_paused = true)]
async fn an_endless_stream_hides_neither_requests_nor_operators() {
    let server = Server::new();
    server.core.register(vec![endless()]).unwrap();
    let mut client = server.json().await;
    client.send(&call("s", "endless", none())).await;
    client.code().await;
    client.send(&call("now", "echo", list([1]))).await;
    client.send(&call("t", "endless", none())).await;
    let mut seen = BTreeMap::new();
    while seen.len() < 3 || seen.values().any(|count| *count < 100) {
        let answer = client.receive().await;
        let id = part(&answer, "ID").as_text().unwrap().to_owned();
        *seen.entry(id).or_insert(0) += if code(&answer) == 200 { 100 } else { 1 };
    }
    server.core.connections().all()[0].interrupt(Interrupt::Close(Reason::Killed));
    let mut rest = Vec::new();
    client.io.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() < 4 * PIPE);
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_faster_than_their_answers_go_wait_in_the_socket() {
    let limits = Limits { buffer_bytes: 200_000, ..Limits::default() };
    let server = Server::with(Config::default(), limits, &[]);
    let mut client = server.logged_in(PACKED).await;
    let text = Function::build("text").inline(|_, _| "x".repeat(10_000));
    server.core.register(vec![text]).unwrap();
    let bytes = frame(&call("id", "text", none()), PACKED).repeat(10_000);
    let (near, _) = tokio::io::duplex(1);
    let (mut read, mut write) = tokio::io::split(std::mem::replace(&mut client.io, near));
    tokio::spawn(async move { write.write_all(&bytes).await.unwrap() });
    let (mut total, mut scratch) = (0, vec![0; 1 << 20]);
    while total < 10_000 * 10_000 {
        let bytes = read.read(&mut scratch).await.unwrap();
        assert!(bytes > 0, "closed after {total} bytes");
        total += bytes;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_wants_no_answer_gets_only_errors() {
    let mut client = Server::new().json().await;
    client.send(&delay("quiet", "echo", list([1]))).await;
    client.send(&delay("stream", "count", list([3]))).await;
    client.send(&delay("loud", "boom", none())).await;
    client.send(&call("last", "echo", list([1]))).await;
    let answer = client.receive().await;
    assert_eq!((code(&answer), part(&answer, "ID")), (404, "loud".into()));
    assert_eq!(part(&client.receive().await, "ID"), "last".into());
}

async fn fetch(client: &mut Client, job: &str) {
    client.send(&call("fetch", "system.getresult", list([job]))).await;
}

#[tokio::test(start_paused = true)]
async fn kept_results_are_fetched_when_they_are_there() {
    let mut client = Server::new().json().await;
    client.send(&delay("done", "echo", list([5]))).await;
    client.send(&delay("runs", "sleep", list([200]))).await;
    client.send(&delay("fails", "boom", none())).await;
    assert_eq!(client.code().await, 404);
    for _ in 0..2 {
        fetch(&mut client, "done").await;
        let answer = client.receive().await;
        assert_eq!((result(&answer), part(&answer, "ID")), (5.into(), "fetch".into()));
    }
    fetch(&mut client, "fails").await;
    assert_eq!(result(&client.receive().await), false.into());
    fetch(&mut client, "runs").await;
    fetch(&mut client, "runs").await;
    assert_eq!(result(&client.receive().await), 200.into());
    assert_eq!(result(&client.receive().await), 200.into());
    fetch(&mut client, "nosuch").await;
    let text = "Error:KeyError happend in method system.getresult";
    assert_eq!(error(&client.receive().await), (404, text.to_owned()));
    let answer = client.call("system.getresult", none()).await;
    assert_eq!(code(&answer), 402);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_while_its_result_is_awaited_gives_false() {
    let mut client = Server::new().json().await;
    client.send(&delay("job", "sleep", list(["nonsense"]))).await;
    assert_eq!(client.code().await, 404);
    fetch(&mut client, "job").await;
    assert_eq!(result(&client.receive().await), false.into());
}

#[tokio::test(start_paused = true)]
async fn a_kept_stream_comes_under_the_id_of_its_call_once() {
    let mut client = Server::new().json().await;
    client.send(&delay("job", "count", list([1]))).await;
    fetch(&mut client, "job").await;
    for want in [201, 202, 206] {
        let answer = client.receive().await;
        assert_eq!((code(&answer), part(&answer, "ID")), (want, "job".into()));
    }
    fetch(&mut client, "job").await;
    assert_eq!(client.code().await, 404);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_results_are_kept() {
    let config = Config { delayed_results: 2, ..Config::default() };
    let mut client = Server::with(config, Limits::default(), &[]).json().await;
    for id in ["a", "b", "c"] {
        client.send(&delay(id, "echo", list([id]))).await;
    }
    fetch(&mut client, "a").await;
    assert_eq!(client.code().await, 404);
    fetch(&mut client, "c").await;
    assert_eq!(result(&client.receive().await), "c".into());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_takes_its_calls_along() {
    let server = Server::new();
    let mut client = server.json().await;
    let before = ALIVE.get();
    client.send(&call("a", "sleep", list([1_000_000]))).await;
    client.send(&call("b", "tick", list([1_000_000]))).await;
    assert_eq!(client.code().await, 201);
    assert_eq!(ALIVE.get(), before + 2);
    drop(client);
    settle().await;
    assert_eq!(ALIVE.get(), before);
    assert_eq!(server.core.connections().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_told_and_closed_after_its_time() {
    let mut client = Server::new().json().await;
    let began = tokio::time::Instant::now();
    assert_eq!(client.code().await, 504);
    assert_eq!(began.elapsed().as_secs(), 180);
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn requests_and_running_calls_are_no_idleness() {
    let mut client = Server::new().json().await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    client.send(&request([("HEARTBEAT", "ping".into())])).await;
    assert_eq!(client.code().await, 101);
    tokio::time::sleep(Duration::from_secs(100)).await;
    client.send(&delay("quiet", "echo", list([1]))).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(result(&client.call("sleep", list([1_000_000])).await), 1_000_000.into());
    let began = tokio::time::Instant::now();
    assert_eq!(client.code().await, 504);
    assert!((179..182).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_calls_finish_and_streams_end() {
    let server = Server::new();
    let mut client = server.json().await;
    client.send(&call("call", "sleep", list([500]))).await;
    client.send(&call("stream", "tick", list([100]))).await;
    assert_eq!(client.code().await, 201);
    server.core.shut_down();
    let end = client.receive().await;
    assert_eq!((code(&end), part(&end, "ID")), (206, "stream".into()));
    assert_eq!(result(&client.receive().await), 500.into());
    assert_eq!(client.code().await, 503);
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn an_operator_stops_calls_or_the_connection() {
    let server = Server::new();
    let mut client = server.json().await;
    client.send(&call("call", "sleep", list([500]))).await;
    client.send(&call("stream", "tick", list([100]))).await;
    assert_eq!(client.code().await, 201);
    let connection = server.core.connections().all().remove(0);
    connection.interrupt(Interrupt::Call);
    let mut codes = [client.code().await, client.code().await];
    codes.sort_unstable();
    assert_eq!(codes, [206, 404]);
    assert_eq!(result(&client.call("add", list([1, 2])).await), 3.into());
    connection.interrupt(Interrupt::Close(Reason::Killed));
    assert_eq!(client.code().await, 503);
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_the_mode_cannot_say_is_an_error() {
    let server = Server::new();
    let mut json = server.json().await;
    let wide = result(&json.call("wide", none()).await);
    assert_eq!(wide, Value::from_big(num_bigint::BigInt::from(1) << 64));
    assert_eq!(code(&json.call("pickle", none()).await), 404);
    let mut packed = server.logged_in(PACKED).await;
    for method in ["wide", "pickle"] {
        let text = format!("Error:ValueError happend in method {method}");
        assert_eq!(error(&packed.call(method, none()).await), (404, text));
    }
    let marked = list(["x##PRO-END##y"]);
    assert_eq!(result(&json.call("echo", marked.clone()).await), "x##PRO-END##y".into());
    let answer = packed.call("echo", marked).await;
    assert_eq!(code(&answer), 404);
    assert_eq!(part(&answer, "DATA").get("ARGS"), Some(&Value::Null));
    packed.send(&call("##PRO-END##", "echo", list([1]))).await;
    assert_eq!(packed.code().await, 506);
    assert_eq!(result(&packed.call("add", list([1, 2])).await), 3.into());
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_reply_has_one_form() {
    let mut client = Server::new().json().await;
    let rows = [Value::map([("a", 1), ("b", 2)]), Value::map([("a", 3), ("b", 4)])];
    assert_eq!(result(&client.call("table", none()).await), list(rows));
    let many = result(&client.call("many", none()).await);
    assert_eq!(many, list([Value::Int(1), list([0, 1])]));
}

#[tokio::test(start_paused = true)]
async fn a_message_over_its_limit_ends_the_connection() {
    let limits =
        Limits { message_bytes: 100_000, stranger_message_bytes: 10_000, ..Limits::default() };
    let server = Server::with(Config::default(), limits, &[]);
    for mode in [JSON, PACKED, mode(Format::Packed, Some(Compression::Xz))] {
        let mut client = server.client(mode);
        client.send(&login("ann", &"x".repeat(11_000))).await;
        assert_eq!(client.code().await, 505);
        let mut client = server.logged_in(mode).await;
        let answer = client.call("echo", list(["x".repeat(90_000)])).await;
        assert_eq!(result(&answer).as_text().unwrap().len(), 90_000);
        client.send(&call("id", "echo", list(["x".repeat(110_000)]))).await;
        assert_eq!(client.code().await, 505);
        assert!(client.is_closed().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_end_is_refused_when_it_is_too_long() {
    let limits = Limits { stranger_message_bytes: 10_000, ..Limits::default() };
    let server = Server::with(Config::default(), limits, &[]);
    let mut client = server.client(JSON);
    client.io.write_all(&[b'{'; 11_000]).await.unwrap();
    assert_eq!(client.code().await, 505);
}

#[tokio::test(start_paused = true)]
async fn too_many_calls_at_once_are_refused_one_by_one() {
    let limits = Limits { calls_per_connection: 2, ..Limits::default() };
    let server = Server::with(Config::default(), limits, &[]);
    let mut client = server.json().await;
    for id in ["a", "b", "c"] {
        client.send(&call(id, "sleep", list([100]))).await;
    }
    let busy = client.receive().await;
    assert_eq!((code(&busy), part(&busy, "ID")), (404, "c".into()));
    assert_eq!(result(&client.receive().await), 100.into());
    assert_eq!(result(&client.receive().await), 100.into());
}

#[tokio::test(start_paused = true)]
async fn introspection_is_as_the_client_expects_it() {
    let mut client = Server::new().json().await;
    let Value::List(names) = result(&client.call("system.listMethods", none()).await) else {
        panic!()
    };
    assert!(names.is_sorted_by_key(|name| name.as_text().unwrap().to_owned()));
    assert!(names.contains(&"add".into()) && names.contains(&"system.listMethods".into()));
    assert!(!names.contains(&"system.getresult".into()));
    let help = client.call("system.methodHelp", list(["add"])).await;
    assert_eq!(result(&help), "Adds.".into());
    let connections = client.call("system.lenConnections", none()).await;
    assert_eq!(result(&connections), 1.into());
    client.send(&call("s", "tick", list([9]))).await;
    assert_eq!(client.code().await, 201);
    let running = client.call("system.lenUndoneTasks", none()).await;
    assert_eq!(result(&running), 2.into());
}

#[tokio::test(start_paused = true)]
async fn a_session_cut_anywhere_is_answered_alike() {
    let server = Server::new();
    for mode in [JSON, PACKED, mode(Format::Json, Some(Compression::Zlib))] {
        let transcript = [
            frame(&login("ann", "secret"), mode),
            frame(&call("a", "echo", list(["x#y"])), mode),
            frame(&call("b", "nosuch", none()), mode),
            frame(&request([("HEARTBEAT", "ping".into())]), mode),
        ]
        .concat();
        for cut in 0..transcript.len() {
            let mut client = server.client(mode);
            client.io.write_all(&transcript[..cut]).await.unwrap();
            settle().await;
            client.io.write_all(&transcript[cut..]).await.unwrap();
            for want in [100, 200, 401, 101] {
                assert_eq!(client.code().await, want);
            }
        }
    }
}
