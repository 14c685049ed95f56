//! What a run under faults, and a soak, can be told.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Output, Servers, schedule, seconds};
use crate::pace::Schedule;

/// Where the path to clients fails: the nodes' heartbeat, and when a silent client counts as gone. They fit into a run.
pub(crate) const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// There: how long a node waits for a client's last word before it lets go.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// Where nodes are restarted: so many clients are sent elsewhere in a second.
pub(crate) const CLOSES_PER_SECOND: u32 = 500;

#[derive(Debug, Args)]
pub(crate) struct Chaos {
    /// What breaks
    #[arg(long, value_enum)]
    pub(crate) fault: Fault,
    /// Readers, spread over the topics
    #[arg(long, default_value_t = 2_000)]
    pub(crate) clients: usize,
    /// Topics, each with a publisher of its own
    #[arg(long, default_value_t = 100)]
    pub(crate) topics: usize,
    /// Durable messages per second of all publishers together
    #[arg(long, default_value = "2000", value_parser = schedule)]
    pub(crate) rate: Schedule,
    /// How long to send; the fault begins after a third of it, and sending goes on for a third after its end
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long a fault lasts that has no end of its own
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub(crate) fault_seconds: Duration,
    /// How long a publisher tries to have a message stored
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub(crate) ack_seconds: Duration,
    /// How long what was acknowledged may take to arrive after the last was sent
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub(crate) settle_seconds: Duration,
    /// Readers that do not read, with that fault
    #[arg(long, default_value_t = 200)]
    pub(crate) slow_readers: usize,
    /// Clients know one address, a load balancer's, instead of all nodes'
    #[arg(long, value_enum)]
    pub(crate) balancer: Option<InFront>,
    /// Do not fail for what took too long: this machine has other things to do
    #[arg(long)]
    pub(crate) no_bounds: bool,
    /// Chooses the victim, the clients' waits and the order of the nodes that they try
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How long clients come and go
    #[arg(long, default_value = "10", value_parser = minutes)]
    pub(crate) minutes: Duration,
    /// Clients there at any time
    #[arg(long, default_value_t = 200)]
    pub(crate) clients: usize,
    /// How long nodes may take to be as they were
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub(crate) settle_seconds: Duration,
    /// Chooses what clients do
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What breaks in the middle of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Nothing, for comparison
    None,
    /// SIGTERM to each node in turn, which is then started again
    RollingRestart,
    /// SIGKILL to a node, which is started again a second later
    KillNode,
    /// SIGSTOP to a node; by default for twice its lease
    PauseNode,
    /// CLIENT KILL TYPE pubsub every two seconds
    KillPubsub,
    /// Nothing passes between nodes and Redis, and nothing is closed
    RedisBlackHole,
    /// Between nodes and Redis everything takes 20 to 50 ms, each way
    RedisJitter,
    /// Connections to Redis break in the middle of an answer, ten times a second
    RedisCut,
    /// Redis is killed and starts again with nothing in it
    RedisRestartEmpty,
    /// Redis is killed and starts again with what it had
    RedisRestartData,
    /// FLUSHALL: Redis forgets everything while nodes are connected
    RedisFlushall,
    /// A replica that was cut off before the last writes takes over
    RedisFailover,
    /// Clients that do not read what they follow
    SlowReaders,
    /// The standing connections of a fifth of the readers go silent
    HalfOpen,
    /// A fifth of the readers get a few bytes a second
    Trickle,
}

/// What is between clients and nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InFront {
    /// A TCP balancer in the tester's own process, which asks nodes whether they are ready
    Tcp,
    /// An nginx, which tries the next node when one refuses
    Nginx,
}

/// The word for a choice on the command line.
pub(crate) fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl Fault {
    /// Whether Redis has to find everything again.
    pub(crate) fn needs_files(self) -> bool {
        self == Self::RedisRestartData
    }

    pub(crate) fn needs_redis_path(self) -> bool {
        matches!(self, Self::RedisBlackHole | Self::RedisJitter | Self::RedisCut | Self::RedisFailover)
    }

    pub(crate) fn needs_client_path(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Trickle)
    }

    /// Whether Redis loses what it acknowledged: then messages may be missing, and are declared so.
    pub(crate) fn loses_data(self) -> bool {
        self.loses_everything() || self == Self::RedisFailover
    }

    /// Whether Redis loses all that it had: then every reader has to be told.
    pub(crate) fn loses_everything(self) -> bool {
        matches!(self, Self::RedisRestartEmpty | Self::RedisFlushall)
    }

    /// Settings of the nodes under this fault.
    pub(crate) fn settings(self) -> Vec<String> {
        let (interval, timeout) = HEARTBEAT;
        if self.needs_client_path() {
            vec![
                format!("heartbeat.interval={}ms", interval.as_millis()),
                format!("heartbeat.timeout={}ms", timeout.as_millis()),
                format!("close.timeout={}ms", FAREWELL.as_millis()),
            ]
        } else if self == Self::RollingRestart {
            vec![format!("stop.closes_per_second={CLOSES_PER_SECOND}")]
        } else {
            Vec::new()
        }
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse().ok().and_then(|minutes: f64| Duration::try_from_secs_f64(60.0 * minutes).ok());
    minutes.ok_or_else(|| "minutes are a number, not negative".to_owned())
}
