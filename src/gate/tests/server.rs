//! A small HTTP server with a habit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What it does with a request.
pub enum Habit {
    /// Sends these bytes and closes.
    Sends(Vec<u8>),
    /// Sends these bytes, and says nothing more for as long as the client listens.
    Hangs(Vec<u8>),
    /// Sends these bytes, and more and more of a body for as long as the client listens.
    Floods(Vec<u8>),
}

/// A request as it came.
#[derive(Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

pub struct Server {
    pub address: String,
    requests: Receiver<Request>,
}

impl Server {
    /// A server that does these things, one for each connection, and then is gone.
    pub fn with(habits: Vec<Habit>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for habit in habits {
                let Ok((stream, _)) = listener.accept() else {
                    return;
                };
                serve(stream, habit, &sender);
            }
        });
        Self { address, requests }
    }

    /// One that answers with this status, headers and body.
    pub fn answering(status: &str, headers: &str, body: &str) -> Self {
        Self::with(vec![Habit::Sends(response(status, headers, body))])
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

/// A whole answer.
pub fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn serve(mut stream: TcpStream, habit: Habit, requests: &Sender<Request>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    // The test may have what it wanted.
    let _ = requests.send(Request { head, body });
    match habit {
        Habit::Sends(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        Habit::Hangs(bytes) => {
            let _ = stream.write_all(&bytes);
            // Until the client goes.
            let _ = reader.read(&mut [0]);
        }
        Habit::Floods(bytes) => {
            let _ = stream.write_all(&bytes);
            while stream.write_all(&[b' '; 4_096]).is_ok() {}
        }
    }
}
