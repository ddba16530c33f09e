//! Calls that ask for much, and leave the answers where they are.

use std::time::Duration;

use catena_core::{CallError, Resource, slot_of};
use catena_net::proto::coordination_client::CoordinationClient;
use catena_net::proto::kv_client::KvClient;
use catena_net::proto::session_request::Call;
use catena_net::proto::{GetRequest, GetRouteRequest, SessionRequest};
use catena_net::{Client, Options, Refusal};
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::SMALL_MIB;
use super::calls::{GET, Unary, message};
use super::frames::{Ended, More, Raw, call, reset};
use super::siege::Siege;
use crate::support::{PATIENCE, block_on};

pub(super) async fn client(siege: &Siege) -> Client {
    let options = Options { call_timeout: PATIENCE };
    Client::connect(vec![siege.cluster.endpoint()], options).await.expect("the cluster is ready")
}

async fn connection(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("somebody is there")
}

/// Who reads `key`, and how.
fn tail_of(client: &Client, key: &str) -> (String, GetRequest) {
    let route = client.route();
    let slot = slot_of(key.as_bytes(), route.slots);
    let chain = route.chains.iter().find(|chain| chain.slot == slot).expect("every slot has a chain");
    let tail = chain.members.last().expect("somebody is in it");
    let record = route.nodes.iter().find(|node| node.node == tail.node).expect("every member has a record");
    let request =
        GetRequest { slot: slot.0, chain_version: chain.version.0, key: key.as_bytes().to_vec().into(), ..GetRequest::default() };
    (record.address.clone(), request)
}

#[test]
fn streams_that_are_never_read_hold_up_themselves_only() {
    /// On one connection each.
    const SESSIONS: usize = 4;
    const WATCHERS: usize = 500;
    /// Of a session, 256 calls are worked on, each of which has its answer twice at most: as read, and as it is sent.
    const PEAK_MIB: u64 = SMALL_MIB + ((SESSIONS as u64 * 2 * 256 * VALUE as u64) >> 20);
    const VALUE: usize = 64 << 10;
    let siege = Siege::begin();
    block_on(async {
        let client = client(&siege).await;
        client.put("large", vec![7; VALUE], vec![]).await.expect("acknowledged");
        let mut held = Vec::new();
        let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..SESSIONS {
            let (tail, request) = tail_of(&client, "large");
            let mut kv = KvClient::new(connection(&tail).await);
            let asked = asked.clone();
            let requests = tokio_stream::iter(0..).map(move |id| {
                // Nobody counts any more.
                let _ = asked.send(());
                SessionRequest { id, call: Some(Call::Get(request.clone())) }
            });
            held.push(kv.session(requests).await.expect("a stream"));
        }
        let coordinator = CoordinationClient::new(connection(&siege.cluster.endpoint()).await);
        let mut watching = Vec::new();
        for _ in 0..WATCHERS {
            watching.push(coordinator.clone().watch_route(GetRouteRequest::default()).await.expect("a stream"));
        }
        // Until requests stop flowing because nothing is read.
        while let Ok(more) = timeout(Duration::from_secs(1), asks.recv()).await {
            more.expect("the streams are open");
        }
        siege.holds("unread streams", PEAK_MIB);
    });
    siege.end("after unread streams", PEAK_MIB);
}

/// So many clients, each on a connection of its own, read one of the largest values at once.
const READS: usize = 64;
const LARGEST: usize = 16 << 20;

/// What a node holds at most while all of them are under way: 192 MiB of answers, and what it has in any case where values of
/// that size were just written.
const READS_MIB: u64 = 384;

/// How long a small call of others takes at most meanwhile, in a cluster that shares two cores with its clients.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn large_answers_that_are_taken_slowly_are_bounded_and_hold_up_nothing_else() {
    /// For each MiB: far more than the network needs.
    const PACE: Duration = Duration::from_millis(500);
    /// So many values: as many as there is room for, and one more. Answers with the same one may share its bytes.
    const VALUES: usize = 12;
    let siege = Siege::of_the_patient();
    let before = block_on(async {
        let client = client(&siege).await;
        let slots = client.route().slots;
        // All of one slot, which one node answers for.
        let slot = slot_of(b"large", slots);
        let keys = (0..).map(|number| format!("large-{number}")).filter(|key| slot_of(key.as_bytes(), slots) == slot);
        let keys: Vec<String> = keys.take(VALUES).collect();
        for key in &keys {
            client.put(key.clone(), vec![7; LARGEST], vec![]).await.expect("acknowledged");
        }
        let before = siege.cluster.await_status("whole chains", |status| status.waits().is_empty());
        let mut reads = JoinSet::new();
        for key in keys.iter().cycle().take(READS) {
            let (tail, request) = tail_of(&client, key);
            reads.spawn(paced_get(tail, request, PACE));
        }
        let (taken, refused) = outcomes(reads).await;
        println!("slow reads: {taken} taken, {refused} refused");
        assert!(taken >= 8 && refused >= 8, "there is room for eleven at a time: {taken} taken, {refused} refused");
        before
    });
    let after = siege.cluster.status();
    println!("so often each node was suspect: {:?}", after.flaps());
    assert_eq!(after.versions(), before.versions(), "no node was taken out of a chain meanwhile");
    let slowest = siege.end("slow reads", READS_MIB);
    assert!(slowest < SOON, "a small call took {slowest:?}");
}

#[test]
fn large_answers_that_are_taken_at_once_keep_no_node_from_its_work() {
    let siege = Siege::of_the_patient();
    let before = block_on(async {
        let client = client(&siege).await;
        client.put("large", vec![7; LARGEST], vec![]).await.expect("acknowledged");
        let before = siege.cluster.status();
        let (tail, request) = tail_of(&client, "large");
        let mut reads = JoinSet::new();
        for _ in 0..READS {
            reads.spawn(paced_get(tail.clone(), request.clone(), Duration::ZERO));
        }
        let (taken, refused) = outcomes(reads).await;
        println!("fast reads: {taken} taken, {refused} refused");
        assert!(taken >= 8, "there is room for eleven at a time: {taken} taken, {refused} refused");
        before
    });
    let after = siege.cluster.status();
    println!("so often each node was suspect: {:?}", after.flaps());
    assert_eq!(after.versions(), before.versions(), "no node was taken out of a chain meanwhile");
    let slowest = siege.end("fast reads", READS_MIB);
    assert!(slowest < SOON, "a small call took {slowest:?}");
}

/// A get that takes so long for each MiB of its answer; gives the bytes of the answer, or why there is none.
async fn paced_get(address: String, request: GetRequest, pace: Duration) -> Result<usize, Refusal> {
    let address = address.parse().expect("an address");
    let mut call = Unary::begin(address, GET, &[], &message(&request.encode_to_vec())).await;
    let (mut bytes, began) = (0, Instant::now());
    while let Some(some) = call.data().await {
        bytes += some;
        sleep_until(began + pace * u32::try_from(bytes >> 10).expect("KiB") / 1024).await;
    }
    let status = call.end().await;
    match status.code() {
        Code::Ok => Ok(bytes),
        _ => Err(Refusal::from_status(&status).unwrap_or_else(|| panic!("{status}"))),
    }
}

/// How many of the reads have their answer, and how many were refused for want of room.
async fn outcomes(mut reads: JoinSet<Result<usize, Refusal>>) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    while let Some(read) = reads.join_next().await {
        match read.expect("no panic here") {
            Ok(bytes) => {
                assert!(bytes > LARGEST, "the value, and what goes with it: {bytes}");
                taken += 1;
            }
            Err(Refusal::Call(CallError::Backpressure { resource: Resource::NodeAnswers, current, limit, .. })) => {
                assert_eq!(limit, 256 << 20);
                assert!(current > 192 << 20, "{current}");
                refused += 1;
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }
    (taken, refused)
}

#[test]
fn calls_that_are_given_up_as_fast_as_they_are_made_are_cut_off() {
    /// HTTP/2's `ENHANCE_YOUR_CALM`. The library allows 20 calls that are given up before they are looked at (CVE-2023-44487).
    const CALM: u32 = 11;
    let siege = Siege::begin();
    for address in siege.ports() {
        for path in ["/catena.v1.Kv/Get", "/catena.v1.Coordination/WatchRoute", "/no/such"] {
            let ids = (0..100_000).map(|number| 1 + 2 * number);
            let flood: Vec<u8> = ids.flat_map(|id| [call(id, path, &[], More::Comes), reset(id)].concat()).collect();
            let mut raw = Raw::greeted(address);
            // The server hangs up before it has all, and its last word may be lost with what it has not read.
            let sent = raw.send(&flood);
            let ended = raw.await_end();
            assert!(sent.is_err() || matches!(ended, Ended::Told(CALM)), "{path}: {ended:?}");
        }
    }
    siege.end("calls given up at once", SMALL_MIB);
}
