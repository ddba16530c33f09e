//! The same at the ports of admin HTTP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::frames::{PREFACE, Raw, settings};
use super::siege::Siege;
use super::{SMALL_MIB, noise, tls_hello};
use crate::support::{ADMIN, PATIENCE};

/// Longer than a connection may stay, and a busy machine's slack.
const GIVEN_UP: Duration = Duration::from_secs(20);

/// What a probe of an orchestrator gives it.
const PROBE: Duration = Duration::from_secs(5);

/// Where the coordinator and a node have their admin HTTP.
fn ports(siege: &Siege) -> [SocketAddr; 2] {
    [0, 1].map(|offset| (Ipv4Addr::LOCALHOST, siege.cluster.port + ADMIN + offset).into())
}

/// Demands that a probe is answered, in time.
fn probe(address: SocketAddr) {
    let began = Instant::now();
    let answer = ask(address, b"GET /livez HTTP/1.1\r\nhost: probe\r\n\r\n");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert!(began.elapsed() < PROBE, "a probe took {:?}", began.elapsed());
}

/// Sends these, and reads to the end. The server may have hung up before it has all.
fn ask(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the server keeps the connection"),
        Ok(_) | Err(_) => answer,
    }
}

#[test]
fn what_is_no_request_of_admin_http_ends_its_own_connection_only() {
    let siege = Siege::begin();
    let path = |len| [b"GET /", &vec![b'a'; len][..], b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat();
    let header = |len| [b"GET /livez HTTP/1.1\r\nhost: x\r\nx: ", &vec![b'y'; len][..], b"\r\n\r\n"].concat();
    let headers = [&b"GET /livez HTTP/1.1\r\n"[..], &b"x: y\r\n".repeat(100_000), b"\r\n"].concat();
    let rubbish: [(&str, Vec<u8>); 11] = [
        ("noise", noise(100_000)),
        ("nothing but zeros", vec![0; 1 << 20]),
        ("nothing but lines", b"\r\n".repeat(1 << 19)),
        ("HTTP/2", [PREFACE, &settings()].concat()),
        ("a TLS hello", tls_hello()),
        ("a line without an end", vec![b'a'; 10 << 20]),
        ("a path of 60 KiB", path(60 << 10)),
        ("a path of 10 MiB", path(10 << 20)),
        ("a header of 10 MiB", header(10 << 20)),
        ("a hundred thousand headers", headers),
        (
            "a body that is not taken",
            [b"POST /livez HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", &vec![0; 1 << 20][..]].concat(),
        ),
    ];
    for address in ports(&siege) {
        for (what, bytes) in &rubbish {
            let answer = ask(address, bytes);
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{what}: {}", String::from_utf8_lossy(&answer));
            probe(address);
        }
    }
    siege.end("rubbish for admin HTTP", SMALL_MIB);
}

#[test]
fn who_says_little_or_nothing_to_admin_http_keeps_nobody_out() {
    /// For each port: many times as many as are let in.
    const CROWD: usize = 500;
    let siege = Siege::begin();
    let request = b"GET /admin/v1/state HTTP/1.1\r\nhost: slow\r\n";
    let began = Instant::now();
    let mut crowd = Vec::with_capacity(2 * CROWD);
    for number in 0..CROWD {
        for address in ports(&siege) {
            let mut raw = Raw::connect(address);
            // Those before may make it leave already.
            let _ = raw.send(&request[..number % request.len()]);
            crowd.push(raw);
        }
    }
    for address in ports(&siege) {
        probe(address);
    }
    let slow = ports(&siege).map(|address| thread::spawn(move || Raw::connect(address).drip_until_the_end(request)));
    siege.holds("a crowd at admin HTTP", SMALL_MIB);
    crowd.iter_mut().for_each(Raw::await_silent_end);
    for thread in slow {
        thread.join().expect("the server ends the connection");
    }
    assert!(began.elapsed() < GIVEN_UP, "the last ended after {:?}", began.elapsed());
    for address in ports(&siege) {
        probe(address);
    }
    siege.end("after a crowd at admin HTTP", SMALL_MIB);
}
