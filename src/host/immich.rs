//! Immich over HTTP: whether it answers where people reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::Client;

/// How long an answer may take. The image's own health check waits as long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the server answers on its published address. Its health is looked at from inside the container, so a
/// healthy one may be out of reach: where the host's firewall threw Podman's rules away, for one.
pub async fn answers(listen: SocketAddr) -> bool {
    let url = format!("http://{}/api/server/ping", reachable(listen));
    // A proxy of the environment is for the way out, not for this host.
    let Ok(client) = Client::builder().no_proxy().timeout(PATIENCE).build() else { return false };
    let Ok(response) = client.get(url).send().await else { return false };
    response.status().is_success()
}

/// Every address is reached on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_answer_is_an_answer() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(reachable("[::]:80".parse().unwrap()), "[::1]:80".parse().unwrap());
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        drop(silent);
        assert!(!answers(address).await);
    }
}
