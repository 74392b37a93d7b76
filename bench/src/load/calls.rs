//! The clients that call: in a closed loop, at a steady rate, and in sessions that come and go.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::meter::Meter;
use crate::http::Connection;
use crate::mcp::{Call, Endpoint, Era, ModernClient, Session};

/// The size of a large answer.
pub const LARGE_BYTES: usize = 10 * 1024 * 1024;
/// The clients that share the steady load out among them.
pub const STEADY_CLIENTS: usize = 10;
/// The steady load of all clients together.
pub const STEADY_CALLS_PER_SECOND: u32 = 100;

/// Calls `echo` without a pause in one legacy session.
pub async fn legacy(endpoint: Rc<Endpoint>, client: usize, meter: Rc<Meter>) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    let session = Session::open(&mut connection, &endpoint).await?;
    let mut call = Call::echo(&endpoint, Era::Legacy(&session), client);
    closed_loop(&mut connection, &mut call, &meter).await?;
    session.end(&mut connection, &endpoint).await
}

/// Calls `echo` without a pause, each request on its own as of 2026-07-28.
pub async fn modern(endpoint: Rc<Endpoint>, client: usize, meter: Rc<Meter>) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    let mut identity = ModernClient::new(client);
    identity.meet(&mut connection, &endpoint).await?;
    let mut call = Call::echo(&endpoint, Era::Modern(&identity), client);
    closed_loop(&mut connection, &mut call, &meter).await
}

/// Asks for large answers without a pause in one legacy session.
pub async fn large(endpoint: Rc<Endpoint>, meter: Rc<Meter>) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    let session = Session::open(&mut connection, &endpoint).await?;
    let mut call = Call::big(&endpoint, Era::Legacy(&session), LARGE_BYTES);
    closed_loop(&mut connection, &mut call, &meter).await?;
    session.end(&mut connection, &endpoint).await
}

async fn closed_loop(connection: &mut Connection, call: &mut Call, meter: &Meter) -> Result<()> {
    meter.arrive();
    let mut start = Instant::now();
    while !meter.is_over() {
        let answer = call.exchange(connection).await?;
        let end = Instant::now();
        match answer {
            Ok(()) => meter.record(end - start),
            Err(error) => meter.fault(error),
        }
        start = end;
    }
    Ok(())
}

/// Calls `echo` at fixed times, whether or not the front keeps up.
///
/// A call that its predecessor delayed is timed from when it was due, so that a stall counts for
/// every call it held up.
pub async fn steady(endpoint: Rc<Endpoint>, client: usize, meter: Rc<Meter>) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    let session = Session::open(&mut connection, &endpoint).await?;
    let mut call = Call::echo(&endpoint, Era::Legacy(&session), client);
    meter.arrive();
    let gap = Duration::from_secs(1) / STEADY_CALLS_PER_SECOND;
    let mut due = Instant::now() + gap * client as u32;
    while !meter.is_over() {
        let is_late = Instant::now() > due;
        tokio::time::sleep_until(due.into()).await;
        let start = if is_late { due } else { Instant::now() };
        match call.exchange(&mut connection).await? {
            Ok(()) => meter.record(start.elapsed()),
            Err(error) => meter.fault(error),
        }
        due += gap * STEADY_CLIENTS as u32;
    }
    session.end(&mut connection, &endpoint).await
}

/// Opens a session, calls once and ends it, again and again on one connection.
pub async fn churn(endpoint: Rc<Endpoint>, client: usize, meter: Rc<Meter>) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    meter.arrive();
    while !meter.is_over() {
        let start = Instant::now();
        let session = Session::open(&mut connection, &endpoint).await?;
        let mut call = Call::echo(&endpoint, Era::Legacy(&session), client);
        let answer = call.exchange(&mut connection).await?;
        session.end(&mut connection, &endpoint).await?;
        match answer {
            Ok(()) => meter.record(start.elapsed()),
            Err(error) => meter.fault(error),
        }
    }
    Ok(())
}
