//! HTTP/2 by hand, as no library would send it: RFC 9113 for the frames, RFC 7541 for the headers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::PATIENCE;

/// What every client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Whether more is to come of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    Comes,
    Never,
}

/// A frame's nine bytes and its payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Settings that say nothing: all is as the standard has it.
pub(crate) fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// A header as it is, without any compression.
fn header(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        field.push(u8::try_from(text.len()).ok().filter(|len| *len < 127).expect("a short text"));
        field.extend(text.as_bytes());
    }
    field
}

/// The beginning of a gRPC call.
pub(crate) fn call(stream: u32, path: &str, more: &[(&str, &str)], body: More) -> Vec<u8> {
    let always = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "catena"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let block: Vec<u8> = always.iter().chain(more).flat_map(|(name, value)| header(name, value)).collect();
    let end = if body == More::Never { END_STREAM } else { 0 };
    frame(HEADERS, END_HEADERS | end, stream, &block)
}

/// Headers that never end: one frame begins them, and each of `count` more goes on for 16 KiB.
pub(crate) fn endless_headers(stream: u32, count: usize) -> Vec<u8> {
    let block = header("x", &"y".repeat(120)).repeat((16 << 10) / 125);
    let first = frame(HEADERS, 0, stream, &block);
    [first, frame(CONTINUATION, 0, stream, &block).repeat(count)].concat()
}

pub(crate) fn data(stream: u32, payload: &[u8], more: More) -> Vec<u8> {
    frame(DATA, if more == More::Never { END_STREAM } else { 0 }, stream, payload)
}

/// A gRPC message's prefix, whatever then comes.
pub(crate) fn prefix(compressed: bool, len: u32) -> Vec<u8> {
    [&[u8::from(compressed)], &len.to_be_bytes()[..]].concat()
}

/// `CANCEL`, as a client gives up a call.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// A connection on which anything can be sent.
pub(crate) struct Raw(TcpStream);

/// How a connection ended, seen from this end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// After a `GOAWAY` with this code.
    Told(u32),
    /// Without a word.
    Untold,
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the port is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Self(stream)
    }

    /// One that has said what an HTTP/2 client has to say.
    pub(crate) fn greeted(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address);
        raw.send(PREFACE).and_then(|()| raw.send(&settings())).expect("a server that listens");
        raw
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Reads and forgets until the server ends the connection. Panics if it does not.
    pub(crate) fn await_end(&mut self) -> Ended {
        loop {
            match self.next() {
                Ok(Frame { kind: GOAWAY, payload }) => {
                    return Ended::Told(u32::from_be_bytes(payload[4..8].try_into().expect("a code")));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("the server keeps the connection"),
                Err(_) => return Ended::Untold,
            }
        }
    }

    /// Waits without a word until the server ends the connection. Panics if it does not.
    pub(crate) fn await_silent_end(&mut self) {
        let mut some = [0; 4096];
        loop {
            match self.0.read(&mut some) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("the server keeps the connection"),
                Err(_) => return,
            }
        }
    }

    /// Sends a byte a second of these until the server ends the connection.
    pub(crate) fn drip_until_the_end(&mut self, bytes: &[u8]) {
        let mut sender = self.0.try_clone().expect("a socket");
        let bytes = bytes.to_vec();
        let dripping = thread::spawn(move || {
            for byte in bytes {
                if sender.write_all(&[byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_secs(1));
            }
        });
        self.await_silent_end();
        // Its next byte finds nobody.
        dripping.join().expect("it only sends");
    }

    fn next(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload)?;
        if kind == PING && flags & ACK == 0 {
            self.send(&frame(PING, ACK, 0, &payload))?;
        }
        Ok(Frame { kind, payload })
    }
}

struct Frame {
    kind: u8,
    payload: Vec<u8>,
}
