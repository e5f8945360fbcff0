//! A response of the API server, line by line, changed by a fault.

use super::connection::{Connection, Next};
use super::fault::{Ending, Fault, Place, stranger};
use super::plan::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_sim::Verb;
use std::io;

/// A response of the API server that is forwarded.
pub(super) struct Forward<'a> {
    connection: &'a mut Connection,
    request: &'a Request,
    fault: Option<&'a Fault>,
    chunked: bool,
    /// Forwarded bytes of the body.
    bytes: usize,
    /// Forwarded whole lines.
    lines: usize,
}

impl<'a> Forward<'a> {
    /// For a response whose head was sent, and whose body is chunked or lasts until the connection ends.
    pub(super) const fn new(
        connection: &'a mut Connection,
        request: &'a Request,
        fault: Option<&'a Fault>,
        chunked: bool,
    ) -> Self {
        Self { connection, request, fault, chunked, bytes: 0, lines: 0 }
    }

    /// Forwards the body to its end, or to the fault.
    pub(super) async fn body(mut self, body: Body) -> io::Result<Next> {
        let mut lines = Lines { body: Some(body), buffer: Vec::new() };
        if let Some(next) = self.between_lines().await? {
            return Ok(next);
        }
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                gone = self.connection.hung_up() => return Err(gone),
            };
            let Some(mut line) = line else { break };
            self.connection.shared.with(|plan| plan.remember(&line));
            if matches!(self.fault, Some(Fault::Stranger)) && self.request.verb == Verb::Get {
                line = stranger(&serde_json::from_slice(&line)?).to_string().into_bytes();
            }
            if let Some(next) = self.line(&line).await? {
                return Ok(next);
            }
            self.lines += 1;
            if let Some(next) = self.between_lines().await? {
                return Ok(next);
            }
        }
        self.end().await
    }

    /// Applies the fault before the first line and after each line.
    async fn between_lines(&mut self) -> io::Result<Option<Next>> {
        match self.fault {
            Some(Fault::Stop(Place::Line(lines), ending)) if *lines == self.lines => {
                self.stop(*ending).await.map(Some)
            }
            Some(Fault::Stop(Place::Headers, ending)) => self.stop(*ending).await.map(Some),
            Some(Fault::Add { after, extra }) if self.request.verb == Verb::Watch && *after <= self.lines => {
                let memory = self.connection.shared.with(|plan| plan.memory.clone());
                // There is a GET before every watch.
                let Some((first, newest)) = memory else { return Ok(None) };
                self.chunk(extra.line(&first, &newest).as_bytes()).await?;
                if extra.is_last() { self.end().await.map(Some) } else { Ok(None) }
            }
            _ => Ok(None),
        }
    }

    /// Forwards a line, or the part of it before the fault.
    async fn line(&mut self, line: &[u8]) -> io::Result<Option<Next>> {
        let cut = match self.fault {
            Some(Fault::Stop(Place::Byte(bytes), ending)) => Some((bytes - self.bytes, *ending)),
            Some(Fault::Stop(Place::Middle(lines), ending)) if *lines == self.lines => {
                Some((line.len() / 2, *ending))
            }
            _ => None,
        };
        match cut {
            Some((bytes, ending)) if bytes < line.len() => {
                self.chunk(&line[..bytes]).await?;
                self.stop(ending).await.map(Some)
            }
            _ => {
                self.chunk(line).await?;
                self.bytes += line.len();
                Ok(None)
            }
        }
    }

    async fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(Fault::Slow { bytes: size, pause }) = self.fault else { return self.frame(bytes).await };
        for piece in bytes.chunks(*size) {
            self.frame(piece).await?;
            tokio::time::sleep(*pause).await;
        }
        Ok(())
    }

    async fn frame(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.chunked {
            return self.connection.write(bytes).await;
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.connection.write(&chunk).await
    }

    async fn stop(&mut self, ending: Ending) -> io::Result<Next> {
        if ending == Ending::Clean { self.end().await } else { Ok(Next::End(ending)) }
    }

    /// Ends the body properly.
    async fn end(&mut self) -> io::Result<Next> {
        if self.chunked {
            self.connection.write(b"0\r\n\r\n").await?;
        }
        let closes = !self.chunked || matches!(self.fault, Some(Fault::Close { .. }));
        Ok(if closes { Next::End(Ending::Shut) } else { Next::Request })
    }
}

/// The body of a response as lines with their ends. The last line may have no end.
struct Lines {
    body: Option<Body>,
    buffer: Vec<u8>,
}

impl Lines {
    /// Cancel-safe: received bytes stay in the buffer.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.buffer.drain(..=end).collect()));
            }
            let Some(body) = &mut self.body else {
                return Ok((!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer)));
            };
            match body.frame().await {
                Some(Ok(frame)) => {
                    self.buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data))
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => self.body = None,
            }
        }
    }
}
