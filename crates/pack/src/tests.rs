//! Values of every kind, whole, cut, and made to do harm. The frames around them have tests of
//! their own, in the protocols.

use std::sync::Arc;

use polyport_core::{Column, Fault, Kind, Opaque, Reply, Rows, Time, Type, Value};

use crate::{Bounds, Error, FRAME_HEAD_BYTES, Reader, append, append_frame, append_reply};

const BOUNDS: Bounds = Bounds { depth: 100, values: 1_000, foreign: true };

fn opaque(dialect: &'static str) -> Value {
    Value::Opaque(Arc::new(Opaque { dialect, bytes: b"\x80\x04".into() }))
}

fn values() -> Vec<Value> {
    let time = |text| Value::Time(Time::parse(text).unwrap());
    let big = |text: &str| Value::from_big(text.parse().unwrap());
    vec![
        Value::Null,
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        big("18446744073709551615"),
        big("-9223372036854775809"),
        big(&"7".repeat(300)),
        Value::Float(-0.25),
        Value::Decimal(Box::new("-1.50".parse().unwrap())),
        Value::Text("größe".into()),
        Value::Bytes(vec![0xff; 300].into()),
        time("2026-11-21"),
        time("2026-11-21 15:04:05.000006"),
        time("-838:59:59.5"),
        Value::List((0..20).map(Value::Int).collect()),
        Value::Tuple(vec![Value::Int(1), Value::Tuple(vec![])]),
        Value::Set(vec!["a".into(), Value::Tuple(vec![Value::Null])]),
        Value::Map(vec![(Value::Int(1), Value::Null), (Value::Null, "x".into())]),
        opaque("pickle"),
    ]
}

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, value).unwrap();
    out
}

fn read(bytes: &[u8], bounds: Bounds) -> Result<Value, Error> {
    let mut reader = Reader::new(bytes, bounds);
    let value = reader.value()?;
    reader.end().map(|()| value)
}

#[test]
fn every_value_reads_back_as_written_and_no_part_of_it_does() {
    for value in values() {
        let bytes = written(&value);
        assert_eq!(read(&bytes, BOUNDS), Ok(value.clone()));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut], BOUNDS).is_err(), "{value:?} cut at {cut}");
        }
        let more = [&bytes[..], b"\xc0"].concat();
        assert_eq!(read(&more, BOUNDS), Err(Error::Malformed("bytes follow the value")));
    }
}

#[test]
fn tables_and_several_answers_are_answers_and_no_values() {
    let columns = [Column::from("a"), Column::typed("b", Type::Decimal)];
    let rows = Rows::new(columns).row([1, 2]);
    let reply = Reply::Many(vec![Reply::Rows(rows), Reply::Value(Value::Null)]);
    let mut bytes = Vec::new();
    append_reply(&mut bytes, &reply).unwrap();
    let again = Reader::new(&bytes, BOUNDS).reply().unwrap();
    assert_eq!(format!("{again:?}"), format!("{reply:?}"));
    assert!(read(&bytes, BOUNDS).is_err());
}

#[test]
fn foreign_objects_and_absent_arguments_are_read_only_where_they_may_be() {
    let stranger = Bounds { foreign: false, ..BOUNDS };
    for object in [opaque("pickle"), opaque(polyport_core::function::OWN_DEFAULT)] {
        let bytes = written(&Value::List(vec![object]));
        assert!(read(&bytes, BOUNDS).is_ok());
        let refused = read(&bytes, stranger).unwrap_err();
        assert!(matches!(refused, Error::Refused(Kind::Unsupported, _)), "{refused}");
    }
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| [&vec![0x91; depth][..], b"\xc0"].concat();
    assert!(read(&nested(100), BOUNDS).is_ok());
    for depth in [101, 100_000] {
        let error = read(&nested(depth), BOUNDS).unwrap_err();
        assert!(matches!(error, Error::Refused(Kind::TooLarge, _)));
    }
    let many =
        |count: u16| [&b"\xdc"[..], &count.to_be_bytes(), &vec![0xc0; usize::from(count)]].concat();
    assert!(read(&many(1_000), BOUNDS).is_ok());
    assert!(matches!(read(&many(1_001), BOUNDS), Err(Error::Refused(Kind::TooLarge, _))));
}

#[test]
fn a_frame_holds_its_length_and_a_failed_one_leaves_nothing() {
    let mut out = b"before".to_vec();
    let fault = || Fault::new(Kind::TooLarge, "too long");
    let failed = append_frame(&mut out, |out| {
        out.push(0xc0);
        Err(fault())
    });
    assert_eq!((failed, &out[..]), (Err(fault()), &b"before"[..]));
    append_frame(&mut out, |out| append(out, &Value::Null)).unwrap();
    assert_eq!(out, b"before\xce\0\0\0\x01\xc0");
    assert_eq!(FRAME_HEAD_BYTES, 5);
}
