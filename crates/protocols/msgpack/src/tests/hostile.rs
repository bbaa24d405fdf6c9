use super::*;

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

fn transcripts() -> Vec<Vec<u8>> {
    let deep = (0..20).fold(Value::Null, |inner, _| list([inner]));
    let mut all = Vec::new();
    let compressions =
        [None, Some(Compression::Zlib), Some(Compression::Bz2), Some(Compression::Xz)];
    for format in [Format::Json, Format::Packed] {
        for compression in compressions {
            let mode = mode(format, compression);
            let messages = [
                login("ann", "secret"),
                call("a", "echo", list([deep.clone(), "中##PRO-END##文".into(), Value::Int(-1)])),
                delay("b", "add", list([1_i64 << 40, -(1 << 40)])),
                call("c", "system.getresult", list(["b"])),
                call("d", "count", list([3])),
                request([("HEARTBEAT", "ping".into())]),
            ];
            all.push(messages.iter().flat_map(|message| frame(message, mode)).collect());
        }
    }
    let mut standard = Vec::new();
    for message in [
        list([0.into(), 1.into(), "echo".into(), list([deep.clone()])]),
        list([2.into(), "add".into(), list([1, 2])]),
        list([1.into(), 7.into(), Value::Null, Value::Null]),
        list([0.into(), (1_i64 << 31).into(), "count".into(), list([3])]),
    ] {
        value::append(&mut standard, &message, true).unwrap();
    }
    all.push(standard);
    all
}

fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0x00, 0xff, 0xc1, 0xdd, 0xdf, 0xdb, b'"', b'{'][random.below(8)],
            2 => bytes.truncate(at + 1),
            3 => {
                let to = at + random.below(bytes.len() - at);
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let to = at + random.below(bytes.len() - at);
                bytes.drain(at..to);
                bytes.push(0);
            }
        }
    }
    bytes
}

/// A session that is fed a mutation has to end soon after its client has.
#[tokio::test(start_paused = true)]
async fn ten_thousand_mutations_neither_panic_nor_hang() {
    let limits =
        Limits { stranger_message_bytes: 1 << 16, message_bytes: 1 << 16, ..Limits::default() };
    let server = Server::with(Config::default(), limits, &[("standard", "nobody")]);
    let transcripts = transcripts();
    let mut random = Random(0x5eed);
    for round in 0..10_000 {
        let bytes = mutate(&transcripts[round % transcripts.len()], &mut random);
        let (near, far) = tokio::io::duplex(1 << 20);
        let guest = server.core.admit("msgpack", Peer::Memory, &server.listener);
        let accepted = Accepted { io: Box::new(far), guest: guest.unwrap(), tls: None };
        let served = tokio::spawn(server.protocol.clone().serve(accepted));
        let (mut read, mut write) = tokio::io::split(near);
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
        let mut answers = Vec::new();
        let whole = async { read.read_to_end(&mut answers).await };
        let ended = tokio::time::timeout(Duration::from_secs(60), whole).await;
        ended.unwrap_or_else(|_| panic!("round {round} hangs: {bytes:?}")).unwrap();
        served.await.unwrap_or_else(|_| panic!("round {round} panics: {bytes:?}"));
    }
    assert_eq!(server.core.connections().count(), 0);
}
