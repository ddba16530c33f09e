//! Connections that say nothing, or little, or not to the end.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::SMALL_MIB;
use super::frames::{More, PREFACE, Raw, call, data, settings};
use super::siege::Siege;
use crate::support::eventually;

/// Longer than a server waits for whoever says nothing, or does not answer whether it is there; and a busy machine's slack.
const GIVEN_UP: Duration = Duration::from_secs(15);

#[test]
fn ten_thousand_idle_connections_leave_room_for_others() {
    /// For each port.
    const IDLE: usize = 5_000;
    let siege = Siege::begin();
    let mut idle = Vec::with_capacity(2 * IDLE);
    for number in 0..IDLE {
        for address in siege.ports() {
            // Every other one says who it is, and no more.
            idle.push(if number % 2 == 0 { Raw::connect(address) } else { Raw::greeted(address) });
        }
    }
    siege.holds("ten thousand idle connections", SMALL_MIB);
    assert!(siege.cluster.status().waits().is_empty(), "an operator gets in, and chains are whole");
    let began = Instant::now();
    for raw in &mut idle {
        raw.await_silent_end();
    }
    assert!(began.elapsed() < GIVEN_UP, "the last ended after {:?}", began.elapsed());
    siege.end("after ten thousand idle connections", SMALL_MIB);
}

#[test]
fn half_open_and_slow_connections_are_given_up() {
    let siege = Siege::begin();
    let greeting = [PREFACE, &settings()].concat();
    let some_call = [&greeting, &call(1, "/catena.v1.Kv/Put", &[], More::Comes)[..]].concat();
    let body = data(1, &[0; 1000], More::Never);
    let began = Instant::now();
    let mut threads = Vec::new();
    for address in siege.ports() {
        for (what, at_once, slowly) in [
            ("nothing", vec![], vec![]),
            ("a part of the preface", PREFACE[..10].to_vec(), vec![]),
            ("a greeting", greeting.clone(), vec![]),
            ("a call without its body", some_call.clone(), vec![]),
            ("a call with a part of its body", [&some_call[..], &body[..500]].concat(), vec![]),
            ("a preface byte by byte", vec![], greeting.clone()),
            ("a body byte by byte", some_call.clone(), body.clone()),
        ] {
            threads.push(thread::spawn(move || {
                let mut raw = Raw::connect(address);
                raw.send(&at_once).expect("the server listens");
                raw.drip_until_the_end(&slowly);
                (what, began.elapsed())
            }));
        }
        for cut in [1, 10, greeting.len() - 1, some_call.len() - 1] {
            Raw::connect(address).send(&some_call[..cut]).expect("the server listens");
        }
    }
    for thread in threads {
        let (what, after) = thread.join().expect("the server ends the connection");
        println!("{what}: ended after {after:?}");
        assert!(after < GIVEN_UP, "{what}: ended only after {after:?}");
    }
    siege.end("half-open and slow connections", SMALL_MIB);
}

#[test]
fn a_process_that_runs_out_of_descriptors_neither_ends_nor_spins() {
    /// Descriptors left to each process, and connections that then want one.
    const LEFT: u64 = 40;
    const WANTED: usize = 300;
    let siege = Siege::begin();
    let pids = ["coordinator", "n1"].map(|who| siege.cluster.pid_of(who));
    for pid in pids {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there").count() as u64;
        let limit = Rlimit { current: Some(open + LEFT), maximum: Some(open + LEFT) };
        prlimit(Pid::from_raw(pid.cast_signed()), Resource::Nofile, limit).expect("an own process");
    }
    let (busy, began) = (pids.map(busy), Instant::now());
    let mut idle: Vec<Raw> = siege.ports().iter().flat_map(|address| [*address; WANTED]).map(Raw::connect).collect();
    siege.holds("out of descriptors", SMALL_MIB);
    eventually("an operator who gets in", || siege.cluster.run(&["status"]).status.success().then_some(()));
    idle.iter_mut().for_each(Raw::await_silent_end);
    let waited = began.elapsed();
    for (pid, before) in pids.into_iter().zip(busy) {
        let busy = self::busy(pid).saturating_sub(before);
        println!("busy for {busy:?} of {waited:?}");
        assert!(busy < waited / 2, "busy for {busy:?} of {waited:?}");
    }
    siege.end("after descriptors were short", SMALL_MIB);
}

/// How long a process has run on a processor.
fn busy(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let (_, behind_name) = stat.rsplit_once(") ").expect("a name");
    let ticks: u64 = behind_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // The kernel tells all processes of a hundred ticks a second.
    Duration::from_millis(10 * ticks)
}
