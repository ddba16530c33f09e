//! [`catena_fuzz::chunks`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| catena_fuzz::chunks::run(data));
