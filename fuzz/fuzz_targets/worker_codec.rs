#![no_main]

// A worker is trusted more than a client, but a function in it may write over its socket.
libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_worker::fuzzing::codec(data));
