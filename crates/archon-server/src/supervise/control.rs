//! What gateway and supervisor say to each other on the control socket.
//!
//! The gateway first sends the command's three pipes, and later at most one line: `stop MILLISECONDS`.
//! The supervisor says `started PID` and `ended HOW`, each once.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::fd_passing::{self, RecvFlags};

/// A stop is a word and a number.
const LINE_BYTES_MAX: u64 = 64;
const PIPES: usize = 3;

/// What a supervisor reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The command runs as this process.
    Started(i32),
    /// It ended, and how.
    Ended(String),
}

impl Report {
    /// Reads a line.
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.trim_end().split_once(' ')?;
        match word {
            "started" => rest.parse().ok().map(Self::Started),
            "ended" => Some(Self::Ended(rest.to_owned())),
            _ => None,
        }
    }

    pub(super) fn write(&self, control: &mut UnixStream) -> std::io::Result<()> {
        match self {
            Self::Started(pid) => writeln!(control, "started {pid}"),
            Self::Ended(how) => writeln!(control, "ended {how}"),
        }
    }
}

/// Hands over the command's standard input, output and error.
pub fn send_pipes(control: &UnixStream, pipes: [BorrowedFd<'_>; PIPES]) -> std::io::Result<()> {
    fd_passing::send(control, b"\n", &pipes)?;
    Ok(())
}

pub(super) fn receive_pipes(control: &UnixStream) -> anyhow::Result<[OwnedFd; PIPES]> {
    let (read, pipes) = fd_passing::receive(control, &mut [0], RecvFlags::empty())?;
    if read == 0 {
        bail!("the gateway is gone");
    }
    pipes.try_into().ok().context("there should be three")
}

/// Waits for the word to stop; `None` if the gateway died without it.
pub(super) fn read_stop(control: &mut UnixStream) -> Option<Duration> {
    let mut line = String::new();
    BufReader::new(control.take(LINE_BYTES_MAX)).read_line(&mut line).ok()?;
    let milliseconds = line.trim_end().strip_prefix("stop ")?.parse().ok()?;
    Some(Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn reports_are_read_as_they_are_written() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let reports = [Report::Started(7), Report::Ended("exit status 3".into())];
        for report in &reports {
            report.write(&mut ours).unwrap();
        }
        drop(ours);
        let lines = BufReader::new(theirs).lines().map(|line| Report::parse(&line.unwrap()));
        assert_eq!(lines.collect::<Vec<_>>(), reports.map(Some));
        assert_eq!(Report::parse("nonsense"), None);
    }

    #[test]
    fn pipes_and_the_word_to_stop_arrive() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send_pipes(&ours, [reader.as_fd(), writer.as_fd(), writer.as_fd()]).unwrap();
        drop(writer);
        let [_, out, _] = receive_pipes(&theirs).unwrap();
        std::fs::File::from(out).write_all(b"x").unwrap();
        let mut byte = [0];
        std::fs::File::from(OwnedFd::from(reader)).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");

        ours.write_all(b"stop 1500\n").unwrap();
        assert_eq!(read_stop(&mut theirs), Some(Duration::from_millis(1500)));
        drop(ours);
        assert_eq!(read_stop(&mut theirs), None);
    }
}
