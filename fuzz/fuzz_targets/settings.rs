//! [`catena_fuzz::settings`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| catena_fuzz::settings::run(data));
