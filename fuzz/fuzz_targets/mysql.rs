#![no_main]

use polyport_core::verifier::client::sha1_answer;
use polyport_mysql::{Config, Mysql};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

// After the login: commands, statements and their arguments.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    polyport_fuzz::run(|| Mysql::new(Config::default()), Some(|pipe| Box::pin(log_in(pipe))), data);
});

const NATIVE: &[u8] = b"mysql_native_password\0";

async fn packet(pipe: &mut DuplexStream) -> Vec<u8> {
    let mut head = [0; 4];
    pipe.read_exact(&mut head).await.expect("a packet");
    let mut body = vec![0; usize::from(head[0]) | usize::from(head[1]) << 8];
    pipe.read_exact(&mut body).await.expect("a whole packet");
    body
}

async fn send(pipe: &mut DuplexStream, sequence: u8, body: &[u8]) {
    let length = u8::try_from(body.len()).expect("a short packet");
    pipe.write_all(&[length, 0, 0, sequence]).await.expect("the server reads");
    pipe.write_all(body).await.expect("the server reads");
}

/// Logs in as MySQL's first own method has it, by way of the switch that the server may ask for.
async fn log_in(pipe: &mut DuplexStream) {
    let greeting = packet(pipe).await;
    let after_version = greeting.iter().position(|byte| *byte == 0).expect("a version") + 1;
    let first = &greeting[after_version + 4..][..8];
    let second = &greeting[after_version + 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10..][..12];
    let salt = [first, second].concat();

    // Protocol 4.1, a password of 20 bytes, several statements and results, named method.
    let capabilities: u32 = 0x0000_0200 | 0x0000_8000 | 0x0003_0000 | 0x0008_0000;
    let mut answer = capabilities.to_le_bytes().to_vec();
    answer.extend([0, 0, 0, 1, 45]);
    answer.extend([0; 23]);
    answer.extend(b"ann\0\x14");
    answer.extend(sha1_answer("pw", &salt));
    answer.extend(NATIVE);
    send(pipe, 1, &answer).await;
    let mut reply = packet(pipe).await;
    if reply.first() == Some(&0xfe) {
        let salt = &reply[1 + NATIVE.len()..][..20];
        let again = sha1_answer("pw", salt);
        send(pipe, 3, &again).await;
        reply = packet(pipe).await;
    }
    assert_eq!(reply.first(), Some(&0), "the fuzzer's own login is refused");
}
