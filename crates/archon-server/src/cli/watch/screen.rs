//! A screen of the terminal's own, which is given back as it was however this ends.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use archon_sessions_client::Notice;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row as TableRow, Table};
use ratatui::{DefaultTerminal, Frame};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::Feed;
use super::view::{View, clock, short};
use crate::cli::api;

/// How often keys are looked for, and at most how often the screen is drawn.
const TICK: Duration = Duration::from_millis(50);

/// Shows what happens until `q`, Escape, Ctrl-C or a signal.
///
/// # Errors
/// If the terminal cannot be used.
pub async fn run(feed: Feed) -> anyhow::Result<()> {
    let mut stop = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    // A panic gives the terminal back as well, before it is told.
    let terminal = ratatui::try_init().context("could not use the terminal; try --plain")?;
    // Either branch lost loses nothing that anybody waits for.
    let shown = tokio::select! {
        shown = show(terminal, feed) => shown,
        _ = stop.recv() => Ok(()),
    };
    ratatui::restore();
    shown
}

async fn show(mut terminal: DefaultTerminal, feed: Feed) -> anyhow::Result<()> {
    let mut view = View::default();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut is_stale = true;
    let address = feed.address.clone();
    let mut next = Box::pin(feed.into_next());
    loop {
        // Neither branch is lost when the other wins: both go on.
        tokio::select! {
            (feed, notice) = &mut next => {
                next = Box::pin(feed.into_next());
                take(&mut view, notice);
                is_stale = true;
            }
            _ = tick.tick() => {
                // A terminal that is gone has keys for ever, all of them none.
                if !std::io::stdin().is_terminal() {
                    return Ok(());
                }
                while event::poll(Duration::ZERO)? {
                    match event::read()? {
                        Event::Key(key) if key.kind == KeyEventKind::Press => {
                            let is_interrupt = key.code == KeyCode::Char('c')
                                && key.modifiers.contains(KeyModifiers::CONTROL);
                            if is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                                return Ok(());
                            }
                        }
                        _ => is_stale = true,
                    }
                }
                if is_stale {
                    terminal.draw(|frame| draw(frame, &view, &address))?;
                    is_stale = false;
                }
            }
        }
    }
}

fn take(view: &mut View, notice: Notice) {
    match notice {
        Notice::Frame { frame, .. } => view.apply(&frame),
        Notice::Lost(error) => view.lost = Some(format!("{:#}", api::told(error))),
        Notice::Back => view.lost = None,
    }
}

fn draw(frame: &mut Frame, view: &View, address: &str) {
    let [head, sessions, events, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Percentage(45),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let state = match &view.lost {
        None => Line::from(format!(" live: {address}, {} sessions active", view.active)).reversed(),
        Some(why) => {
            let why = crate::cli::print::plain(why);
            Line::from(format!(" connection lost, trying again: {why}")).reversed().bold()
        }
    };
    frame.render_widget(Paragraph::new(state), head);
    let rows = view.rows().into_iter().take(sessions.height.into()).map(|row| {
        let requests = row.requests.to_string();
        let last = clock(&row.last_activity).to_owned();
        TableRow::new([short(row.id), row.client.clone(), row.user.clone(), requests, last])
    });
    let widths = [
        Constraint::Length(9),
        Constraint::Min(16),
        Constraint::Min(10),
        Constraint::Length(8),
        Constraint::Length(9),
    ];
    let titles = TableRow::new(["SESSION", "CLIENT", "USER", "REQUESTS", "LAST"]);
    let table = Table::new(rows, widths)
        .header(titles.style(Style::new().bold()))
        .block(Block::bordered().title("sessions"));
    frame.render_widget(table, sessions);
    let fits = usize::from(events.height.saturating_sub(2));
    let first = view.events.len().saturating_sub(fits);
    let lines: Vec<Line> =
        view.events.iter().skip(first).map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("events")), events);
    frame.render_widget(Paragraph::new(" q quits; times are UTC"), foot);
}
