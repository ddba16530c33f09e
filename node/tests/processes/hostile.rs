//! Clients that mean harm, or talk nonsense: whatever comes in at a port, no process ends or panics, memory stays bounded, and
//! everybody else is served.

mod admin;
mod calls;
mod frames;
mod greed;
mod siege;
mod silence;

use frames::{Ended, More, PREFACE, Raw, call, data, endless_headers, settings};
use siege::Siege;

/// What a process may hold at most where nothing large is sent: some 25 MiB are its own, and each of the 4,096 connections
/// that a server admits takes about 25 KiB.
const SMALL_MIB: u64 = 256;

/// The same where some of the largest values are written and read: a few copies of each are under way in a node.
const LARGE_MIB: u64 = 1024;

/// As a TLS client begins: a handshake record of 512 bytes with a hello in it.
fn tls_hello() -> Vec<u8> {
    [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &noise(506)].concat()
}

/// Bytes without any order; the same ones every time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn what_is_not_http2_ends_its_own_connection_only() {
    let siege = Siege::begin();
    let greeting = [PREFACE, &settings()].concat();
    let garbage: [(&str, Vec<u8>); 9] = [
        ("noise", noise(100_000)),
        ("nothing but zeros", vec![0; 100_000]),
        ("HTTP/1", b"GET / HTTP/1.1\r\nHost: catena\r\n\r\n".to_vec()),
        ("a TLS hello", tls_hello()),
        ("noise after the preface", [PREFACE, &noise(100_000)].concat()),
        ("noise after the settings", [&greeting, &noise(100_000)[..]].concat()),
        ("data of a call that was never made", [&greeting, &data(1, b"x", More::Never)[..]].concat()),
        ("headers that do not end", [&greeting, &endless_headers(1, 1000)[..]].concat()),
        ("a call and noise", [&greeting, &call(1, "/catena.v1.Kv/Get", &[], More::Comes)[..], &noise(100_000)].concat()),
    ];
    for address in siege.ports() {
        for (what, bytes) in &garbage {
            let mut raw = Raw::connect(address);
            // The server may have hung up before it has all.
            let _ = raw.send(bytes);
            let ended = raw.await_end();
            assert_ne!(ended, Ended::Told(0), "{what}: the server ends it because of an error");
        }
    }
    siege.end("garbage", SMALL_MIB);
}
