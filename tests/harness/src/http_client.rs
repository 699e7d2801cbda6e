//! One GET over loopback: too little to bring a client library for.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::error::{Context as _, Error, Result};

/// A server on loopback that needs longer hangs.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Status and body of a GET.
///
/// # Errors
/// If there is no answer in time, or it is not HTTP.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let what = format!("GET http://{address}{path}");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange).await.context(&what)?.context(&what)?;
    parse(&answer).ok_or_else(|| Error::new(format!("{what}: no HTTP answer: {answer:?}")))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
