use super::*;

fn ints(numbers: &[i64]) -> Vec<Value> {
    numbers.iter().copied().map(Value::Int).collect()
}

#[test]
fn every_way_to_write_a_call_is_the_same_call() {
    let mut client = Client::new();
    for text in [
        "call myadd(3,4)",
        "CALL myadd(3, 4);",
        "Call `myadd` ( 3 , 4 ) ;  ",
        "/* hello */ call myadd(3,4) -- bye",
        "call myadd(3,4) # bye",
        "{call myadd(3,4)}",
        " { CALL myadd(3,4) } ",
        "/*!50003 call myadd(3,4) */",
        "call myadd(1+2, 2*2)",
        "call myadd((3),(4))",
        "call myadd(+3, 4)",
    ] {
        assert_eq!(client.call(text), ("myadd".into(), ints(&[3, 4])), "{text}");
    }
    assert_eq!(client.call("call pymysqlrpcinfo"), ("pymysqlrpcinfo".into(), vec![]));
    assert_eq!(client.call("call pymysqlrpcinfo()"), ("pymysqlrpcinfo".into(), vec![]));
    assert_eq!(client.call("call polyport.myadd(1)").0, "polyport.myadd");
    assert_eq!(client.call("call `polyport`.`a``b`(1)").0, "polyport.a`b");
    assert_eq!(client.call("call a.b.c(1)").0, "a.b.c");
}

#[test]
fn arguments_are_literals_of_both_languages() {
    let mut client = Client::new();
    let (list, tuple) = (Value::List, Value::Tuple);
    let text = |text: &'static str| Value::from(text);
    let bytes = |bytes: &'static [u8]| Value::Bytes(bytes.into());
    for (argument, value) in [
        ("NULL", Value::Null),
        ("None", Value::Null),
        ("True", Value::Bool(true)),
        ("FALSE", Value::Bool(false)),
        ("-5", Value::Int(-5)),
        ("0.5", Value::Float(0.5)),
        ("1.5e0", Value::Float(1.5)),
        ("-2.5", Value::Float(-2.5)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("18446744073709551615", Value::from_big(u64::MAX.into())),
        (r"'it\'s'", text("it's")),
        ("'it''s'", text("it's")),
        ("\"a'b\"", text("a'b")),
        (r"'\\\n\0'", text("\\\n\0")),
        ("'a' 'b'", text("ab")),
        (r"u'\u4e2d'", text("中")),
        (r"'\xe9'", text("é")),
        ("N'x'", text("x")),
        ("_utf8mb4'x'", text("x")),
        ("b'ab\\x00'", bytes(b"ab\0")),
        ("B'101'", bytes(b"\x05")),
        ("_binary'a\\0'", bytes(b"a\0")),
        ("X'00ff'", bytes(b"\0\xff")),
        ("0x41", bytes(b"A")),
        ("[]", list(vec![])),
        ("[1, [2, 'x'],]", list(vec![Value::Int(1), list(vec![Value::Int(2), text("x")])])),
        ("()", tuple(vec![])),
        ("(1,)", tuple(ints(&[1]))),
        ("(1, 2)", tuple(ints(&[1, 2]))),
        ("{'a': 1}", Value::map([("a", 1)])),
        ("{}", Value::Map(vec![])),
        ("{1, 2, 1}", Value::Set(ints(&[1, 2]))),
        ("[1+1]", list(ints(&[2]))),
        ("{'a': 1+1}", Value::map([("a", 2)])),
        ("'parens f(x, y);'", text("parens f(x, y);")),
    ] {
        let call = format!("call echo({argument})");
        assert_eq!(client.call(&call).1, [value], "{argument}");
    }
}

#[test]
fn raw_bytes_arrive_with_and_without_a_mark_before_them() {
    let mut client = Client::new();
    let text = b"call echo(_binary'\xff\x00\\'')";
    let (action, _) = run(text, &[], &mut client.state, &client.session).unwrap();
    let Action::Call { arguments, .. } = action else { panic!("{action:?}") };
    assert_eq!(arguments, [Value::Bytes(b"\xff\0'".into())]);
    let text = b"call echo('\xff\x00\\'')";
    let (action, _) = run(text, &[], &mut client.state, &client.session).unwrap();
    let Action::Call { arguments, .. } = action else { panic!("{action:?}") };
    assert_eq!(arguments, [Value::Bytes(b"\xff\0'".into())]);
    let error = run(b"show tables like '\xff'", &[], &mut client.state, &client.session);
    assert_eq!(error.unwrap_err().errno, 1300);
}

#[test]
fn variables_are_arguments_and_are_named_for_what_comes_back() {
    let mut client = Client::new();
    client.done("SET @`_f_0`=3,@`_f_1`='x'");
    for text in ["CALL `f`(@`_f_0`,@`_f_1`)", "call f(@_f_0, @_F_1)"] {
        let action = client.run(text).unwrap();
        let Action::Call { arguments, variables, .. } = action else { panic!("{action:?}") };
        assert_eq!(arguments, [Value::Int(3), "x".into()]);
        assert_eq!(variables, [Some("_f_0".into()), Some("_f_1".into())]);
    }
    let action = client.run("call f(1, @_f_0, 2+2, 'x')").unwrap();
    let Action::Call { arguments, variables, .. } = action else { panic!("{action:?}") };
    assert_eq!(arguments.len(), 4);
    assert_eq!(variables, [None, Some("_f_0".into()), None, None]);
    client.state.assign(&"_f_0".into(), 9.into()).unwrap();
    assert_eq!(client.value("select @_f_0"), Value::Int(9));
}

#[test]
fn callproc_with_a_decimal_is_a_call_with_a_float() {
    let mut client = Client::new();
    client.done("SET @_echo_arg1=2.5");
    assert_eq!(client.call("CALL echo(@_echo_arg1)").1, [Value::Float(2.5)]);
    assert_eq!(client.call("CALL echo(@_echo_arg1, 1+1)").1[0], Value::Float(2.5));
}

#[test]
fn marks_take_the_values_that_were_sent() {
    let mut client = Client::new();
    let values = [Value::Int(3), "x".into()];
    for text in ["call f(?, ?)", "call f(?, concat(?, ''))"] {
        let (action, _) =
            run(text.as_bytes(), &values, &mut client.state, &client.session).unwrap();
        let Action::Call { arguments, .. } = action else { panic!("{action:?}") };
        assert_eq!(arguments, values, "{text}");
    }
    let (action, _) = run(b"{? = call f(?)}", &values, &mut client.state, &client.session).unwrap();
    let Action::Call { arguments, .. } = action else { panic!("{action:?}") };
    assert_eq!(arguments, ["x".into()]);
    let error = run(b"call f(?)", &[], &mut client.state, &client.session).unwrap_err();
    assert_eq!(error.errno, 1210);
}

#[test]
fn marks_are_counted_outside_of_quotes_and_comments() {
    let state = State::default();
    for (text, count) in [
        ("call f(?, ?)", 2),
        ("call f('?', \"?\", `?`, ?) -- ?", 1),
        ("/* ? */ select ? # ?", 1),
        ("select 1", 0),
    ] {
        assert_eq!(super::super::count_parameters(text.as_bytes(), &state), Ok(count), "{text}");
    }
    assert_eq!(super::super::count_parameters(b"call f('?", &state).unwrap_err().errno, 1064);
}

#[test]
fn a_function_can_be_all_of_a_select() {
    let mut client = Client::new();
    for (text, then) in [
        ("SELECT myadd(3,4)", Then::Cell("myadd(3,4)".into())),
        ("select polyport.myadd( 3, 4 ) as sum;", Then::Cell("sum".into())),
        ("select myadd(3, 4) into @s", Then::Assign("s".into())),
        ("set @s = myadd(1+2, 4)", Then::Assign("s".into())),
        ("do myadd(3, 4)", Then::Drop),
    ] {
        let action = client.run(text).unwrap();
        let Action::Call { arguments, then: found, .. } = action else { panic!("{action:?}") };
        assert_eq!(found, then, "{text}");
        assert_eq!(arguments, ints(&[3, 4]), "{text}");
    }
    assert_eq!(client.errno("select 1 + myadd(3, 4)").0, 1235);
    let (errno, message) = client.errno("select nope(1)");
    assert_eq!((errno, message.as_str()), (1305, "FUNCTION polyport.nope does not exist"));
}

#[test]
fn several_statements_come_back_one_after_the_other() {
    let mut client = Client::new();
    let text = b"set @a = ';'; select @a ; /* ; */ call f(1);  -- done";
    let (first, rest) = run(text, &[], &mut client.state, &client.session).unwrap();
    assert_eq!((first, rest), (Action::Done, &text[14..]));
    let (_, rest) = run(rest, &[], &mut client.state, &client.session).unwrap();
    assert_eq!(rest, b"call f(1);  -- done");
    let (_, rest) = run(rest, &[], &mut client.state, &client.session).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn a_call_that_is_none_is_told_where() {
    let mut client = Client::new();
    for (text, near) in [
        ("call", "''"),
        ("call f(", "''"),
        ("call f(1", "''"),
        ("call f(1,)", "')'"),
        ("call f(1 2)", "'2)'"),
        ("call f('x", "''x'"),
        ("call f(1)) x", "') x'"),
        ("callf(1)", "'callf(1)'"),
    ] {
        let (errno, message) = client.errno(text);
        assert_eq!(errno, 1064, "{text}");
        assert!(message.ends_with(&format!("near {near} at line 1")), "{text}: {message}");
    }
    assert_eq!(client.errno("\n\n call f(1 2)").1.split(" at line ").nth(1), Some("3"));
}

#[test]
fn long_lists_of_literals_pass() {
    let mut client = Client::new();
    let list = format!("[{}1]", "1, ".repeat(300_000));
    let (_, arguments) = client.call(&format!("call f({list})"));
    let (_, same) = client.call(&format!("call f({list}, 1 + 1)"));
    assert_eq!(arguments[0], same[0]);
    assert!(matches!(&same[0], Value::List(items) if items.len() == 300_001));
}
