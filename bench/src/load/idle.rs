//! What sessions and open streams cost while nothing happens.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::http::{Body, Connection};
use crate::mcp::{Endpoint, Session};
use crate::process::usage::{self, CpuTime};

/// Connections that open the sessions, and streams opened at a time.
const OPENERS: usize = 32;
/// Time for buffers to be flushed and freed before memory is read.
const SETTLE: Duration = Duration::from_secs(3);
/// How long the idle processes are watched.
const WATCH: Duration = Duration::from_secs(5);
/// The longest one step may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Figures of one process while idle.
#[derive(Debug, Serialize)]
pub struct Idle {
    pub bytes_per_session: f64,
    pub bytes_per_stream: f64,
    /// Resident memory with all sessions, in MiB.
    pub rss_mib: f64,
    /// Percent of one core with all sessions and no stream.
    pub cpu_percent: f64,
    /// Percent of one core with all streams open and silent.
    pub cpu_percent_streams: f64,
}

/// What was opened, and the figures of each process that was weighed.
#[derive(Debug, Serialize)]
pub struct Weighed {
    pub sessions: usize,
    pub streams: usize,
    /// How long the first half of the sessions took to open, and the second.
    pub opened_in: [Duration; 2],
    pub processes: Vec<Idle>,
}

/// Reads of one process tree, in the order they are taken.
struct Reads<'a> {
    pids: &'a [u32],
    rss: Vec<u64>,
    cpu_percent: Vec<f64>,
}

/// Opens sessions and streams at the endpoint and weighs each of the process trees.
pub async fn weigh(
    endpoint: &Rc<Endpoint>,
    trees: &[&[u32]],
    sessions: usize,
    streams: usize,
) -> Result<Weighed> {
    let mut reads: Vec<_> =
        trees.iter().map(|pids| Reads { pids, rss: Vec::new(), cpu_percent: Vec::new() }).collect();
    ensure!(sessions > 0, "idle needs sessions");
    let start = Instant::now();
    let mut base = open_sessions(endpoint, sessions).await.context("opening the first sessions")?;
    let first_opened_in = start.elapsed();
    read_memory(&mut reads).await;
    let start = Instant::now();
    // Kept to the end: a session whose client forgot it is still a session.
    let _more = open_sessions(endpoint, sessions).await.context("opening more sessions")?;
    let more_opened_in = start.elapsed();
    read_memory(&mut reads).await;
    read_cpu(&mut reads).await;
    base.truncate(streams.min(sessions));
    let streams = open_streams(endpoint, base).await.context("opening streams")?;
    read_memory(&mut reads).await;
    read_cpu(&mut reads).await;
    let (opened, open_streams) = (2 * sessions, streams.len());
    drop(streams);
    let grown = |from: u64, to: u64, over: usize| (to as f64 - from as f64) / over.max(1) as f64;
    let processes = reads
        .into_iter()
        .map(|read| Idle {
            bytes_per_session: grown(read.rss[0], read.rss[1], sessions),
            bytes_per_stream: grown(read.rss[1], read.rss[2], open_streams),
            rss_mib: read.rss[1] as f64 / (1024.0 * 1024.0),
            cpu_percent: read.cpu_percent[0],
            cpu_percent_streams: read.cpu_percent[1],
        })
        .collect();
    let opened_in = [first_opened_in, more_opened_in];
    Ok(Weighed { sessions: opened, streams: open_streams, opened_in, processes })
}

async fn read_memory(reads: &mut [Reads<'_>]) {
    tokio::time::sleep(SETTLE).await;
    for read in reads {
        read.rss.push(usage::rss_bytes(read.pids));
    }
}

async fn read_cpu(reads: &mut [Reads<'_>]) {
    let start = Instant::now();
    let before: Vec<_> = reads.iter().map(|read| CpuTime::of(read.pids)).collect();
    tokio::time::sleep(WATCH).await;
    let elapsed = start.elapsed().as_secs_f64();
    for (read, before) in reads.iter_mut().zip(before) {
        let ran = CpuTime::of(read.pids).since(before);
        read.cpu_percent.push(ran.as_secs_f64() / elapsed * 100.0);
    }
}

async fn open_sessions(endpoint: &Rc<Endpoint>, count: usize) -> Result<Vec<Session>> {
    in_parallel(split(count), |share| {
        let endpoint = Rc::clone(endpoint);
        async move {
            let mut connection = Connection::open(endpoint.address).await?;
            let mut sessions = Vec::with_capacity(share);
            for _ in 0..share {
                sessions.push(Session::open(&mut connection, &endpoint).await?);
            }
            Ok(sessions)
        }
    })
    .await
}

async fn open_streams(
    endpoint: &Rc<Endpoint>,
    mut sessions: Vec<Session>,
) -> Result<Vec<(Connection, Body)>> {
    let shares =
        split(sessions.len()).into_iter().map(|share| sessions.split_off(sessions.len() - share));
    in_parallel(shares.collect(), |sessions: Vec<Session>| {
        let endpoint = Rc::clone(endpoint);
        async move {
            let mut streams = Vec::with_capacity(sessions.len());
            for session in sessions {
                let mut connection = Connection::open_small(endpoint.address).await?;
                let request = session.stream_request(&endpoint);
                let (head, body) = connection.begin(&request).await?;
                ensure!(head.status == 200, "a stream was answered with {}", head.status);
                ensure!(!body.is_complete(), "a stream ended at once");
                streams.push((connection, body));
            }
            Ok(streams)
        }
    })
    .await
}

/// Shares a count out among the openers.
fn split(count: usize) -> Vec<usize> {
    (0..OPENERS).map(|opener| (count + opener) / OPENERS).collect()
}

async fn in_parallel<S, T, F>(shares: Vec<S>, work: impl Fn(S) -> F) -> Result<Vec<T>>
where
    T: 'static,
    F: Future<Output = Result<Vec<T>>> + 'static,
{
    let mut tasks = JoinSet::new();
    for share in shares {
        tasks.spawn_local(work(share));
    }
    let all = async {
        let mut done = Vec::new();
        while let Some(share) = tasks.join_next().await {
            done.extend(share??);
        }
        Ok(done)
    };
    match tokio::time::timeout(PATIENCE, all).await {
        Ok(done) => done,
        Err(_) => bail!("it took longer than {PATIENCE:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for count in [0, 1, 31, 32, 33, 10_000] {
            assert_eq!(split(count).iter().sum::<usize>(), count);
        }
    }
}
