//! Frames of every kind, whole, cut, changed at random, and made to do harm.

use std::sync::Arc;

use polyport_core::{
    Arguments, Column, Fault, Kind, Opaque, Param, Ran, Reply, Rows, Signature, Time, Type, Value,
};

use super::description::{Declaration, Description, Hello, Pool};
use super::frame::{
    Call, Context, Frame, Level, Log, Nested, Origin, Sender, Welcome, decode, encode_call,
};
use super::{Bounds, Error, TOO_LONG};

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, depth: 100, values: 100_000 };

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

fn values() -> Vec<Value> {
    let time = |text| Value::Time(Time::parse(text).unwrap());
    let big = |text: &str| Value::from_big(text.parse().unwrap());
    let opaque = |dialect| Value::Opaque(Arc::new(Opaque { dialect, bytes: b"\x80\x04".into() }));
    let edges = [0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, i64::MAX, -1, -32, -33, -128];
    let wide = [-129, -32_768, -32_769, -(1 << 31), -(1 << 31) - 1, i64::MIN];
    let mut all: Vec<_> = edges.into_iter().chain(wide).map(Value::Int).collect();
    all.extend([
        Value::Null,
        Value::Bool(true),
        Value::Bool(false),
        Value::Float(0.25),
        Value::Float(f64::NEG_INFINITY),
        big("18446744073709551615"),
        big("18446744073709551616"),
        big("-9223372036854775809"),
        big(&format!("-{}", "7".repeat(4_000))),
        Value::Decimal(Box::new("-1.50".parse().unwrap())),
        Value::Decimal(Box::new("0.000".parse().unwrap())),
        Value::Text("".into()),
        Value::Text("é".repeat(16).into()),
        Value::Text("é".repeat(128).into()),
        Value::Text("é".repeat(40_000).into()),
        Value::Bytes(b"".into()),
        Value::Bytes(vec![0xff; 300].into()),
        Value::Bytes(vec![0xff; 70_000].into()),
        time("2026-11-21"),
        time("2026-11-21 15:04:05"),
        time("2026-11-21 15:04:05.000006"),
        time("2026-11-21 15:04:05.000000007"),
        time("-838:59:59.5"),
        time("00:00:00"),
        Value::Time(Time::Date("-004712-01-01".parse().unwrap())),
        Value::Time(Time::Span(jiff::SignedDuration::MIN)),
        Value::Time(Time::Span(jiff::SignedDuration::MAX)),
        list((0..15).map(Value::Int)),
        list((0..16).map(Value::Int)),
        Value::Tuple(vec![]),
        Value::Tuple(vec![Value::Int(1), Value::Tuple(vec![Value::Null])]),
        Value::Set(vec!["a".into(), Value::Tuple(vec![Value::Int(1)])]),
        Value::Map(vec![
            (Value::Int(1), Value::Null),
            ("k".into(), list([])),
            (Value::Tuple(vec![1.into(), Value::Set(vec![2.into()])]), Value::Map(vec![])),
            (Value::Null, Value::Float(f64::NAN)),
        ]),
        opaque("pickle"),
        opaque("msgpack"),
        Value::Opaque(Arc::new(Opaque {
            dialect: polyport_core::function::OWN_DEFAULT,
            bytes: b"".into(),
        })),
    ]);
    all
}

fn replies() -> Vec<Reply> {
    let columns = [Column::from("a"), Column::typed("b", Type::Decimal)];
    let rows = || Rows::new(columns.clone()).row([1, 2]).cells(vec![Value::Null, "é".into()]);
    let nested = vec![Reply::Rows(rows()), Reply::Value(Value::Null), Reply::Many(vec![])];
    let mut all: Vec<_> = values().into_iter().map(Reply::Value).collect();
    all.extend([
        Reply::Rows(rows()),
        Reply::Rows(Rows::default()),
        Reply::Many(vec![Reply::Many(nested), Reply::Value(7.into())]),
    ]);
    all
}

fn hello() -> Hello {
    let function = |name, params, property: Option<bool>| Declaration {
        signature: Signature { params, returns: Type::Int },
        help: "Adds.\n\nTwice.".into(),
        stream: property.is_none(),
        property,
        ..Declaration::new(name)
    };
    let many = vec![
        Param::new("a", Type::Int),
        Param::new("b", Type::Number).or(Value::Null),
        Param { nullable: true, ..Param::new("c", Type::Text) }.or("x"),
        Param::new("more", Type::Any).rest(),
        Param::new("only", Type::Map).or_own("<object>").only_named(),
        Param::new("others", Type::Any).named_rest(),
    ];
    let functions = vec![
        function("math.add_2", many, None),
        function("größe", vec![Param::new("value", Type::Any).rest()], Some(true)),
        Declaration { pool: "threads:4".into(), ..function("stock.count", vec![], Some(false)) },
    ];
    let wide = Pool { concurrency: 4, workers: Some(1), sticky: true, state: true };
    let pools = [("plain".into(), Pool::default()), ("threads:4".into(), wide)].into();
    let description =
        Description { runtime: "CPython 3.11.7".into(), progress: true, functions, pools };
    Hello { files: vec!["/srv/app.py".into()], loaded: Ok(description) }
}

fn broken() -> Hello {
    let error = Fault::raised("SyntaxError", "invalid syntax").with("line", 3).with_trace("a\nb");
    Hello { files: vec![], loaded: Err(error) }
}

fn call(id: u64, context: Context) -> Frame {
    let arguments = Arguments { positional: values(), named: vec![] };
    Frame::Call(Call { id, name: "math.add".into(), arguments, context })
}

fn origin() -> Context {
    let (user, protocol, peer) = ("ann".into(), "mysql".into(), "127.0.0.1:3308".into());
    let left_ms = Some(1 << 40);
    Context::Origin(Origin { session: 7, user, protocol, peer, left_ms, chain: u64::MAX, depth: 2 })
}

fn nested() -> Frame {
    let arguments = Arguments::from_iter([1, 2]).named("c", Value::Null).named("d", "é");
    let context = Context::Nested(Nested { serving: 1, limit_ms: None });
    Frame::Call(Call { id: 2, name: "system.methodHelp".into(), arguments, context })
}

fn from_worker() -> Vec<Frame> {
    let columns = vec![Column::from("a"), Column::typed("b", Type::Time)];
    let fields = vec![("line".into(), Value::Int(1)), ("é".into(), list(values()))];
    let mut all = vec![
        Frame::Hello(hello()),
        Frame::Hello(broken()),
        nested(),
        Frame::Stream { id: 1, columns },
        Frame::Stream { id: u64::MAX, columns: vec![] },
        Frame::Fail { id: 3, fault: Fault::numbered(1234, "no").with("a", 1).with_trace("t") },
        Frame::Log(Log { level: Level::Warn, target: "app".into(), message: "m".into(), fields }),
        Frame::Pong(9),
        Frame::Drain,
    ];
    all.extend(replies().into_iter().map(|reply| Frame::Done { id: 1, reply }));
    all.extend(values().into_iter().map(|value| Frame::Item { id: 300, value }));
    all
}

fn from_server() -> Vec<Frame> {
    let welcome = |progress, log| {
        let (index, message_bytes) = (3, 1 << 30);
        Frame::Welcome(Welcome { pool: "plain".into(), index, message_bytes, progress, log })
    };
    let mut all = vec![
        welcome(None, Level::Error),
        welcome(Some("/run/p".into()), Level::Trace),
        call(1, origin()),
        call(2, Context::Origin(Origin::default())),
        Frame::Done { id: 1, reply: Reply::Value(Value::Null) },
        Frame::Cancel { id: 70_000 },
        Frame::Credit { id: 1, count: 16 },
        Frame::Ping(0),
        Frame::Leave { session: 7 },
        Frame::Unknown(14),
        Frame::Unknown(u64::MAX),
    ];
    all.extend(Level::ALL.map(|level| welcome(None, level)));
    all
}

fn both_sides() -> [(Sender, Vec<Frame>); 2] {
    [(Sender::Worker, from_worker()), (Sender::Server, from_server())]
}

fn written(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out, BOUNDS.bytes).unwrap();
    out
}

fn read(bytes: &[u8]) -> Result<Frame, Error> {
    let (frame, consumed) = decode(bytes, Sender::Worker, BOUNDS)?.expect("the frame is whole");
    assert_eq!(consumed, bytes.len());
    Ok(frame)
}

/// A frame of these elements, written by hand.
fn raw(elements: &[&[u8]]) -> Vec<u8> {
    let content = elements.concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&b"\xce"[..], &length, &content].concat()
}

fn is_too_large(frame: &Frame) -> bool {
    matches!(frame, Frame::Fail { fault, .. } | Frame::ItemRefused { fault, .. }
        | Frame::CallRefused { fault, .. } if fault.kind() == Kind::TooLarge)
}

#[test]
fn every_frame_reads_back_as_written() {
    for (sender, frames) in both_sides() {
        for frame in frames {
            let bytes = written(&frame);
            let (again, consumed) = decode(&bytes, sender, BOUNDS).unwrap().unwrap();
            assert_eq!(format!("{again:?}"), format!("{frame:?}"));
            assert_eq!(consumed, bytes.len());
            assert_eq!(written(&again), bytes);
        }
    }
}

#[test]
fn a_frame_is_whole_with_its_last_byte_and_leaves_the_next_alone() {
    for (sender, frames) in both_sides() {
        for frame in frames {
            let bytes = written(&frame);
            for cut in (0..bytes.len().min(300)).chain([bytes.len() - 1]) {
                assert!(decode(&bytes[..cut], sender, BOUNDS).unwrap().is_none());
            }
            let more = [&bytes[..], b"\xce\0"].concat();
            let (again, consumed) = decode(&more, sender, BOUNDS).unwrap().unwrap();
            assert_eq!(format!("{again:?}"), format!("{frame:?}"));
            assert_eq!(consumed, bytes.len());
        }
    }
}

#[test]
fn frames_are_the_bytes_that_the_page_says() {
    let mut out = b"before".to_vec();
    let arguments = Arguments::from_iter([1, 2]);
    let user = Origin { session: 5, user: "u".into(), protocol: "p".into(), ..Origin::default() };
    encode_call(&mut out, 100, 1, "f", &arguments, &Context::Origin(user)).unwrap();
    let content = b"\x96\x02\x01\xa1f\x92\x01\x02\xc0\x97\x05\xa1u\xa1p\xa0\xc0\0\0";
    let head = [0xce, 0, 0, 0, content.len() as u8];
    assert_eq!(out, [&b"before"[..], &head, content].concat());

    let decimal = Value::Decimal(Box::new("1.5".parse().unwrap()));
    for (value, bytes) in [
        (decimal, &b"\xc9\0\0\0\x03\x021.5"[..]),
        (Value::from_big((-1_i128 << 64).into()), b"\xc9\0\0\0\x09\x01\xff\0\0\0\0\0\0\0\0"),
        (Value::Tuple(vec![Value::Null]), b"\xc9\0\0\0\x02\x06\x91\xc0"),
        (Value::Time(Time::parse("-00:00:01.5").unwrap()), &{
            let nanos = (-500_000_000_i32).to_be_bytes();
            [&b"\xc9\0\0\0\x0c\x05"[..], &(-1_i64).to_be_bytes(), &nanos].concat()
        }),
    ] {
        let frame = written(&Frame::Item { id: 1, value });
        assert_eq!(frame[8..], *bytes);
    }
}

#[test]
fn keys_and_elements_of_sets_are_sent_as_constants() {
    let pair = |key: Value, value: Value| Value::Map(vec![(key, value)]);
    let tuple = |items: Vec<Value>| Value::Tuple(items);
    let both = |inner: Value| list([pair(inner.clone(), Value::Null), Value::Set(vec![inner])]);
    for (sent, constant) in [
        (list([list([1.into()])]), tuple(vec![tuple(vec![1.into()])])),
        (Value::Set(vec![list([])]), Value::Set(vec![tuple(vec![])])),
        (pair(list([]), 1.into()), tuple(vec![tuple(vec![tuple(vec![]), 1.into()])])),
    ] {
        let frame = written(&Frame::Item { id: 1, value: both(sent) });
        let Frame::Item { value, .. } = read(&frame).unwrap() else { panic!("no item") };
        assert_eq!(value, both(constant));
    }
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    let more = b"\x01\xc1\xc1".as_slice();
    let ping = read(&raw(&[b"\x95\x09\x07", more])).unwrap();
    assert!(matches!(ping, Frame::Ping(7)), "{ping:?}");
    let unknown = read(&raw(&[b"\x92\xcd\x01\0", more])).unwrap();
    assert!(matches!(unknown, Frame::Unknown(256)), "{unknown:?}");
    let call = read(&raw(&[b"\x97\x02\x01\xa1f\x90\xc0\x93\x04\x05", more])).unwrap();
    let Frame::Call(Call { context, .. }) = call else { panic!("{call:?}") };
    assert_eq!(context, Context::Nested(Nested { serving: 4, limit_ms: Some(5) }));
    let fault = b"\x83\xa4kind\xa6raised\xa7message\xa1m\xa5color\xa3red";
    let fail = read(&raw(&[b"\x93\x06\x01", fault])).unwrap();
    assert!(matches!(&fail, Frame::Fail { id: 1, fault } if fault.message() == "m"), "{fail:?}");
}

#[test]
fn what_is_no_frame_is_an_error_at_once() {
    for bytes in [
        b"GET / HTTP/1.1\r\n".to_vec(),
        raw(&[]),
        raw(&[b"\xc0"]),
        raw(&[b"\x90"]),
        raw(&[b"\x91\xa4PING"]),
        raw(&[b"\x91\x09"]),
        raw(&[b"\x92\x09\xff"]),
        raw(&[b"\x93\x05\x01\xc1"]),
        raw(&[b"\x93\x05\x01\xa1\xff"]),
        raw(&[b"\x93\x05\x01\xd4\x02x"]),
        raw(&[b"\x93\x05\x01\xc7\x03\x021e5"]),
        raw(&[b"\x93\x05\x01\xc7\x0f\x032026-11-21T10:0"]),
        raw(&[b"\x93\x05\x01\xc7\x19\x042026-11-21 15:04:05-01:00"]),
        raw(&[b"\x93\x05\x01\xd7\x0512345678"]),
        raw(&[b"\x93\x05\x01\xd5\x06\x90\x90"]),
        raw(&[b"\x93\x05\x01\xd4\x0ax"]),
        raw(&[b"\x93\x05\x01\xc7\x09\x08\x92\xa6pickle\xc0"]),
        raw(&[b"\x93\x05\x01\xc7\x05\x10\x92\x91\xa1a\xc0"]),
        raw(&[b"\x93\x04\x01\xd5\x10\x92\x90\x90"]),
        raw(&[b"\x93\x03\x01\x91\x92\xa1a\xa3str"]),
        raw(&[b"\x93\x06\x01\x81\xa4kind\xa6raised"]),
        raw(&[b"\x96\x02\x01\xa1f\x90\xc0\x91\x01"]),
        raw(&[b"\x96\x02\x01\xa1f\x90\x81\x01\x01\x92\x01\xc0"]),
        raw(&[b"\x95\x0c\xa7warning\xa0\xa0\x80"]),
    ] {
        let error = decode(&bytes, Sender::Worker, BOUNDS).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}: {bytes:x?}");
    }
}

#[test]
fn each_side_reads_the_context_of_the_other() {
    assert!(decode(&written(&nested()), Sender::Server, BOUNDS).is_err());
    let call = written(&call(1, origin()));
    assert!(decode(&call, Sender::Worker, BOUNDS).is_err());
}

#[test]
fn a_length_over_the_limit_is_refused_before_its_bytes_arrive() {
    assert_eq!(decode(b"\xce\xff\xff\xff\xff", Sender::Worker, BOUNDS).unwrap_err(), TOO_LONG);
    let most = u32::try_from(BOUNDS.bytes).unwrap().to_be_bytes();
    let head = [&b"\xce"[..], &most].concat();
    assert!(decode(&head, Sender::Worker, BOUNDS).unwrap().is_none());
}

#[test]
fn a_length_within_a_frame_reserves_nothing() {
    for head in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x06",
        b"\xdc\xff\xff",
        b"\xde\xff\xff",
        b"\xc7\x05\x06\xdd\xff\xff\xff\xff",
    ] {
        for kind in [b"\x93\x04\x01", b"\x93\x05\x01"] {
            let bytes = raw(&[kind, head]);
            let loose = Bounds { values: usize::MAX, ..BOUNDS };
            let error = decode(&bytes, Sender::Worker, loose).unwrap_err();
            assert_eq!(error.to_string(), "the bytes end within a value", "{bytes:x?}");
        }
    }
}

/// Values that are nested as deep as it is said, each in its way.
fn nests(depth: usize) -> Vec<Vec<u8>> {
    let extended = |kind: u8| {
        let mut bytes = vec![0xc0];
        for _ in 0..depth {
            let length = u32::try_from(bytes.len() + 1).unwrap().to_be_bytes();
            bytes = [&b"\xc9"[..], &length, &[kind, 0x91], &bytes].concat();
        }
        bytes
    };
    let end = &b"\xc0"[..];
    vec![
        [&vec![0x91; depth], end].concat(),
        [&b"\x81\xc0".repeat(depth), end].concat(),
        [&vec![0x81; depth][..], end, &vec![0xc0; depth]].concat(),
        extended(6),
        extended(7),
    ]
}

#[test]
fn nesting_is_bounded_and_costs_the_one_call() {
    for bytes in nests(BOUNDS.depth) {
        assert!(!is_too_large(&read(&raw(&[b"\x93\x05\x01", &bytes])).unwrap()));
    }
    for depth in [BOUNDS.depth + 1, 20_000] {
        for bytes in nests(depth) {
            let frames = [
                raw(&[b"\x93\x04\x01", &bytes]),
                raw(&[b"\x93\x05\x01", &bytes]),
                raw(&[b"\x96\x02\x01\xa1f\x91", &bytes, b"\xc0\x92\x01\xc0"]),
            ];
            for frame in frames {
                assert!(is_too_large(&read(&frame).unwrap()));
            }
        }
    }
    let mut replies = vec![0x90];
    for _ in 0..=BOUNDS.depth {
        let length = u32::try_from(replies.len() + 1).unwrap().to_be_bytes();
        replies = [&b"\xc9"[..], &length, b"\x11\x91", &replies].concat();
    }
    assert!(is_too_large(&read(&raw(&[b"\x93\x05\x01", &replies])).unwrap()));
}

#[test]
fn the_number_of_values_is_bounded_and_a_pair_counts_twice() {
    let of = |head: u8, count: u32, each: usize| {
        let head = [&[head][..], &count.to_be_bytes()].concat();
        raw(&[b"\x93\x05\x01", &head, &vec![0xc0; count as usize * each]])
    };
    assert!(matches!(read(&of(0xdd, 100_000, 1)), Ok(Frame::Done { .. })));
    assert!(matches!(read(&of(0xdf, 50_000, 2)), Ok(Frame::Done { .. })));
    for bytes in [of(0xdd, 100_001, 1), of(0xdf, 50_001, 2)] {
        let frame = read(&bytes).unwrap();
        let Frame::Fail { id: 1, fault } = &frame else { panic!("{frame:?}") };
        assert_eq!((fault.kind(), fault.ran()), (Kind::TooLarge, Ran::Yes));
    }
}

#[test]
fn a_log_record_that_is_over_a_bound_still_arrives() {
    let deep = &nests(200)[0];
    let frame = read(&raw(&[b"\x95\x0c\xa4info\xa1t\xa1m\x81\xa1x", deep])).unwrap();
    let Frame::Log(Log { message, fields, .. }) = frame else { panic!("{frame:?}") };
    assert_eq!((message.as_str(), fields.len()), ("m", 1));
}

#[test]
fn numbers_that_nobody_could_print_fail_their_call() {
    for (kind, length) in [(b"\x01", 65_537_u32), (b"\x02", 4_301)] {
        let head = [&b"\xc9"[..], &length.to_be_bytes(), kind].concat();
        let digits = vec![b'7'; length as usize];
        assert!(is_too_large(&read(&raw(&[b"\x93\x05\x01", &head, &digits])).unwrap()));
    }
}

#[test]
fn what_another_language_may_well_send_by_mistake_fails_its_call() {
    for (kind, value) in [
        (Kind::Raised, &b"\xc7\x06\x10\x92\x91\xa1a\x91\x90"[..]),
        (Kind::Unsupported, b"\xc7\x08\x08\x92\xa3php\xc4\x01x"),
    ] {
        let frame = read(&raw(&[b"\x93\x05\x01", value])).unwrap();
        let Frame::Fail { id: 1, fault } = frame else { panic!("{frame:?}") };
        assert_eq!((fault.kind(), fault.ran()), (kind, Ran::Yes));
    }
}

#[test]
fn what_a_frame_cannot_hold_is_a_fault_and_leaves_the_output_as_it_was() {
    let mut out = b"before".to_vec();
    let long = Frame::Item { id: 1, value: Value::Text("x".repeat(100).into()) };
    let fault = long.encode(&mut out, 100).unwrap_err();
    assert_eq!((fault.kind(), fault.ran()), (Kind::TooLarge, Ran::No));
    assert!(long.encode(&mut out, 105).is_ok());
    out.truncate(6);
    let stream = polyport_core::Stream::new(futures_util::stream::iter([1]));
    let reply = Reply::Many(vec![Reply::Stream(stream)]);
    let fault = Frame::Done { id: 1, reply }.encode(&mut out, 100).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unsupported);
    assert_eq!(out, b"before");
}

/// A small generator, so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let to = at + random.below((bytes.len() - at).min(64));
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0x00, 0xff, 0xc1, 0xc7, 0xc9, 0xdd, 0xdf, 0xdb][random.below(8)],
            2 => bytes.truncate(at + 1),
            3 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                bytes.drain(at..to);
                bytes.push(0);
            }
        }
    }
    // Else nearly every mutation would stop at the head of its first frame.
    if random.below(4) > 0 && bytes.len() > 5 {
        let length = u32::try_from(bytes.len() - 5).unwrap().to_be_bytes();
        bytes[0] = 0xce;
        bytes[1..5].copy_from_slice(&length);
    }
    bytes
}

#[test]
fn ten_thousand_mutations_neither_panic_nor_hang() {
    let frames: Vec<_> = both_sides()
        .into_iter()
        .flat_map(|(sender, frames)| frames.into_iter().map(move |frame| (sender, frame)))
        .map(|(sender, frame)| (sender, written(&frame)))
        .filter(|(_, bytes)| bytes.len() < 20_000)
        .collect();
    let mut random = Random(0x5eed);
    let mut whole = 0;
    for round in 0..10_000 {
        let (sender, bytes) = &frames[round % frames.len()];
        let bytes = mutate(bytes, &mut random);
        let mut rest = &bytes[..];
        while let Ok(Some((frame, consumed))) = decode(rest, *sender, BOUNDS) {
            assert!(frame.encode(&mut Vec::new(), usize::MAX).is_ok(), "{frame:?}");
            whole += 1;
            rest = &rest[consumed..];
        }
    }
    assert!(whole > 1_000, "only {whole} mutations were frames");
}
