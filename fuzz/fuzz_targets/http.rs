#![no_main]

use std::sync::Arc;

use polyport_http::{Config, Http};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    polyport_fuzz::run(
        || {
            let config = Config { status_password: Some("pw".into()), ..Config::default() };
            Arc::new(Http::new(config).with_status(Arc::new(Vec::new)))
        },
        None,
        data,
    );
});
