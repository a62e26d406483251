//! While services start: has Podman look at a server again as soon as it answers.
//!
//! Podman looks by the clock, every two seconds at the soonest (`HealthStartupInterval=`, beside which systemd's limit on
//! starts of transient units allows no less), and systemd waits for that look. A server that answers a moment after one is
//! waited for up to three seconds for nothing. What is healthy is Podman's to say, here as ever: it is only asked to look.

use std::time::Duration;

use futures_util::future::{join_all, pending};
use tokio::time::sleep;

use crate::host::{Host, immich};
use crate::model::{Service, UnitName};

/// How often it is looked whether somebody answers: two questions over a socket.
const LOOK: Duration = Duration::from_millis(150);

/// What answers when a service is up: port and path inside of its container.
const ANSWERS: [(Service, u16, &str); 2] =
    [(Service::Server, immich::PORT, immich::PING), (Service::Ml, 3003, "/ping")];

/// Goes on for ever; to be dropped when the jobs have ended. What fails here is no matter: Podman looks by itself, too.
pub(super) async fn hasten(host: &Host, units: &[UnitName]) {
    let is_meant = |service: Service| units.iter().any(|unit| unit.as_str() == service.unit());
    let meant = ANSWERS.into_iter().filter(|(service, ..)| is_meant(*service));
    join_all(meant.map(|(service, port, path)| one(host, service, port, path))).await;
    pending::<()>().await;
}

/// Until it is healthy.
async fn one(host: &Host, service: Service, port: u16, path: &'static str) {
    loop {
        sleep(LOOK).await;
        let Ok(Some(run)) = host.podman.running(service.stem()).await else { continue };
        if immich::is_up(run.pid, port, path).await && host.podman.check_health(service.stem()).await.unwrap_or(false) {
            return;
        }
    }
}
