//! Whether and how connections are accepted.

use super::plan::Plan;
use super::{Shared, connection};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// How new connections are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// They are served.
    Open,
    /// They are refused: no socket listens.
    Shut,
    /// They are accepted and reset at once.
    Reset,
    /// They are accepted and remain silent, even without a TLS handshake.
    Silent,
}

/// A command to the acceptor.
pub(super) enum Order {
    Door(Door),
    Sever,
}

/// The port: either a listening socket, or a bound one that keeps the port.
enum Port {
    Listening(TcpListener),
    Held(TcpSocket),
}

impl Port {
    fn hold(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Connections that were accepted before use this port too.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(Self::Held(socket))
    }

    fn listen(self) -> io::Result<Self> {
        Ok(Self::Listening(match self {
            Self::Listening(listener) => listener,
            Self::Held(socket) => socket.listen(1024)?,
        }))
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Listening(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Held(_) => std::future::pending().await,
        }
    }
}

/// Accepts connections in the way of the door. They are tasks of the set, so that they end with this task.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut inbox: mpsc::UnboundedReceiver<(Order, oneshot::Sender<()>)>,
) -> io::Result<()> {
    let addr = listener.local_addr()?;
    let (mut port, mut door) = (Port::Listening(listener), Door::Open);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            order = inbox.recv() => {
                let Some((order, done)) = order else { return Ok(()) };
                match order {
                    Order::Sever => connections.shutdown().await,
                    Order::Door(Door::Shut) => {
                        drop(port);
                        port = Port::hold(addr)?;
                    }
                    Order::Door(open) => {
                        door = open;
                        port = port.listen()?;
                    }
                }
                // The sender of the command may be gone.
                let _ = done.send(());
            }
            stream = port.accept() => {
                // An error of `accept` concerns only that client.
                if let Ok(stream) = stream {
                    shared.with(Plan::count_connection);
                    admit(&mut connections, stream, door, &shared)?;
                }
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

fn admit(
    connections: &mut JoinSet<io::Result<()>>,
    stream: TcpStream,
    door: Door,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    match door {
        Door::Open | Door::Shut => drop(connections.spawn(connection::serve(stream, Arc::clone(shared)))),
        Door::Reset => stream.set_zero_linger()?,
        Door::Silent => drop(connections.spawn(async move {
            let mut stream = stream;
            // Until the client closes the connection.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
        })),
    }
    Ok(())
}
