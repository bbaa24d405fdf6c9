#![no_main]

use std::sync::Arc;

use polyport_msgpack::{Config, Msgpack};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    polyport_fuzz::run(|| Arc::new(Msgpack::new(Config::default())), None, data);
});
