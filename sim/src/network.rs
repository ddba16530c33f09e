//! The network between nodes: for each ordered pair a stream in order, over connections that break.

use std::time::Duration;

use catena_core::Time;

use crate::faults::Fault;
use crate::options::Options;
use crate::plan::Place;
use crate::rng::{Odds, Rng};

/// All links between nodes.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    rng: Rng,
    /// By ordered pair, `from * nodes + to`.
    streams: Vec<Stream>,
    /// By ordered pair with `from < to`: the connection that both streams run over.
    connections: Vec<Option<Connection>>,
    opened: u64,
}

/// Names a connection; a new one gets a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection(pub(crate) u64);

#[derive(Clone, Debug, Default)]
struct Stream {
    /// Nothing arrives before this: a link delivers in order.
    last: Time,
    /// Cut by so many faults.
    cuts: u32,
    /// Everything takes so much longer, until then.
    slow: Duration,
    slow_until: Time,
}

/// When a message that was sent arrives; none, one or more times.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrivals {
    pub(crate) connection: Connection,
    pub(crate) first: Time,
    pub(crate) again: Option<Time>,
    /// What was done to it.
    pub(crate) faults: Vec<Fault>,
}

/// How often messages of a kind are sent. Rare ones are repeated more often, else their repetition is hardly ever tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequency {
    /// Many for each write.
    Common,
    /// A few for each chain version.
    Rare,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives(Arrivals),
    /// A fault took it.
    Lost(Fault),
    /// There is no connection.
    Unconnected,
}

impl Network {
    pub(crate) fn new(nodes: usize, rng: Rng) -> Self {
        let pairs = nodes * nodes;
        Self { nodes, rng, streams: vec![Stream::default(); pairs], connections: vec![None; pairs], opened: 0 }
    }

    /// Its thread's tape hears of all that it draws, or gives it.
    pub(crate) fn put_on_tape(&mut self) {
        self.rng.put_on_tape();
    }

    fn stream(&mut self, from: usize, to: usize) -> &mut Stream {
        &mut self.streams[from * self.nodes + to]
    }

    fn connection(&mut self, a: usize, b: usize) -> &mut Option<Connection> {
        &mut self.connections[a.min(b) * self.nodes + a.max(b)]
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, from: usize, to: usize, frequency: Frequency, now: Time, options: &Options) -> Fate {
        let Some(connection) = *self.connection(from, to) else { return Fate::Unconnected };
        if self.stream(from, to).cuts > 0 {
            return Fate::Lost(Fault::Cut);
        }
        let place = Place::Link(from, to);
        if self.rng.strikes(Fault::Drop, options.odds(Fault::Drop), place, |_| ()).is_some() {
            return Fate::Lost(Fault::Drop);
        }
        let mut faults = Vec::new();
        let mut delay = self.rng.duration(options.latency / 8, options.latency) + self.slowness(from, to, now);
        let longer = |rng: &mut Rng| rng.heavy_tail(Duration::from_millis(2));
        if let Some(longer) = self.rng.strikes(Fault::Delay, options.odds(Fault::Delay), place, longer) {
            delay += longer;
            faults.push(Fault::Delay);
        }
        let first = self.deliver(from, to, now + delay);
        let odds = options.odds(Fault::Duplicate);
        let odds = match frequency {
            Frequency::Common => odds,
            Frequency::Rare => Odds(odds.0.saturating_mul(8)),
        };
        let again = self.rng.strikes(Fault::Duplicate, odds, place, Rng::lateness).map(|late| {
            faults.push(Fault::Duplicate);
            first + late
        });
        Fate::Arrives(Arrivals { connection, first, again, faults })
    }

    /// Books the next delivery of a stream, at `at` or behind the one before.
    fn deliver(&mut self, from: usize, to: usize, at: Time) -> Time {
        let stream = self.stream(from, to);
        stream.last = stream.last.max(at);
        stream.last
    }

    /// Whether a message sent over `connection` still arrives.
    pub(crate) fn arrives(&mut self, from: usize, to: usize, connection: Connection) -> bool {
        *self.connection(from, to) == Some(connection)
    }

    pub(crate) fn connected(&mut self, a: usize, b: usize) -> bool {
        self.connection(a, b).is_some()
    }

    /// Breaks the connection of a pair. Whether there was one.
    pub(crate) fn reset(&mut self, a: usize, b: usize) -> bool {
        self.connection(a, b).take().is_some()
    }

    /// Opens a connection, unless the pair is cut or has one. Says when each side learns of it: before any message.
    pub(crate) fn connect(&mut self, a: usize, b: usize, now: Time, options: &Options) -> Option<(Connection, [Time; 2])> {
        let cut = self.stream(a, b).cuts > 0 || self.stream(b, a).cuts > 0;
        if cut || self.connection(a, b).is_some() {
            return None;
        }
        self.opened += 1;
        let connection = Connection(self.opened);
        *self.connection(a, b) = Some(connection);
        let mut learns = |from: usize, to: usize| {
            self.stream(from, to).last = now;
            let delay = self.rng.duration(options.latency / 8, options.latency) + self.slowness(from, to, now);
            self.deliver(from, to, now + delay)
        };
        Some((connection, [learns(b, a), learns(a, b)]))
    }

    /// Cuts one direction. Cuts add up.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.stream(from, to).cuts += 1;
    }

    /// Ends one cut.
    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        self.stream(from, to).cuts -= 1;
    }

    /// Makes everything take longer in one direction, until then.
    pub(crate) fn slow(&mut self, from: usize, to: usize, by: Duration, until: Time) {
        let stream = self.stream(from, to);
        (stream.slow, stream.slow_until) = (by, until);
    }

    /// By how much a message that is sent now takes longer than on a healthy link.
    fn slowness(&mut self, from: usize, to: usize, now: Time) -> Duration {
        let stream = self.stream(from, to);
        if now < stream.slow_until { stream.slow } else { Duration::ZERO }
    }

    /// Ends all cuts, and nothing is slow.
    pub(crate) fn mend_all(&mut self) {
        self.streams.iter_mut().for_each(|stream| (stream.cuts, stream.slow_until) = (0, Time(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Scale;

    const SECOND: Time = Time(1_000_000_000);

    fn options(odds: &[(Fault, Odds)]) -> Options {
        Options { odds: odds.to_vec(), ..Options::draw(1, Scale::default()) }
    }

    fn connected(options: &Options) -> Network {
        let mut network = Network::new(2, Rng::new(1));
        network.connect(0, 1, SECOND, options).expect("not cut");
        network
    }

    #[test]
    fn a_stream_delivers_in_order_even_when_messages_are_delayed() {
        let options = options(&[(Fault::Delay, Odds::percent(30))]);
        let mut network = connected(&options);
        let mut last = SECOND;
        let mut delayed = 0;
        for _ in 0..1_000 {
            let Fate::Arrives(arrivals) = network.send(0, 1, Frequency::Common, SECOND, &options) else {
                panic!("nothing loses it")
            };
            assert!(arrivals.first >= last);
            last = arrivals.first;
            delayed += arrivals.faults.len();
        }
        assert!((200..400).contains(&delayed), "{delayed}");
    }

    #[test]
    fn a_reset_loses_what_is_in_flight_and_a_new_connection_is_known_before_its_messages() {
        let options = options(&[]);
        let mut network = connected(&options);
        let Fate::Arrives(old) = network.send(0, 1, Frequency::Common, SECOND, &options) else { panic!("nothing loses it") };
        assert!(network.arrives(0, 1, old.connection));
        assert!(network.reset(1, 0));
        assert!(!network.arrives(0, 1, old.connection));
        assert_eq!(network.send(0, 1, Frequency::Common, SECOND, &options), Fate::Unconnected);
        let (connection, [_, at_1]) = network.connect(0, 1, SECOND, &options).expect("not cut");
        assert!(!network.arrives(0, 1, old.connection) && network.arrives(0, 1, connection));
        let Fate::Arrives(new) = network.send(0, 1, Frequency::Common, SECOND, &options) else { panic!("nothing loses it") };
        assert!(new.first >= at_1);
    }

    #[test]
    fn a_cut_is_silent_and_one_way_and_prevents_a_new_connection() {
        let options = options(&[]);
        let mut network = connected(&options);
        network.cut(0, 1);
        assert_eq!(network.send(0, 1, Frequency::Common, SECOND, &options), Fate::Lost(Fault::Cut));
        assert!(matches!(network.send(1, 0, Frequency::Rare, SECOND, &options), Fate::Arrives(_)));
        network.reset(0, 1);
        assert_eq!(network.connect(0, 1, SECOND, &options), None);
        network.mend(0, 1);
        assert!(network.connect(0, 1, SECOND, &options).is_some());
    }

    #[test]
    fn a_slow_link_is_slow_in_its_direction_until_its_time() {
        let options = Options { latency: Duration::from_millis(1), ..options(&[]) };
        let mut network = connected(&options);
        network.slow(0, 1, Duration::from_millis(300), SECOND + Duration::from_secs(1));
        let mut takes = |from, to, at: Time| match network.send(from, to, Frequency::Common, at, &options) {
            Fate::Arrives(arrivals) => arrivals.first.since(at),
            other => panic!("nothing loses it: {other:?}"),
        };
        let slow = Duration::from_millis(300);
        assert!(takes(1, 0, SECOND) < slow && takes(0, 1, SECOND) >= slow);
        assert!(takes(0, 1, SECOND + Duration::from_secs(1)) < slow);
    }
}
