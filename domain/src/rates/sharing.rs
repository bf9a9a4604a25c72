//! What nodes tell each other, through Redis, of what they count in memory.
//!
//! Nobody waits for it: a node lets through what it has room for, and tells afterwards. Redis adds
//! up what all nodes tell, and answers to each what is owed on all of them together. With Redis
//! away, each node counts by itself; when it is back, what is still owed is told.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use crate::clock::Clock;
use crate::{Domain, Result};

use super::memory::{Memory, Owed};

/// How often a node tells.
const TICK: Duration = Duration::from_millis(100);
/// Longest wait for any answer of Redis.
const ANSWER: Duration = Duration::from_secs(1);
/// Most keys in one script, which keeps Redis from everything else.
const BATCH: usize = 256;

/// Adds to what each key owes and answers the sums, all in milliseconds. Time is that of Redis, so
/// that the clocks of nodes are not compared.
const ADD: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local owed = {}
for i, key in ipairs(KEYS) do
  local paid_until = math.max(tonumber(redis.call('GET', key) or now), now) + ARGV[i]
  owed[i] = paid_until - now
  redis.call('SET', key, string.format('%.0f', paid_until), 'PX', string.format('%.0f', owed[i]))
end
return owed";

/// Tells, and learns, until the node stops.
pub(crate) async fn keep_sharing(domain: Domain, client: Client) {
    let stopping = domain.0.bus.stopping().clone();
    let mut connection = None;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        let memories = domain.0.rates.memories();
        let shared = share(&client, &mut connection, memories, &domain.0.clock);
        if let Err(error) = shared.await {
            // The bus says so once an outage.
            tracing::debug!(%error, "telling other nodes what was counted failed");
            connection = None;
        }
    }
}

/// A client for `url`, which is known to be one that Redis accepts.
pub(super) fn client(url: &str) -> Result<Client> {
    Client::open(url).map_err(|_| {
        // Not the cause, which may quote the URL and a password in it.
        crate::Error::internal(std::io::Error::other("REDIS_URL cannot be used"))
    })
}

async fn share(
    client: &Client,
    connection: &mut Option<MultiplexedConnection>,
    memories: &[Memory],
    clock: &Clock,
) -> RedisResult<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(connect(client).await?),
    };
    for memory in memories {
        let told = memory.untold(clock.uptime());
        for told in told.chunks(BATCH) {
            let owed = add(connection, memory, told).await?;
            let now = clock.uptime();
            for owed in owed {
                memory.learn(owed, now);
            }
        }
    }
    Ok(())
}

async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER))
        .set_response_timeout(Some(ANSWER));
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

async fn add(
    connection: &mut MultiplexedConnection,
    memory: &Memory,
    told: &[Owed],
) -> RedisResult<Vec<Owed>> {
    let name = memory.rate.name();
    let mut command = redis::cmd("EVAL");
    command.arg(ADD).arg(told.len());
    for Owed { key, .. } in told {
        command.arg(format!("backchannel:rate:{name}:{key}"));
    }
    for Owed { time, .. } in told {
        // Less than a millisecond is a millisecond: nothing expires after none.
        command.arg(time.as_millis().max(1).to_string());
    }
    let sums: Vec<u64> = command.query_async(connection).await?;
    let owed = told.iter().zip(sums).map(|(told, sum)| Owed {
        key: told.key,
        time: Duration::from_millis(sum),
    });
    Ok(owed.collect())
}
